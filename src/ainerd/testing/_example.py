"""Example runs, and a feed that passes their frames to a technique in the way of an agent."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.technique import Analysis, RunAnalysis, RunInfo, Technique

BLOCK = 50  # frames
BEGAN = 1.7e9  # seconds since 1970


@dataclass(frozen=True, kw_only=True)
class ExampleRun:
    """A run for testing a technique, or one event of a run if the unit is the event.

    Attributes
    ----------
    frames : ndarray, shape (n, ny, nx)
        Frames in the dtype of the detector.
    frame_time_s : float or None
        Time from one frame to the next, in seconds.
    start : mapping
        Keys of the start document that the technique uses.
    readings : mapping of str to number or array_like, shape (n,)
        Readings besides the frames, by data key. A number is one reading; an array has a value for each frame.
    uid : str
        Uid of the start document.

    Examples
    --------
    >>> run = ExampleRun(frames=np.full((20, 6, 8), 4), start={"sample": "PEG"}, readings={"temperature": 300.0})
    >>> float(analyse(Toy(), run).summary["counts"])
    4.0
    """

    frames: NDArray[Any]
    frame_time_s: float | None = 0.1
    start: Mapping[str, Any] = field(default_factory=dict)
    readings: Mapping[str, ArrayLike] = field(default_factory=dict)
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        if np.ndim(self.frames) != 3 or not np.size(self.frames):
            raise ValueError(f"frames must be (n, ny, nx), got shape {np.shape(self.frames)}")
        for key, values in self.readings.items():
            if np.ndim(values) and np.shape(values) != (len(self.frames),):
                raise ValueError(f"readings[{key!r}] must be a number or one for each of {len(self.frames)} frames")


def analyse(technique: Technique, run: ExampleRun, *, block: int = BLOCK) -> Analysis:
    """Analyse a run with a technique and return the result. Like an agent, push the frames in blocks of size `block`.

    Raises
    ------
    AnalysisError
        If the technique refuses the run.

    Examples
    --------
    >>> frames = np.random.default_rng(0).poisson(4.0, (20, 6, 8))
    >>> analysis = analyse(Toy(), ExampleRun(frames=frames))
    >>> analysis.arrays["trajectory"].shape, np.isclose(analysis.summary["counts"], frames.mean())
    ((20,), np.True_)
    """
    return Feed(technique, run).push(block=block).finish()


def default_runs() -> tuple[ExampleRun, ...]:
    """Return three movies of Poisson counts with rising, constant and falling mean."""
    rng = np.random.default_rng(0)
    time = np.linspace(0.0, 1.0, 64)[:, None, None]
    means = (4 + 2 * slope * (time - 0.5) for slope in (1, 0, -1))
    return tuple(ExampleRun(frames=rng.poisson(mean, (64, 24, 32)).astype(np.uint16)) for mean in means)


class Feed:
    """Passes the frames of runs to a technique, and provides the `Readings`, which grow with the frames.

    Parameters
    ----------
    technique : Technique
    run : ExampleRun
    gap : (int, int)
        Frames of the first run after which some are missing, and the number of missing ones.
    **changes
        Fields of `RunInfo` that differ from the run.

    Attributes
    ----------
    analysis : RunAnalysis

    Examples
    --------
    >>> feed = Feed(Toy(), ExampleRun(frames=np.full((20, 6, 8), 4), readings={"temperature": np.arange(20)}))
    >>> feed.push(5).of_frames("temperature")
    array([0., 1., 2., 3., 4.])
    >>> float(feed.push().finish().summary["counts"])
    4.0
    """

    def __init__(self, technique: Technique, run: ExampleRun, *, gap: tuple[int, int] = (0, 0), **changes: Any) -> None:
        self._technique, self._gap = technique, gap
        self._runs, self._taken = [run], [0]
        self.analysis: RunAnalysis = technique.begin(self._info(**changes))

    def next_run(self, run: ExampleRun) -> Self:
        """Continue with the next run of a series."""
        self._runs.append(run)
        self._taken.append(0)
        self.analysis.next_run(self._info(n_frames=None))
        return self

    def push(self, n: int | None = None, *, block: int = BLOCK) -> Self:
        """Push the next `n` frames, or all remaining ones."""
        frames, (after, n_missing) = self._runs[-1].frames, self._gap if len(self._runs) == 1 else (0, 0)
        last = len(frames) if n is None else min(self._taken[-1] + n, len(frames))
        while (first := self._taken[-1]) < last:
            taken = frames[first : min(first + block, last, after if first < after else last)]
            self._taken[-1] += len(taken)
            first += n_missing if first >= after else 0
            self.analysis.push(taken.reshape(len(taken), -1)[:, self.analysis.pixels], first)
            for number, frame in enumerate(taken, first):
                every = self.analysis.every
                if every is not None and (number + 1) % every == 0:
                    shown = frame.view()
                    shown.flags.writeable = False
                    self.analysis.whole(shown, number)
        return self

    def finish(self) -> Analysis:
        """Return the technique's result."""
        return self.analysis.finish()

    def value(self, key: str, unit: str = "") -> float | None:
        """Return the first value of a reading, or None before its first value."""
        for run, taken in zip(self._runs, self._taken, strict=True):
            values = np.asarray(run.readings.get(key, ()), dtype=float)
            if key in run.readings and (taken or not values.ndim):
                return float(values.flat[0])
        return None

    def of_frames(self, key: str, unit: str = "") -> NDArray[np.float64]:
        """Return the value of a reading at each pushed frame, (n_frames,)."""
        parts = []
        for run, taken in zip(self._runs, self._taken, strict=True):
            values = np.asarray(run.readings.get(key, np.nan), dtype=float)
            parts.append(values[:taken] if values.ndim else np.full(taken, values))
        return np.concatenate(parts)

    def series(self, key: str, unit: str = "") -> NDArray[np.float64]:
        """Return the times (seconds since 1970) and values of a reading, (2, n)."""
        parts, began = [np.empty((2, 0))], BEGAN
        for run, taken in zip(self._runs, self._taken, strict=True):
            if key in run.readings:
                values = np.atleast_1d(np.asarray(run.readings[key], dtype=float))[:taken]
                parts.append(np.array([began + np.arange(values.size) * (run.frame_time_s or 1.0), values]))
            began += 1000
        return np.concatenate(parts, axis=1)

    def _info(self, **changes: object) -> RunInfo:
        run = self._runs[-1]
        fields: dict[str, Any] = {
            "raw_uid": run.uid,
            "n_frames": len(run.frames),
            "frame_shape": run.frames.shape[1:],
            "frame_time_s": run.frame_time_s,
            "start": {"uid": run.uid, "time": BEGAN, "scan_id": 1, **run.start},
            "event": 1 if self._technique.unit == "event" else None,
            "readings": self,
        }
        return RunInfo(**(fields | changes))
