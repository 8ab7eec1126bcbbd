"""Runs that are cut short, empty, damaged or badly described: a result that makes sense, or an `AnalysisError`."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, AnalysisError, Series
from ainerd.testing._example import Feed, analyse
from ainerd.testing._trial import CheckFailed, Trial, outcome, require, require_sound


def partial_runs(trial: Trial) -> None:
    """Fewer frames than announced."""
    for n in {1, max(len(trial.run.frames) // 2, 1)}:
        _survives(
            trial,
            lambda n=n: Feed(trial.technique, trial.run, n_frames=len(trial.run.frames) + 1).push(n).finish(),
            f"{n} of {len(trial.run.frames) + 1} frames",
        )


def too_many_frames(trial: Trial) -> None:
    """More frames than announced."""
    n = len(trial.run.frames)
    if n > 1:
        _survives(
            trial, lambda: Feed(trial.technique, trial.run, n_frames=n - 1).push().finish(), f"{n} of {n - 1} frames"
        )


def no_frames(trial: Trial) -> None:
    """A run without frames has no result."""
    found = outcome(lambda: Feed(trial.technique, trial.run).finish(), "finish() without frames")
    require(isinstance(found, AnalysisError), "finish() without frames must raise AnalysisError, it gave a result")


def unknown_number_of_frames(trial: Trial) -> None:
    """`n_frames` is None where nobody says how many will come; in a series it always is."""
    found = _survives(trial, lambda: Feed(trial.technique, trial.run, n_frames=None).push().finish(), "n_frames = None")
    require(
        isinstance(found, Analysis) or not isinstance(trial.technique.unit, Series),
        f"in a series n_frames is always None, but that is refused: {found}",
    )


def unknown_frame_time(trial: Trial) -> None:
    """`frame_time_s` is None where the detector does not say."""
    _survives(trial, lambda: analyse(trial.technique, replace(trial.run, frame_time_s=None)), "frame_time_s = None")


def other_frame_shape(trial: Trial) -> None:
    """Frames of another shape are refused, or analysed."""
    run = trial.run
    _, ny, nx = run.frames.shape
    frames = np.pad(run.frames, ((0, 0), (0, 1), (0, 3)))
    try:
        feed = Feed(trial.technique, replace(run, frames=frames))
    except (AnalysisError, ValueError) as error:
        said = str(error)
        require(said.strip() and "\n" not in said, f"begin() must refuse a frame_shape in one line, said {said!r}")
    except Exception as error:
        raise CheckFailed(
            f"frames of {ny + 1} × {nx + 3} after {ny} × {nx}: begin() raised {type(error).__name__}: {error}; raise "
            "AnalysisError if the shape does not fit"
        ) from error
    else:
        _survives(trial, lambda: feed.push().finish(), f"frames of {ny + 1} × {nx + 3}")


def damaged_frames(trial: Trial) -> None:
    """Frames of zeros, of the highest number, and with NaN."""
    for what, frames in _damaged(trial.run.frames):
        run = replace(trial.run, frames=frames)
        _survives(trial, lambda run=run: analyse(trial.technique, run), what)


def _damaged(frames: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    yield "frames of zeros", np.zeros_like(frames)
    highest = np.iinfo(frames.dtype).max if frames.dtype.kind in "iu" else np.finfo(frames.dtype).max
    yield "saturated frames", np.full_like(frames, highest)
    with_nan = frames.astype(np.float32)
    with_nan[:, ::3] = np.nan
    yield "frames with NaN", with_nan
    yield "frames of NaN", np.full_like(with_nan, np.nan)


def _survives(trial: Trial, attempt: Any, what: str) -> Analysis | AnalysisError:
    """A sound result, or an AnalysisError."""
    found = outcome(attempt, what)
    if isinstance(found, Analysis):
        require_sound(trial.technique, found, what)
    return found


BAD_INPUT = (
    partial_runs,
    too_many_frames,
    no_frames,
    unknown_number_of_frames,
    unknown_frame_time,
    other_frame_shape,
    damaged_frames,
)
