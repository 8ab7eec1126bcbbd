"""Where to measure next: how many exposures and how much beam time until every regime was seen.

Hidden samples come from nine generators, at three levels of noise, a third of them drifting; the rarest regime covers 1
to 10 % of the area. Every strategy starts at the same position, meets the same noise, and has its exposures labelled
and its map drawn in the same way. A regime that is not seen within 80 exposures counts as 100. The policy was tuned on
samples of other seeds. Intervals are 95 %, from a bootstrap over samples, paired. An interrupted study continues where
it stopped, unless the policy or the study was changed.
"""

from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import chi2
from sklearn.metrics import adjusted_rand_score

import ainerd.steering
from ainerd.steering import Explorer
from studies import _hidden_maps as square
from studies._hidden_maps import OURS, HiddenMap, Positions
from studies._tools import Case, Row, Study, digest_of, interval, report, resumed

TEST_SEED = 2026  # seeds below 100 are for tuning
LOOK = 40  # exposures after which the map is compared with the sample

study = Study(__doc__)


@study.part
def discovery(
    maps: int = 324, nulls: int = 108, seed: int = TEST_SEED, workers: int = 1, dask: str | None = None
) -> None:
    """Score every strategy on `maps` samples, and ours on `nulls` samples of one regime."""
    cases = [("map", i) for i in range(maps)] + [("null", i) for i in range(nulls)]
    sources = Path(ainerd.steering.__file__).parent, Path(__file__).with_name("_hidden_maps.py"), Path(__file__)
    run = {"run": digest_of(*sources), "seed": seed}
    rows = resumed("discovery", run, cases, partial(on_sample, seed), workers, dask)
    of_maps, of_nulls = rows[:maps], rows[maps:]
    parameters = {"maps": maps, "nulls": nulls, "seed": seed}
    stopped = [row for row in of_maps if row["stop"] is not None]
    shares = {
        f"of maps, the explorer proposes to stop within {square.EXPOSURES}": [
            row["stop"] is not None for row in of_maps
        ],
        f"of these, nothing of radius ≥ {square.SMALLEST} is missed": [not row["missed large"] for row in stopped],
        "of samples of one regime, one is reported": [row["regimes"] == 1 for row in of_nulls],
    }
    stops = [
        {"what": what, "n": len(held), "share": sum(held) / max(len(held), 1), "95 %": interval(sum(held), len(held))}
        for what, held in shares.items()
    ]
    report("discovery_stop", stops, **parameters)
    report("discovery_by_kind", square.by_group(of_maps, "exposures", "kind", "noise", "drifts"), **parameters)
    report("discovery", square.by_strategy(of_maps, "exposures", "beam time", f"ARI at {LOOK}"), **parameters)


def on_sample(seed: int, case: Case) -> Row:
    """Return the scores of every strategy on one sample, or the number of regimes that ours reports of one."""
    kind, i = case
    hidden = square.hidden_map(i, seed) if kind == "map" else square.null_map(i, seed)
    way, stop = explored(hidden)
    described = {"kind": hidden.kind, "noise": hidden.noise, "drifts": bool(hidden.drift.any()), "stop": stop}
    if kind == "null":
        known = explorer_of(hidden)
        known.ingest(hidden.expose(way[:stop]))
        return described | {"regimes": int(np.unique(known.map().regime).size)}
    unseen = np.setdiff1d(np.arange(hidden.n_regimes), hidden.regime(way[:stop]))
    scores = {name: score(hidden, each) for name, each in {**square.sequences(hidden.start), OURS: way}.items()}
    return described | {"scores": scores, "missed large": bool((hidden.inscribed()[unseen] >= square.SMALLEST).any())}


def explorer_of(hidden: HiddenMap) -> Explorer:
    """Return an explorer of a hidden map, without exposures."""
    return square.explorer(float(np.sqrt(2 * chi2.ppf(0.99, square.DIMENSIONS)) * square.NOISE[hidden.noise]))


def explored(hidden: HiddenMap) -> tuple[Positions, int | None]:
    """Return the positions that our explorer suggests, and the exposure after which it proposes to stop."""
    known, way, stop = explorer_of(hidden), list[Positions](), None
    for here in square.suggested(known, hidden.start, lambda here: hidden.expose(here[None], len(way))[0]):
        way.append(here)
        if stop is None and known.should_stop()[0]:
            stop = len(way)
    return np.array(way), stop


def score(hidden: HiddenMap, way: Positions) -> Row:
    """Return exposures and beam time until every regime was seen, and the adjusted Rand index of the map of `LOOK`."""
    n, known = hidden.exposures_to_all(way), explorer_of(hidden)
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    travel = float(steps[-1] * square.MISSED / len(way) if n == square.MISSED else steps[n - 1])
    known.ingest(hidden.expose(way[:LOOK]))
    drawn = known.map()
    x, y = np.meshgrid(*(axis / square.WIDTH_MM for axis in drawn.axes.values()))
    truth = hidden.regime(np.stack([x.ravel(), y.ravel()], axis=1))
    agreement = float(adjusted_rand_score(truth, drawn.regime.ravel()))
    return {
        "exposures": n,
        "missed": n == square.MISSED,
        "beam time": n + square.RHO * travel,
        f"ARI at {LOOK}": agreement,
    }


if __name__ == "__main__":
    study()
