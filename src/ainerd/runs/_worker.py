"""Documents in, results out: analyses runs while their frames arrive, and again if that fails for a passing reason."""

import logging
import resource
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import numpy as np

from ainerd.documents import Document, checked
from ainerd.jobs import Job, Jobs, activity
from ainerd.processes import release_memory
from ainerd.runs._routes import REFERS, Routes
from ainerd.runs._run import RunState
from ainerd.runs._spool import Spool
from ainerd.runs._writer import Subject, Writer, is_refused
from ainerd.technique import Outcome, Series

logger = logging.getLogger(__name__)

MOST_FUTURES = 1000  # runs whose outcomes are kept: plans ask for them soon
MOST_BYTES = 2**30  # memory that the documents of a run may take, for frames in events
BEHIND_S = 30.0  # a longer lag is logged
RELEASE_EVERY = 10  # runs after which freed memory is given back


class Worker:
    """A document callback that returns at once. The analysis runs in the thread of `jobs`.

    Parameters
    ----------
    jobs : Jobs
    writer : Writer
    spool : Spool
        Keeps runs whose results Tiled does not accept.
    begun : callable, optional
        Called with each unit that begins, as soon as its position is known.
    answer : callable, optional
        The campaign's answer to a result that is written: it returns the outcome with its regime.
    pass_on, after_writes : callable, optional
        Do a job later: in the thread of the campaign, and after what that has to write so far. Default: at once.
    late_s : float
        Time after the end of a run in which its frames may arrive.
    on_block : callable, optional
        Called in the thread of `jobs` with the unit in progress after each block of frames.

    Attributes
    ----------
    concluded : int
        Number of runs that got a result.
    current : RunState or None
        The run in progress; None between runs.
    """

    def __init__(
        self,
        jobs: Jobs,
        writer: Writer,
        spool: Spool,
        *,
        begun: Callable[[Outcome], object] = lambda outcome: None,
        answer: Callable[[Outcome], Outcome] = lambda outcome: outcome,
        pass_on: Callable[[Job], object] = lambda job: job(),
        after_writes: Callable[[Job], object] = lambda job: job(),
        late_s: float = 0.0,
        on_block: Callable[[Subject], None] = lambda subject: None,
    ) -> None:
        self._jobs, self._writer, self._spool = jobs, writer, spool
        self._answer, self._pass_on, self._after_writes = answer, pass_on, after_writes
        self._new_state = partial(
            RunState, writer, late_s=late_s, on_block=on_block,
            on_begun=lambda outcome: pass_on(partial(begun, outcome)),
        )  # fmt: skip
        self._on_outcome: list[Callable[[Outcome], None]] = []
        self._futures: dict[str, Future[list[Outcome]]] = {}
        self._open_runs: dict[str, Delivery] = {}  # by uid of the start document
        self._routes = Routes()
        self._ended = set[str]()  # uids of the runs that `backlog` counts
        self.current: RunState | None = None
        self._since: float | None = None  # when the document in hand came
        self._is_behind = False
        self.concluded = 0
        self._last_run: str | None = None  # uid
        jobs.when_idle(self.analyse_kept)

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document and return at once."""
        if name == "start" and isinstance(uid := doc.get("uid"), str):
            if uid not in self._futures or self._futures[uid].done():  # if a run comes twice, its future stays
                self._futures[uid] = Future()
            if (n_old := len(self._futures) - MOST_FUTURES) > 0:
                for old in [old for old, future in self._futures.items() if future.done()][:n_old]:
                    del self._futures[old]
        elif name == "stop" and isinstance(uid := doc.get("run_start"), str):
            if uid in self._futures and not self._futures[uid].done():
                self._ended.add(uid)
        self._jobs.submit(partial(self._take, name, doc, time.monotonic()))

    def on_outcome(self, listener: Callable[[Outcome], None]) -> None:
        """Call a function, in the thread of the campaign, with each outcome once its result has its regime."""
        self._on_outcome.append(listener)

    def outcomes(self, raw_uid: str) -> "Future[list[Outcome]]":
        """Return the future of the outcomes of a run, one for each unit; empty for a run without frames.

        Raises KeyError before the start document has arrived.
        """
        return self._futures[raw_uid]

    @property
    def progress(self) -> tuple[int, int | None] | None:
        """Frames read and expected of the run in progress; None between runs."""
        state = self.current  # which another thread may change
        return None if state is None else state.progress

    @property
    def backlog(self) -> int:
        """Number of runs that have ended and whose results are not written yet."""
        return len(self._ended)

    def health(self) -> dict[str, Any]:
        """Return whether the worker is alive, its backlog (runs), kept runs, lag (s), and the peak memory (MB)."""
        since = self._since
        return {
            "worker": "alive" if self._jobs.is_alive else "dead",
            "backlog": self.backlog,
            "kept": len(self._spool.paths()),
            "lag_s": 0.0 if since is None else time.monotonic() - since,
            "concluded": self.concluded,
            "last_run": self._last_run,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    def close_series(self, value: str) -> "Future[bool]":
        """Close a series once earlier documents are done; the future tells whether it grew.

        Raises ValueError if the technique's unit is not a series.
        """
        technique = self._writer.technique
        if not isinstance(technique.unit, Series):
            raise ValueError(f"technique {technique.name} has no series of runs: there is nothing to close")
        return self._jobs.submit(partial(self._writer.close_series, value))

    def close(self, timeout_s: float = 60.0) -> None:
        """Do the waiting jobs, close the files of runs in progress, and end the thread.

        The jobs are left if a step goes on that takes long, such as a calibration.
        """
        self._jobs.when_idle(None)
        self._jobs.submit(self._let_go)
        self._jobs.submit(self._spool.close)
        self._jobs.close(timeout_s, is_slow=partial(activity, 0.0))

    def analyse_kept(self) -> None:
        """Analyse the runs in the spool again, in order, if Tiled answers. Called in the worker's thread."""
        for path in self._spool.waiting():
            delivery = self._begin(is_kept=True)
            try:
                for name, doc in self._spool.documents(path):
                    self._deliver(delivery, name, dict(doc))
                if self._spool.is_away:  # this run stays
                    if delivery.has_answer and self._spool.is_stuck(path):
                        continue
                    return
                self._spool.remove(path)
            except ValueError as error:
                self._spool.set_aside(path, f"{path} cannot be analysed ({type(error).__name__}: {error})")
            except Exception as error:  # such as a disk that does not answer: the file may be whole
                self._spool.try_later(path, error)
            finally:
                self.current = None

    def _let_go(self) -> None:
        for delivery in self._open_runs.values():  # the next session, or another agent, analyses them
            delivery.state.run.close()
        self._open_runs.clear()  # these and the listeners refer to the worker: without them it is freed at once
        self._pass_on(self._on_outcome.clear)

    def _take(self, name: str, doc: Any, since: float) -> None:
        """Pass a document to its run. The worker survives any error."""
        try:
            if name == "start":
                self.analyse_kept()
            self._since = since
            self._warn_if_behind(time.monotonic() - since)
            for delivery in self._runs_of(name, doc):
                self._deliver(delivery, name, doc)
        except BaseException as error:
            with suppress(Exception):  # the log message shows parts of the document
                _log_error(name, doc, error)
        finally:
            self._since = None

    def _runs_of(self, name: str, doc: Mapping[str, Any]) -> "list[Delivery]":
        """Return the runs that a document belongs to. Raises KeyError if it names a document that has not arrived."""
        if name == "start" and doc["uid"] in self._open_runs:
            raise ValueError(f"the start document of run {doc['uid']} came twice")
        starts = self._routes.of(name, doc)
        if not starts:
            raise KeyError(doc.get(REFERS.get(name, "uid")))
        if name == "start":
            self._open_runs[doc["uid"]] = self._begin()
        return [self._open_runs[start] for start in starts if start in self._open_runs]

    def _begin(self, *, is_kept: bool = False) -> "Delivery":
        self.current = self._new_state()
        return Delivery(self._writer, self._spool, self.current, is_kept=is_kept)

    def _deliver(self, delivery: "Delivery", name: str, doc: dict[str, Any]) -> None:
        """Pass a document to its run, and new outcomes to the campaign, the listeners and the futures."""
        n_before = len(delivery.state.outcomes)
        try:
            delivery(name, doc)
        finally:  # a plan may wait for the outcomes, whatever went wrong
            if name == "stop":
                self.current = None
                self._open_runs.pop(delivery.state.run.uid, None)
            if new := delivery.state.outcomes[n_before:]:
                self._pass_on(partial(self._conclude, delivery.answered, new))
            if name == "stop":
                resolve = partial(self._resolve, delivery.state.run.uid, delivery.answered)
                self._pass_on(partial(self._after_writes, resolve))

    def _conclude(self, answered: list[Outcome], new: list[Outcome]) -> None:
        """Let the campaign answer new outcomes, and pass them to the listeners. In the thread of the campaign."""
        for outcome in new:
            try:
                answered.append(self._answer(outcome) if outcome.is_in_tiled else outcome)
            except Exception:  # the next start answers it
                logger.exception("the result of run %s has no regime", outcome.raw_uid)
                answered.append(outcome)
            for listener in self._on_outcome:
                try:
                    listener(answered[-1])
                except Exception:  # a display must not cost a run
                    logger.exception("error in a listener to run %s", outcome.raw_uid)

    def _resolve(self, raw_uid: str, outcomes: list[Outcome]) -> None:
        self._ended.discard(raw_uid)
        if outcomes:
            self.concluded, self._last_run = self.concluded + 1, raw_uid
            if self.concluded % RELEASE_EVERY == 0:
                release_memory()
        future = self._futures.get(raw_uid)
        if future is not None and not future.done():
            future.set_result(outcomes)

    def _warn_if_behind(self, lag_s: float) -> None:
        """Log once when the analysis falls behind the runs, and once when it has caught up."""
        if lag_s > BEHIND_S and not self._is_behind:
            why = activity(lag_s) or "frames come faster than they are analysed"
            logger.warning("the analysis is %.0f s behind, nothing is left out: %s", lag_s, why)
            self._is_behind = True
        elif lag_s < BEHIND_S / 10 and self._is_behind:
            logger.info("the analysis has caught up with the runs")
            self._is_behind = False


class Delivery:
    """One run from its first document to its last. The documents are kept until the results are written.

    If the analysis dies, the next start repeats it. If Tiled does not accept a result, the run goes to the spool.
    `is_kept` is whether the run comes from the spool.
    """

    def __init__(self, writer: Writer, spool: Spool, state: RunState, *, is_kept: bool) -> None:
        self._writer, self._spool, self._is_kept, self.state = writer, spool, is_kept, state
        self.answered: list[Outcome] = []  # by the campaign
        self._documents: list[Document] = []
        self._n_bytes = 0
        self._refusal: str | None = None  # why Tiled does not accept the run
        self.has_answer = False  # whether Tiled answered when it refused the run
        self._given_up: str | None = None  # why its analysis ended

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take a document, and keep it for the spool, unless the run is too large."""
        data = doc.get("data") if name in ("event", "event_page") else None
        if isinstance(data, Mapping):
            self._n_bytes += sum(map(_n_bytes, data.values()))
        if self._is_large:
            self._documents.clear()
        else:
            self._documents.append((name, doc))
        self._analyse(name, doc)
        if name == "stop":
            self._finish()

    @property
    def _is_large(self) -> bool:
        return self._n_bytes > MOST_BYTES

    def _analyse(self, name: str, doc: dict[str, Any]) -> None:
        run = self.state.run
        if self._refusal is not None or self._given_up is not None:
            with suppress(Exception):  # only the end of the run matters now
                run(name, doc)
        elif self._spool.is_away:
            with suppress(Exception):  # raised again when the run is analysed
                run(name, doc)
            self._refusal = "it has not answered since an earlier run" if run.has_frames else None
        else:
            try:
                self.state(name, doc)
            except BaseException as error:
                self._writer.forget()
                if isinstance(error, httpx.HTTPError) and not is_refused(error):
                    self._refusal, self.has_answer = str(error), isinstance(error, httpx.HTTPStatusError)
                else:  # a bug of ours, or of the technique, must not cost the run's record
                    logger.exception("error in the analysis of run %s", run.uid)
                    self._given_up = f"{type(error).__name__}: {error}"

    def _finish(self) -> None:
        """Write a failed result if the analysis has ended early, and keep the run if Tiled does not accept it."""
        run, outcomes = self.state.run, self.state.outcomes
        run.close()
        if self._given_up is not None and run.has_frames:
            try:
                subject = Subject.of_run(self._writer, run, self.state.event)
                subject.problem, subject.retake = self._given_up, True
                outcomes.append(self.state.conclude(subject, None, closes=True))
            except httpx.HTTPError as error:
                self._refusal = str(error)
            except Exception:  # such as an error in the technique's parameters, without which a result has no key
                logger.exception("run %s has no result", run.uid)
                outcomes.append(self._failed(self._given_up))
        if self._refusal is not None:
            outcomes.append(self._keep(self._refusal))

    def _keep(self, reason: str) -> Outcome:
        if self._is_large:
            reason = f"Tiled did not accept its result, and it is too large to be kept (see `ainerd replay`): {reason}"
        elif self._is_kept or self._spool.keep(self.state.run.uid, self._documents):
            self._spool.is_away = True
            reason = f"Tiled does not take results, the run is kept until it does: {reason}"
        else:
            reason = f"Tiled does not take results, and the run could not be kept (see `ainerd replay`): {reason}"
        logger.warning("run %s: %s", self.state.run.uid, reason)
        return self._failed(reason)

    def _failed(self, reason: str) -> Outcome:
        """Return the outcome of a run that has no result in Tiled."""
        outcome = self._writer.outcome(self.state.run, self.state.run.uid)
        return replace(outcome, status="failed", reason=reason, is_in_tiled=False)


def _n_bytes(value: Any) -> int:
    """Return roughly the memory of a value of an event; a page has lists of them."""
    if isinstance(value, list):
        return sum(map(_n_bytes, value))
    return value.nbytes if isinstance(value, np.ndarray) else 32


def _log_error(name: str, doc: Mapping[str, Any], error: BaseException) -> None:
    """Log an error. The log has one line if the document is invalid or belongs to an unknown run."""
    try:
        checked(name, doc)
    except ValueError as invalid:
        logger.warning("left out: %s", invalid)
        return
    if isinstance(error, KeyError):
        logger.warning("left out: a %s document that refers to %s, which has not arrived", name, error)
    else:
        logger.error("error in a %s document", name, exc_info=error)
