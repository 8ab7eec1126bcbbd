"""Checks of the results of good runs, and of runs that are cut short, empty, damaged or badly described."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.technique import Analysis, AnalysisError, Series
from ainerd.testing._example import BLOCK, ExampleRun, Feed, analyse
from ainerd.testing._trial import Problems, Trial, is_one_line, outcome, result_problems

RELATIVE = 1e-6  # largest difference between two analyses of the same frames
NUMBERS = "biufc"  # kinds of numpy dtypes


def pixels(trial: Trial) -> Problems:
    """Check that pixels are unique flat indices in a frame, and the same on every call."""
    for run in trial.runs:
        analysis = Feed(trial.technique, run).analysis
        found, size = analysis.pixels, run.frames[0].size
        if not isinstance(found, np.ndarray) or found.ndim != 1 or found.dtype.kind not in "iu":
            yield "pixels must be a flat array of integers, np.flatnonzero(mask) say"
        if not found.size:
            yield "pixels is empty: a technique wants at least one"
        if found.min() < 0 or found.max() >= size:
            yield f"pixels must be flat indices in a frame, 0 … {size - 1}, found {found.min()} … {found.max()}"
        if np.unique(found).size != found.size:
            yield "pixels names a pixel twice"
        if not np.array_equal(analysis.pixels, found):
            yield "pixels changes from call to call: work it out once"


def embedding(trial: Trial) -> Problems:
    """Check that each embedding has the announced size, is float32 and is finite."""
    for analysis in trial.analyses:
        yield from result_problems(trial.technique, analysis, "an example run")


def novelty(trial: Trial) -> Problems:
    """Check that a result with a p-value has the alpha of the technique in its calibration."""
    alpha = trial.technique.alpha
    for analysis in trial.analyses:
        if analysis.novelty_p is not None and (given := analysis.calibration.get("alpha")) != alpha:
            yield f"with a novelty_p, calibration['alpha'] must be the technique's alpha {alpha}, got {given}"


def arrays(trial: Trial) -> Problems:
    """Check that arrays are numpy arrays with named dimensions."""
    for analysis in trial.analyses:
        for name, array in analysis.arrays.items():
            if not isinstance(array, np.ndarray):
                yield f"arrays[{name!r}] must be a numpy array, got {type(array).__name__}"
            if name not in analysis.dims:
                yield f"dims[{name!r}] is missing: name the {array.ndim} dimension(s) of the array"


def summary(trial: Trial) -> Problems:
    """Check that the values of the summary have valid names, types and units, and that other fields are plain JSON."""
    from ainerd.results import ResultRecord

    taken = {*ResultRecord.model_fields, "digest"}
    for analysis in trial.analyses:
        for name, value in analysis.summary.items():
            if not name or set(name) & set("./") or name in taken:
                yield f"summary: {name!r} is taken, empty, or has a dot or a slash: give it another name"
            is_number = isinstance(value, int | float | np.number)
            if not (value is None or isinstance(value, str) or is_number):
                yield f"summary[{name!r}] must be a number, text or None, got {type(value).__name__}"
            if is_number and not isinstance(value, bool) and name not in analysis.units:
                yield f"units[{name!r}] is missing: every number of the summary needs its unit, '1' if it has none"
        if wrong := [name for name, unit in analysis.units.items() if not isinstance(unit, str)]:
            yield f"units must be text: {', '.join(wrong)}"
        for what in ("model", "calibration"):
            try:
                json.dumps(getattr(analysis, what))
            except TypeError as error:
                yield f"{what} must be plain JSON values: {error}"


def block_sizes(trial: Trial) -> Problems:
    """Check that the same frames in blocks of any size give the same result, and that `push` changes no block."""
    run, first = trial.run, trial.analyses[0]
    for block, how in ((BLOCK, "once more"), (7, "in blocks of 7"), (1, "one by one")):
        if different := _different(first, analyse(trial.technique, run, block=block)):
            yield f"the same frames {how} give another {different}: seed what is random, sum in float64"
    analysis = Feed(trial.technique, run).analysis
    pushed = run.frames.reshape(len(run.frames), -1)[:, analysis.pixels]
    copy = pushed.copy()
    analysis.push(pushed)
    if not np.array_equal(pushed, copy, equal_nan=copy.dtype.kind == "f"):
        yield "push() changes the block: work on a copy"


def interleaved_runs(trial: Trial) -> Problems:
    """Check that two runs that are analysed at the same time do not share state."""
    first = trial.run
    if len(trial.runs) > 1:
        second, alone = trial.runs[1], trial.analyses[:2]
    else:
        second = replace(first, frames=first.frames[::-1].copy(), uid="reversed")
        alone = [trial.analyses[0], analyse(trial.technique, second)]
    feeds = [Feed(trial.technique, run) for run in (first, second)]
    for _ in range(max(len(first.frames), len(second.frames)) // 5 + 1):
        for feed in feeds:
            feed.push(5)
    for one, feed in zip(alone, feeds, strict=True):
        if different := _different(one, feed.push().finish()):
            yield (
                f"a run gives another {different} while a second one is analysed: keep the state of a run in what "
                "begin() returns, not in the technique"
            )


def readings(trial: Trial) -> Problems:
    """Check that a run without readings gives a result or an AnalysisError."""
    if trial.run.readings:
        run = replace(trial.run, readings={})
        yield from _attempt(trial, "a run without readings", lambda: analyse(trial.technique, run))


def series(trial: Trial) -> Problems:
    """Check that the result of a series grows: `finish` is called after each run, and covers all runs so far."""
    unit = trial.technique.unit
    if not isinstance(unit, Series):
        return
    runs = trial.run, (trial.runs[1] if len(trial.runs) > 1 else trial.run)
    first, second = (replace(run, start={unit.key: "an example", **run.start}) for run in runs)
    feed = Feed(trial.technique, first, n_frames=None).push()
    yield from result_problems(trial.technique, feed.finish(), "the first run of a series")
    grown = feed.next_run(second).push().finish()
    yield from result_problems(trial.technique, grown, "the second run of a series")
    direct = Feed(trial.technique, first, n_frames=None).push().next_run(second).push().finish()
    if different := _different(direct, grown):
        yield f"finish() after the first run of a series changes {different} of the second: it may only look"


def partial_runs(trial: Trial) -> Problems:
    """Check a run that has fewer frames than announced."""
    total = len(trial.run.frames)
    for n in {1, max(total // 2, 1)}:
        yield from _attempt(trial, f"{n} of {total + 1} frames", partial(_cut, trial, n, total + 1))


def too_many_frames(trial: Trial) -> Problems:
    """Check a run that has more frames than announced."""
    n = len(trial.run.frames)
    if n > 1:
        yield from _attempt(trial, f"{n} of {n - 1} frames", partial(_cut, trial, n, n - 1))


def no_frames(trial: Trial) -> Problems:
    """Check that a run without frames raises AnalysisError."""
    if not isinstance(outcome(lambda: _feed(trial).finish(), "finish() without frames"), AnalysisError):
        yield "finish() without frames must raise AnalysisError, it gave a result"


def unknown_number_of_frames(trial: Trial) -> Problems:
    """Check a run with `n_frames` = None: the number of frames is unknown. In a series `n_frames` is always None."""
    found = outcome(lambda: _feed(trial, n_frames=None).push().finish(), "n_frames = None")
    yield from result_problems(trial.technique, found, "n_frames = None")
    if isinstance(found, AnalysisError) and isinstance(trial.technique.unit, Series):
        yield f"in a series n_frames is always None, but that is refused: {found}"


def unknown_frame_time(trial: Trial) -> Problems:
    """Check a run with `frame_time_s` = None: the detector's configuration does not contain the frame time."""
    run = replace(trial.run, frame_time_s=None)
    yield from _attempt(trial, "frame_time_s = None", lambda: analyse(trial.technique, run))


def other_frame_shape(trial: Trial) -> Problems:
    """Check that frames of another shape are refused with an AnalysisError or a ValueError, or analysed."""
    _, ny, nx = trial.run.frames.shape
    what = f"frames of {ny + 1} × {nx + 3}"
    run = replace(trial.run, frames=np.pad(trial.run.frames, ((0, 0), (0, 1), (0, 3))))
    try:
        feed = Feed(trial.technique, run)
    except (AnalysisError, ValueError) as error:
        if not is_one_line(error):
            yield f"begin() must refuse a frame_shape in one line, said {str(error)!r}"
    except Exception as error:
        yield (
            f"{what} after {ny} × {nx}: begin() raised {type(error).__name__}: {error}; raise AnalysisError if the "
            "shape does not fit"
        )
    else:
        yield from _attempt(trial, what, lambda: feed.push().finish())


def damaged_frames(trial: Trial) -> Problems:
    """Check frames that are zero, saturated, or contain NaN."""
    frames = trial.run.frames
    highest = np.iinfo(frames.dtype).max if frames.dtype.kind in "iu" else np.finfo(frames.dtype).max
    with_nan = frames.astype(np.float32)
    with_nan[:, ::3] = np.nan
    for what, damaged in (
        ("frames of zeros", np.zeros_like(frames)),
        ("saturated frames", np.full_like(frames, highest)),
        ("frames with NaN", with_nan),
        ("frames of NaN", np.full_like(with_nan, np.nan)),
    ):
        run: ExampleRun = replace(trial.run, frames=damaged)
        yield from _attempt(trial, what, partial(analyse, trial.technique, run))


def _feed(trial: Trial, **changes: Any) -> Feed:
    return Feed(trial.technique, trial.run, **changes)


def _cut(trial: Trial, n: int, announced: int) -> Analysis:
    return _feed(trial, n_frames=announced).push(n).finish()


def _attempt(trial: Trial, what: str, attempt: Callable[[], Analysis]) -> Problems:
    """Check that an attempt gives a valid result or an AnalysisError."""
    yield from result_problems(trial.technique, outcome(attempt, what), what)


def _different(one: Analysis, two: Analysis) -> str:
    """Return the names of the fields in which two results differ."""
    return ", ".join(_differences(one, two))


def _differences(one: Analysis, two: Analysis) -> Iterator[str]:
    if not _is_close(one.embedding, two.embedding):
        yield "embedding"
    p, q = one.novelty_p, two.novelty_p
    if (p is None) != (q is None) or (p is not None and q is not None and not _is_close(p, q)):
        yield "novelty_p"
    tables = {f"tables[{name!r}]": name for name in {**one.tables, **two.tables}}
    pairs: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
        "arrays": (one.arrays, two.arrays),
        **{what: (one.tables.get(name, {}), two.tables.get(name, {})) for what, name in tables.items()},
        "summary": (one.summary, two.summary),
    }
    for what, (a, b) in pairs.items():
        for name in {**a, **b}:
            if name not in a or name not in b or not _is_close(a[name], b[name]):
                yield f"{what}[{name!r}]"


def _is_close(one: ArrayLike, two: ArrayLike) -> bool:
    a, b = np.asarray(one), np.asarray(two)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind not in NUMBERS or not a.size:
        return bool(np.array_equal(a, b))
    finite: NDArray[Any] = np.abs(a[np.isfinite(a)])
    return bool(np.allclose(a, b, rtol=RELATIVE, atol=RELATIVE * float(finite.max(initial=0.0)), equal_nan=True))


RESULTS = (
    pixels,
    embedding,
    novelty,
    arrays,
    summary,
    block_sizes,
    interleaved_runs,
    readings,
    series,
    partial_runs,
    too_many_frames,
    no_frames,
    unknown_number_of_frames,
    unknown_frame_time,
    other_frame_shape,
    damaged_frames,
)
