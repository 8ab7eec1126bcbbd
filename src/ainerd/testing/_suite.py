"""All checks in order, the functions that run them, and the checks of results.

These are results of good runs, and of runs that are cut short, empty, damaged or badly described.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.results import ResultRecord
from ainerd.technique import Analysis, AnalysisError, Series, Technique, provides
from ainerd.testing._example import BLOCK, CheckFailed, ExampleRun, Feed, Trial, analyse, default_runs, require
from ainerd.testing._parts import OPTIONAL, PANELS, REQUIRED, protocol

RELATIVE = 1e-6  # largest difference between two analyses of the same frames
NUMBERS = "biufc"  # kinds of numpy dtypes


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


@dataclass(frozen=True)
class Check:
    """One check of one technique. Call the object to run the check.

    Attributes
    ----------
    name : str

    Examples
    --------
    >>> checks = {check.name: check for check in technique_checks(Toy())}
    >>> len(checks), "protocol" in checks
    (34, True)
    >>> checks["protocol"]()
    """

    name: str
    _check: Callable[[Trial], None]
    _trial: Trial

    def __call__(self) -> None:
        """Raise `TechniqueCheckError` if the check fails."""
        try:
            if self._has_subject():
                self._check(self._trial)
        except CheckFailed as error:
            raise TechniqueCheckError(f"{self.name}: {error}") from error.__cause__
        except Exception as error:
            first_line = f"{type(error).__name__}: {error}".splitlines()[0]
            raise TechniqueCheckError(f"{self.name}: the technique raised {first_line}") from error

    def __str__(self) -> str:
        return self.name

    def _has_subject(self) -> bool:
        """Return whether the technique has the part that is checked."""
        if self._check in PANELS:
            return self._trial.panels is not None
        part = OPTIONAL.get(self._check)
        return part is None or provides(self._trial.technique, part)


def check_technique(
    technique: Technique,
    runs: Sequence[ExampleRun] = (),
    *,
    section: Mapping[str, Any] | None = None,
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
      protocol: name must be an identifier, it is the section of the TOML and part of commands; got ''
    """
    failed = []
    for check in technique_checks(technique, runs, section=section, folder=folder):
        try:
            check()
        except TechniqueCheckError as error:
            failed.append(error)
            if check.name in (protocol.__name__, example_runs.__name__):
                break  # the other checks would fail for the same reason
    if failed:
        name = getattr(technique, "name", type(technique).__name__)
        lines = "\n".join(f"  {error}" for error in failed)
        raise TechniqueCheckError(f"technique {name!r} fails {len(failed)} check(s):\n{lines}") from failed[0]


def technique_checks(
    technique: Technique,
    runs: Sequence[ExampleRun] = (),
    *,
    section: Mapping[str, Any] | None = None,
    folder: Path = Path(),
) -> Iterator[Check]:
    """Yield the checks one by one, for ``@pytest.mark.parametrize("check", technique_checks(Mine(), runs), ids=str)``.

    Parameters
    ----------
    technique, runs, section, folder
        As for `check_technique`.

    Examples
    --------
    >>> for check in technique_checks(Toy()):
    ...     check()
    >>> print(check)  # the last one
    gallery_and_strip
    """
    trial = Trial(technique, tuple(runs) or default_runs(), section, folder, has_own_runs=bool(runs))
    for check in (protocol, example_runs, *RESULTS, *REQUIRED, *OPTIONAL, *PANELS):
        yield Check(check.__name__, check, trial)


def example_runs(trial: Trial) -> None:
    """Check that the technique can analyse the runs. All later checks depend on this one."""
    remedy = "give runs that it can"
    if not trial.has_own_runs:
        n, ny, nx = trial.run.frames.shape
        default = f"{n} frames of {ny} × {nx} with Poisson counts"
        remedy = f"give runs=[ExampleRun(frames=…)] that it can, instead of {default}"
    try:
        trial.analyses  # noqa: B018  (cached)
    except AnalysisError as error:
        raise CheckFailed(f"cannot be analysed: {error}; {remedy}") from error


def pixels(trial: Trial) -> None:
    """Check that pixels are unique flat indices in a frame, and the same on every call."""
    for run in trial.runs:
        analysis = Feed(trial.technique, run).analysis
        found, size = analysis.pixels, run.frames[0].size
        is_flat = isinstance(found, np.ndarray) and found.ndim == 1 and found.dtype.kind in "iu"
        require(is_flat, "pixels must be a flat array of integers, np.flatnonzero(mask) say")
        require(found.size, "pixels is empty: a technique needs at least one")
        low, high = found.min(), found.max()
        is_inside = 0 <= low and high < size
        require(is_inside, f"pixels must be flat indices in a frame, 0 … {size - 1}, found {low} … {high}")
        require(np.unique(found).size == found.size, "pixels names a pixel twice")
        require(np.array_equal(analysis.pixels, found), "pixels changes from call to call: work it out once")


def embedding(trial: Trial) -> None:
    """Check that each embedding has the announced size, is float32 and is finite."""
    for analysis in trial.analyses:
        _check_result(trial, "an example run", analysis)


def novelty(trial: Trial) -> None:
    """Check that a result with a p-value has the alpha of the technique in its calibration."""
    alpha = trial.technique.alpha
    for analysis in trial.analyses:
        given = analysis.calibration.get("alpha")
        is_same = analysis.novelty_p is None or given == alpha
        require(is_same, f"with a novelty_p, calibration['alpha'] must be the technique's alpha {alpha}, got {given}")


def arrays(trial: Trial) -> None:
    """Check that arrays are numpy arrays with named dimensions."""
    for analysis in trial.analyses:
        for name, array in analysis.arrays.items():
            kind = type(array).__name__
            require(isinstance(array, np.ndarray), f"arrays[{name!r}] must be a numpy array, got {kind}")
            is_named = name in analysis.dims
            require(is_named, f"dims[{name!r}] is missing: name the {array.ndim} dimension(s) of the array")


def summary(trial: Trial) -> None:
    """Check that the values of the summary have valid names, types and units, and that other fields are plain JSON."""
    taken = {*ResultRecord.model_fields, "digest"}
    for analysis in trial.analyses:
        for name, value in analysis.summary.items():
            is_name = name and not set(name) & set("./") and name not in taken
            require(is_name, f"summary: {name!r} is taken, empty, or has a dot or a slash: give it another name")
            is_number, kind = isinstance(value, int | float | np.number), type(value).__name__
            is_known = is_number or value is None or isinstance(value, str)
            require(is_known, f"summary[{name!r}] must be a number, text or None, got {kind}")
            has_unit = not is_number or isinstance(value, bool) or name in analysis.units
            remedy = "every number of the summary needs its unit, '1' if it has none"
            require(has_unit, f"units[{name!r}] is missing: {remedy}")
        wrong = [name for name, unit in analysis.units.items() if not isinstance(unit, str)]
        require(not wrong, f"units must be text: {', '.join(wrong)}")
        for name in ("model", "calibration"):
            try:
                json.dumps(getattr(analysis, name))
            except TypeError as error:
                raise CheckFailed(f"{name} must be plain JSON values: {error}") from None


def block_sizes(trial: Trial) -> None:
    """Check that the same frames in blocks of any size give the same result, and that `push` changes no block."""
    run, first = trial.run, trial.analyses[0]
    for block, how in ((BLOCK, "once more"), (7, "in blocks of 7"), (1, "one by one")):
        different = _different(first, analyse(trial.technique, run, block=block))
        require(not different, f"the same frames {how} give another {different}: seed what is random, sum in float64")
    analysis = Feed(trial.technique, run).analysis
    pushed = run.frames.reshape(len(run.frames), -1)[:, analysis.pixels]
    copy = pushed.copy()
    analysis.push(pushed, 0)
    is_same = np.array_equal(pushed, copy, equal_nan=copy.dtype.kind == "f")
    require(is_same, "push() changes the block: work on a copy")


def interleaved_runs(trial: Trial) -> None:
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
    remedy = "keep the state of a run in what begin() returns, not in the technique"
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
    _check_result(trial, "the first run of a series", feed.finish())
    grown = feed.next_run(second).push().finish()
    _check_result(trial, "the second run of a series", grown)
    direct = Feed(trial.technique, first, n_frames=None).push().next_run(second).push().finish()
    different = _different(direct, grown)
    remedy = "it may only look"
    require(not different, f"finish() after the first run of a series changes {different} of the second: {remedy}")


def readings(trial: Trial) -> None:
    """Check that a run without readings gives a result or an AnalysisError."""
    if trial.run.readings:
        _attempt(trial, "a run without readings", readings={})


def partial_runs(trial: Trial) -> None:
    """Check a run that has fewer frames than announced."""
    total = len(trial.run.frames)
    for n in {1, max(total // 2, 1)}:
        _attempt(trial, f"{n} of {total + 1} frames", n_frames=total + 1, n=n)


def missing_frames(trial: Trial) -> None:
    """Check a run with a gap in the middle, which must change the result of a technique that is `numbered`."""
    n, half = len(trial.run.frames), len(trial.run.frames) // 2
    gap, name = (half, max(n // 4, 1)), f"frames {half}-{half + max(n // 4, 1) - 1} missing"
    feed = Feed(trial.technique, trial.run, gap=gap, n_frames=n + gap[1])
    result = _outcome(lambda: feed.push().finish(), name)
    _check_result(trial, name, result)
    if getattr(trial.technique, "numbered", False) and isinstance(result, Analysis) and n > 1:
        alone = _outcome(lambda: Feed(trial.technique, trial.run, n_frames=n + gap[1]).push().finish(), name)
        remedy = "push() must place each block by its argument `first`"
        is_seen = isinstance(alone, AnalysisError) or _different(alone, result)
        require(is_seen, f"{name}: the result is the same as without the gap, although `numbered` is True; {remedy}")


def too_many_frames(trial: Trial) -> None:
    """Check a run that has more frames than announced."""
    n = len(trial.run.frames)
    if n > 1:
        _attempt(trial, f"{n} of {n - 1} frames", n_frames=n - 1)


def no_frames(trial: Trial) -> None:
    """Check that a run without frames raises AnalysisError."""
    result = _outcome(lambda: Feed(trial.technique, trial.run).finish(), "finish() without frames")
    require(isinstance(result, AnalysisError), "finish() without frames must raise AnalysisError, it gave a result")


def unknown_number_of_frames(trial: Trial) -> None:
    """Check a run with `n_frames` = None: the number of frames is unknown. In a series `n_frames` is always None."""
    result = _outcome(lambda: Feed(trial.technique, trial.run, n_frames=None).push().finish(), "n_frames = None")
    _check_result(trial, "n_frames = None", result)
    is_refused = isinstance(result, AnalysisError) and isinstance(trial.technique.unit, Series)
    require(not is_refused, f"in a series n_frames is always None, but that is refused: {result}")


def unknown_frame_time(trial: Trial) -> None:
    """Check a run with `frame_time_s` = None: the detector's configuration does not contain the frame time."""
    _attempt(trial, "frame_time_s = None", frame_time_s=None)


def other_frame_shape(trial: Trial) -> None:
    """Check that frames of another shape are refused with an AnalysisError or a ValueError, or analysed."""
    _, ny, nx = trial.run.frames.shape
    shape = f"frames of {ny + 1} × {nx + 3}"
    run = replace(trial.run, frames=np.pad(trial.run.frames, ((0, 0), (0, 1), (0, 3))))
    try:
        feed = Feed(trial.technique, run)
    except (AnalysisError, ValueError) as error:
        require(_is_one_line(error), f"begin() must refuse a frame_shape in one line, got {str(error)!r}")
    except Exception as error:
        raised = f"begin() raised {type(error).__name__}: {error}; raise AnalysisError if the shape does not fit"
        raise CheckFailed(f"{shape} after {ny} × {nx}: {raised}") from None
    else:
        _check_result(trial, shape, _outcome(lambda: feed.push().finish(), shape))


def damaged_frames(trial: Trial) -> None:
    """Check frames that are zero, saturated, or contain NaN."""
    frames = trial.run.frames
    highest = np.iinfo(frames.dtype).max if frames.dtype.kind in "iu" else np.finfo(frames.dtype).max
    with_nan = frames.astype(np.float32)
    with_nan[:, ::3] = np.nan
    _attempt(trial, "frames of zeros", frames=np.zeros_like(frames))
    _attempt(trial, "saturated frames", frames=np.full_like(frames, highest))
    _attempt(trial, "frames with NaN", frames=with_nan)
    _attempt(trial, "frames of NaN", frames=np.full_like(with_nan, np.nan))


def _attempt(trial: Trial, name: str, n: int | None = None, **changes: Any) -> None:
    """Check that a changed run, or its first `n` frames, gives a valid result or an AnalysisError.

    `n_frames` is the announced number of frames; other changes are fields of the `ExampleRun`.
    """
    announced = {key: changes.pop(key) for key in ("n_frames",) if key in changes}
    run: ExampleRun = replace(trial.run, **changes)
    result = _outcome(lambda: Feed(trial.technique, run, **announced).push(n).finish(), name)
    _check_result(trial, name, result)


def _outcome(attempt: Callable[[], Analysis], name: str) -> Analysis | AnalysisError:
    """Return the result of an attempt, or the AnalysisError that it raises.

    Any other error fails the check. Warnings are ignored.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return attempt()
    except AnalysisError as error:
        if not _is_one_line(error):
            raise CheckFailed(f"{name}: AnalysisError must give its reason in one line, got {str(error)!r}") from error
        return error
    except Exception as error:
        todo = "raise AnalysisError with a reason, or give a result"
        raise CheckFailed(f"{name}: {type(error).__name__}: {error}; {todo}") from error


def _is_one_line(error: Exception) -> bool:
    """Return whether the message of an error is one nonempty line."""
    return bool(str(error).strip()) and "\n" not in str(error)


def _check_result(trial: Trial, name: str, analysis: Analysis | AnalysisError) -> None:
    """Check the embedding, p-value and status of a result; an AnalysisError passes."""
    if isinstance(analysis, AnalysisError):
        return
    embedding, p, shape = analysis.embedding, analysis.novelty_p, (trial.technique.embedding_size,)
    fits, got = isinstance(embedding, np.ndarray) and embedding.shape == shape, f"got shape {np.shape(embedding)}"
    require(fits, f"{name}: the embedding must be an array of shape {shape} (embedding_size), {got}")
    is_float, is_finite = embedding.dtype == np.float32, np.isfinite(embedding).all()
    require(is_float, f"{name}: the embedding must be float32, got {embedding.dtype}: use astype")
    require(is_finite, f"{name}: the embedding holds NaN or infinity; raise AnalysisError with the reason instead")
    require(p is None or 0 <= p <= 1, f"{name}: novelty_p must be None or lie in [0, 1], got {p}")
    is_known = analysis.status in ("complete", "partial")
    require(is_known, f"{name}: status must be 'complete' or 'partial', got {analysis.status!r}")


def _different(one: Analysis, two: Analysis) -> str:
    """Return the names of the values in which two results differ."""
    a, b = _values(one), _values(two)
    return ", ".join(name for name in a | b if name not in a or name not in b or not _is_close(a[name], b[name]))


def _values(analysis: Analysis) -> dict[str, Any]:
    parts: dict[str, Mapping[str, Any]] = {"arrays": analysis.arrays, "summary": analysis.summary}
    parts |= {f"tables[{name!r}]": table for name, table in analysis.tables.items()}
    named = {f"{part}[{name!r}]": value for part, values in parts.items() for name, value in values.items()}
    return {"embedding": analysis.embedding, "novelty_p": analysis.novelty_p, **named}


def _is_close(one: Any, two: Any) -> bool:
    a, b = np.asarray(one), np.asarray(two)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind not in NUMBERS or not a.size:
        return bool(np.array_equal(a, b))
    finite: NDArray[Any] = np.abs(a[np.isfinite(a)])
    return bool(np.allclose(a, b, rtol=RELATIVE, atol=RELATIVE * float(finite.max(initial=0.0)), equal_nan=True))


RESULTS = (
    *(pixels, embedding, novelty, arrays, summary, block_sizes, interleaved_runs, readings, series, partial_runs),
    *(
        missing_frames,
        too_many_frames,
        no_frames,
        unknown_number_of_frames,
        unknown_frame_time,
        other_frame_shape,
        damaged_frames,
    ),
)
