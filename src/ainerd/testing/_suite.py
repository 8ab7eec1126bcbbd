"""The checks of a technique, and the function that runs them.

Its results are those of good runs, and of runs that are cut short, empty, damaged or badly described: `_odd_runs`.
"""

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.config import Settings
from ainerd.results import ResultRecord
from ainerd.technique import Analysis, AnalysisError, Regimes, RunAnalysis, Series, Technique, provides
from ainerd.testing._example import BLOCK, ExampleRun, Feed, analyse, default_runs

RELATIVE = 1e-6  # largest difference between two analyses of the same frames
OF_GROUP = 20  # embeddings of a regime
NUMBERS = "biufc"  # kinds of numpy dtypes
ATTRIBUTES: dict[str, tuple[Callable[[Any], bool], str]] = {  # a test and a description of each
    "name": (
        lambda x: isinstance(x, str) and x.isidentifier() and x not in Settings.model_fields,
        "an identifier, and no key of the settings",
    ),
    "unit": (
        lambda x: bool(x.key) if isinstance(x, Series) else x in ("event", "run"),
        "'event', 'run' or ainerd.technique.Series(key), with a key of the start document",
    ),
    "alpha": (lambda x: isinstance(x, float) and 0 < x < 1, "a number in (0, 1)"),
    "embedding_size": (lambda x: isinstance(x, int | np.integer) and bool(x > 0), "a positive int"),
    "regime_width": (lambda x: isinstance(x, int | float) and 0 < x < math.inf, "a positive distance"),
}
METHODS = ("from_settings", "begin", "regimes")


class TechniqueCheckError(AssertionError):
    """Raised if a technique violates the interface `ainerd.technique`.

    The message has one line ``check: problem`` for each failed check.

    Examples
    --------
    >>> check_technique(object())
    Traceback (most recent call last):
        ...
    ainerd.testing._suite.TechniqueCheckError: technique 'object' fails 1 check(s):
      protocol: object must inherit from ainerd.technique.Technique
    """


class CheckFailed(Exception):
    """Raised if a check fails. The message gives the problem and its remedy in one line."""


def require(condition: object, problem: str) -> None:
    """Raise `CheckFailed` unless the condition holds; `problem` gives the problem and its remedy."""
    if not condition:
        raise CheckFailed(problem)


@dataclass(frozen=True)
class Trial:
    """A technique and runs that it can analyse."""

    technique: Technique
    runs: Sequence[ExampleRun]
    section: Mapping[str, Any] | None
    folder: Path

    @property
    def run(self) -> ExampleRun:
        """The first run."""
        return self.runs[0]

    @cached_property
    def analyses(self) -> list[Analysis]:
        """The technique's result for each run."""
        return [analyse(self.technique, run) for run in self.runs]


def check_technique(
    technique: Technique,
    runs: Sequence[ExampleRun] = (),
    *,
    section: Mapping[str, object] | None = None,
    folder: Path = Path(),
) -> None:
    """Run all checks on a technique.

    Parameters
    ----------
    technique : Technique
        An instance.
    runs : sequence of ExampleRun
        Runs that the technique can analyse; by default movies of Poisson counts. The first two runs form a series if
        the unit is `Series`.
    section : mapping, optional
        The technique's section of the TOML. If it is given, `from_settings` is checked as well; relative paths start
        at `folder`.
    folder : Path

    Raises
    ------
    TechniqueCheckError
        With one line for each failed check.

    Examples
    --------
    >>> check_technique(Toy(), section={"alpha": 0.2})
    >>> class Nameless(Toy):
    ...     name = ""
    >>> check_technique(Nameless())
    Traceback (most recent call last):
        ...
    ainerd.testing._suite.TechniqueCheckError: technique '' fails 1 check(s):
      protocol: name must be an identifier, and no key of the settings, got ''
    """
    trial, problems = Trial(technique, runs or default_runs(), section, folder), dict[str, Exception]()
    for check in CHECKS:
        try:
            check(trial)
        except Exception as error:
            raised = "" if isinstance(error, CheckFailed) else f"the technique raised {type(error).__name__}: "
            problems[f"  {check.__name__}: {raised}{error}".splitlines()[0]] = error
            if check in (protocol, example_runs):
                break  # the other checks would fail for the same reason
    if problems:
        name, lines = getattr(technique, "name", type(technique).__name__), "\n".join(problems)
        message = f"technique {name!r} fails {len(problems)} check(s):\n{lines}"
        raise TechniqueCheckError(message) from next(iter(problems.values()))


def protocol(trial: Trial) -> None:
    """Check that all attributes and methods exist, and that the attributes have valid values."""
    technique = trial.technique
    is_technique = isinstance(technique, Technique)
    require(is_technique, f"{type(technique).__name__} must inherit from ainerd.technique.Technique")
    missing = [name for name in (*ATTRIBUTES, "parameters") if not hasattr(technique, name)]
    missing += [n for n in METHODS if not (provides(technique, n) and callable(getattr(technique, n)))]
    require(not missing, f"there is no {', '.join(missing)}: see ainerd.technique.Technique")
    for name, (fits, must) in ATTRIBUTES.items():
        value = getattr(technique, name)
        require(fits(value), f"{name} must be {must}, got {value!r}")


def example_runs(trial: Trial) -> None:
    """Check the results of the runs. All later checks depend on this one."""
    try:
        analyses = trial.analyses
    except AnalysisError as error:
        shape = " × ".join(map(str, trial.run.frames.shape))
        message = f"frames of {shape} cannot be analysed: {error}; give runs=[ExampleRun(frames=…)] that can"
        raise CheckFailed(message) from error
    for analysis in analyses:
        _check_result(trial, "an example run", analysis)


def parameters(trial: Trial) -> None:
    """Check that the parameters are JSON, and always the same: the key of a result depends on them."""
    technique, before = trial.technique, _json(trial.technique.parameters)
    technique.warm_up()
    analyse(technique, trial.run)
    remedy = "leave out learned values"
    require(_json(technique.parameters) == before, f"warm_up() or an analysis changes the parameters: {remedy}")


def settings(trial: Trial) -> None:
    """Check that `from_settings` builds the same technique each time, and refuses an unknown key."""
    if trial.section is None:
        return
    kind, section, folder = type(trial.technique), trial.section, trial.folder
    one, two = (_json(kind.from_settings(dict(section), folder).parameters) for _ in range(2))
    require(one == two, "two techniques from the same section have other parameters: leave out times and addresses")
    try:
        kind.from_settings({**section, "no_such_key": 1}, folder)
    except ValueError:
        return
    raise CheckFailed("a misspelt key of the section is ignored: use ainerd.config.read_section")


def _json(given: object) -> str:
    try:
        return json.dumps(given, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckFailed(f"parameters, model and calibration must be plain JSON values without NaN: {error}") from None


def pixels(trial: Trial) -> None:
    """Check that pixels are unique flat indices in a frame, and the same on every call."""
    analysis = Feed(trial.technique, trial.run).analysis
    require(isinstance(analysis, RunAnalysis), "begin() must return an ainerd.technique.RunAnalysis")
    indices, all_pixels = analysis.pixels, np.arange(trial.run.frames[0].size)
    is_flat = isinstance(indices, np.ndarray) and indices.ndim == 1 and indices.dtype.kind in "iu" and indices.size > 0
    are_there = is_flat and np.isin(indices, all_pixels).all() and np.unique(indices).size == indices.size
    require(are_there, "pixels must be different flat indices in a frame, np.flatnonzero(mask) say")
    require(np.array_equal(analysis.pixels, indices), "pixels changes from call to call: work it out once")
    has_interval = not provides(analysis, "whole") or analysis.every is None or analysis.every >= 1
    require(has_interval, f"every must be None or a whole number from 1 on, got {analysis.every!r}")


def block_sizes(trial: Trial) -> None:
    """Check that the same frames in blocks of any size give the same result, and that `push` changes no block."""
    run, first = trial.run, trial.analyses[0]
    for block, how in ((BLOCK, "once more"), (7, "in blocks of 7"), (1, "one by one")):
        different = _different(first, analyse(trial.technique, run, block=block))
        require(not different, f"the same frames {how} give another {different}: seed random numbers, sum in float64")
    analysis = Feed(trial.technique, run).analysis
    pushed = run.frames.reshape(len(run.frames), -1)[:, analysis.pixels]
    copy = pushed.copy()
    analysis.push(pushed, 0)
    is_same = np.array_equal(pushed, copy, equal_nan=copy.dtype.kind == "f")
    require(is_same, "push() changes the block: work on a copy")


def interleaved_runs(trial: Trial) -> None:
    """Check that two runs that are analysed at the same time do not share state."""
    first = trial.run
    second = trial.runs[1] if len(trial.runs) > 1 else replace(first, frames=first.frames[::-1].copy(), uid="reversed")
    alone = [analyse(trial.technique, run) for run in (first, second)]
    feeds = [Feed(trial.technique, run) for run in (first, second)]
    for _ in range(max(len(first.frames), len(second.frames)) // 5 + 1):
        for feed in feeds:
            feed.push(5)
    remedy = "keep the state of a run in the object that begin() returns, not in the technique"
    for one, feed in zip(alone, feeds, strict=True):
        different = _different(one, feed.push().finish())
        require(not different, f"a run gives another {different} while a second one is analysed: {remedy}")


def series(trial: Trial) -> None:
    """Check that the result of a series grows: `finish` is called after each run, and covers all runs so far."""
    unit = trial.technique.unit
    if not isinstance(unit, Series):
        return
    runs = trial.run, (trial.runs[1] if len(trial.runs) > 1 else trial.run)
    first, second = (replace(run, start={unit.key: "an example", **run.start}) for run in runs)
    feed = Feed(trial.technique, first, n_frames=None).push()
    alone = feed.finish()
    grown = feed.next_run(second).push().finish()
    _check_result(trial, "the second run of a series", grown)
    is_seen = len(trial.runs) < 2 or _different(alone, grown)
    require(is_seen, "the result after the second run is that of the first: push() must take the frames of every run")
    different = _different(Feed(trial.technique, first, n_frames=None).push().next_run(second).push().finish(), grown)
    require(not different, f"finish() after the first run of a series changes {different} of the second")


Odd = tuple[dict[str, Any], dict[str, Any], int | None]


def _odd_runs(run: ExampleRun) -> dict[str, Odd]:
    """Return, by name, fields in which a run differs, options of its `Feed`, and how many frames come (None: all)."""
    frames, n, half = run.frames, len(run.frames), max(len(run.frames) // 2, 1)
    highest = np.iinfo(frames.dtype).max if frames.dtype.kind in "iu" else np.finfo(frames.dtype).max
    with_nan = frames.astype(np.float32)
    with_nan[:, ::3] = np.nan
    gap = half, max(n // 4, 1)
    return {
        "a run without readings": ({"readings": {}}, {}, None),
        f"1 of {n + 1} frames": ({}, {"n_frames": n + 1}, 1),
        f"{half} of {n + 1} frames": ({}, {"n_frames": n + 1}, half),
        f"frames {half}-{sum(gap) - 1} missing": ({}, {"gap": gap, "n_frames": n + gap[1]}, None),
        f"{n} of {n - 1} frames": ({}, {"n_frames": n - 1}, None),
        "n_frames = None": ({}, {"n_frames": None}, None),
        "frame_time_s = None": ({"frame_time_s": None}, {}, None),
        "frames of another shape": ({"frames": np.pad(frames, ((0, 0), (0, 1), (0, 3)))}, {}, None),
        "frames of zeros": ({"frames": np.zeros_like(frames)}, {}, None),
        "saturated frames": ({"frames": np.full_like(frames, highest)}, {}, None),
        "frames with NaN": ({"frames": with_nan}, {}, None),
        "frames of NaN": ({"frames": np.full_like(with_nan, np.nan)}, {}, None),
    }


def odd_runs(trial: Trial) -> None:
    """Check that runs which are short, damaged or badly described give a valid result or an AnalysisError."""
    technique, outcomes = trial.technique, dict[str, Analysis | AnalysisError]()
    for name, (fields, options, n) in _odd_runs(trial.run).items():
        outcomes[name] = _outcome(technique, name, replace(trial.run, **fields), n, options)
        _check_result(trial, name, outcomes[name])
    refused = outcomes["n_frames = None"]
    is_refused = isinstance(refused, AnalysisError) and isinstance(technique.unit, Series)
    require(not is_refused, f"in a series n_frames is always None, but that is refused: {refused}")
    nothing = _outcome(technique, "no frames", trial.run, 0, {})
    require(isinstance(nothing, AnalysisError), "finish() without frames must raise AnalysisError, it gave a result")


def _outcome(
    technique: Technique, name: str, run: ExampleRun, n: int | None, options: dict[str, Any]
) -> Analysis | AnalysisError:
    """Return the result of a run, or its AnalysisError; any other error fails the check. Warnings are ignored."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            feed = Feed(technique, run, **options)
            return (feed if n == 0 else feed.push(n)).finish()
    except AnalysisError as error:
        is_one_line = str(error).strip() and "\n" not in str(error)
        require(is_one_line, f"{name}: AnalysisError must give its reason in one line, got {str(error)!r}")
        return error
    except Exception as error:
        todo = "raise AnalysisError with a reason, or give a result"
        raise CheckFailed(f"{name}: {type(error).__name__}: {error}; {todo}") from error


def _check_result(trial: Trial, name: str, analysis: Analysis | AnalysisError) -> None:
    """Check the fields of a result that `Analysis` does not; an AnalysisError passes."""
    if isinstance(analysis, AnalysisError):
        return
    z, p, shape = analysis.embedding, analysis.novelty_p, (trial.technique.embedding_size,)
    got = f"got {getattr(z, 'dtype', type(z))} of shape {np.shape(z)}"
    is_finite = np.shape(z) == shape and getattr(z, "dtype", None) == np.float32 and np.isfinite(z).all()
    require(is_finite, f"{name}: the embedding must be finite float32 of shape {shape}, {got}")
    require(p is None or 0 <= p <= 1, f"{name}: novelty_p must be None or lie in [0, 1], got {p}")
    has_alpha = p is None or analysis.calibration.get("alpha") == trial.technique.alpha
    require(has_alpha, f"{name}: with a novelty_p, calibration['alpha'] must be the technique's alpha")
    _json([dict(analysis.model), dict(analysis.calibration)])
    for of, array in analysis.arrays.items():
        require(isinstance(array, np.ndarray), f"arrays[{of!r}] must be a numpy array, got {type(array).__name__}")
        require(of in analysis.dims, f"dims[{of!r}] is missing: name the {array.ndim} dimension(s) of the array")
    taken = {*ResultRecord.model_fields, "digest"}
    for of, value in analysis.summary.items():
        require(of not in taken and not set(of) & set("./"), f"summary: {of!r} is taken, or has a dot or a slash")
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        is_known = is_number or value is None or isinstance(value, str | bool)
        require(is_known, f"summary[{of!r}] must be a number, text or None, got {type(value).__name__}")
        require(not is_number or of in analysis.units, f"units[{of!r}] is missing: '1' if the number has none")


def _different(one: Analysis, two: Analysis) -> str:
    """Return the names of the values in which two results differ."""
    a, b = _values(one), _values(two)
    return ", ".join(name for name in a | b if name not in a or name not in b or not _is_close(a[name], b[name]))


def _values(analysis: Analysis) -> dict[str, object]:
    parts: dict[str, Mapping[str, object]] = {"arrays": analysis.arrays, "summary": analysis.summary}
    parts |= {f"tables[{name!r}]": table for name, table in analysis.tables.items()}
    named = {f"{part}[{name!r}]": value for part, values in parts.items() for name, value in values.items()}
    return {"embedding": analysis.embedding, "novelty_p": analysis.novelty_p, **named}


def _is_close(one: object, two: object) -> bool:
    a, b = np.asarray(one), np.asarray(two)
    if a.shape != b.shape or a.dtype.kind not in NUMBERS:
        return bool(np.array_equal(a, b))
    largest = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return bool(np.allclose(a, b, rtol=RELATIVE, atol=RELATIVE * largest, equal_nan=True))


def regimes(trial: Trial) -> None:
    """Check labels and `predict`, from one result on, and that a regime that persists keeps its number."""
    technique, points = trial.technique, _points(trial)
    for z in (points, points[:1], points[:2], np.repeat(points[:1], 3, axis=0)):
        before = z.copy()
        _check_regimes(technique.regimes(z), z)
        require(np.array_equal(z, before), "regimes() changes the embeddings: work on a copy")
    grouping, again = (technique.regimes(points) for _ in range(2))
    labels = grouping.labels
    require(np.array_equal(labels, again.labels), "the same embeddings give other labels: seed random numbers")
    known = labels >= 0
    require(known.any(), f"regimes() leaves all of {len(points)} embeddings in three narrow groups without a regime")
    is_same = np.array_equal(grouping.predict(points)[known], labels[known])
    require(is_same, "predict() gives the same embeddings other regimes than regimes()")
    spans = [len(np.unique(np.flatnonzero(labels == regime) // OF_GROUP)) for regime in np.unique(labels[known])]
    message = f"regimes() puts embeddings in one regime that are 20 times regime_width = {technique.regime_width} apart"
    require(max(spans) == 1, message)
    numbers = np.where(known, 3 * (labels.max() - labels) + 5, -1)  # reverse order, with gaps, not from 0
    again = technique.regimes(points, numbers.copy())
    _check_regimes(again, points)
    keeps = np.array_equal(again.labels[known], numbers[known])
    require(keeps, "numbers of regimes change: ainerd.novelty.find_regimes(embeddings, previous) keeps them")


def _points(trial: Trial) -> NDArray[np.float32]:
    """Return three distant groups of points, (3 * OF_GROUP, d); the first lies around that of the first run."""
    width, d = trial.technique.regime_width, trial.technique.embedding_size
    away = np.repeat(20.0 * width * np.arange(3), OF_GROUP)[:, None] * (np.arange(d) == 0)
    scatter = 0.02 * width * np.random.default_rng(0).normal(size=(len(away), d))
    return np.asarray(trial.analyses[0].embedding + away + scatter, np.float32)


def _check_regimes(grouping: Regimes, z: NDArray[np.float32]) -> None:
    known = {*np.unique(grouping.labels).tolist()} - {-1}
    for name, labels in (("labels", grouping.labels), ("predict()", grouping.predict(z))):
        is_array = isinstance(labels, np.ndarray) and labels.shape == (len(z),) and labels.dtype == np.int64
        require(is_array, f"{name} of {len(z)} embedding(s) must be int64 of shape ({len(z)},)")
        unknown = sorted({*labels.tolist()} - known - {-1})
        require(labels.min() >= -1 and not unknown, f"{name} has regime {unknown}, which is not among the labels")
    require(grouping.n_regimes == len(known), f"n_regimes is {grouping.n_regimes}, the labels have {len(known)}")
    low, high = grouping.supported_range
    require(0 <= low <= high, f"supported_range must be (fewest, most), got {grouping.supported_range}")


CHECKS = (
    protocol, pixels, example_runs, parameters, settings, block_sizes, interleaved_runs, series, odd_runs, regimes,
)  # fmt: skip
