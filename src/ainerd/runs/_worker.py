"""Documents in, results out: analyses runs while their frames arrive."""

import logging
import resource
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from ainerd.documents import checked
from ainerd.jobs import Job, Jobs, activity
from ainerd.processes import release_memory
from ainerd.results import Result
from ainerd.runs._run import RunInProgress
from ainerd.runs._unit import Unit
from ainerd.runs._writer import Writer
from ainerd.technique import Series
from ainerd.words import number_of

logger = logging.getLogger(__name__)

# The key with which each kind of document names another one of its run, and the kinds that others name.
REFERS = {
    **dict.fromkeys(("descriptor", "stop", "resource", "stream_resource"), "run_start"),
    **dict.fromkeys(("event", "event_page"), "descriptor"),
    **dict.fromkeys(("datum", "datum_page"), "resource"),
    "stream_datum": "stream_resource",
}
OWNERS = ("descriptor", "resource", "stream_resource")
MOST_FUTURES = 1000  # runs whose outcomes are kept: plans ask for them soon
RELEASE_EVERY = 10  # runs after which freed memory is given back


class Worker:
    """A document callback that returns at once. The analysis runs in the thread of `jobs`.

    Parameters
    ----------
    jobs : Jobs
    writer : Writer
    begun : callable, optional
        Called with each unit that begins, as soon as its position is known.
    answer : callable, optional
        The campaign's answer to a result that is written: it returns the outcome with its regime.
    steers : callable, optional
        Returns whether this session may write results. If not, runs are left to another session.
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
    n_left : int
        Number of runs whose results Tiled did not take.
    current : RunInProgress or None
        The run in progress; None between runs.
    """

    def __init__(
        self,
        jobs: Jobs,
        writer: Writer,
        *,
        begun: Callable[[Result], object] = lambda outcome: None,
        answer: Callable[[Result], Result] = lambda outcome: outcome,
        steers: Callable[[], bool] = lambda: True,
        pass_on: Callable[[Job], object] = lambda job: job(),
        after_writes: Callable[[Job], object] = lambda job: job(),
        late_s: float = 0.0,
        on_block: Callable[[Unit], None] = lambda unit: None,
    ) -> None:
        self._jobs, self._writer = jobs, writer
        self._answer, self._pass_on, self._after_writes, self._steers = answer, pass_on, after_writes, steers
        self._new_run = partial(
            RunInProgress, writer, late_s=late_s, on_block=on_block,
            on_begun=lambda outcome: pass_on(partial(begun, outcome)),
        )  # fmt: skip
        self._on_outcome: list[Callable[[Result], object]] = []
        self._futures: dict[str, Future[list[Result]]] = {}
        self._open_runs: dict[str, RunInProgress | None] = {}  # by uid of each document; None for a run that was left
        self._ended = set[str]()  # uids of the runs that `backlog` counts
        self.current: RunInProgress | None = None
        self._since: float | None = None  # when the document in hand came
        self.concluded = 0
        self.n_left = 0
        self._last_run: str | None = None  # uid

    def __call__(self, name: str, doc: Mapping[str, object]) -> None:
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

    def on_outcome(self, listener: Callable[[Result], object]) -> None:
        """Call a function, in the thread of the campaign, with each outcome once its result has its regime."""
        self._on_outcome.append(listener)

    def outcomes(self, raw_uid: str) -> "Future[list[Result]]":
        """Return the future of the outcomes of a run, one for each unit; empty for a run without frames.

        Raises KeyError before the start document has arrived.
        """
        return self._futures[raw_uid]

    def knows(self, raw_uid: str) -> bool:
        """Return whether the start document of a run has arrived."""
        return raw_uid in self._futures

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
        """Return whether the worker is alive, its backlog (runs), its lag (s), and the peak memory (MB)."""
        since = self._since
        return {
            "worker": "alive" if self._jobs.is_alive else "dead",
            "backlog": self.backlog,
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
        self._writer.patience.end()
        self._jobs.submit(self._let_go)
        self._jobs.close(timeout_s, is_slow=partial(activity, 0.0))

    def _let_go(self) -> None:
        self._close_runs()  # these and the listeners refer to the worker: without them it is freed at once
        if self.n_left:
            runs = number_of(self.n_left, "run")
            logger.warning("Tiled took no result of %s: agent.catch_up() in the next session analyses them", runs)
        self._pass_on(self._on_outcome.clear)

    def _close_runs(self) -> None:
        """Close the runs in progress: the next session, or another agent, analyses them."""
        for run in filter(None, self._open_runs.values()):
            run.run.close()
        self._open_runs = dict.fromkeys(self._open_runs)

    def _leave_runs(self) -> None:
        """Leave all runs to the session that steers. Plans that wait for their outcomes get none."""
        self._close_runs()
        self.current = None
        self._writer.forget()
        self._ended.clear()
        for future in list(self._futures.values()):  # other threads add to them
            if not future.done():
                future.set_result([])

    def _take(self, name: str, doc: Any, since: float) -> None:
        """Pass a document to its run. The worker survives any error."""
        if not self._steers():
            self._leave_runs()
            return
        try:
            self._since = since
            if (run := self._run_of(name, doc)) is not None:
                self._deliver(run, name, doc)
        except BaseException as error:
            with suppress(Exception):  # the log message shows parts of the document
                _log_error(name, doc, error)
        finally:
            self._since = None

    def _run_of(self, name: str, doc: Mapping[str, Any]) -> RunInProgress | None:
        """Return the run of a document, unless it was left. Raises KeyError if the run has not begun here.

        `event_model.RunRouter` does this too, but it raises at empty pages and repeated documents, and packs events.
        """
        if name == "start":
            if self._open_runs.get(doc["uid"]) is not None:
                raise ValueError(f"the start document of run {doc['uid']} came twice")
            self.current = self._open_runs[doc["uid"]] = self._new_run()
            return self.current
        if (refers := doc[REFERS[name]]) not in self._open_runs:
            self._open_runs[refers] = None  # one line in the log is enough
            raise KeyError(refers)
        run = self._open_runs[refers]
        if name in OWNERS:
            self._open_runs[doc["uid"]] = self._open_runs.get(doc["uid"]) or run
        return run

    def _deliver(self, run: RunInProgress, name: str, doc: dict[str, object]) -> None:
        """Pass a document to its run, and new results to the campaign, the listeners and the futures."""
        n_before = len(run.results)
        try:
            run(name, doc)
        finally:  # a plan may wait for the results, whatever went wrong
            if name == "stop":
                self.current = None
                self._open_runs = {uid: of for uid, of in self._open_runs.items() if of is not run}
                self.n_left += run.is_left
            for at in range(n_before, len(run.results)):
                self._pass_on(partial(self._conclude, run.results, at))
            if name == "stop":
                resolve = partial(self._resolve, run.run.uid, run.results)
                self._pass_on(partial(self._after_writes, resolve))

    def _conclude(self, results: list[Result], at: int) -> None:
        """Let the campaign answer a result, in its thread, and pass it to the listeners with its regime."""
        try:
            results[at] = self._answer(results[at])
        except Exception:  # the next start answers it
            logger.exception("the result of run %s has no regime", results[at].raw_uid)
        for listener in self._on_outcome:
            try:
                listener(results[at])
            except Exception:  # a display must not cost a run
                logger.exception("error in a listener to run %s", results[at].raw_uid)

    def _resolve(self, raw_uid: str, results: list[Result]) -> None:
        self._ended.discard(raw_uid)
        if results:
            self.concluded, self._last_run = self.concluded + 1, raw_uid
            if self.concluded % RELEASE_EVERY == 0:
                release_memory()
        future = self._futures.get(raw_uid)
        if future is not None and not future.done():
            future.set_result(results)


def _log_error(name: str, doc: Mapping[str, object], error: BaseException) -> None:
    """Log an error. The log has one line if the document is invalid or belongs to an unknown run."""
    try:
        checked(name, doc)
    except ValueError as invalid:
        logger.warning("left out: %s", invalid)
        return
    if isinstance(error, KeyError):
        logger.warning("left out: a %s document that refers to %s, which has not arrived, and all like it", name, error)
    else:
        logger.error("error in a %s document", name, exc_info=error)
