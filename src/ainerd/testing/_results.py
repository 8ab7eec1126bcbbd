"""What a technique says of runs that it can analyse."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.technique import Analysis, Layout, Series
from ainerd.testing._example import BLOCK, Feed, analyse
from ainerd.testing._trial import CheckFailed, Trial, outcome, require, require_sound

RELATIVE = 1e-6  # difference between two analyses of the same frames
NUMBERS = "biufc"  # kinds of numpy dtypes


def pixels(trial: Trial) -> None:
    """Pixels are flat indices in a frame, each once, and the same on every call."""
    for run in trial.runs:
        analysis = Feed(trial.technique, run).analysis
        found, size = analysis.pixels, run.frames[0].size
        require(
            isinstance(found, np.ndarray) and found.ndim == 1 and found.dtype.kind in "iu",
            "pixels must be a flat array of integers, np.flatnonzero(mask) say",
        )
        require(found.size, "pixels is empty: a technique wants at least one")
        require(
            found.min() >= 0 and found.max() < size,
            f"pixels must be flat indices in a frame, 0 … {size - 1}, found {found.min()} … {found.max()}",
        )
        require(np.unique(found).size == found.size, "pixels names a pixel twice")
        require(np.array_equal(analysis.pixels, found), "pixels changes from call to call: work it out once")


def embedding(trial: Trial) -> None:
    """The embedding has the announced size, is float32 and finite."""
    for analysis in trial.analyses:
        require_sound(trial.technique, analysis, "an example run")


def novelty(trial: Trial) -> None:
    """With a p-value comes the level that decides, the technique's own."""
    alpha = trial.technique.alpha
    for analysis in trial.analyses:
        if analysis.novelty_p is not None:
            said = analysis.calibration.get("alpha")
            require(
                said == alpha,
                f"with a novelty_p, calibration['alpha'] must be the technique's alpha {alpha}, got {said}",
            )


def arrays(trial: Trial) -> None:
    """Arrays have names, dimensions and numbers, and those that were announced are as announced."""
    for run, analysis in zip(trial.runs, trial.analyses, strict=True):
        layouts = dict(Feed(trial.technique, run).analysis.layouts)
        for name, array in analysis.arrays.items():
            require(
                isinstance(array, np.ndarray), f"arrays[{name!r}] must be a numpy array, got {type(array).__name__}"
            )
            require(
                name in analysis.dims, f"dims[{name!r}] is missing: name the {array.ndim} dimension(s) of the array"
            )
        for name, layout in layouts.items():
            require(name in analysis.arrays, f"layouts announce {name!r}, which finish() does not give")
            given = Layout.of(analysis.arrays[name], tuple(analysis.dims[name]))
            require(
                (tuple(layout.shape), np.dtype(layout.dtype)) == (given.shape, np.dtype(given.dtype)),
                f"layouts announce {name!r} as {layout.dtype} {tuple(layout.shape)}, finish() gives {given.dtype} "
                f"{given.shape}: leave out of layouts what is not known before the end",
            )
            require(
                layout.dims is None or tuple(layout.dims) == given.dims,
                f"layouts announce the dims of {name!r} as {layout.dims}, finish() says {given.dims}",
            )


def summary(trial: Trial) -> None:
    """Numbers of the summary have names that can be kept, and units; all else is plain JSON."""
    from ainerd.results import ResultRecord

    taken = {*ResultRecord.model_fields, "digest"}
    for analysis in trial.analyses:
        for name, value in analysis.summary.items():
            require(
                name and not set(name) & set("./") and name not in taken,
                f"summary: {name!r} is taken, empty, or has a dot or a slash: give it another name",
            )
            is_number = isinstance(value, int | float | np.number)
            require(
                value is None or isinstance(value, str) or is_number,
                f"summary[{name!r}] must be a number, text or None, got {type(value).__name__}",
            )
            require(
                not is_number or isinstance(value, bool) or name in analysis.units,
                f"units[{name!r}] is missing: every number of the summary needs its unit, '1' if it has none",
            )
        strange = [name for name, unit in analysis.units.items() if not isinstance(unit, str)]
        require(not strange, f"units must be text: {', '.join(strange)}")
        for what in ("model", "calibration"):
            try:
                json.dumps(getattr(analysis, what))
            except TypeError as error:
                raise CheckFailed(f"{what} must be plain JSON values: {error}") from None


def block_sizes(trial: Trial) -> None:
    """The same frames once more, or in other blocks, give the same; blocks are left as they are."""
    run, first = trial.run, trial.analyses[0]
    for block, how in ((BLOCK, "once more"), (7, "in blocks of 7"), (1, "one by one")):
        different = ", ".join(_different(first, analyse(trial.technique, run, block=block)))
        require(not different, f"the same frames {how} give another {different}: seed what is random, sum in float64")
    analysis = Feed(trial.technique, run).analysis
    block_ = run.frames.reshape(len(run.frames), -1)[:, analysis.pixels]
    kept = block_.copy()
    analysis.push(block_)
    require(np.array_equal(block_, kept, equal_nan=kept.dtype.kind == "f"), "push() changes the block: work on a copy")


def interleaved_runs(trial: Trial) -> None:
    """Two runs that are analysed at the same time do not share anything."""
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
        different = ", ".join(_different(one, feed.push().finish()))
        require(
            not different,
            f"a run gives another {different} while a second one is analysed: keep the state of a run in what begin() "
            "returns, not in the technique",
        )


def readings(trial: Trial) -> None:
    """Readings may be missing: a run without them gives a result, or an AnalysisError."""
    if trial.run.readings:
        run = replace(trial.run, readings={})
        found = outcome(lambda: analyse(trial.technique, run), "a run without readings")
        if isinstance(found, Analysis):
            require_sound(trial.technique, found, "a run without readings")


def series(trial: Trial) -> None:
    """The result of a series grows: finish() is called after each run, and says what all runs say together."""
    if not isinstance(trial.technique.unit, Series):
        return
    key = trial.technique.unit.key
    first, second = (
        replace(run, start={key: "an example", **run.start})
        for run in (trial.run, trial.runs[1] if len(trial.runs) > 1 else trial.run)
    )
    feed = Feed(trial.technique, first, n_frames=None).push()
    require_sound(trial.technique, feed.finish(), "the first run of a series")
    feed.next_run(second).push()
    grown = feed.finish()
    require_sound(trial.technique, grown, "the second run of a series")
    direct = Feed(trial.technique, first, n_frames=None).push().next_run(second).push().finish()
    different = ", ".join(_different(direct, grown))
    require(
        not different, f"finish() after the first run of a series changes {different} of the second: it may only look"
    )


def _different(one: Analysis, two: Analysis) -> Iterator[str]:
    """What differs between two analyses that should be the same."""
    if not _alike(one.embedding, two.embedding):
        yield "embedding"
    p, q = one.novelty_p, two.novelty_p
    if (p is None) != (q is None) or (p is not None and q is not None and not _alike(p, q)):
        yield "novelty_p"
    yield from _different_items("arrays", one.arrays, two.arrays)
    for name in {**one.tables, **two.tables}:
        yield from _different_items(f"tables[{name!r}]", one.tables.get(name, {}), two.tables.get(name, {}))
    yield from _different_items("summary", one.summary, two.summary)


def _different_items(what: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[str]:
    for name in {**one, **two}:
        if name not in one or name not in two or not _alike(one[name], two[name]):
            yield f"{what}[{name!r}]"


def _alike(one: ArrayLike, two: ArrayLike) -> bool:
    a, b = np.asarray(one), np.asarray(two)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind not in NUMBERS or not a.size:
        return bool(np.array_equal(a, b))
    return bool(np.allclose(a, b, rtol=RELATIVE, atol=RELATIVE * _largest(a), equal_nan=True))


def _largest(a: NDArray[Any]) -> float:
    finite = np.abs(a[np.isfinite(a)])
    return float(finite.max()) if finite.size else 0.0


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
)
