"""Where to measure next: how many exposures and how much beam time until every regime was seen.

Hidden samples come from nine generators, at three levels of noise, a third of them drifting; the rarest regime covers 1
to 10 % of the area. Every strategy starts at the same position, meets the same noise, and has its exposures labelled
and its map drawn in the same way. A regime that is not seen within 80 exposures counts as 100. The policy was tuned on
samples of other seeds. Intervals are 95 %, from a bootstrap over samples, paired. An interrupted study continues where
it stopped, unless the policy or the study was changed.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

import ainerd.steering
from studies._hidden_maps import EXPOSURES, MISSED, NOISE, HiddenMap, hidden_map, null_map
from studies._strategies import (
    BASELINES,
    LIMITS,
    LOOKS,
    OURS,
    RHO,
    SMALLEST,
    SOBOL,
    WIDTH_MM,
    explorer_of,
    feed,
    new_regimes,
    ratio,
    values,
)
from studies._tools import Case, Row, Study, bootstrap, digest_of, interval, report, resumed

TEST_SEED = 2026  # seeds below 100 are for tuning
COMPARED = ("raster", "Sobol", *(name for name in BASELINES if name not in ("raster", *SOBOL)))
BEST_N = next(iter(LIMITS))

study = Study(__doc__)


@study.part
def discovery(maps: int = 324, nulls: int = 108, seed: int = TEST_SEED, workers: int = 1) -> None:
    """Score every strategy on `maps` samples, and ours on `nulls` samples of one regime."""
    cases = [("map", i) for i in range(maps)] + [("null", i) for i in range(nulls)]
    here = Path(__file__).parent
    sources = Path(ainerd.steering.__file__).parent, here / "_hidden_maps.py", here / "_strategies.py", Path(__file__)
    run = {"run": digest_of(*sources), "seed": seed}
    rows = resumed("discovery", run, cases, partial(on_sample, seed), workers)
    of_maps, of_nulls = rows[:maps], rows[maps:]
    with threadpool_limits(1):
        times = list(decision_times())
    parameters = {"maps": maps, "nulls": nulls, "seed": seed, "rho": RHO, "smallest radius": SMALLEST}
    report("discovery_strategies", overview(of_maps), **parameters)
    report("discovery_by_kind", by_kind(of_maps), **parameters)
    report("discovery_time", times, **parameters)
    report("discovery", targets(of_maps, of_nulls, times), **parameters)


def score(hidden: HiddenMap, way: NDArray[np.float64]) -> Row:
    """Return exposures, travel and beam time until every regime was seen."""
    n = hidden.exposures_to_all(way)
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    travel = float(steps[-1] * MISSED / len(way) if n == MISSED else steps[n - 1])
    return {"exposures": n, "travel": travel, "beam time": n + RHO * travel}


def map_quality(hidden: HiddenMap, way: NDArray[np.float64]) -> Row:
    """Return the adjusted Rand index of the map drawn from the first exposures of `way`."""
    known, quality, done = explorer_of(hidden), {}, 0
    for at in LOOKS:
        feed(known, hidden, way[done:at], done)
        drawn, done = known.map(), at
        x, y = np.meshgrid(*(axis / WIDTH_MM for axis in drawn.axes.values()))
        truth = hidden.regime(np.stack([x.ravel(), y.ravel()], axis=1))
        quality[f"ARI {at}"] = float(adjusted_rand_score(truth, drawn.regime.ravel()))
    return quality


def at_stop(hidden: HiddenMap, way: NDArray[np.float64], stop: int | None) -> Row:
    """Return the regimes that were missed when our explorer proposed to stop."""
    unseen = np.setdiff1d(np.arange(hidden.n_regimes), hidden.regime(way[:stop]))
    large = hidden.inscribed()[unseen] >= SMALLEST
    return {"stop": stop, "missed any": bool(unseen.size), "missed large": bool(large.any())}


def on_map(i: int, seed: int) -> Row:
    """Return the scores of every strategy on one sample."""
    hidden = hidden_map(i, seed)
    ours, stop = new_regimes(hidden)
    ways = {name: strategy(hidden) for name, strategy in BASELINES.items()} | {OURS: ours}
    scores = {name: score(hidden, way) | map_quality(hidden, way) for name, way in ways.items()}
    for name, strategy in LIMITS.items():
        several = [score(hidden, way) for way in strategy(hidden)]
        scores[name] = {what: float(np.mean([one[what] for one in several])) for what in several[0]}
    described = {"kind": hidden.kind, "noise": hidden.noise, "drifts": bool(hidden.drift.any())}
    return described | {"scores": scores} | at_stop(hidden, ours, stop)


def on_null(i: int, seed: int) -> Row:
    """Return the number of regimes reported on a sample of one regime, when our explorer proposes to stop."""
    hidden = null_map(i, seed)
    way, stop = new_regimes(hidden)
    known = explorer_of(hidden)
    feed(known, hidden, way[:stop])
    return {"kind": "null", "stop": stop, "regimes": int(np.unique(known.map().regime).size)}


def on_sample(seed: int, sample: Case) -> Row:
    """Return the row of one sample."""
    what, i = sample
    return {"what": what, "i": i} | (on_map if what == "map" else on_null)(i, seed)


def decision_times() -> Iterator[Row]:
    """Yield the time to add an exposure and to suggest the next, on one core: the median of five."""
    rng, hidden = np.random.default_rng(0), hidden_map(0, 0)
    for n in (20, 200, 2000):
        known, way = explorer_of(hidden), rng.random((n + 5, 2))
        embeddings = hidden.mean[hidden.regime(way)] + rng.normal(0, 0.35, (n + 5, hidden.mean.shape[1]))
        points = [
            {"_id": str(i), "sample_x": WIDTH_MM * x, "sample_y": WIDTH_MM * y, "embedding": z, "age_s": 60.0 + i}
            for i, ((x, y), z) in enumerate(zip(way, embeddings, strict=True))
        ]
        known.ingest(points[:n])
        known.withdraw(known.suggest()[0]["_id"])
        spent = []
        for point in points[n:]:
            began = time.process_time()
            known.ingest([point])
            (suggestion,) = known.suggest()
            spent.append(time.process_time() - began)
            known.withdraw(suggestion["_id"])
        yield {"points": n, "decision (s)": float(np.median(spent)), "slowest (s)": max(spent)}


def overview(maps: Sequence[Row]) -> Iterator[Row]:
    """Yield a row for each strategy, with ours compared to it."""
    ours = {what: values(maps, OURS, what) for what in ("exposures", "beam time", "ARI 40")}
    for name in (*COMPARED, OURS, *LIMITS):
        seen = np.array(
            [[row["scores"][run]["exposures"] for row in maps] for run in (SOBOL if name == "Sobol" else [name])]
        )
        n, beam_time = values(maps, name, "exposures"), values(maps, name, "beam time")
        row: Row = {
            "strategy": name,
            "exposures": n.mean(),
            "median": float(np.median(seen)),
            "missed": (seen == MISSED).mean(),
            "seen by 20/40/60/80": " ".join(f"{(seen <= at).mean():.2f}" for at in LOOKS),
            "travel": values(maps, name, "travel").mean(),
            "beam time": beam_time.mean(),
            "ours / its exposures": ratio(ours["exposures"], n),
            "ours / its beam time": ratio(ours["beam time"], beam_time),
            "ARI at 20/40/60/80": "",
            "ours − its ARI at 40": "",
        }
        if name not in LIMITS:
            quality = values(maps, name, "ARI 40")
            low, high = bootstrap(np.subtract, ours["ARI 40"], quality)
            row["ARI at 20/40/60/80"] = " ".join(f"{values(maps, name, f'ARI {at}').mean():.2f}" for at in LOOKS)
            row["ours − its ARI at 40"] = f"{(ours['ARI 40'] - quality).mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        yield row


def by_kind(maps: Sequence[Row]) -> Iterator[Row]:
    """Yield exposures, and the quality of the map at 40, by generator, noise and drift."""
    kinds = dict.fromkeys(row["kind"] for row in maps)
    groups = {kind: [row for row in maps if row["kind"] == kind] for kind in kinds}
    groups |= {f"noise {level}": [row for row in maps if row["noise"] == level] for level in NOISE}
    groups |= {"drifting": [row for row in maps if row["drifts"]]}
    for name, some in groups.items():
        if some:
            n = {f"{s}: exposures": values(some, s, "exposures").mean() for s in (OURS, "Sobol", "R2", BEST_N)}
            quality = {f"{s}: ARI at 40": values(some, s, "ARI 40").mean() for s in (OURS, "R2")}
            yield {"samples": name, "n": len(some)} | n | quality


def targets(maps: Sequence[Row], nulls: Sequence[Row], times: Sequence[Row]) -> Iterator[Row]:
    """Yield each target with its interval, and the value of an even covering with the best number of points."""
    for what, most in (
        ("exposures", {"Sobol": 0.78, "R2": 0.95, "raster": 0.58}),
        ("beam time", {"Sobol": 0.60, "R2": 0.70}),
    ):
        ours, best_n = values(maps, OURS, what), values(maps, BEST_N, what)
        for name, target in most.items():
            its = values(maps, name, what)
            low, high = bootstrap(np.divide, ours, its)
            reached = ours.mean() <= target * its.mean() and (high < 1 or name != "Sobol")
            yield line(f"{what}, of those of {name}", f"≤ {target:.2f}", ours.mean() / its.mean(), reached) | {
                "95 %": f"{low:.2f} to {high:.2f}",
                "n known": f"{best_n.mean() / its.mean():.2f}",
            }
    best = max(COMPARED, key=lambda name: values(maps, name, "ARI 40").mean())
    ours, its = values(maps, OURS, "ARI 40"), values(maps, best, "ARI 40")
    low, high = bootstrap(np.subtract, ours, its)
    yield line(f"map ARI at 40 exposures, above that of {best}", "low > −0.02", (ours - its).mean(), low > -0.02) | {
        "95 %": f"{low:+.3f} to {high:+.3f}"
    }
    stopped = [row for row in maps if row["stop"] is not None]
    shares = {
        f"nothing of radius ≥ {SMALLEST} missed at the stop ({len(stopped)} of {len(maps)} stop by {EXPOSURES}, "
        f"at {np.mean([row['stop'] for row in stopped]):.0f})": ([not row["missed large"] for row in stopped], 0.95, 1),
        "two regimes reported of one": ([row["regimes"] > 1 for row in nulls], 0.05, -1),
    }
    for what, (hits, target, sign) in shares.items():
        share = float(np.mean(hits))
        reached = sign * share >= sign * target
        sure = interval(sum(hits), len(hits))
        yield line(what, f"{'≥' if sign > 0 else '≤'} {target:.2f}", share, reached) | {"95 %": sure}
    for row in times:
        if limit := {200: 0.05, 2000: 1.0}.get(row["points"]):
            took = row["decision (s)"]
            yield line(f"a decision with {row['points']} points, s", f"≤ {limit:g}", took, took <= limit)


def line(what: str, target: str, measured: float, reached: bool) -> Row:
    return {
        "what": what,
        "target": target,
        "measured": float(measured),
        "95 %": "",
        "n known": "",
        "reached": "yes" if reached else "no",
    }


if __name__ == "__main__":
    study()
