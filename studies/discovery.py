"""Where to measure next: how many exposures and how much beam time until every regime was seen.

Hidden samples from nine generators, at three levels of noise, a third of them drifting; the rarest regime covers 1 to
10 % of the area. Every strategy starts at the same position, meets the same noise, and has its exposures labelled and
its map drawn in the same way. A regime that is not seen within 80 exposures counts as 100. The policy was tuned on
samples of other seeds. Intervals are 95 %, from a bootstrap over samples, paired.

Each sample is written to ``output/studies/discovery.jsonl`` as it is done; a run that was stopped goes on there
when it is started again, as long as neither the policy nor the benchmark was changed.
"""

import argparse
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

import ainerd.steering
from studies._discovery_tables import by_kind, overview, subset, targets
from studies._hidden_maps import MISSED, HiddenMap, hidden_map, null_map
from studies._report import report
from studies._resumed import Row, digest_of, resumed
from studies._strategies import (
    BASELINES,
    LIMITS,
    LOOKS,
    OURS,
    RHO,
    SMALLEST,
    WIDTH_MM,
    explorer,
    feed,
    gpcam,
    new_regimes,
)

TEST_SEED = 2026  # seeds below 100 are for tuning
MAPS, NULLS, GPCAM_MAPS = 324, 108, 54


def score(hidden: HiddenMap, way: NDArray[np.float64]) -> Row:
    """Exposures, travel and beam time until every regime was seen."""
    n = hidden.exposures_to_all(way)
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    travel = float(steps[-1] * MISSED / len(way) if n == MISSED else steps[n - 1])
    return {"exposures": n, "travel": travel, "beam time": n + RHO * travel}


def map_quality(hidden: HiddenMap, way: NDArray[np.float64]) -> Row:
    """Adjusted Rand index of the map that is drawn from the exposures on `way`, on the way."""
    known, found, done = explorer(hidden), {}, 0
    for at in LOOKS:
        feed(known, hidden, way[done:at], done)
        drawn, done = known.map(), at
        x, y = np.meshgrid(*(axis / WIDTH_MM for axis in drawn.axes.values()))
        truth = hidden.regime(np.stack([x.ravel(), y.ravel()], axis=1))
        found[f"ARI {at}"] = float(adjusted_rand_score(truth, drawn.regime.ravel()))
    return found


def at_stop(hidden: HiddenMap, way: NDArray[np.float64], stop: int | None) -> Row:
    """What was missed when ours says that it may stop."""
    unseen = np.setdiff1d(np.arange(hidden.n_regimes), hidden.regime(way[:stop]))
    large = hidden.inscribed()[unseen] >= SMALLEST
    return {"stop": stop, "missed any": bool(unseen.size), "missed large": bool(large.any())}


def on_map(i: int, seed: int) -> Row:
    """Scores of every strategy on one sample."""
    hidden = hidden_map(i, seed)
    ours, stop = new_regimes(hidden)
    ways = {name: strategy(hidden) for name, strategy in BASELINES.items()} | {OURS: ours}
    if i < GPCAM_MAPS and find_spec("gpcam"):
        ways["gpCAM"] = gpcam(hidden)
    scores = {name: score(hidden, way) | map_quality(hidden, way) for name, way in ways.items()}
    for name, strategy in LIMITS.items():
        several = [score(hidden, way) for way in strategy(hidden)]
        scores[name] = {what: float(np.mean([one[what] for one in several])) for what in several[0]}
    about = {"kind": hidden.kind, "noise": hidden.noise, "drifts": bool(hidden.drift.any())}
    return about | {"scores": scores} | at_stop(hidden, ours, stop)


def on_null(i: int, seed: int) -> Row:
    """Regimes reported on a sample of one, when ours would stop."""
    hidden = null_map(i, seed)
    way, stop = new_regimes(hidden)
    known = explorer(hidden)
    feed(known, hidden, way[:stop])
    return {"kind": "null", "stop": stop, "regimes": int(np.unique(known.map().regime).size)}


def on_sample(seed: int, sample: tuple[str, int]) -> Row:
    """One line of the record."""
    what, i = sample
    return {"what": what, "i": i} | (on_map if what == "map" else on_null)(i, seed)


def fingerprint() -> str:
    """Of the policy and the benchmark."""
    here, room = Path(__file__).parent, Path(ainerd.steering.__file__).parent
    policy = [path for path in sorted(room.glob("*.py")) if path.name not in ("__init__.py", "_plans.py")]
    return digest_of([*policy, here / "_hidden_maps.py", here / "_strategies.py", here / "discovery.py"])


def decision_times() -> Iterator[Row]:
    """Time to take in one exposure and to suggest the next, on one core: the median of five."""
    rng, hidden = np.random.default_rng(0), hidden_map(0, 0)
    for n in (20, 200, 2000):
        known, way = explorer(hidden), rng.random((n + 5, 2))
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


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=int, default=MAPS)
    parser.add_argument("--nulls", type=int, default=NULLS)
    parser.add_argument("--seed", type=int, default=TEST_SEED)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    samples = [("map", i) for i in range(arguments.maps)] + [("null", i) for i in range(arguments.nulls)]
    run = {"run": fingerprint(), "seed": arguments.seed}
    pool = ProcessPoolExecutor(arguments.workers, initializer=partial(threadpool_limits, 1))
    rows = resumed("discovery", run, samples, partial(on_sample, arguments.seed), pool)
    maps, nulls = rows[: arguments.maps], rows[arguments.maps :]
    with threadpool_limits(1):
        times = list(decision_times())
    about = {"maps": len(maps), "nulls": len(nulls), "seed": arguments.seed, "rho": RHO, "smallest radius": SMALLEST}
    report("discovery_strategies", list(overview(maps)), **about)
    report("discovery_by_kind", list(by_kind(maps)), **about)
    if some := [row for row in maps if "gpCAM" in row["scores"]]:
        report("discovery_gpcam", list(subset(some)), **about | {"maps": len(some)})
    else:
        print("gpCAM: not here (pip install gpcam)")
    report("discovery_time", times, **about)
    report("discovery", list(targets(maps, nulls, times)), **about)


if __name__ == "__main__":
    main()
