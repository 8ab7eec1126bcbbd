"""Exposures of simulated samples, each analysed whole and with looks that may end it."""

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from ainerd.technique import Analysis, RunAnalysis, RunInfo, is_novel
from ainerd_xpcs import Partition
from ainerd_xpcs.dynamics import Dynamics
from ainerd_xpcs.technique import RheoXPCS
from sim_devices import SpeckleMovie, Yielding, hidden_sample
from studies._tools import Case, Row, interval

LOOKS = (1 / 8, 1 / 4, 1 / 2)
BINS, PIXELS = 18, 300  # pixels of a bin
FRAMES, FRAME_TIME_S = 2400, 0.1
COUNTS, CONTRAST = 0.5, 0.2
SLACK = 40  # frames that come before the detector stops
SAMPLES = ("inclusions", "voronoi", "bands")  # those whose correlation functions are prescribed
OLDEST_S = 1800.0


@cache
def technique() -> RheoXPCS:
    """Return the technique for one ring of equal bins."""
    phi = 360 / BINS * (np.arange(BINS) + 0.5)
    labels = np.repeat(np.arange(1, BINS + 1), PIXELS).reshape(BINS, PIXELS)
    return RheoXPCS(Partition.from_roi_map(labels, np.full(BINS, 0.024), phi), contrast=CONTRAST)


def on_exposure(seed: int, error: float, case: Case) -> Row:
    """Return the numbers of an exposure at a random place of a sample, taken whole and with looks."""
    sample, i = case
    rng = np.random.default_rng([seed, SAMPLES.index(sample), i])
    hidden = hidden_sample(sample, seed)
    (x, y), age_s = rng.uniform(0, 10, 2), float(rng.uniform(0, OLDEST_S))
    duration_s = FRAMES * FRAME_TIME_S
    events = Yielding(int(rng.integers(2**31))).between(age_s, age_s + duration_s)
    dynamics = hidden.dynamics(x, y, age_s, duration_s, rng, events=events)
    assert isinstance(dynamics, Dynamics)
    frames = counts_of(dynamics, rng)
    whole, looked, why = begin(), begin(), None
    push(whole, frames, 0)
    at = 0
    for look in LOOKS:
        stop = round(look * FRAMES)
        push(looked, frames[at:stop], at)
        at, why = stop, looked.enough(error)
        if why is not None:
            push(looked, frames[at : at + SLACK], at)
            break
    of_whole = whole.finish()
    of_looked = of_whole if why is None else looked.finish()  # the same frames
    regime = hidden.regime(x, y)
    return {
        "sample": sample,
        "regime": regime,
        "ordinary": regime not in hidden.unknown,
        "tau": dynamics.tau_s if regime == "fluid" else None,
        "frames": FRAMES if why is None else at + SLACK,
        "whole": numbers(of_whole),
        "looked": numbers(of_looked),
    }


def counts_of(dynamics: Dynamics, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return the counts (n, pixels) of an exposure."""
    t_s = (np.arange(FRAMES) + 0.5) * FRAME_TIME_S
    phi = np.repeat(technique().partition.phi, PIXELS)
    movie = SpeckleMovie(dynamics, t_s, phi, contrast=CONTRAST, rng=rng)
    return np.concatenate([rng.poisson(COUNTS * block).astype(np.uint16) for block in movie.blocks()])


def begin() -> RunAnalysis:
    """Begin the analysis of an exposure."""
    shape = technique().partition.shape
    return technique().begin(RunInfo(raw_uid="", n_frames=FRAMES, frame_shape=shape, frame_time_s=FRAME_TIME_S))


def push(analysis: RunAnalysis, frames: NDArray[np.uint16], first: int) -> None:
    """Push frames in blocks."""
    for a in range(0, len(frames), 100):
        analysis.push(frames[a : a + 100], first + a)


def numbers(analysis: Analysis) -> Row:
    """Return tau, of any model that is given, the p-value and the point."""
    taus = [analysis.summary.get(name) for name in ("tau_s", "tau_s_or")]
    return {"tau": [x for x in taus if x], "p": analysis.novelty_p, "z": np.asarray(analysis.embedding).tolist()}


def compared(rows: list[Row], error: float) -> Iterator[Row]:
    """Yield figures of the exposures taken whole, and of those with looks; the points of a sample are grouped."""
    for way in ("whole", "looked"):
        ordinary = [row for row in rows if row["ordinary"]]
        false = sum(bool(is_novel(np.nan if row[way]["p"] is None else row[way]["p"], 0.05)) for row in ordinary)
        fluid = [row for row in rows if row["tau"] is not None]
        right = sum(any(abs(x / row["tau"] - 1) <= error for x in row[way]["tau"]) for row in fluid)
        grouped = [groups([row for row in rows if row["sample"] == sample], way) for sample in SAMPLES]
        taken = np.array([row["frames"] if way == "looked" else FRAMES for row in rows])
        yield {
            "exposures": way,
            "beam time": float(taken.mean() / FRAMES),
            "cut short": float((taken < FRAMES).mean()),
            f"tau of fluids within {error:.0%}": right / max(len(fluid), 1),
            "95 %": interval(right, len(fluid)),
            "regimes recognised": float(np.mean([right_count for right_count, _ in grouped])),
            "ARI": float(np.mean([ari for _, ari in grouped])),
            "false alarms at .05": false / max(len(ordinary), 1),
            "ordinary": len(ordinary),
            "95 % ": interval(false, len(ordinary)),
        }


def groups(rows: list[Row], way: str) -> tuple[float, float]:
    """Return the share of the regimes of a sample that most of one group belong to, and the adjusted Rand index."""
    if not rows:
        return np.nan, np.nan
    truth = np.array([row["regime"] for row in rows])
    labels = technique().regimes(np.array([row[way]["z"] for row in rows], np.float32)).labels
    mine = {str(max(set(some), key=some.count)) for k in set(labels) if (some := truth[labels == k].tolist())}
    return len(mine) / len(set(truth.tolist())), float(adjusted_rand_score(truth, labels))


def by_regime(rows: list[Row]) -> Iterator[Row]:
    """Yield how often the exposures of each regime were cut short."""
    for regime in sorted({row["regime"] for row in rows}):
        some = [row for row in rows if row["regime"] == regime]
        short = [row for row in some if row["frames"] < FRAMES]
        away = [float(np.linalg.norm(np.subtract(row["whole"]["z"], row["looked"]["z"]))) for row in short]
        yield {
            "regime": regime,
            "exposures": len(some),
            "cut short": len(short),
            "beam time": float(np.mean([row["frames"] for row in some]) / FRAMES),
            "point moves, of a regime's width": float(np.mean(away) / technique().regime_width) if away else np.nan,
        }
