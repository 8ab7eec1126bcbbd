"""Writes the result of each unit to Tiled: that it is being analysed, and its analysis or the reason for none."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tiled.client.container import Container

from ainerd.config import Detector
from ainerd.documents import Run, RunReader, Whole, documents_of
from ainerd.results import FINAL, Gone, Result, ResultRecord, ResultStore, TiledError
from ainerd.runs._patience import Patience
from ainerd.runs._recorded import RecordedKeys, access_tags, start_metadata, time_of, typed
from ainerd.runs._unit import Unit
from ainerd.technique import Analysis, AnalysisError, Series, Technique
from ainerd.words import run_text, utc_now

logger = logging.getLogger(__name__)

OF_NUMBERS = ("flags", "frame_number", "ticks", "pixel_order")  # settings of the detector that change its results


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
    _growing: dict[str, Unit] = field(default_factory=dict)  # series by key
    _missing: set[str] = field(default_factory=set)  # recorded data that a run did not have

    @cached_property
    def patience(self) -> Patience:
        """Repeats `begin` and `write` while Tiled does not answer."""
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
        start, stop = run.metadata["start"], run.metadata.get("stop")
        files = self.technique.files_digest(start)
        n_results = done.get(ResultRecord.identity_of(start["uid"], files_digest=files), 0)
        if self.technique.unit != "event":
            return n_results > 0
        if not (n_results and stop):
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

    def unit(self, run: Run, event: int | None) -> Unit:
        """Return the unit that a run belongs to, by the technique's `unit`; `event` is the number of the event."""
        kind, series_id = self.technique.unit, None
        if event is None and isinstance(kind, Series) and kind.key in run.start_doc:
            series_id = f"{kind.key}={run.start_doc[kind.key]}"
        files = self.technique.files_digest(run.start_doc) if series_id is None else ""
        key = ResultRecord.key_of(self.parameters, run.uid, event, series_id, files)
        return Unit(key, [run], event, series_id, files or None)

    def begin(self, unit: Unit) -> Unit:
        """Mark a unit as computing in Tiled and return it, with its result if it has one.

        A series continues where it was.
        """
        if unit.series_id is None:
            if self.store.take(self._record(unit)) is not None:
                unit.known = self._known(unit, self.store.record(unit.key))
            return unit
        growing = self._growing.get(unit.key)
        try:
            record = self.store.record(unit.key)
            status, uids = record.status, record.raw_uids or []
        except KeyError:
            status, uids = None, []
        if status in FINAL or (status == "growing" and unit.run.uid in uids):
            unit.known = self._known(unit, record)
            return unit
        if status == "growing" and (growing is None or {*uids} - {run.uid for run in growing.runs}):
            growing = self._rebuilt(unit, uids)  # another session added runs
        if growing is None:
            self.store.begin(self._record(unit))
            return unit
        growing.go_on(unit.run)
        return growing

    def result(self, unit: Unit) -> Result:
        """Return the result of a unit before its analysis: where and by which suggestion it was taken."""
        start = unit.run.start_doc
        return Result(
            raw_uid=unit.run.uid,
            key=unit.key,
            trial_id=typed(start.get("suggestion_id"), str) or unit.key,
            status="computing",
            positions=self._positions(unit),
            scan_id=typed(start.get("scan_id"), int),
            event=unit.event,
            n_events=_n_events(unit),
            file=typed(start.get("file"), str) or "",
        )

    def write(self, unit: Unit, analysis: Analysis | None, *, closes: bool) -> Result:
        """Write the analysis of a unit, or why it has none (yet, unless it `closes`); return the result in Tiled."""
        event, details = unit.event, dict[str, Any]()
        exposed, early_s = unit.run.exposure_time(event) if event else (None, None)
        about: dict[str, Any] = {
            "positions": self._positions(unit),
            "summary": {name: unit.value(key) for name, key in self.recorded.readings.items()},
            "units": dict(self.recorded.units),
            "event_time": event and time_of(unit.run.event_time(event)),
            "exposure_time": time_of(exposed),
            "exposure_time_err": None if time_of(exposed) is None else early_s,
            "raw_uids": [run.uid for run in unit.runs] if unit.series_id else None,
        }
        if analysis is None:
            about |= {"status": "failed" if closes else "growing", "retake": unit.retake or None}
            record = self.store.fail(unit.key, unit.problem or "unknown", **about)
        else:
            frame_time_s = analysis.frame_time_s or unit.run.described.frame_time_s
            about |= {"status": analysis.status if closes else "growing", "series": self._series(unit)}
            about |= {"n_frames": analysis.n_frames or unit.n_taken, "frame_time_s": frame_time_s}
            about["awaits_regime"] = utc_now() if self.has_campaign else None
            self._warn_of_missing({**about["summary"], **dict.fromkeys(self.recorded.series), **about["series"]}, unit)
            record = self.store.complete(unit.key, analysis, **about)
            details["exposure_s"] = frame_time_s and (analysis.n_frames or unit.n_passed) * frame_time_s
        if unit.series_id and not closes:
            self._growing[unit.key] = unit
        else:
            self._growing.pop(unit.key, None)
        if record is None:
            return self._known(unit, self.store.record(unit.key))
        of_run = self.result(unit)  # the record of a series names its first run
        details |= {"trial_id": of_run.trial_id, "scan_id": of_run.scan_id}
        details["reason"] = unit.problem or record.reason or ""
        return replace(self._result(unit, record), is_recalled=False, **details)

    def _warn_of_missing(self, values: Mapping[str, object], unit: Unit) -> None:
        """Log each recorded reading and series that a run does not have, once."""
        missing = [name for name, value in values.items() if value is None and name not in self._missing]
        if missing:
            keys, scan = {**self.recorded.series, **self.recorded.readings}, run_text(self.result(unit).names)
            without = ", ".join(keys[name] for name in missing)
            text = "%s has no reading of %s, so its result has no %s; does the plan read these devices?"
            logger.warning(text, scan, without, ", ".join(missing))
        self._missing.update(missing)

    def lose(self, unit: Unit) -> Result:
        """Return the failed result of a unit that Tiled does not accept.

        Its problem is written, even if the unit has not begun. If its run comes again, it is analysed again.
        """
        reason = unit.problem or "unknown"
        with suppress(TiledError):
            try:
                self.store.fail(unit.key, reason, retake=True)
            except Gone:
                self.store.begin(self._record(unit))
                self.store.fail(unit.key, reason, retake=True)
        self._growing.pop(unit.key, None)
        return replace(self.result(unit), status="failed", reason=reason, is_in_tiled=False)

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

    def _record(self, unit: Unit) -> ResultRecord:
        """Return the record of a unit that begins, without metadata of the run that have another type than expected."""
        run, start = unit.run, unit.run.start_doc
        replaced = typed(start.get("replaces"), str)  # the run of an earlier content of the same file
        former = ResultRecord.key_of(self.parameters, replaced, unit.event) if replaced else None
        record = ResultRecord(
            raw_uid=run.uid,
            raw_path=f"raw/{run.uid}",
            scan_id=typed(start.get("scan_id"), int),
            run_time=time_of(start.get("time")),
            suggestion_id=typed(start.get("suggestion_id"), str) or None,
            start=start_metadata(start, self.recorded),
            event=unit.event,
            n_events=_n_events(unit),
            series_id=unit.series_id,
            access_tags=access_tags(start.get("tiled_access_tags")),
            technique=self.technique.name,
            agent=self.agent,
            parameters=self.parameters,
            files_digest=unit.files_digest,
            supersedes=former if former is not None and self.store.status(former) in FINAL else None,
        )
        for name, attribute in {"scan_id": "scan_id", "time": "run_time", "suggestion_id": "suggestion_id"}.items():
            if start.get(name) is not None and getattr(record, attribute) is None:
                logger.warning("run %s: its %s is left out, a %s", run.uid, name, type(start[name]).__name__)
        return record

    def _positions(self, unit: Unit) -> dict[str, float]:
        readings = {name: unit.run.reading(name, unit.event) for name in self.recorded.positions}
        return {name: x for name, x in readings.items() if x is not None}

    def _series(self, unit: Unit) -> dict[str, object]:
        """Return times, in seconds since the start of the unit, and values of each series that has any, by name."""
        series = {name: unit.series(key) for name, key in self.recorded.series.items()}
        began = time_of(unit.runs[0].start_doc.get("time"))
        if began is None:
            began = min((t[0] for t, _ in series.values() if t.size), default=0.0)
        return {name: (t - began, y) for name, (t, y) in series.items() if t.size}

    def _result(self, unit: Unit, record: ResultRecord) -> Result:
        return Result.of_record(record, raw_uid=unit.run.uid, is_of_another=record.agent != self.agent)

    def _known(self, unit: Unit, record: ResultRecord) -> Result:
        """Return the result of a unit that is in Tiled; a failed one for a run that is not in a closed series."""
        result = self._result(unit, record)
        if not unit.series_id or unit.run.uid in (record.raw_uids or ()):
            return result
        reason = f"series {unit.series_id} is closed: the run is not in it, give it another name"
        logger.warning("run %s: %s", unit.run.uid, reason)
        return replace(result, status="failed", reason=reason, is_in_tiled=False)

    def _rebuilt(self, unit: Unit, uids: list[str]) -> Unit | None:
        """Return a series that grew in an earlier session, after its runs are analysed again from Tiled."""
        series = Unit(unit.key, [], series_id=unit.series_id)
        for uid in uids:
            if self.raw is None or uid not in self.raw:
                logger.warning("series %s goes on without run %s, which is not in Tiled", unit.series_id, uid)
                continue
            run = self.new_run()
            for name, doc in documents_of(self.raw[uid]):
                run(name, doc)
            series.go_on(run)
            try:
                series.begin(self.technique)
                assert series.analysis is not None
                for block in run.blocks(series.analysis.pixels, whole=Whole(series.analysis)):
                    series.push(block)
            except (AnalysisError, ValueError) as error:
                logger.warning("series %s: run %s: %s", unit.series_id, run.uid, error)
            run.close()
        return series if series.runs else None


def parameters_of(technique: Technique, detector: Detector) -> dict[str, Any]:
    """Return the parameters of a technique's results: its own, and the settings of the detector that change numbers."""
    given = {name: getattr(detector, name) for name in OF_NUMBERS}
    return {**technique.parameters, **{f"detector.{name}": value for name, value in given.items() if value}}


def _n_events(unit: Unit) -> int | None:
    """Return how many events the run announced, where the unit is the event."""
    return None if unit.event is None else typed(unit.run.start_doc.get("num_points"), int)
