"""The unit of a result (a run, an event or a series of runs), its outcome, and the writer of its result in Tiled."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from tiled.client.container import Container

from ainerd.config import Detector, Recorded
from ainerd.documents import Block, Run, RunReader, Whole, documents_of
from ainerd.results import Gone, ResultRecord, ResultStore, TiledError
from ainerd.runs._patience import Patience
from ainerd.technique import Analysis, AnalysisError, Outcome, RunAnalysis, RunInfo, Series, Technique, begin
from ainerd.words import utc_now

logger = logging.getLogger(__name__)

OF_NUMBERS = ("flags", "frame_number", "ticks", "pixel_order")  # settings of the detector that change its results
# Metadata that most beamlines write, and the names that they use.
USUAL = {
    "sample": ("sample", "sample_name"),
    "user": ("user", "user_name", "operator", "username"),
    "proposal": ("proposal", "proposal.proposal_id", "proposal_id"),
    "data_session": ("data_session",),
    "cycle": ("cycle",),
    "plan": ("plan_name",),
    "file": ("file",),  # that stands for the run, which has no scan
}


class RecordedKeys(Recorded):
    """Data of a run to keep in its results: data keys by their names in the result.

    Examples
    --------
    >>> RecordedKeys(positions=("sample_x",), units={"sample_x": "mm"}).positions
    ('sample_x',)
    """

    positions: tuple[str, ...]  #: data keys of the actuators

    @property
    def units_of_keys(self) -> dict[str, str]:
        """Units by data key."""
        keys = {**{name: name for name in self.positions}, **self.series, **self.readings}
        return {key: self.units[name] for name, key in keys.items() if self.units.get(name)}


@dataclass
class Subject:
    """A unit that is being analysed; its technique reads it as `Readings`."""

    key: str  # of the result
    runs: list[Run]  # runs whose frames belong to the unit; the last one is in progress
    event: int | None = None
    series_id: str | None = None
    files_digest: str | None = None  # of the files that the run names
    analysis: RunAnalysis | None = None  # None before it begins, and if it cannot begin
    problem: str | None = None  # reason why the analysis is missing
    retake: bool = False  # whether the problem is not the fault of the data
    _taken: list[list[tuple[int, int]]] = field(default_factory=lambda: [[]])  # ranges of frames taken from each run

    @classmethod
    def of_run(cls, writer: "Writer", run: Run, event: int | None) -> "Subject":
        """Make the unit that a run belongs to, by the technique's `unit`; `event` is the number of the event."""
        unit, series_id = writer.technique.unit, None
        if event is None and isinstance(unit, Series) and unit.key in run.start_doc:
            series_id = f"{unit.key}={run.start_doc[unit.key]}"
        files = writer.technique.files_digest(run.start_doc) if series_id is None else ""
        key = ResultRecord.key_of(writer.parameters, run.uid, event, series_id, files)
        return cls(key, [run], event, series_id, files_digest=files or None)

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
        """Number of frames, with missing ones, expected of the run in progress; None if unknown."""
        return None if self.run.has_ticks else self.n_own

    @property
    def n_own(self) -> int | None:
        """Number of frames that are expected to come; None if unknown."""
        return self.run.n_frames if self.event is None else self.run.n_own

    @property
    def info(self) -> RunInfo:
        """Description of the run in progress for the technique."""
        return RunInfo(
            raw_uid=self.run.uid,
            n_frames=None if self.series_id else self.n_frames,
            frame_shape=self.run.frame_shape,
            frame_time_s=self.run.frame_time_s,
            has_ticks=self.run.has_ticks,
            start=self.run.start_doc,
            event=self.event,
            readings=self,
        )

    @property
    def n_read(self) -> int:
        """Number of frames taken from the run in progress."""
        return sum(last - first for first, last in self._taken[-1])

    @property
    def n_taken(self) -> int:
        """Number of frames taken from all runs."""
        return sum(last - first for ranges in self._taken for first, last in ranges)

    @property
    def n_passed(self) -> int:
        """Number of frames up to the last one taken from each run, with missing ones."""
        return sum(ranges[-1][1] - self.first for ranges in self._taken if ranges)

    def begin(self, technique: Technique) -> None:
        """Begin the analysis of the run in progress."""
        if self.analysis is None:
            self.analysis = begin(technique, self.info)
        else:
            self.analysis.next_run(self.info)

    def push(self, block: Block) -> None:
        """Pass a block of frames to the analysis."""
        assert self.analysis is not None
        first, last, ranges = block.first, block.first + len(block.frames), self._taken[-1]
        if ranges and ranges[-1][1] == first:
            first = ranges.pop()[0]
        ranges.append((first, last))
        self.analysis.push(block.frames, block.first - self.first)

    def go_on(self, run: Run) -> None:
        """Add the next run of a series."""
        self._taken.append([])
        self.runs.append(run)
        self.problem, self.retake = None, False

    def value(self, key: str) -> float | None:
        """Return the first value of a data key in the unit."""
        values = (run.reading(key, self.event) for run in self.runs)
        return next((value for value in values if value is not None), None)

    def of_frames(self, key: str) -> NDArray[np.float64]:
        """Return the value of a data key at each frame taken, (n,)."""
        taken = ((run, span) for run, ranges in zip(self.runs, self._taken, strict=True) for span in ranges)
        return np.concatenate([np.empty(0), *(run.of_frames(key, *span, self.event) for run, span in taken)])

    def series(self, key: str) -> NDArray[np.float64]:
        """Return times (seconds since 1970) and values of a data key, (2, n)."""
        return np.concatenate([run.series(key, self.event) for run in self.runs], axis=1)


@dataclass(frozen=True)
class Writer:
    """Writes the results of all units of an agent.

    Parameters
    ----------
    technique : Technique
    store : ResultStore
    keys : Detector
    recorded : RecordedKeys
    roots : tuple of Path
        Folders that frames may be read from.
    agent : str
        Name of the agent.
    raw : Container, optional
        The raw runs, for frames without a file here and for earlier runs of a series.
    has_campaign : bool
        Whether a campaign gives each result its regime, after it is written.
    """

    technique: Technique
    store: ResultStore
    keys: Detector
    recorded: RecordedKeys
    roots: tuple[Path, ...]
    agent: str
    raw: Container | None = None
    has_campaign: bool = False
    _growing: dict[str, Subject] = field(default_factory=dict)  # series by key

    @cached_property
    def patience(self) -> Patience:
        """Repeats `begin`, `complete` and `fail` while Tiled does not answer."""
        return Patience(self.store.answers)

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything that changes the numbers of a result, which its key and its digest cover."""
        return parameters_of(self.technique, self.keys)

    def has_all(self, run: Container, done: Mapping[str, int]) -> bool:
        """Return whether a run in Tiled has all its results; `done` is from `ResultStore.analysed`.

        If the unit is the event, a run has as many results as its detector took exposures: an aborted scan has fewer
        than its plan announced, and a run in progress is not done.
        """
        start = run.metadata["start"]
        files = self.technique.files_digest(start)
        n_results = done.get(ResultRecord.identity_of(start["uid"], files_digest=files), 0)
        if self.technique.unit != "event" or not n_results:
            return n_results > 0
        stop = run.metadata.get("stop")
        if not stop:
            return False
        n_primary = (stop.get("num_events") or {}).get("primary", 0)
        return 0 < n_primary <= n_results or self._n_events(run) <= n_results  # the first needs no request

    def _n_events(self, container: Container) -> int:
        """Return the number of exposures in a finished run, by the numbers of its frames if they can be read."""
        run = self.new_run()
        for name, doc in RunReader().rest(container):
            run(name, doc)
        run("stop", container.metadata["stop"])
        try:
            return 0 if not run.has_frames else 1 if run.problem else run.n_events  # with a problem, one failed result
        finally:
            run.close()

    def new_run(self) -> Run:
        """Return an empty run, to take the documents of one."""
        return Run(self.keys, self.roots, self.raw, self.recorded.units_of_keys)

    def begin(self, subject: Subject) -> Subject | Outcome:
        """Mark a unit as computing in Tiled and return it; return its outcome if it has a result.

        A series continues where it was.
        """
        if subject.series_id is None:
            return subject if self.store.take(self._record(subject)) is None else self._recall(subject)
        growing = self._growing.get(subject.key)
        status = self.store.status(subject.key)
        if status in ResultRecord.final:
            return self._recall(subject)
        if status == "growing":
            uids = self.store.record(subject.key).raw_uids or []
            if subject.run.uid in uids:
                return self._recall(subject)
            if growing is None or {*uids} - {run.uid for run in growing.runs}:  # of another session
                growing = self._rebuild(subject, uids)
        if growing is not None:
            growing.go_on(subject.run)
            return growing
        self.store.begin(self._record(subject))
        return subject

    def outcome(self, run: Run, key: str, event: int | None = None) -> Outcome:
        """Return the outcome of a unit before its analysis: where and by which suggestion it was taken."""
        readings = {name: run.reading(name, event) for name in self.recorded.positions}
        return Outcome(
            raw_uid=run.uid,
            key=key,
            trial_id=_typed(run.start_doc.get("suggestion_id"), str) or key,
            status="complete",
            positions={name: x for name, x in readings.items() if x is not None},
            scan_id=_typed(run.start_doc.get("scan_id"), int),
            event=event,
            file=_typed(run.start_doc.get("file"), str) or "",
        )

    def complete(self, subject: Subject, outcome: Outcome, analysis: Analysis, *, closes: bool) -> Outcome:
        """Write an analysis; return the outcome that is in Tiled. `closes` is whether the unit is complete."""
        frame_time_s, details = subject.run.frame_time_s, self._details(subject, outcome)
        outcome = replace(
            outcome,
            status=analysis.status if closes else "growing",
            embedding=np.asarray(analysis.embedding, np.float32),
            novelty_p=analysis.novelty_p,
            novel=analysis.novel,
            exposure_s=frame_time_s and subject.n_passed * frame_time_s,
            reason=subject.problem or "",
            awaits_regime=utc_now() if self.has_campaign else "",
        )
        series = {name: subject.series(key) for name, key in self.recorded.series.items()}
        began = time_of(subject.runs[0].start_doc.get("time"))
        if began is None:
            began = min((t[0] for t, _ in series.values() if t.size), default=0.0)
        relative = {name: (t - began, y) for name, (t, y) in series.items() if t.size}
        details |= {"n_frames": subject.n_taken, "frame_time_s": frame_time_s}
        details["awaits_regime"] = outcome.awaits_regime or None
        is_written = self.store.complete(outcome.key, analysis, status=outcome.status, series=relative, **details)
        return outcome if is_written else self._recall(subject)

    def fail(self, subject: Subject, outcome: Outcome, *, closes: bool) -> Outcome:
        """Write why a unit has no analysis (not yet, unless it `closes`); return the outcome that is in Tiled."""
        status, reason = "failed" if closes else "growing", subject.problem or "unknown"
        details = self._details(subject, outcome)
        is_written = self.store.fail(outcome.key, reason, status=status, retake=subject.retake or None, **details)
        return replace(outcome, status=status, reason=reason) if is_written else self._recall(subject)

    def give_up(self, subject: Subject, reason: str) -> None:
        """Write a failed result, even for a unit that has not begun. If its run comes again, it is analysed again."""
        with suppress(TiledError):
            try:
                self.store.fail(subject.key, reason, retake=True)
            except Gone:
                self.store.begin(self._record(subject))
                self.store.fail(subject.key, reason, retake=True)

    def remember(self, subject: Subject, *, closes: bool) -> None:
        """Keep a series in memory until it closes."""
        if subject.series_id and not closes:
            self._growing[subject.key] = subject
        else:
            self._growing.pop(subject.key, None)

    def forget(self) -> None:
        """Drop all series from memory, because one may contain half of a run. They are rebuilt from Tiled."""
        self._growing.clear()

    def close_series(self, value: str) -> bool:
        """Mark a series as complete; return False if it does not grow."""
        unit = self.technique.unit
        assert isinstance(unit, Series)
        key = ResultRecord.key_of(self.parameters, series_id=f"{unit.key}={value}")
        self._growing.pop(key, None)
        try:
            return self.store.close(key)
        except KeyError:
            return False

    def _record(self, subject: Subject) -> ResultRecord:
        """Return the record of a unit that begins, without metadata of the run that have another type than expected."""
        run, start = subject.run, subject.run.start_doc
        metadata: dict[str, Any] = {
            "scan_id": _typed(start.get("scan_id"), int),
            "run_time": time_of(start.get("time")),
            "suggestion_id": _typed(start.get("suggestion_id"), str) or None,
            "start": start_metadata(start, self.recorded),
        }
        known: dict[str, Any] = {
            "raw_uid": run.uid,
            "raw_path": f"raw/{run.uid}",
            "event": subject.event,
            "series_id": subject.series_id,
            "access_tags": _access_tags(start.get("tiled_access_tags")),
            "technique": self.technique.name,
            "agent": self.agent,
            "parameters": self.parameters,
            "files_digest": subject.files_digest,
        }
        if replaced := _typed(start.get("replaces"), str):  # the run of an earlier content of the same file
            former = ResultRecord.key_of(self.parameters, replaced, subject.event)
            known["supersedes"] = former if self.store.status(former) in ResultRecord.final else None
        try:
            record = ResultRecord(**known, **metadata)
        except ValidationError as error:
            odd = {str(e["loc"][0]) for e in error.errors() if e["loc"]} or {*metadata}
            record = ResultRecord(**known, **{name: value for name, value in metadata.items() if name not in odd})
        for name, attribute in {"scan_id": "scan_id", "time": "run_time", "suggestion_id": "suggestion_id"}.items():
            if start.get(name) is not None and getattr(record, attribute) is None:
                logger.warning("run %s: its %s is left out, a %s", run.uid, name, type(start[name]).__name__)
        return record

    def _details(self, subject: Subject, outcome: Outcome) -> dict[str, Any]:
        """Return the fields of the record that are known once the unit has ended."""
        details: dict[str, Any] = {
            "positions": outcome.positions,
            "summary": {name: subject.value(key) for name, key in self.recorded.readings.items()},
            "units": dict(self.recorded.units),
        }
        if subject.event is not None:
            details["event_time"] = time_of(subject.run.event_time(subject.event))
            details["exposure_time"] = time_of(subject.run.exposure_time(subject.event))
        if subject.series_id:
            details["raw_uids"] = [run.uid for run in subject.runs]
        return details

    def _recall(self, subject: Subject) -> Outcome:
        """Return the outcome that is in Tiled."""
        record = self.store.record(subject.key)
        outcome = Outcome.recalled(
            record.key,
            record.metadata() | {"raw_uid": subject.run.uid},
            record.positions,
            embedding=None if record.embedding is None else np.array(record.embedding, np.float32),
            is_of_another=record.agent != self.agent,
        )
        if subject.series_id and subject.run.uid not in (record.raw_uids or ()):
            reason = f"series {subject.series_id} is closed: the run is not in it, give it another name"
            logger.warning("run %s: %s", subject.run.uid, reason)
            return replace(outcome, status="failed", reason=reason, is_in_tiled=False)
        return outcome

    def _rebuild(self, subject: Subject, uids: list[str]) -> Subject | None:
        """Return a series that grew in an earlier session, after its runs are analysed again from Tiled."""
        series: Subject | None = None
        for uid in uids:
            if self.raw is None or uid not in self.raw:
                logger.warning("series %s goes on without run %s, which is not in Tiled", subject.series_id, uid)
                continue
            run = self.new_run()
            for name, doc in documents_of(self.raw[uid]):
                run(name, doc)
            if series is None:
                series = Subject(subject.key, [run], series_id=subject.series_id)
            else:
                series.go_on(run)
            try:
                series.begin(self.technique)
                assert series.analysis is not None
                for block in run.blocks(series.analysis.pixels, whole=Whole(series.analysis)):
                    series.push(block)
            except (AnalysisError, ValueError) as error:
                logger.warning("series %s: run %s: %s", subject.series_id, run.uid, error)
            run.close()
        return series


def start_metadata(start: Mapping[str, Any], recorded: RecordedKeys) -> dict[str, bool | int | float | str]:
    """Return the usual metadata of a start document and those in `recorded`, by name.

    A key with dots reads nested mappings. A mapping counts as its ``name``, a list as its items. A name that the
    result uses for a reading or a position is left out.

    Examples
    --------
    >>> recorded = RecordedKeys(start={"sample_name": "sample"}, positions=())
    >>> start_metadata({"uid": "6f1d", "scan_id": 4, "sample": "gel"}, recorded)
    {'sample': 'gel', 'sample_name': 'gel'}
    """
    keys_of = USUAL | {name: (key,) for name, key in recorded.start.items()}
    taken = {*recorded.positions, *recorded.readings}
    metadata = {}
    for name, keys in keys_of.items():
        values = (_read(start, key) for key in keys)
        value = next((value for value in values if value is not None), None)
        if value is not None and name not in taken:
            metadata[name] = value
    return metadata


def _read(start: Mapping[str, Any], key: str) -> bool | int | float | str | None:
    try:
        value: Any = start
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            value = value.get("name")
        if isinstance(value, np.generic | np.ndarray):
            value = value.item() if value.size == 1 else value.tolist()
        if isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
    except Exception:  # whatever a plan wrote there must not cost the result
        return None
    return value if isinstance(value, bool | int | float | str) and value != "" else None


def _typed(value: Any, *kinds: type) -> Any:
    """Return a value of these types; None if it has another type."""
    return value if isinstance(value, kinds) and not isinstance(value, bool) else None


def _access_tags(value: Any) -> list[str] | None:
    """Return the access tags that a start document names; an invalid tag becomes one that a server refuses."""
    return None if value is None else [*map(str, value)] if isinstance(value, list | tuple) else [str(value)]


def time_of(value: Any) -> float | None:
    """Return seconds since 1970; None if the value is not a number or later than a table can show."""
    value = _typed(value, int, float)
    return float(value) if value is not None and abs(value) <= ResultRecord.latest_s else None


def parameters_of(technique: Technique, detector: Detector) -> dict[str, Any]:
    """Return the parameters of a technique's results: its own, and the settings of the detector that change numbers."""
    given = {name: getattr(detector, name) for name in OF_NUMBERS}
    return {**technique.parameters, **{f"detector.{name}": value for name, value in given.items() if value}}
