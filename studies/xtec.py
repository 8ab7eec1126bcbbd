"""X-TEC beside `xtec` of PyPI and scikit-learn, and on simulated crystals whose transitions are known.

oracle       whether the same pixels are kept and the same clusters found
speed        time and memory
transitions  errors and intervals of temperatures, with the number of clusters that X-TEC chooses
steering     temperatures chosen by the agent
novel        false alarms, and how often an odd peak is found

``oracle`` and a row of ``speed`` need `xtec` 0.1.1. ``--quick`` takes fewer and smaller ramps. Interrupted parts
continue where they stopped.
"""

import ctypes
import io
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from ainerd.technique import Analysis, AnalysisError
from ainerd.testing import ExampleRun, Feed, analyse
from ainerd_xtec import XTEC, cut, find_clusters, fit, improve, rescale, responsibilities, smoothing
from sim_devices import Crystal, Transition
from studies._tools import Case, Row, Study, digest_of, forget_peak, memory_mb, report, resumed

RANGE = (30.0, 180.0)
EVEN = np.linspace(*RANGE, 30)
CHOSEN = 10
ODD = {"plain": None, "a peak from 150 K on": 150.0, "a peak from 90 K on": 90.0}
SHAPES = ("cusp", "rounded")  # of critical scattering: one that is fitted, one that is not

study = Study(__doc__)


def crystal(seed: int, shape: str = "cusp", **options: Any) -> tuple[Crystal, list[float], np.random.Generator]:
    """Return a crystal with two random transitions, their temperatures, and a generator for its counts."""
    rng = np.random.default_rng((seed, 20))
    at = [float(rng.uniform(60, 100)), float(rng.uniform(115, 155))]
    beta = rng.uniform(0.25, 0.4), rng.uniform(0.3, 0.5)
    two = [Transition(*of_each, shape=shape) for of_each in zip(at, beta, strict=True)]
    return Crystal(200, seed=seed, transitions=two, **options), at, rng


def ramp(sample: Crystal, rng: np.random.Generator, temperatures: Any) -> ExampleRun:
    """Return a run with a frame at each temperature."""
    t = np.atleast_1d(np.asarray(temperatures, float))
    frames = np.array([rng.poisson(sample.counts(x)) for x in t]).astype(np.uint16)
    return ExampleRun(frames=frames, frame_time_s=None, readings={"temperature": t})


def trajectories(seed: int, how: str = "mean") -> tuple[NDArray, NDArray, NDArray]:
    """Return the frames of a ramp, the pixels that are kept, and their trajectories."""
    sample, _, rng = crystal(seed)
    frames = ramp(sample, rng, EVEN).frames
    flat = frames.reshape(len(EVEN), -1)
    keep = cut(flat.mean(axis=0)).keep
    return frames, keep, rescale(np.ascontiguousarray(flat[:, keep].T, dtype=np.float32), how)


def labels_of(x: NDArray, mixture: Any) -> NDArray:
    """Return the label of each trajectory."""
    return responsibilities(x, mixture)[0].argmax(axis=0)


def peer(x: NDArray, k: int, start: Any = None, seed: int = 0, matrix: Any = None, full: int = 500) -> Any:
    """Return the mixture of `xtec` after RunEM, from `start` or from its own start."""
    from xtec.GMM import GMM

    np.random.seed(seed)
    model = GMM(x.astype(float), k, max_full_epoch=full)
    if start is not None:
        model.means, model.covs = start.means.copy(), start.variances.copy()
    with redirect_stdout(io.StringIO()):
        model.RunEM(matrix is not None, matrix)
    return model


def score_of(x: NDArray, model: Any) -> float:
    """Return the log-likelihood per trajectory of a mixture of `xtec`, by scikit-learn, to have one constant."""
    mixture = GaussianMixture(model.cluster_num, covariance_type="diag")
    mixture.weights_, mixture.means_, mixture.covariances_ = model.mixing_weights, model.means, model.covs
    mixture.precisions_cholesky_ = 1 / np.sqrt(model.covs)
    return float(mixture.score(x.astype(float)))


def each(part: str, quick: bool, cases: Sequence[Case], measure: Callable[[Case], Row]) -> list[Row]:
    """Return a row for each case; rows measured before are kept while no source has changed."""
    folder = Path(sys.modules[XTEC.__module__].__file__ or "").parent
    run = {"sources": digest_of(folder, Path(__file__))}
    return resumed(f"xtec_{part}{'_quick' if quick else ''}", run, cases, measure)


@study.part
def oracle(quick: bool = False) -> None:
    """Compare pixels, likelihood and labels of five sets."""
    cases = [("set", seed) for seed in range(2 if quick else 5)]
    rows = each("oracle", quick, cases, partial(of_set, 3 if quick else 10))
    report(
        "xtec_oracle", rows, least={"same pixels": 1, "xtec from ours, ARI": 0.95, "smoothed, ARI": 0.95}, quick=quick
    )


def of_set(seeds: int, case: Case) -> Row:
    """Compare one set with the best of `seeds` of `xtec`."""
    from xtec.GMM import GMM_kernels
    from xtec.Preprocessing import Mask_Zeros, Threshold_Background

    seed = case[1]
    frames, keep, x = trajectories(seed)
    with redirect_stdout(io.StringIO()):
        theirs = Threshold_Background(Mask_Zeros(frames.astype(float)))
    same = np.array_equal(np.flatnonzero(keep), np.ravel_multi_index(theirs.ind_thresholded.T, frames.shape[1:]))
    k, mixture = 5, fit(x, 5)
    found = labels_of(x, mixture)
    some = np.flatnonzero(np.random.default_rng(0).random(len(x)) < 0.4)
    place = np.argwhere(keep.reshape(frames.shape[1:]))[some]
    with redirect_stdout(io.StringIO()):
        matrix = GMM_kernels.Build_Markov_Matrix(place, 1.0, "local")
    start, smooth = fit(x[some], k), smoothing(place, 1.0)
    smoothed = responsibilities(x[some], improve(x[some], start, smooth=smooth), smooth)[0].argmax(axis=0)
    return {
        "set": seed,
        "same pixels": str(same),
        "score": mixture.score,
        "best of xtec": max(score_of(x, peer(x, k, seed=s)) for s in range(seeds)),
        "xtec from ours, ARI": adjusted_rand_score(found, peer(x, k, mixture).cluster_assignments),
        "other seeds, worst ARI": min(adjusted_rand_score(found, labels_of(x, fit(x, k, seed=s))) for s in range(1, 4)),
        "called": "stable" if find_clusters(x, k, k).stable else "unstable",
        "smoothed, ARI": adjusted_rand_score(smoothed, peer(x[some], k, start, matrix=matrix).cluster_assignments),
    }


def many(n: int) -> NDArray[np.float32]:
    """Return trajectories of `n` pixels, resampled from ramps with a little noise."""
    x = np.concatenate([trajectories(seed)[2] for seed in range(3)])
    rng = np.random.default_rng(0)
    return (x[rng.integers(len(x), size=n)] + rng.normal(0, 0.02, (n, x.shape[1]))).astype(np.float32)


def ours(x: NDArray, smoothed: bool = False) -> None:
    """Find clusters with 24 starts and two halves."""
    side = int(np.ceil(np.sqrt(len(x))))
    place = np.argwhere(np.ones((side, side), bool))[: len(x)]
    find_clusters(x, 5, 5, smooth=smoothing(place, 1.0) if smoothed else None)


def one_fit(x: NDArray) -> None:
    """Fit the same mixture by scikit-learn once."""
    GaussianMixture(5, covariance_type="diag", random_state=0, max_iter=300).fit(x)


WAYS: dict[str, Callable[[NDArray], Any]] = {
    "ours": ours,
    "ours, smoothed": partial(ours, smoothed=True),
    "scikit-learn, one fit": one_fit,
    "xtec, one run": lambda x: peer(x, 5),
}


@study.part
def speed(quick: bool = False) -> None:
    """Measure CPU time on one thread and extra memory, in processes; ours with its 24 starts and its two halves."""
    sizes = (20_000,) if quick else (100_000, 1_000_000)
    few = {"ours", "ours, smoothed"}
    rows = each("speed", quick, [(way, n) for n in sizes for way in WAYS if n <= 100_000 or way in few], timed)
    report("xtec_speed", [row for row in rows if row["n"]], quick=quick)


def timed(case: Case) -> Row:
    """Return the best CPU time of three runs, and the median growth of the peak of memory."""
    (way, n), found = case, []
    x = many(n)
    with suppress(ImportError):
        WAYS[way](x[:2000])  # loads and compiles
        for _ in range(1 if way == "xtec, one run" else 3):
            ctypes.CDLL(None).malloc_trim(0)  # freed memory would hide new memory
            forget_peak()
            before, began = memory_mb("VmHWM"), time.process_time()
            WAYS[way](x)
            found.append((time.process_time() - began, memory_mb("VmHWM") - before))
    times, memory = zip(*found, strict=True) if found else ([np.nan], [np.nan])
    return {"way": way, "trajectories": n, "CPU s": min(times), "extra MB": float(np.median(memory)), "n": len(found)}


def found_at(analysis: Analysis | None, truth: list[float]) -> list[tuple[float, float, bool]]:
    """Return for each transition the error of the nearest in the result, and the width and coverage of its interval."""
    table = {} if analysis is None else analysis.tables.get("transition", {})
    if not table:
        return [(np.inf, np.nan, False)] * len(truth)
    out = []
    for at in truth:
        i = int(np.abs(table["at"] - at).argmin())
        low, high = table["low"][i], table["high"][i]
        out.append((abs(float(table["at"][i]) - at), float(high - low), bool(low < at < high)))
    return out


def summed(what: str, rows: list[Row], name: str, **others: Any) -> Row:
    """Return median and 90 % point of the errors, the coverage of the intervals, and their median width."""
    found = np.array([each for row in rows for each in row[name]], float)
    error, width, covers = found.T
    return {
        "what": what,
        "n": len(found),
        "median error K": float(np.median(error)),
        "90 % point K": float(np.quantile(error, 0.9)),
        "covered": float(covers.mean()),
        "se": float(np.sqrt(covers.mean() * (1 - covers.mean()) / len(found))),
        "median width K": float(np.nanmedian(width)),
        "8 K off": float(np.mean(error >= 8)),
        **others,
    }


@study.part
def transitions(quick: bool = False) -> None:
    """Measure even ramps, with critical scattering of a shape that is fitted and of one that is not."""
    cases = [(shape, seed) for seed in range(10 if quick else 50) for shape in SHAPES]
    rows, out = each("transitions", quick, cases, even), []
    for shape in SHAPES:
        some = [row for row in rows if row["shape"] == shape]
        extra, k = sum(row["extra"] for row in some), float(np.median([row["clusters"] for row in some]))
        out.append(summed(shape, some, "found", extra=extra, clusters=k))
    report("xtec_transitions", out, most={"median error K": 1.5, "extra": 5}, least={"covered": 0.85}, quick=quick)


def even(case: Case) -> Row:
    """Return the transitions found from 30 even temperatures."""
    shape, seed = case
    sample, truth, rng = crystal(seed, shape)
    analysis = analyse(XTEC(), ramp(sample, rng, EVEN))
    summary = analysis.summary
    counts = {"extra": max(summary["transitions"] - 2, 0), "clusters": summary["clusters"]}
    return {"shape": shape, "found": found_at(analysis, truth), **counts}


@study.part
def steering(quick: bool = False) -> None:
    """Compare ten temperatures that the agent chooses one by one with ten even ones."""
    cases = [(shape, seed) for seed in range(5 if quick else 40) for shape in SHAPES]
    rows, out = each("steering", quick, cases, steered), []
    for shape in SHAPES:
        some = [row for row in rows if row["shape"] == shape]
        out += [
            summed(f"{shape}, {CHOSEN} by the agent", some, "chosen", **ratio(some)),
            summed(f"{shape}, {CHOSEN} even", some, "even", **dict.fromkeys(ratio(some), 1.0)),
        ]
    report("xtec_steering", out, most={"of even": 1.5}, least={"covered": 0.8}, quick=quick)


def steered(case: Case) -> Row:
    """Return the transitions found from chosen temperatures, and from as many even ones."""
    shape, seed = case
    sample, truth, rng = crystal(3000 + seed, shape)
    technique, feed, analysis = XTEC(clusters=6), None, None
    optimizer = technique.optimizer({"temperature": RANGE})
    for _ in range(CHOSEN):
        run = ramp(sample, rng, optimizer.suggest(1)[0]["temperature"])
        feed = Feed(technique, run, n_frames=None) if feed is None else feed.next_run(run)
        with suppress(AnalysisError):  # too few yet
            analysis = feed.push().finish()
    even = analyse(XTEC(clusters=6), ramp(sample, rng, np.linspace(*RANGE, CHOSEN)))
    return {"shape": shape, "chosen": found_at(analysis, truth), "even": found_at(even, truth)}


def ratio(rows: list[Row]) -> dict[str, float]:
    """Return the ratio of the median errors of chosen and even temperatures with its 90 % interval."""
    a, b = (np.array([error for row in rows for error, *_ in row[how]]) for how in ("chosen", "even"))
    drawn = np.random.default_rng(0).integers(len(a), size=(2000, len(a)))
    low, high = np.quantile(np.median(a[drawn], axis=1) / np.median(b[drawn], axis=1), [0.05, 0.95])
    return {"of even": float(np.median(a) / np.median(b)), "low": low, "high": high}


@study.part
def novel(quick: bool = False) -> None:
    """Count ramps called novel: plain ones, and some with a peak unrelated to any transition."""
    cases = [(what, seed) for what in ODD for seed in range(10 if quick else 40)]
    rows = each("novel", quick, cases, called)
    ramps = {what: [row["novel"] for row in rows if row["ramps"] == what] for what in ODD}
    counts = (
        {"ramps": what, "n": len(some), "novel": float(np.mean(some)), "at most": 0.05 if what == "plain" else 1.0}
        for what, some in ramps.items()
    )
    report("xtec_novel", counts, most={"novel": "at most"}, quick=quick)


def called(case: Case) -> Row:
    """Return whether a ramp is called novel."""
    what, seed = case
    sample, _, rng = crystal(2000 + seed, odd_peak=ODD[what])
    return {"ramps": what, "novel": bool(analyse(XTEC(clusters=6), ramp(sample, rng, EVEN)).novel)}


if __name__ == "__main__":
    study()
