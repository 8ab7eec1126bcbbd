"""X-TEC on simulated crystals whose transitions are known.

transitions  errors and intervals of temperatures, with the number of clusters that X-TEC chooses
critical     the same for crystals of another author, with critical scattering that is stronger above the transition
pairs        regimes of two ramps of one crystal, and of ramps of two crystals
steering     temperatures chosen by the agent
novel        false alarms, and how often an odd peak is found
motion       ramps without any transition, of peaks that stand still and of peaks that move, on detectors of 72 to 200
             pixels a side: how many are followed, and how far; and transitions that do not exist

``--quick`` takes fewer ramps. Interrupted parts continue where they stopped.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, AnalysisError
from ainerd.testing import ExampleRun, Feed, analyse
from ainerd_xtec import XTEC
from sim_devices import Crystal, Transition
from studies._tools import Case, Row, Study, digest_of, report, resumed

RANGE = (30.0, 180.0)
EVEN = np.linspace(*RANGE, 30)
CHOSEN = 10
SIDE = 100  # pixels of the crystals of another author
ODD = {"plain": None, "a peak from 150 K on": 150.0, "a peak from 90 K on": 90.0}
MOTIONS = [(kind, side) for kind in ("stands still", "moves") for side in (72, 120, 200)]
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


def each(part: str, quick: bool, cases: Sequence[Case], measure: Callable[[Case], Row]) -> list[Row]:
    """Return a row for each case; rows measured before are kept while no source has changed."""
    folder = Path(sys.modules[XTEC.__module__].__file__ or "").parent
    run = {"sources": digest_of(folder, Path(__file__))}
    return resumed(f"xtec_{part}{'_quick' if quick else ''}", run, cases, measure)


def errors_at(analysis: Analysis | None, truth: list[float]) -> list[tuple[float, float, bool]]:
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
    errors = np.array([each for row in rows for each in row[name]], float)
    error, width, covers = errors.T
    return {
        "what": what,
        "n": len(errors),
        "median error K": float(np.median(error)),
        "90 % point K": float(np.quantile(error, 0.9)),
        "covered": float(covers.mean()),
        "se": float(np.sqrt(covers.mean() * (1 - covers.mean()) / len(errors))),
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
    return {"shape": shape, "found": errors_at(analysis, truth), **counts}


@study.part
def critical(quick: bool = False) -> None:
    """Measure ramps in steps of 1 to 6 K of crystals with one to three transitions, from numpy alone."""
    rows = each("critical", quick, [("critical", seed) for seed in range(20 if quick else 60)], steps)
    out = []
    for step in (1.0, 2.0, 4.0, 6.0):
        some = [row for row in rows if row["step"] == step]
        found = np.array([of_one for row in some for of_one in row["found"]], float)
        near = found[:, 0] < 3 * step
        out.append(
            {"step K": step, "ramps": len(some), "transitions": len(found), "not found": int((~near).sum()),
             "median error K": float(np.median(found[near, 0])), "covered": float(found[near, 2].mean()),
             "median width K": float(np.median(found[near, 1])), "extra": sum(row["extra"] for row in some)}
        )  # fmt: skip
    report("xtec_critical", out, most={"extra": 2}, least={"covered": 0.85}, quick=quick)


def steps(case: Case) -> Row:
    """Return the transitions found in the ramp of a crystal whose critical scattering drops below the transition."""
    rng = np.random.default_rng([case[1], 77])
    step, k, m = (1.0, 2.0, 4.0, 6.0)[case[1] % 4], int(rng.integers(1, 4)), int(rng.integers(26, 36))
    t = rng.uniform(20, 60) + step * np.arange(m)
    truth = apart(rng, t[5], t[-6], k, 5 * step)
    analysis = taken(foreign(rng, truth), t, rng)
    extra = max(int(analysis.summary["transitions"]) - k, 0)
    return {"step": step, "found": errors_at(analysis, truth.tolist()), "extra": extra}


def apart(rng: np.random.Generator, low: float, high: float, k: int, least: float) -> NDArray[np.float64]:
    """Draw temperatures of k transitions that are at least so far from each other."""
    truth = np.sort(rng.uniform(low, high, k))
    while k > 1 and np.diff(truth).min() <= least:
        truth = np.sort(rng.uniform(low, high, k))
    return truth


def foreign(rng: np.random.Generator, truth: NDArray[np.float64]) -> Callable[[float], NDArray[np.float64]]:
    """Draw a crystal of another author; return its counts (SIDE, SIDE) at a temperature."""
    limits = np.array([(0.25, 0.5), (2, 8), (1, 1.4), (2, 5), (0.5, 1), (100, 300), (15, 40)]).T
    shapes = [rng.uniform(*limits) for _ in truth]
    bragg = spots(rng, 0.5, 0.5, 1.1)
    places = [(0.0, 0.0), (0.0, 0.5), (0.5, 0.0)][: len(truth)]
    sharp, halo = ([spots(rng, *place, width) for place in places] for width in (1.2, 3.0))
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2

    def counts(at: float) -> NDArray[np.float64]:
        out = 4 + 3 * np.exp(-np.hypot(y, x) / (0.4 * SIDE)) + 300 * np.exp(-0.002 * at) * bragg
        for peak, diffuse, tc, (beta, width, power, narrower, drop, order, strength) in zip(
            sharp, halo, truth, shapes, strict=True
        ):
            u = (at - tc) / width
            above = (1 + u) ** -power if u > 0 else drop * (1 - u * narrower) ** -power
            out += order * max(1 - at / tc, 0) ** (2 * beta) * peak + strength * above * diffuse
        return out

    return counts


def taken(counts: Callable[[float], NDArray], t: NDArray[np.float64], rng: np.random.Generator) -> Analysis:
    """Return the analysis of a ramp."""
    frames = np.array([rng.poisson(counts(at)) for at in t]).astype(np.uint16)
    return analyse(XTEC(), ExampleRun(frames=frames, frame_time_s=None, readings={"temperature": t}))


def spots(rng: np.random.Generator, row: float, column: float, width: float) -> np.ndarray:
    """Return peaks of random heights at one place of each zone of 20 pixels, (SIDE, SIDE)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    places = 20 * (np.indices((SIDE // 20 + 1,) * 2).reshape(2, -1).T + (row, column))
    return sum(rng.lognormal(0, 0.5) * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * width**2)) for a, b in places)


@study.part
def pairs(quick: bool = False) -> None:
    """Measure whether two ramps of one crystal are one regime, and ramps of two crystals are two."""
    rows = each("pairs", quick, [("crystal", seed) for seed in range(6 if quick else 20)], twice)
    points = np.array([row["points"] for row in rows])
    others = np.stack([points[:, 0], np.roll(points[:, 1], 1, axis=0)], axis=1)
    same = [XTEC().regimes(pair.astype(np.float32)).n_regimes == 1 for pair in points]
    other = [XTEC().regimes(pair.astype(np.float32)).n_regimes == 2 for pair in others]
    table = [{"pairs of ramps": what, "n": len(right), "right": float(np.mean(right))} for what, right in
             (("one crystal: one regime", same), ("two crystals: two regimes", other))]  # fmt: skip
    report("xtec_pairs", table, least={"right": 0.85}, quick=quick)


def twice(case: Case) -> Row:
    """Return the points of two ramps of a crystal that differ in steps, range and counts."""
    rng = np.random.default_rng([case[1], 78])
    counts, points = foreign(rng, apart(rng, 80, 160, int(rng.integers(1, 4)), 20)), []
    for _ in range(2):
        t = np.arange(rng.uniform(40, 65), rng.uniform(175, 200), rng.uniform(2, 5))
        brighter = np.exp(rng.uniform(np.log(0.2), np.log(2)))
        points.append(taken(lambda at, times=brighter: times * counts(at), t, rng).embedding.tolist())
    return {"points": points}


@study.part
def steering(quick: bool = False) -> None:
    """Compare ten temperatures that the agent chooses one by one with ten even ones."""
    cases = [(shape, seed) for seed in range(5 if quick else 20) for shape in SHAPES]
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
    sample, truth, rng = crystal(4000 + seed, shape)
    technique, feed, analysis = XTEC(clusters=8), None, None
    optimizer = technique.optimizer({"temperature": RANGE})
    for _ in range(CHOSEN):
        run = ramp(sample, rng, optimizer.suggest(1)[0]["temperature"])
        feed = Feed(technique, run, n_frames=None) if feed is None else feed.next_run(run)
        with suppress(AnalysisError):  # too few yet
            analysis = feed.push().finish()
    even = analyse(XTEC(clusters=8), ramp(sample, rng, np.linspace(*RANGE, CHOSEN)))
    return {"shape": shape, "chosen": errors_at(analysis, truth), "even": errors_at(even, truth)}


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
    return {"ramps": what, "novel": bool(analyse(XTEC(clusters=8), ramp(sample, rng, EVEN)).novel)}


@study.part
def motion(quick: bool = False) -> None:
    """Count the ramps that are followed, and false transitions; and measure how far peaks moved."""
    cases = [(f"{kind}, {side} px", seed) for kind, side in MOTIONS for seed in range(10 if quick else 40)]
    rows, out = each("motion", quick, cases, moved), []
    for what in dict.fromkeys(what for what, _ in cases):
        some = [row for row in rows if row["ramps"] == what]
        pulls = np.array([row["pull"] for row in some], float)
        moves = what.startswith("moves")
        out.append(
            {"ramps": what, "n": len(some), "followed": float(np.mean([row["followed"] for row in some])),
             "at least": 0.9 * moves, "at most": float(moves),
             "false transitions": float(np.mean([row["transitions"] for row in some])), "bar": moves * 0.15 + 0.05,
             "median |error| px": float(np.nanmedian(np.abs([row["error"] for row in some]))),
             "mean of pulls": float(np.nanmean(pulls)), "sd of pulls": float(np.nanstd(pulls))}
        )  # fmt: skip
    bars = {"most": {"followed": "at most", "false transitions": "bar"}, "least": {"followed": "at least"}}
    report("xtec_motion", out, **bars, quick=quick)


def moved(case: Case) -> Row:
    """Return whether a ramp of 26 to 35 temperatures is followed, how far, and how many transitions it shows."""
    what, seed = case
    side, rng = int(what.split()[-2]), np.random.default_rng([seed, 79])
    t = rng.uniform(20, 60) + 4.0 * np.arange(int(rng.integers(26, 36)))
    y, x = np.mgrid[:side, :side]
    places = 24 * np.indices((side // 24,) * 2).reshape(2, -1).T + rng.uniform(8, 16, 2)
    heights, fades = rng.uniform(30, 300) * rng.lognormal(0, 0.5, len(places)), rng.uniform(5e-4, 4e-3, len(places))
    drift, stretch = np.zeros(2), 0.0
    if what.startswith("moves"):
        drift, stretch = rng.uniform(-2, 2, 2), rng.choice([-1, 1]) * rng.uniform(2, 6) / (side / 2)
    diffuse, below, frames = rng.uniform(0.01, 0.05), rng.uniform(1, 5), []
    for at in t:
        part = ((at - t[0]) / np.ptp(t)) ** 1.5  # expansion grows with temperature
        now = places + part * (drift + stretch * (places - side / 2 + 0.5))
        counts = np.full((side, side), below)
        for (row, column), height, fade in zip(now, heights, fades, strict=True):
            square, left = (y - row) ** 2 + (x - column) ** 2, np.exp(-fade * at)
            counts += height * (left * np.exp(-square / 2.9) + diffuse * (1 - left) * np.exp(-square / 40))
        frames.append(rng.poisson(counts))
    run = ExampleRun(frames=np.array(frames).astype(np.uint16), frame_time_s=None, readings={"temperature": t})
    summary = analyse(XTEC(), run).summary
    corners = drift + stretch * np.array([(a, b) for a in (-1, 1) for b in (-1, 1)]) * side / 2
    far = np.linalg.norm(corners, axis=1).max()
    error = summary.get("expansion_px", np.nan) - far
    return {
        "ramps": what,
        "followed": summary["followed"] == "yes",
        "transitions": summary["transitions"],
        "error": error,
        "pull": error / summary.get("expansion_px_err", np.nan),
    }


if __name__ == "__main__":
    study()
