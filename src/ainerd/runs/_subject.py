"""What one result is of: a run, an event of it, or a series of runs."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ainerd.documents import Run
from ainerd.results import event_identity, result_key, series_identity
from ainerd.technique import RunAnalysis, RunInfo, Series, Technique


@dataclass
class Subject:
    """A run, an event or a series on its way to a result; to its technique it is the `Readings`."""

    key: str  # of the result
    runs: list[Run]  # whose frames it has; the one that goes on is the last
    event: int | None = None
    series_id: str | None = None
    analysis: RunAnalysis | None = None  # None before it begins, and where it cannot
    problem: str | None = None  # why nothing can be said
    retake: bool = False  # whether that is no fault of the data
    n_read: int = 0  # frames of the run that goes on which were taken
    _spans: list[tuple[int, int]] = field(default_factory=list)  # frames taken of the runs before

    @classmethod
    def of_run(cls, technique: Technique, run: Run, event: int | None) -> "Subject":
        """Of a run that begins (or of an event of it), by the technique's unit; of a series, of its first run."""
        identity, series_id = run.uid, None
        if event is not None:
            identity = event_identity(run.uid, event)
        elif isinstance(technique.unit, Series) and technique.unit.key in run.start_doc:
            series_id = f"{technique.unit.key}={run.start_doc[technique.unit.key]}"
            identity = series_identity(series_id)
        return cls(result_key(identity, technique.parameters), [run], event, series_id)

    @property
    def run(self) -> Run:
        """The run that goes on."""
        return self.runs[-1]

    @property
    def first(self) -> int:
        """Number in the run of the subject's first frame."""
        return 0 if self.event is None else (self.event - 1) * (self.run.n_event or 0)

    @property
    def n_frames(self) -> int | None:
        """Frames to expect of the run that goes on."""
        return self.run.n_frames if self.event is None else self.run.n_event

    @property
    def info(self) -> RunInfo:
        """What a technique is told of the run that goes on."""
        return RunInfo(
            raw_uid=self.run.uid,
            n_frames=None if self.series_id else self.n_frames,
            frame_shape=self.run.frame_shape,
            frame_time_s=self.run.frame_time_s,
            start=self.run.start_doc,
            event=self.event,
            readings=self,
        )

    def go_on(self, run: Run) -> None:
        """Take the next run of a series."""
        self._spans.append((self.first, self.first + self.n_read))
        self.runs.append(run)
        self.problem, self.retake, self.n_read = None, False, 0

    def value(self, key: str) -> float | None:
        """First value in the run, the event or the series."""
        found = (run.reading(key, self.event) for run in self.runs)
        return next((value for value in found if value is not None), None)

    def of_frames(self, key: str) -> NDArray[np.float64]:
        """Value at each frame that was taken, (n,)."""
        spans = [*self._spans, (self.first, self.first + self.n_read)]
        found = [run.of_frames(key, *span, self.event) for run, span in zip(self.runs, spans, strict=True)]
        return np.concatenate(found)

    def series(self, key: str) -> NDArray[np.float64]:
        """Times (seconds since 1970) and values, (2, n)."""
        return np.concatenate([run.series(key, self.event) for run in self.runs], axis=1)
