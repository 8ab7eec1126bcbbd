"""Writes what becomes of runs to Tiled, and tells the campaign."""

import logging
import reprlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pydantic import ValidationError
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.documents import DetectorKeys, Run, Whole, documents_of
from ainerd.results import FINAL, LATEST_S, ResultRecord, ResultStore, result_key, series_identity
from ainerd.runs._outcome import Listener, Outcome, Wanted
from ainerd.runs._start import said_at_start
from ainerd.runs._subject import Subject
from ainerd.technique import Analysis, AnalysisError, Series, Technique, begin

logger = logging.getLogger(__name__)

REFUSALS = (httpx.codes.REQUEST_ENTITY_TOO_LARGE, httpx.codes.UNPROCESSABLE_ENTITY)


@dataclass(frozen=True)
class Writer:
    """Writes the results of all runs of an agent."""

    technique: Technique
    store: ResultStore
    keys: DetectorKeys
    wanted: Wanted
    roots: tuple[Path, ...]
    listener: Listener
    agent: str
    raw: Container | None = None  # frames that are in no file here, and runs of a series of an earlier session
    glance: Callable[[Subject], None] = lambda subject: None  # at a run that goes on, after each block of frames
    _growing: dict[str, Subject] = field(default_factory=dict)  # series by key

    def begin(self, subject: Subject) -> Subject | Outcome:
        """Say in Tiled that it is being analysed, unless it has its result; a series goes on where it was."""
        if subject.series_id is None:
            return subject if self.store.take(self._record(subject)) is None else self._told(subject)
        growing = self._growing.get(subject.key)
        status = self.store.status(subject.key)
        if status in FINAL:
            return self._told(subject)
        if status == "growing":
            taken = self.store.record(subject.key).raw_uids or []
            if subject.run.uid in taken:
                return self._told(subject)
            growing = growing or self._rebuilt(subject, taken)
        if growing is not None:
            growing.go_on(subject.run)
            return growing
        self.store.begin(self._record(subject))
        return subject

    def expect(self, subject: Subject) -> None:
        """Make room for the arrays that are announced."""
        assert subject.analysis is not None
        self.store.expect(subject.key, subject.analysis.layouts)

    def end(self, subject: Subject, analysis: Analysis | None, *, closes: bool) -> Outcome:
        """Write the result, and what it is called; a failed one, whatever goes wrong on the way."""
        outcome = self.outcome(subject.run, subject.key, subject.event)
        try:
            outcome = self._write(subject, outcome, analysis, closes=closes)
            self.listener.absorb(outcome)
        except Exception as err:
            if isinstance(err, httpx.HTTPError | MemoryError) and not is_refused(err):
                raise
            logger.exception("run %s is not concluded", subject.run.uid)
            first = subject.problem if analysis is None else None  # of a run that was not even begun
            outcome = replace(outcome, status="failed", reason=first or f"{type(err).__name__}: {err}")
            with suppress(httpx.HTTPStatusError, KeyError):  # if Tiled is away the run is kept until it is not
                self._fail(subject, outcome)
        if subject.series_id and not closes:
            self._growing[subject.key] = subject
        else:
            self._growing.pop(subject.key, None)
        return outcome

    def outcome(self, run: Run, key: str, event: int | None = None) -> Outcome:
        """What is known of a run, or an event of it, without its analysis."""
        readings = {name: run.reading(name, event) for name in self.wanted.positions}
        return Outcome(
            raw_uid=run.uid,
            key=key,
            trial_id=_suggestion(run) or key,
            status="complete",
            positions={name: x for name, x in readings.items() if x is not None},
            scan_id=_scan_id(run),
            event=event,
        )

    def forget(self) -> None:
        """Have growing series rebuilt from Tiled: what is in memory may be half of a run."""
        self._growing.clear()

    def close_series(self, value: str) -> bool:
        """Say that nothing more comes to a series; False if it does not grow."""
        unit = self.technique.unit
        if not isinstance(unit, Series):
            raise ValueError(f"results of technique {self.technique.name} are no series: there is nothing to close")
        key = result_key(series_identity(f"{unit.key}={value}"), self.technique.parameters)
        self._growing.pop(key, None)
        try:
            return self.store.close(key)
        except KeyError:
            return False

    def _record(self, subject: Subject) -> ResultRecord:
        """What is said of a run that begins; what its metadata have in another form than it should is left out."""
        run, start = subject.run, subject.run.start_doc
        said: dict[str, Any] = {
            "scan_id": _scan_id(run),
            "run_time": _time(start.get("time")),
            "suggestion_id": _suggestion(run),
            "start": said_at_start(start, self.wanted),
        }
        about: dict[str, Any] = {
            "raw_uid": run.uid,
            "raw_path": f"raw/{run.uid}",
            "event": subject.event,
            "series_id": subject.series_id,
            "technique": self.technique.name,
            "agent": self.agent,
            "parameters": dict(self.technique.parameters),
        }
        try:
            record = ResultRecord(**about, **said)
        except ValidationError as error:
            odd = {str(e["loc"][0]) for e in error.errors() if e["loc"]} or {*said}
            record = ResultRecord(**about, **{name: value for name, value in said.items() if name not in odd})
        names = {"scan_id": "scan_id", "time": "run_time", "suggestion_id": "suggestion_id"}
        for name, kept in names.items():
            if _is_said(start.get(name)) and getattr(record, kept) is None:
                logger.warning("run %s: its %s is left out: %s", run.uid, name, _shown(start[name]))
                break
        return record

    def _fail(self, subject: Subject, outcome: Outcome) -> None:
        """Say that it failed, if need be of a run that was not even begun."""
        try:
            self.store.fail(outcome.key, outcome.reason, retake=True)
        except KeyError:
            self.store.begin(self._record(subject))
            self.store.fail(outcome.key, outcome.reason, retake=True)

    def _write(self, subject: Subject, outcome: Outcome, analysis: Analysis | None, *, closes: bool) -> Outcome:
        run, wanted = subject.run, self.wanted
        about: dict[str, Any] = {
            "positions": outcome.positions,
            "summary": {name: subject.value(key) for name, key in wanted.readings.items()},
            "units": dict(wanted.units),
        }
        if subject.event is not None:
            about["event_time"] = _time(run.event_time(subject.event))
        if subject.series_id:
            about["raw_uids"] = [run.uid for run in subject.runs]
        if analysis is None:
            status = "failed" if closes else "growing"
            reason = subject.problem or "unknown"
            is_kept = self.store.fail(outcome.key, reason, status=status, retake=subject.retake or None, **about)
            return replace(outcome, status=status, reason=reason) if is_kept else self._recalled(subject)
        status = analysis.status if closes else "growing"
        n_frames = len(subject.of_frames(""))
        about |= {"n_frames": n_frames, "frame_time_s": run.frame_time_s}
        outcome = replace(
            outcome,
            status=status,
            embedding=np.asarray(analysis.embedding, np.float32),
            novelty_p=analysis.novelty_p,
            novel=analysis.novel,
            age_s=_number(about["summary"].get(wanted.age)),
            exposure_s=run.frame_time_s and n_frames * run.frame_time_s,
            reason=subject.problem or "",
        )
        placed = self.listener.assign(outcome)
        series = {name: subject.series(key) for name, key in wanted.series.items()}
        began = _time(subject.runs[0].start_doc.get("time"))
        if began is None:  # the first of what was monitored
            began = min((t[0] for t, _ in series.values() if t.size), default=0.0)
        relative = {name: (t - began, y) for name, (t, y) in series.items() if t.size}
        is_kept = self.store.complete(outcome.key, analysis, status=status, series=relative, **about, **placed)
        return replace(outcome, regime=placed.get("regime", -1)) if is_kept else self._recalled(subject)

    def _recalled(self, subject: Subject) -> Outcome:
        """The outcome that is in Tiled."""
        record = self.store.record(subject.key)
        outcome = Outcome(
            raw_uid=subject.run.uid,
            key=record.key,
            trial_id=record.suggestion_id or record.key,
            status=record.status,
            positions=record.positions,
            scan_id=record.scan_id,
            event=record.event,
            embedding=None if record.embedding is None else np.array(record.embedding, np.float32),
            novelty_p=record.novelty_p,
            novel=record.novel,
            regime=-1 if record.regime is None else record.regime,
            age_s=_number(record.summary.get(self.wanted.age)),
            is_recalled=True,
        )
        if subject.series_id and subject.run.uid not in (record.raw_uids or ()):
            reason = f"series {subject.series_id} is closed: the run is not in it, give it another name"
            logger.warning("run %s: %s", subject.run.uid, reason)
            return replace(outcome, status="failed", reason=reason)
        return outcome

    def _told(self, subject: Subject) -> Outcome:
        """The outcome that is in Tiled, told to the listener."""
        outcome = self._recalled(subject)
        if outcome.status != "failed":
            self.listener.absorb(outcome)
        return outcome

    def _rebuilt(self, subject: Subject, taken: list[str]) -> Subject | None:
        """A series that grew in an earlier session, its runs analysed again from Tiled."""
        old = Subject(subject.key, [], series_id=subject.series_id)
        for uid in taken:
            if self.raw is None or uid not in self.raw:
                logger.warning("series %s goes on without run %s, which is not in Tiled", subject.series_id, uid)
                continue
            run = Run(self.keys, self.roots, self.raw)
            for name, doc in documents_of(self.raw[uid]):
                run(name, doc)
            if old.runs:
                old.go_on(run)
            else:
                old.runs.append(run)
            _replay(self.technique, old)
            run.close()
        return old if old.runs else None


def is_refused(error: Exception) -> bool:
    """Whether Tiled says no to what it was sent, and would again: that is no reason to wait, nor for others to."""
    return isinstance(error, ClientError) and error.response.status_code in REFUSALS


def _replay(technique: Technique, subject: Subject) -> None:
    """Push the frames of a finished run once more."""
    try:
        if subject.analysis is None:
            subject.analysis = begin(technique, subject.info)
        else:
            subject.analysis.next_run(subject.info)
        for block in subject.run.blocks(subject.analysis.pixels, whole=Whole.of(subject.analysis)):
            subject.n_read += len(block)
            subject.analysis.push(block)
    except (AnalysisError, ValueError) as err:
        logger.warning("series %s: run %s: %s", subject.series_id, subject.run.uid, err)


def _scan_id(run: Run) -> int | None:
    """Number of the scan; None if there is none, or it is no number."""
    number = run.start_doc.get("scan_id")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _suggestion(run: Run) -> str | None:
    """The suggestion that led to a run; None where its metadata have none, or one that is no text."""
    said = run.start_doc.get("suggestion_id")
    return said if isinstance(said, str) and said else None


def _is_said(value: Any) -> bool:
    """Whether a start document says something; of an array, `bool` cannot tell."""
    return value is not None and not (isinstance(value, str) and not value)


def _shown(value: Any) -> str:
    """A value in a few words, whatever it is."""
    try:
        return reprlib.repr(value)[:80]
    except ValueError:  # a number of more digits than Python prints
        return f"of type {type(value).__name__}"


def _time(value: Any) -> float | None:
    """Seconds since 1970; None if they are no number, or beyond what a table can show."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LATEST_S:
        return None
    return float(value)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
