"""Whole nights: count false discoveries, and the exposures until a new regime is found.

null    Nights of 30 exposures of one to six regimes of known kinds, which the agent's code groups one by one. They are
        drawn from a pool of simulated exposures at 500 photons a pixel and 18 bins of 570 pixels; a tenth of the pool's
        regimes are measured with a contrast 10 % below the stated one.
new     Nights with one new regime, of the dynamics that `studies.novelty power` draws; two to six exposures are of it,
        at random places among those of known regimes.
samples Claims in the log of whole nights of 24 exposures, of dynamics that share no code with the bank: one sample that
        is ordinary or unlike the bank, a relaxation time that changes slowly in order or in any order, such a change
        and then another sample, such a change with the third in the middle missing, another sample from the middle on,
        two to six ordinary regimes in turns, the same of all dynamics that the studies draw. "True groups apart" counts
        the nights in which the components of the true groups are right: in the others two of them are too alike. "Right
        where apart" counts the nights whose components are right, and the others in which the true groups are not
        apart.

Intervals are 95 %.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ainerd.campaign import Claims
from ainerd.novelty import OF_SAMPLE, RegimeTest, components, grouped, night, share
from ainerd_train import Views, views
from ainerd_xpcs import Partition
from ainerd_xpcs.dynamics import DIRECTIONS
from ainerd_xpcs.technique import Clean, RheoXPCS, simulated_exposures
from studies._exposures import AZIMUTHAL, KNOWN, NEW, USUAL, Squared, binned, ordinary, plain
from studies._tools import FOLDER, Row, Study, interval, report

ALPHA, EXPOSURES, EACH, WHOLE = 0.05, 30, 6, 24
OF_REGIMES = (1 - OF_SAMPLE) * ALPHA
Sort = tuple[list[Clean], NDArray[np.int64]]  # clean maps and true group of each exposure
Night = tuple[NDArray[np.float64], NDArray[np.float32]]  # p-values and points of its exposures

study = Study(__doc__)


@study.part
def null(regimes: int = 3400, nights: int = 1000) -> None:
    """Judge null nights from a pool of `regimes`, six exposures each."""
    known = pool(of := technique(), regimes)
    row = judged(of, test_of(of), null_nights(known, nights))
    report("nights_null", [row], most={"95 %": ALPHA}, exposures=known.p.size, alpha=ALPHA)  # the lower end counts


@study.part
def new(regimes: int = 3400, nights: int = 1000) -> None:
    """Judge nights with one new regime; sizes as for null nights."""
    known = pool(of := technique(), regimes)
    test, families = test_of(of), new_regimes(of, 300, seed=5)
    nights_of = {family: new_nights(of, test, known, drawn, nights) for family, drawn in families.items()}
    parameters = {"regimes": regimes, "nights": nights, "exposures": known.p.size, "alpha": ALPHA}
    report("nights_new", averaged(nights_of), least={"found": 0.25}, **parameters)


@study.part
def samples(nights: int = 200) -> None:
    """Read the claims in whole nights of each sort."""
    of, rng = technique(), np.random.default_rng(8)
    slow = np.array([drawn(plain(tau, 1.0)) for tau in np.geomspace(0.02, 6, WHOLE)], dtype=object)

    one, halves = np.zeros(WHOLE, dtype=np.int64), np.repeat([0, 1], WHOLE // 2)

    def with_hole() -> Sort:
        keep = np.r_[0 : WHOLE // 3, 2 * WHOLE // 3 : WHOLE]
        return [*slow[keep]], np.repeat([0, 1], WHOLE // 3)

    def in_turns(draw: Callable[[np.random.Generator], Clean]) -> Sort:
        regimes = [draw(rng) for _ in range(rng.integers(2, 7))]
        group = np.arange(WHOLE) % len(regimes)
        return [regimes[k] for k in group], group

    sorts: dict[str, Callable[[], Sort]] = {
        "ordinary": lambda: ([drawn(ordinary(rng))] * WHOLE, one),
        "unlike the bank": lambda: ([unlike(rng)] * WHOLE, one),
        "slow change": lambda: ([*slow], one),
        "slow change, in any order": lambda: ([*slow[rng.permutation(WHOLE)]], one),
        "slow change with a hole": with_hole,
        "slow change, then another sample": lambda: ([*slow[::2], *[unlike(rng)] * (WHOLE // 2)], halves),
        "change in the middle": lambda: (
            [*[drawn(ordinary(rng))] * (WHOLE // 2), *[unlike(rng)] * (WHOLE // 2)],
            halves,
        ),
        "two to six regimes": lambda: in_turns(lambda rng: drawn(ordinary(rng))),
        "two to six regimes of any dynamics": lambda: in_turns(any_dynamics),
    }
    rows = [read_nights(of, sort, make, nights) for sort, make in sorts.items()]
    report("nights_samples", rows, least={"right where apart": 0.9}, nights=nights)


def drawn(squared: Squared) -> Clean:
    """Return the clean maps of isotropic dynamics."""
    return Clean.at_directions([binned(squared, DIRECTIONS[0], USUAL, isotropic=True)])


def unlike(rng: np.random.Generator) -> Clean:
    """Return the clean maps of dynamics of a kind that the bank does not hold."""
    return named(str(rng.choice(list(NEW))), rng)


def any_dynamics(rng: np.random.Generator) -> Clean:
    """Return the clean maps of any dynamics that the studies draw."""
    name = str(rng.choice(["ordinary", *KNOWN, *NEW]))
    return drawn(ordinary(rng)) if name == "ordinary" else named(name, rng)


def named(name: str, rng: np.random.Generator) -> Clean:
    """Return the clean maps of a draw of the dynamics of this name."""
    squared = NEW[name](rng) if name in NEW else KNOWN[name][0](rng)
    isotropic = name not in AZIMUTHAL
    at = DIRECTIONS[:1] if isotropic else DIRECTIONS
    return Clean.at_directions([binned(squared, phi, USUAL, isotropic=isotropic) for phi in at])


def read_nights(of: RheoXPCS, sort: str, make: Callable[[], Sort], n: int) -> Row:
    """Return how often each claim is made in nights of one sort."""
    nights: list[dict[str, bool]] = []
    for i in track(range(n), sort):
        clean, group = make()
        seen = views(of, clean, each=1, seed=100 + i)
        nights.append(claims_of(of, seen.p[:, 0], seen.z[:, 0], group))
    row: Row = {"nights": sort}
    for name in nights[0]:
        hits = sum(each[name] for each in nights)
        row[name] = f"{hits / n:.3g} {interval(hits, n)}"
    return row


def claims_of(
    of: RheoXPCS, p: NDArray[np.float64], z: NDArray[np.float32], group: NDArray[np.int64]
) -> dict[str, bool]:
    """Return which claims are made in a night, and whether its components are right in the end."""
    claims, labels, highest, made = Claims(of), np.empty(0, dtype=np.int64), -1, dict.fromkeys(CLAIMED, False)
    for n in range(1, len(p) + 1):
        novel = (p[:n] <= ALPHA).astype(int)
        before = np.append(labels, -1)
        labels = grouped(of.regimes, z[:n], before, novel, width=of.regime_width, highest=highest)[0].labels
        highest = max(highest, int(labels.max()))
        seen = components(z[:n], labels, of.regime_width)
        claims.update({str(i): (int(k), float(p[i])) for i, k in enumerate(labels) if k >= 0}, seen)
        made["sample, by the sixth"] |= n <= 6 and claims.of_sample is not None
        made["sample"] |= claims.of_sample is not None
        made["regime"] |= bool(claims.discoveries)
        made["alarm"] |= bool(claims.alarm)
        made["differs"] |= any(claim.about == "session" for claim in claims.claims)
        if n == len(p) // 2 + 2:
            made["differs, by the second"] = any(claim.about == "session" for claim in claims.claims)
    medians = [np.median(p[labels == k]) if (labels == k).any() else 1.0 for k in claims.discoveries]
    kinds, apart = group.max() + 1, components(z, group, of.regime_width)
    are_right, are_apart = (len(each.groups) == kinds for each in (seen, apart))
    return made | {
        "stale": any(x > ALPHA for x in medians),
        "components right": are_right,
        "true groups apart": are_apart,
        "right where apart": are_right or not are_apart,
    }


CLAIMED = ("sample, by the sixth", "sample", "regime", "alarm", "differs", "differs, by the second")


def technique() -> RheoXPCS:
    """Return the technique as shipped; its bins are not used."""
    one = np.ones((8, 8), np.int32)
    bins = Partition(roi_map=one, static_map=one, q=np.full(1, np.nan), phi=np.full(1, np.nan))
    return RheoXPCS(bins, alpha=ALPHA)


def test_of(of: RheoXPCS) -> RegimeTest:
    """Return the test of regimes that is shipped."""
    null = of.null_regimes()
    assert null is not None
    return RegimeTest(null.by_look, null.smallest, null.whole)


def pool(of: RheoXPCS, n: int, seed: int = 0) -> Views:
    """Return exposures of `n` known regimes."""
    off = n // 10
    clean, _ = simulated_exposures(n, seed=1000 + seed)
    pair = (
        cached(f"nights_known_{n}_{seed}", lambda: views(of, clean[off:], each=EACH, seed=seed)),
        cached(f"nights_off_{n}_{seed}", lambda: views(of, clean[:off], each=EACH, seed=seed + 1, contrast_off=0.9)),
    )
    return Views(*(np.concatenate([getattr(each, name) for each in pair]) for name in ("p", "z", "features")))


def new_regimes(of: RheoXPCS, n: int, seed: int) -> dict[str, Views]:
    """Return exposures of regimes of each of the held-out dynamics, drawn by code of the study itself."""
    return {
        name: cached(f"nights_{name.replace(' ', '_')}_{n}_{seed}", partial(drawn_views, of, name, n, seed))
        for name in NEW
    }


def drawn_views(of: RheoXPCS, name: str, n: int, seed: int) -> Views:
    """Draw exposures of `n` regimes of one of the held-out dynamics."""
    rng = np.random.default_rng([seed, len(name)])
    clean = [named(name, rng) for _ in range(n)]
    return views(of, clean, each=EACH, seed=seed)


def cached(name: str, make: Callable[[], Views]) -> Views:
    """Return exposures from their file, which is made if there is none."""
    path = FOLDER / f"{name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = make()
        np.savez(path, p=made.p, z=made.z, features=made.features)
    arrays = np.load(path)
    return Views(arrays["p"], arrays["z"], arrays["features"])


def null_nights(known: Views, n: int) -> Iterator[Night]:
    """Yield nights of known regimes."""
    rng = np.random.default_rng(1)
    for _ in track(range(n), "null nights"):
        which, number = night(known.p.shape, EXPOSURES, rng)
        yield known.p[which, number], known.z[which, number]


def judged(of: RheoXPCS, test: RegimeTest, nights: Iterable[Night]) -> Row:
    """Return how often something is called new in nights in which nothing is."""
    by_regime, flagged = [], []
    for p, z in nights:
        ranks, rank = test.night(p, z, of.regimes, width=of.regime_width, alpha=ALPHA)
        by_sample = test.p_of_sample(rank) <= OF_SAMPLE * ALPHA
        by_regime.append(by_sample or any(test.p(r) <= OF_REGIMES * share(k) for k, r in ranks.items()))
        flagged.append((p <= ALPHA).mean())
    return {
        "nights": len(by_regime),
        "any false discovery": float(np.mean(by_regime)),
        "95 %": interval(sum(by_regime), len(by_regime)),
        "exposures with p <= alpha": float(np.mean(flagged)),
    }


def new_nights(of: RheoXPCS, test: RegimeTest, known: Views, new: Views, n: int) -> Row:
    """Return how often the new regime of a night is found, and after how many of its exposures."""
    rng, needed = np.random.default_rng(2), []
    for i in track(range(n), "nights with a new regime"):
        which, number = night(known.p.shape, EXPOSURES - EACH, rng)
        k, place = int(rng.integers(2, EACH + 1)), i % len(new.p)
        at = np.sort(rng.choice(len(which) + 1, k))
        p = np.insert(known.p[which, number], at, new.p[place, :k])
        z = np.insert(known.z[which, number], at, new.z[place, :k], axis=0)
        is_new = np.insert(np.zeros(len(which), bool), at, True)
        after = _exposures_to_discovery(of, test, p, z, is_new)
        needed.append(np.nan if after is None else after)
    is_discovered = np.isfinite(needed)
    return {
        "95 %": interval(int(is_discovered.sum()), n),
        "found": is_discovered.mean(),
        "exposures needed": float(np.mean(np.array(needed)[is_discovered])) if is_discovered.any() else np.nan,
    }


def averaged(rows: dict[str, Row]) -> Iterator[Row]:
    """Yield a row for each family, and their mean."""
    yield from ({"family": family} | row for family, row in rows.items())
    (first, *_), every = rows.values(), [list(row.values()) for row in rows.values()]
    means = ("" if isinstance(column[0], str) else float(np.mean(column)) for column in zip(*every, strict=True))
    yield {"family": "mean"} | dict(zip(first, means, strict=True))


def _exposures_to_discovery(
    of: RheoXPCS, test: RegimeTest, p: NDArray[np.float64], z: NDArray[np.float32], is_new: NDArray[np.bool_]
) -> int | None:
    """Return the exposures of the new regime until the regime that holds most of them is a discovery, or None."""
    labels, highest, smallest = np.empty(0, dtype=np.int64), -1, dict[int, float]()
    for n in range(1, len(p) + 1):
        before = np.append(labels, -1)
        novel = (p[:n] <= ALPHA).astype(int)
        labels = grouped(of.regimes, z[:n], before, novel, width=of.regime_width, highest=highest)[0].labels
        highest = max(highest, int(labels.max()))
        for number in np.unique(labels[labels >= 0]):
            mine = labels == number
            smallest[int(number)] = min(test.rank(p[:n][mine]), smallest.get(int(number), 1.0))
            if test.p(smallest[int(number)]) <= OF_REGIMES * share(int(number)) and is_new[:n][mine].mean() > 0.5:
                return int(is_new[:n].sum())
    return None


if __name__ == "__main__":
    study()
