"""Writes the results of units to Tiled, with metadata of the start document."""

import logging
import reprlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pydantic import ValidationError
from tiled.client.container import Container

from ainerd.documents import DetectorKeys, Run, Whole, documents_of
from ainerd.results import FINAL, LATEST_S, ResultRecord, ResultStore, result_key, series_identity
from ainerd.runs._subject import Outcome, Subject, Wanted
from ainerd.technique import Analysis, AnalysisError, Series, Technique, begin

logger = logging.getLogger(__name__)

REFUSALS = (httpx.codes.REQUEST_ENTITY_TOO_LARGE, httpx.codes.UNPROCESSABLE_ENTITY)
# Metadata that most beamlines write, and the names that they use.
USUAL = {
    "sample": ("sample", "sample_name"),
    "user": ("user", "user_name", "operator"),
    "proposal": ("proposal", "proposal_id"),
    "plan": ("plan_name",),
}


@dataclass(frozen=True)
class Writer:
    """Writes the results of all units of an agent.

    Parameters
    ----------
    technique : Technique
    store : ResultStore
    keys : DetectorKeys
    wanted : Wanted
    roots : tuple of Path
        Folders that frames may be read from.
    agent : str
        Name of the agent.
    raw : Container, optional
        The raw runs, for frames without a file here and for earlier runs of a series.
    """

    technique: Technique
    store: ResultStore
    keys: DetectorKeys
    wanted: Wanted
    roots: tuple[Path, ...]
    agent: str
    raw: Container | None = None
    _growing: dict[str, Subject] = field(default_factory=dict)  # series by key

    def new_run(self) -> Run:
        """Return an empty run, to take the documents of one."""
        return Run(self.keys, self.roots, self.raw)

    def begin(self, subject: Subject) -> Subject | Outcome:
        """Mark a unit as computing in Tiled and return it; return its outcome if it has a result.

        A series continues where it was.
        """
        if subject.series_id is None:
            return subject if self.store.take(self._record(subject)) is None else self._recall(subject)
        growing = self._growing.get(subject.key)
        status = self.store.status(subject.key)
        if status in FINAL:
            return self._recall(subject)
        if status == "growing":
            uids = self.store.record(subject.key).raw_uids or []
            if subject.run.uid in uids:
                return self._recall(subject)
            growing = growing or self._rebuild(subject, uids)
        if growing is not None:
            growing.go_on(subject.run)
            return growing
        self.store.begin(self._record(subject))
        return subject

    def outcome(self, run: Run, key: str, event: int | None = None) -> Outcome:
        """Return the outcome of a unit before its analysis: where and by which suggestion it was taken."""
        readings = {name: run.reading(name, event) for name in self.wanted.positions}
        return Outcome(
            raw_uid=run.uid,
            key=key,
            trial_id=_typed(run.start_doc.get("suggestion_id"), str) or key,
            status="complete",
            positions={name: x for name, x in readings.items() if x is not None},
            scan_id=_typed(run.start_doc.get("scan_id"), int),
            event=event,
        )

    def analysed(self, subject: Subject, outcome: Outcome, analysis: Analysis, *, closes: bool) -> Outcome:
        """Return the outcome with the numbers of the analysis. `closes` is whether the unit is complete."""
        age, frame_time_s = self.wanted.readings.get(self.wanted.age), subject.run.frame_time_s
        return replace(
            outcome,
            status=analysis.status if closes else "growing",
            embedding=np.asarray(analysis.embedding, np.float32),
            novelty_p=analysis.novelty_p,
            novel=analysis.novel,
            age_s=None if age is None else _number(subject.value(age)),
            exposure_s=frame_time_s and subject.n_taken * frame_time_s,
            reason=subject.problem or "",
        )

    def complete(self, subject: Subject, outcome: Outcome, analysis: Analysis, regime: Mapping[str, Any]) -> Outcome:
        """Write an analysis and its `regime` (with the version of the atlas); return the outcome that is in Tiled."""
        series = {name: subject.series(key) for name, key in self.wanted.series.items()}
        began = _time(subject.runs[0].start_doc.get("time"))
        if began is None:
            began = min((t[0] for t, _ in series.values() if t.size), default=0.0)
        relative = {name: (t - began, y) for name, (t, y) in series.items() if t.size}
        details = self._details(subject, outcome)
        details |= {"n_frames": subject.n_taken, "frame_time_s": subject.run.frame_time_s, **regime}
        is_written = self.store.complete(outcome.key, analysis, status=outcome.status, series=relative, **details)
        return replace(outcome, regime=regime.get("regime", -1)) if is_written else self._recall(subject)

    def fail(self, subject: Subject, outcome: Outcome, *, closes: bool) -> Outcome:
        """Write why a unit has no analysis (not yet, unless it `closes`); return the outcome that is in Tiled."""
        status, reason = "failed" if closes else "growing", subject.problem or "unknown"
        details = self._details(subject, outcome)
        is_written = self.store.fail(outcome.key, reason, status=status, retake=subject.retake or None, **details)
        return replace(outcome, status=status, reason=reason) if is_written else self._recall(subject)

    def give_up(self, subject: Subject, reason: str) -> None:
        """Write a failed result, even for a unit that has not begun. If its run comes again, it is analysed again."""
        with suppress(httpx.HTTPStatusError, KeyError):  # other errors of httpx: Tiled is away, the run is kept
            try:
                self.store.fail(subject.key, reason, retake=True)
            except KeyError:
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
        key = result_key(series_identity(f"{unit.key}={value}"), self.technique.parameters)
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
            "run_time": _time(start.get("time")),
            "suggestion_id": _typed(start.get("suggestion_id"), str) or None,
            "start": start_metadata(start, self.wanted),
        }
        known: dict[str, Any] = {
            "raw_uid": run.uid,
            "raw_path": f"raw/{run.uid}",
            "event": subject.event,
            "series_id": subject.series_id,
            "technique": self.technique.name,
            "agent": self.agent,
            "parameters": dict(self.technique.parameters),
        }
        try:
            record = ResultRecord(**known, **metadata)
        except ValidationError as error:
            odd = {str(e["loc"][0]) for e in error.errors() if e["loc"]} or {*metadata}
            record = ResultRecord(**known, **{name: value for name, value in metadata.items() if name not in odd})
        for name, attribute in {"scan_id": "scan_id", "time": "run_time", "suggestion_id": "suggestion_id"}.items():
            if _is_given(start.get(name)) and getattr(record, attribute) is None:
                logger.warning("run %s: its %s is left out: %s", run.uid, name, _shown(start[name]))
                break
        return record

    def _details(self, subject: Subject, outcome: Outcome) -> dict[str, Any]:
        """Return the fields of the record that are known once the unit has ended."""
        details: dict[str, Any] = {
            "positions": outcome.positions,
            "summary": {name: subject.value(key) for name, key in self.wanted.readings.items()},
            "units": dict(self.wanted.units),
        }
        if subject.event is not None:
            details["event_time"] = _time(subject.run.event_time(subject.event))
        if subject.series_id:
            details["raw_uids"] = [run.uid for run in subject.runs]
        return details

    def _recall(self, subject: Subject) -> Outcome:
        """Return the outcome that is in Tiled."""
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

    def _rebuild(self, subject: Subject, uids: list[str]) -> Subject | None:
        """Return a series that grew in an earlier session, after its runs are analysed again from Tiled."""
        series = Subject(subject.key, [], series_id=subject.series_id)
        for uid in uids:
            if self.raw is None or uid not in self.raw:
                logger.warning("series %s goes on without run %s, which is not in Tiled", subject.series_id, uid)
                continue
            run = self.new_run()
            for name, doc in documents_of(self.raw[uid]):
                run(name, doc)
            if series.runs:
                series.go_on(run)
            else:
                series.runs.append(run)
            _replay(self.technique, series)
            run.close()
        return series if series.runs else None


def is_refused(error: Exception) -> bool:
    """Return whether Tiled refuses a request because of its content: then waiting does not help."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code in REFUSALS


def start_metadata(start: Mapping[str, Any], wanted: Wanted) -> dict[str, bool | int | float | str]:
    """Return the usual metadata of a start document and those `wanted`, by name.

    A key with dots reads nested mappings. A mapping counts as its ``name``, a list as its items. A name that the
    result uses for a reading or a position is left out.
    """
    keys_of = USUAL | {name: (key,) for name, key in wanted.start.items()}
    taken = {*wanted.positions, *wanted.readings}
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


def _replay(technique: Technique, series: Subject) -> None:
    """Push the frames of a finished run again."""
    try:
        if series.analysis is None:
            series.analysis = begin(technique, series.info)
        else:
            series.analysis.next_run(series.info)
        for block in series.run.blocks(series.analysis.pixels, whole=Whole(series.analysis)):
            series.n_read += len(block)
            series.analysis.push(block)
    except (AnalysisError, ValueError) as error:
        logger.warning("series %s: run %s: %s", series.series_id, series.run.uid, error)


def _typed(value: Any, *kinds: type) -> Any:
    """Return a value of these types; None if it has another type."""
    return value if isinstance(value, kinds) and not isinstance(value, bool) else None


def _is_given(value: Any) -> bool:
    """Return whether a start document has a value; `bool` fails for arrays."""
    return value is not None and not (isinstance(value, str) and not value)


def _shown(value: Any) -> str:
    """Return a short text of any value."""
    try:
        return reprlib.repr(value)[:80]
    except ValueError:  # an integer with more digits than Python prints
        return f"of type {type(value).__name__}"


def _time(value: Any) -> float | None:
    """Return seconds since 1970; None if the value is not a number or later than a table can show."""
    value = _typed(value, int, float)
    return float(value) if value is not None and abs(value) <= LATEST_S else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
