"""The unit of a result (a run, an event or a series of runs), the readings to keep, and the outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.config import Recorded
from ainerd.documents import DetectorKeys, FrameError, Run, RunReader
from ainerd.results import event_identity, result_key, series_identity
from ainerd.technique import RunAnalysis, RunInfo, Series, Technique

SPOILT = "spoilt"  # begins the reason of a run that a plan ends with "fail" because its data must not be used


class Wanted(Recorded):
    """Readings of a run to keep: names in the result, and data keys."""

    positions: tuple[str, ...]  #: data keys of the actuators
    age: str = ""  #: name of the reading of the sample's age, in s; empty if it is not read


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of a unit, as far as the campaign and the plans need it."""

    raw_uid: str
    key: str  # of the result
    trial_id: str  # the suggestion that led to the run; the result's key for a run taken by hand
    status: str  # complete, partial, growing or failed
    positions: Mapping[str, float]
    scan_id: int | None = None
    event: int | None = None  # number in the run, where the unit is the event
    embedding: NDArray[np.float32] | None = None  # (d,)
    novelty_p: float | None = None
    novel: bool | None = None  # see `ainerd.technique.Analysis.novel`
    regime: int = -1  # -1: unassigned, or failed
    age_s: float | None = None  # of the sample
    exposure_s: float | None = None  # duration of the exposure
    reason: str = ""  # why it failed, or has no numbers yet
    is_recalled: bool = False  # the result existed: the run came again, or another agent was faster


class Listener(Protocol):
    """The methods of a campaign that the worker calls, in its own thread."""

    def assign(self, outcome: Outcome) -> Mapping[str, Any]:
        """Return the `regime` and `atlas_version` of an analysed unit, before its result is written."""

    def absorb(self, outcome: Outcome) -> None:
        """Learn from a unit, after its result is written."""


@dataclass
class Subject:
    """A unit that is being analysed; its technique reads it as `Readings`."""

    key: str  # of the result
    runs: list[Run]  # runs whose frames belong to the unit; the last one is in progress
    event: int | None = None
    series_id: str | None = None
    analysis: RunAnalysis | None = None  # None before it begins, and if it cannot begin
    problem: str | None = None  # reason why the analysis is missing
    retake: bool = False  # whether the problem is not the fault of the data
    n_read: int = 0  # frames taken of the run in progress
    _spans: list[tuple[int, int]] = field(default_factory=list)  # frames taken of earlier runs

    @classmethod
    def of_run(cls, technique: Technique, run: Run, event: int | None) -> "Subject":
        """Make the unit that a run belongs to, by the technique's `unit`; `event` is the number of the event."""
        identity, series_id = run.uid, None
        if event is not None:
            identity = event_identity(run.uid, event)
        elif isinstance(technique.unit, Series) and technique.unit.key in run.start_doc:
            series_id = f"{technique.unit.key}={run.start_doc[technique.unit.key]}"
            identity = series_identity(series_id)
        return cls(result_key(identity, technique.parameters), [run], event, series_id)

    @property
    def run(self) -> Run:
        """The run in progress."""
        return self.runs[-1]

    @property
    def first(self) -> int:
        """Number of the unit's first frame in the run."""
        return 0 if self.event is None else (self.event - 1) * (self.run.n_event or 0)

    @property
    def n_frames(self) -> int | None:
        """Number of frames expected of the run in progress; None if unknown."""
        return self.run.n_frames if self.event is None else self.run.n_event

    @property
    def info(self) -> RunInfo:
        """Description of the run in progress for the technique."""
        return RunInfo(
            raw_uid=self.run.uid,
            n_frames=None if self.series_id else self.n_frames,
            frame_shape=self.run.frame_shape,
            frame_time_s=self.run.frame_time_s,
            start=self.run.start_doc,
            event=self.event,
            readings=self,
        )

    @property
    def n_taken(self) -> int:
        """Number of frames taken of all runs."""
        return self.n_read + sum(last - first for first, last in self._spans)

    def go_on(self, run: Run) -> None:
        """Add the next run of a series."""
        self._spans.append((self.first, self.first + self.n_read))
        self.runs.append(run)
        self.problem, self.retake, self.n_read = None, False, 0

    def value(self, key: str) -> float | None:
        """Return the first value of a data key in the unit."""
        values = (run.reading(key, self.event) for run in self.runs)
        return next((value for value in values if value is not None), None)

    def of_frames(self, key: str) -> NDArray[np.float64]:
        """Return the value of a data key at each frame taken, (n,)."""
        spans = [*self._spans, (self.first, self.first + self.n_read)]
        return np.concatenate(
            [run.of_frames(key, *span, self.event) for run, span in zip(self.runs, spans, strict=True)]
        )

    def series(self, key: str) -> NDArray[np.float64]:
        """Return times (seconds since 1970) and values of a data key, (2, n)."""
        return np.concatenate([run.series(key, self.event) for run in self.runs], axis=1)


def is_analysed(technique: Technique, keys: DetectorKeys, run: Container, n_results: int) -> bool:
    """Return whether a run in Tiled has all its results; `n_results` exist.

    If the unit is the event, a run has as many results as its detector took exposures: an aborted scan has fewer than
    its plan wanted, and a run in progress is not done.
    """
    if technique.unit != "event" or not n_results:
        return n_results > 0
    stop = run.metadata.get("stop")
    if not stop:
        return False
    n_primary = (stop.get("num_events") or {}).get("primary", 0)
    return 0 < n_primary <= n_results or _n_events(keys, run) <= n_results  # the first needs no request


def _n_events(keys: DetectorKeys, container: Container) -> int:
    """Return the number of exposures in a finished run."""
    run = Run(keys, ())
    for name, doc in RunReader().news(container):
        run(name, doc)
    run("stop", container.metadata["stop"])
    try:
        return run.n_events if run.has_frames else 0
    except FrameError:  # the run has one failed result, which gives the reason
        return 1
