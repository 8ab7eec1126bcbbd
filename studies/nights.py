"""Whole nights: how often anything is called a new regime that is none, and how soon a new regime is found.

A night has 30 exposures of one to six regimes of known kinds, which the agent's code groups one by one. They are drawn
from a pool of simulated exposures at 500 photons a pixel and 18 bins of 570 pixels; a tenth of the pool's regimes are
measured with a contrast 10 % below what is told. New regimes are of the dynamics that `studies.novelty power` draws;
in a night with one, two to six exposures are of it, at random places among those of known regimes. "By exposure" is the
rule of Bonferroni: a discovery at the first exposure with p at most alpha over the 30 of the night. Banks of other
seeds judge the same null nights by scorers and simulated nights of their own. Nights from frames are null nights too:
plain relaxation and ageing by code of the benchmark's own, 500 frames of 18 bins of 200 pixels, through the whole
technique. Intervals are 95 %; that over all banks takes nights for independent.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ainerd.dynamics import DIRECTIONS
from ainerd.novelty import RegimeTest, night, share
from ainerd.techniques.rheo_xpcs import RheoXPCS, simulated_exposures
from ainerd.techniques.rheo_xpcs._bank import Bank
from ainerd.techniques.rheo_xpcs._clean import Clean
from ainerd.techniques.rheo_xpcs._null import Views, scorer_of, views
from ainerd.xpcs import Partition
from studies._novelty_exposures import binned
from studies._novelty_frames import analysed, bins, frames
from studies._novelty_physics import AZIMUTHAL, NEW
from studies._report import FOLDER, interval, report
from studies.novelty import USUAL, ordinary

PARTS = ("null", "new", "frames", "banks")
ALPHA, EXPOSURES, EACH = 0.05, 30, 6


def technique(bank: Bank | None = None) -> RheoXPCS:
    """As shipped, or with another bank; its bins are not used."""
    one = np.ones((8, 8), np.int32)
    bins = Partition(roi_map=one, static_map=one, q=np.full(1, np.nan), phi=np.full(1, np.nan))
    return RheoXPCS(bins, bank=bank, alpha=ALPHA)


def pool(of: RheoXPCS, n: int, seed: int) -> Views:
    """Exposures of known regimes, kept in a file from one run to the next."""
    off = n // 10
    clean, _ = simulated_exposures(n, seed=1000 + seed)
    return both(
        kept(f"nights_known_{n}_{seed}", lambda: views(of, clean[off:], each=EACH, seed=seed)),
        kept(f"nights_off_{n}_{seed}", lambda: views(of, clean[:off], each=EACH, seed=seed + 1, contrast_off=0.9)),
    )


def new_regimes(of: RheoXPCS, n: int, seed: int) -> dict[str, Views]:
    """Exposures of regimes of each of the dynamics that are held out, by code of the study itself."""
    found = {}
    for name, drawn in NEW.items():
        isotropic, rng = name not in AZIMUTHAL, np.random.default_rng([seed, len(name)])

        def seen(drawn: Any = drawn, rng: np.random.Generator = rng, isotropic: bool = isotropic) -> Views:
            clean = []
            for _ in range(n):
                squared = drawn(rng)
                at = DIRECTIONS[:1] if isotropic else DIRECTIONS
                clean.append(Clean.at_directions([binned(squared, phi, 20.0, isotropic=isotropic) for phi in at]))
            return views(of, clean, each=EACH, seed=seed)

        found[name] = kept(f"nights_{name.replace(' ', '_')}_{n}_{seed}", seen)
    return found


def kept(name: str, make: Any) -> Views:
    """What was made, from its file if it is there."""
    path = Path(FOLDER) / f"{name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = make()
        np.savez(path, p=made.p, z=made.z, features=made.features)
    found = np.load(path)
    return Views(found["p"], found["z"], found["features"])


def both(a: Views, b: Views) -> Views:
    """One after the other."""
    return Views(*(np.concatenate(pair) for pair in ((a.p, b.p), (a.z, b.z), (a.features, b.features))))


def other_banks(of: RheoXPCS, known: Views, regimes: int, nights: int, banks: int) -> Iterator[dict[str, Any]]:
    """A row for each bank that another seed draws: its own scorer, its own simulated nights, the same null nights."""
    clean = simulated_exposures(regimes, seed=7)[0]
    own = kept(f"nights_own_{regimes}", lambda: views(of, clean, each=EACH, seed=0))
    for seed in range(1, 1 + banks):
        other = technique(Bank(*simulated_exposures(of.bank.n, seed=100 + seed), id=f"seed {seed}"))
        scorer, rng = scorer_of(other), np.random.default_rng([seed, 5])
        mine, seen = (Views.judged(scorer, pool.z, pool.features) for pool in (own, known))
        assert of.regime_width is not None
        test = RegimeTest.calibrated(mine.p, mine.z, of.regimes, width=of.regime_width, alpha=ALPHA, rng=rng)
        yield {"bank": seed} | null_nights(of, test, seen, nights)


def from_frames(test: RegimeTest, n: int) -> dict[str, Any]:
    """Null nights whose exposures are analysed from their frames."""
    of = RheoXPCS(bins((200,) * 18, USUAL.phi_deg), alpha=ALPHA)
    rng, by_regime, flagged = np.random.default_rng(3), 0, 0
    assert of.regime_width is not None
    for _ in track(range(n), "nights from frames"):
        regimes = [ordinary(rng) for _ in range(rng.integers(1, 7))]
        seen = [
            analysed(of, frames(regimes[k], 500, of.partition.shape, rng, photons=USUAL.photons, modes=5))
            for k in rng.integers(len(regimes), size=EXPOSURES)
        ]
        p = np.array([each.novelty_p for each in seen], float)
        ranks = test.night(
            p, np.stack([each.embedding for each in seen]), of.regimes, width=of.regime_width, alpha=ALPHA
        )
        by_regime += any(test.p(rank) <= ALPHA * share(k) for k, rank in ranks.items())
        flagged += int((p <= ALPHA).sum())
    return {
        "nights": n,
        "any false discovery": by_regime / n,
        "95 %": interval(by_regime, n),
        "exposures with p <= alpha": flagged / n / EXPOSURES,
    }


def null_nights(of: RheoXPCS, test: RegimeTest, known: Views, n: int) -> dict[str, Any]:
    """Nights in which nothing is new: in how many something is called so."""
    rng, by_regime, by_exposure = np.random.default_rng(1), 0, 0
    for _ in track(range(n), "null nights"):
        which, number = night(known.p.shape, EXPOSURES, rng)
        p, z = known.p[which, number], known.z[which, number]
        assert of.regime_width is not None
        ranks = test.night(p, z, of.regimes, width=of.regime_width, alpha=ALPHA)
        by_regime += any(test.p(rank) <= ALPHA * share(k) for k, rank in ranks.items())
        by_exposure += bool((p <= ALPHA / EXPOSURES).any())
    return {
        "nights": n,
        "any false discovery": by_regime / n,
        "95 %": interval(by_regime, n),
        "by exposure": by_exposure / n,
    }


def new_nights(of: RheoXPCS, test: RegimeTest, known: Views, new: Views, n: int) -> dict[str, Any]:
    """Nights with one new regime: in how many it is found, and after how many of its exposures."""
    rng, found, needed, alone = np.random.default_rng(2), 0, [], []
    for i in track(range(n), "nights with a new regime"):
        which, number = night(known.p.shape, EXPOSURES - EACH, rng)
        k, place = int(rng.integers(2, EACH + 1)), i % len(new.p)
        at = np.sort(rng.choice(len(which) + 1, k))
        p = np.insert(known.p[which, number], at, new.p[place, :k])
        z = np.insert(known.z[which, number], at, new.z[place, :k], axis=0)
        is_new = np.insert(np.zeros(len(which), bool), at, True)
        after = _exposures_to_discovery(of, test, p, z, is_new)
        found += after is not None
        if after is not None:
            needed.append(after)
        first = np.flatnonzero(new.p[place, :k] <= ALPHA / EXPOSURES)
        if first.size:
            alone.append(int(first[0]) + 1)
    return {
        "nights": n,
        "found": found / n,
        "95 %": interval(found, n),
        "exposures needed": float(np.mean(needed)) if needed else np.nan,
        "found by exposure": len(alone) / n,
        "needed by exposure": float(np.mean(alone)) if alone else np.nan,
    }


def _exposures_to_discovery(
    of: RheoXPCS, test: RegimeTest, p: NDArray[np.float64], z: NDArray[np.float32], is_new: NDArray[np.bool_]
) -> int | None:
    """Exposures of the new regime until a regime that most of them are in is a discovery; None if it is not."""
    from ainerd.novelty import grouped

    assert of.regime_width is not None
    labels, highest, smallest = np.empty(0, dtype=np.int64), -1, dict[int, float]()
    for n in range(1, len(p) + 1):
        before = np.append(labels, -1)
        novel = (p[:n] <= ALPHA).astype(int)
        labels = grouped(of.regimes, z[:n], before, novel, width=of.regime_width, highest=highest).regimes.labels
        highest = max(highest, int(labels.max()))
        for number in np.unique(labels[labels >= 0]):
            mine = labels == number
            smallest[int(number)] = min(test.rank(p[:n][mine]), smallest.get(int(number), 1.0))
            if test.p(smallest[int(number)]) <= ALPHA * share(int(number)) and is_new[:n][mine].mean() > 0.5:
                return int(is_new[:n].sum())
    return None


def power(test: RegimeTest, new: Views) -> dict[str, Any]:
    """Share of new regimes found after so many exposures, at the level of the first regime, alpha .05 and .01."""
    ranks = [[test.p(test.rank(p[:k])) for p in new.p] for k in (1, 2, 3, EACH)]
    return {
        f"{k} at {alpha}": float(np.mean(np.array(row) <= alpha * share(0)))
        for alpha in (0.05, 0.01)
        for k, row in zip((1, 2, 3, EACH), ranks, strict=True)
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regimes", type=int, default=3400, help="of the pool, six exposures each")
    parser.add_argument("--nights", type=int, default=1000)
    parser.add_argument("--banks", type=int, default=10, help="banks of other seeds")
    parser.add_argument("--frames", type=int, default=20, help="nights from frames")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="300 regimes, 100 nights, one bank, one night from frames")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.regimes, arguments.nights, arguments.banks, arguments.frames = 300, 100, 1, 1
    of = technique()
    null = of.null_regimes()
    assert null is not None
    test = RegimeTest(null.by_look, null.smallest)
    if "frames" in arguments.parts:
        report("nights_frames", [from_frames(test, arguments.frames)], alpha=ALPHA)
    if {*arguments.parts} == {"frames"}:
        return
    known = pool(of, arguments.regimes, seed=0)
    about = {"regimes": arguments.regimes, "exposures": int(known.p.size), "alpha": ALPHA}
    if "null" in arguments.parts:
        report("nights_null", [null_nights(of, test, known, arguments.nights)], **about)
    if "new" in arguments.parts:
        new = new_regimes(of, 100 if arguments.quick else 300, seed=5)
        rows = [
            {"family": family} | new_nights(of, test, known, seen, arguments.nights) for family, seen in new.items()
        ]
        report("nights_new", rows, **about)
        found = [power(test, seen) for seen in new.values()]
        found.append({after: float(np.mean([row[after] for row in found])) for after in found[0]})
        report(
            "nights_power", [{"family": name} | row for name, row in zip([*new, "mean"], found, strict=True)], **about
        )
    if "banks" in arguments.parts:
        rows = list(other_banks(of, known, 500 if arguments.quick else 5000, arguments.nights, arguments.banks))
        hits = sum(round(row["any false discovery"] * arguments.nights) for row in rows)
        n = arguments.nights * len(rows)
        rows.append({"bank": "all", "nights": n, "any false discovery": hits / n, "95 %": interval(hits, n)})
        rows[-1]["by exposure"] = float(np.mean([row["by exposure"] for row in rows[:-1]]))
        report("nights_banks", rows, **about)


if __name__ == "__main__":
    main()
