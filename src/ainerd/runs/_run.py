"""One run on its way from documents to a result in Tiled."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.documents import DetectorKeys, Document, FrameError, Run
from ainerd.results import ResultRecord, ResultStore
from ainerd.runs._outcome import Listener, Outcome, Wanted
from ainerd.runs._spool import Unwritten
from ainerd.technique import Analysis, AnalysisError, RunAnalysis, RunInfo, Technique

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What every run is handled with."""

    technique: Technique
    store: ResultStore
    keys: DetectorKeys
    wanted: Wanted
    roots: tuple[Path, ...]
    listener: Listener
    agent: str
    unwritten: Unwritten
    raw: Container | None  # where frames are asked for that are in no file here
    late_s: float  # how long after the end of a run frames may come


class WatchedRun:
    """One run on its way: collects its documents, feeds its analysis, writes its result."""

    def __init__(self, job: Job, resolve: Callable[[str, Outcome | None], None]) -> None:
        self._job, self._resolve = job, resolve
        self._documents: list[Document] = []
        self._has_died = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.run = Run(self._job.keys, self._job.roots, self._job.raw)
        self._key: str | None = None  # set once the run is known to have frames for us
        self._analysis: RunAnalysis | None = None
        self._problem: str | None = None
        self._recalled: Outcome | None = None
        self._is_unwritten = False  # whether Tiled does not take it

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        self._documents.append((name, doc))
        try:
            self._take(name, doc)
        except BaseException as err:
            if isinstance(err, Exception) and not isinstance(err, MemoryError):
                raise
            self._outlive(err, name)

    def _outlive(self, err: BaseException, name: str) -> None:
        """What would end the worker: the run is analysed once more from its start, then given up."""
        logger.error("the analysis of run %s died", self.run.uid, exc_info=err)
        self.run.close()
        if self._has_died:
            self._problem = f"the analysis died twice, of {type(err).__name__}: {err}"
            if name == "stop":
                self._end()
            return
        self._has_died = True
        self._begin_anew()
        documents, self._documents = self._documents, []
        for document in documents:
            self(*document)

    def _take(self, name: str, doc: dict[str, Any]) -> None:
        self.run(name, doc)
        if self.run.has_frames and self._problem is None:
            try:
                if self._key is None:
                    self._begin()
                if self._analysis is not None and name in ("event", "event_page", "stream_datum", "stop"):
                    wait_s = self._wait_s(doc["time"]) if name == "stop" else None
                    for block in self.run.blocks(self._analysis.pixels, wait_s=wait_s):
                        self._analysis.push(block)
                if name == "stop" and self._recalled is None:
                    self._check_whole()
            except (AnalysisError, FrameError, ValueError) as err:
                self._problem = str(err)
            except (ClientError, httpx.HTTPError) as err:
                self._set_aside(err)
            except MemoryError:
                raise
            except Exception as err:  # a mistake of ours is no reason to lose the run's record
                logger.exception("while analysing run %s", self.run.uid)
                self._problem = f"{type(err).__name__}: {err}"
        if name == "stop":
            self._end()

    def _end(self) -> None:
        self.run.close()
        self._resolve(self.run.uid, self._conclude() if self.run.has_frames else None)

    @property
    def progress(self) -> tuple[int, int] | None:
        """Frames read and announced; None before frames are announced."""
        return (self.run.n_read, self.run.n_frames) if self._analysis is not None else None

    def _set_aside(self, why: object) -> None:
        self._is_unwritten, self._problem = True, f"Tiled does not take results, the run is kept until it does: {why}"

    def _begin(self) -> None:
        run, job = self.run, self._job
        if job.unwritten.is_away:
            self._set_aside("it did not answer before")
            return
        record = ResultRecord(
            raw_uid=run.uid,
            raw_path=f"raw/{run.uid}",
            scan_id=run.start_doc.get("scan_id"),
            run_time=run.start_doc["time"],
            suggestion_id=run.start_doc.get("suggestion_id"),
            technique=job.technique.name,
            agent=job.agent,
            parameters=dict(job.technique.parameters),
        )
        self._key = record.key
        if job.store.status(record.key) == "complete":
            self._recalled = self._recall()
            return
        job.store.begin(record)
        self._analysis = job.technique.begin(
            RunInfo(
                raw_uid=run.uid,
                n_frames=run.n_frames,
                frame_shape=run.frame_shape,
                frame_time_s=run.frame_time_s,
            )
        )
        job.store.expect(self._key, self._analysis.layouts)

    def _wait_s(self, ended: float) -> float:
        """How long to wait for frames: they are late until some seconds after their run, by any clock."""
        return min(max(ended + self._job.late_s - time.time(), 0.0), self._job.late_s)

    def _check_whole(self) -> None:
        run = self.run
        if run.n_read != run.n_frames:
            status = run.stop_doc.get("exit_status", "unknown")
            raise AnalysisError(f"the run ended ({status}) with {run.n_read} of {run.n_frames} frames")

    def _conclude(self) -> Outcome:
        """The outcome, once it is in Tiled; a failed one, whatever went wrong on the way."""
        outcome = self._recalled or self._outcome()
        if self._is_unwritten:
            return self._keep(outcome)
        try:
            analysis = None
            if self._problem is None and self._analysis is not None:
                try:
                    analysis = self._analysis.finish()
                except (AnalysisError, ValueError) as err:
                    self._problem = str(err)
            if self._recalled is None:
                outcome = self._write(outcome, analysis)
            self._job.listener.absorb(outcome)
        except (ClientError, httpx.HTTPError) as err:
            self._set_aside(err)
            return self._keep(outcome)
        except MemoryError:
            raise
        except Exception as err:
            logger.exception("run %s is not concluded", self.run.uid)
            outcome = replace(outcome, status="failed", reason=f"{type(err).__name__}: {err}")
            with suppress(ClientError, httpx.HTTPError, KeyError):
                self._job.store.fail(outcome.key, outcome.reason)
        return outcome

    def _keep(self, outcome: Outcome) -> Outcome:
        """The run on disk, until Tiled takes its result."""
        logger.warning("run %s: %s", self.run.uid, self._problem)
        self._job.unwritten.keep(self.run.uid, self._documents)
        return replace(outcome, status="failed", reason=self._problem or "")

    def _write(self, outcome: Outcome, analysis: Analysis | None) -> Outcome:
        job, run = self._job, self.run
        facts: dict[str, Any] = {
            "positions": outcome.positions,
            "summary": {name: run.reading(key) for name, key in job.wanted.readings.items()},
            "units": dict(job.wanted.units),
        }
        if analysis is None:
            reason = self._problem or "unknown"
            is_kept = job.store.fail(outcome.key, reason, **facts)
            return replace(outcome, status="failed", reason=reason) if is_kept else self._recall()
        facts |= {"n_frames": run.n_frames, "frame_time_s": run.frame_time_s}
        outcome = replace(
            outcome,
            embedding=analysis.embedding,
            novelty_p=analysis.novelty_p,
            novel=analysis.novel,
            age_s=_number(facts["summary"].get(job.wanted.age)),
            exposure_s=run.n_frames * run.frame_time_s,
        )
        placed = job.listener.assign(outcome)
        series = {name: run.series(key) for name, key in job.wanted.series.items()}
        relative = {name: (t - run.start_doc["time"], y) for name, (t, y) in series.items() if t.size}
        is_kept = job.store.complete(outcome.key, analysis, series=relative, **facts, **placed)
        return replace(outcome, regime=placed.get("regime", -1)) if is_kept else self._recall()

    def _outcome(self) -> Outcome:
        run, key = self.run, self._key or self.run.uid
        readings = {name: run.reading(name) for name in self._job.wanted.positions}
        return Outcome(
            raw_uid=run.uid,
            key=key,
            trial_id=run.start_doc.get("suggestion_id") or key,
            status="complete",
            positions={name: x for name, x in readings.items() if x is not None},
        )

    def _recall(self) -> Outcome:
        record = self._job.store.record(self._key or "")
        return Outcome(
            raw_uid=record.raw_uid,
            key=record.key,
            trial_id=record.suggestion_id or record.key,
            status="complete",
            positions=record.positions,
            embedding=None if record.embedding is None else np.array(record.embedding, np.float32),
            novelty_p=record.novelty_p,
            novel=record.novel,
            regime=-1 if record.regime is None else record.regime,
            age_s=_number(record.summary.get(self._job.wanted.age)),
            is_recalled=True,
        )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
