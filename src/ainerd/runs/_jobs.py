"""Work that no error ends: a queue of jobs with its thread, and subscribers that never raise.

An exception of a subscriber ends the plan of a RunEngine.
"""

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial, wraps
from typing import Any, TypeVar, cast

logger = logging.getLogger(__name__)

IDLE_S = 1.0  # between two rounds of the idle jobs
LEAVE_S, LOOK_S = 5.0, 0.1  # at the end: shortest wait for slow jobs, pause between two looks
LONGEST = 200  # characters of an error in the log

T = TypeVar("T")
Job = Callable[[], Any]


class Jobs:
    """A queue of jobs, and the thread that does them; an error ends neither.

    Jobs may be submitted before `start`, from any thread; they wait until then. Those of one kind are done in order,
    and writes before all others.
    """

    def __init__(self, name: str = "ainerd-analysis") -> None:
        self._name = name
        self._queue: queue.PriorityQueue[tuple[int, int, Job | None, Future[Any]]] = queue.PriorityQueue()
        self._number = itertools.count()
        self._idle: tuple[Job, ...] = ()
        self._idles_at = 0.0  # on the clock of `time.monotonic`: when the idle jobs are next due
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._idles_at = time.monotonic() + IDLE_S
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Add a job and return at once; the future gets its result or error."""
        return self._put(2, job)

    def write(self, job: Callable[[], T], *, first: bool = False) -> "Future[T]":
        """Add a job that writes what is known already; with `first` before other writes, because somebody waits."""
        return self._put(0 if first else 1, job)

    def ask(self, job: Callable[[], T]) -> T:
        """Wait until the thread has done a job, before its other jobs, and return the result, or raise its error.

        In the thread itself, and while it does not run, the job is done at once.
        """
        if not self.is_alive or threading.current_thread() is self._thread:
            return job()
        asked = self._put(0, partial(_tried, job))
        while not wait([asked], LOOK_S).done:
            if not self.is_alive:  # it has ended meanwhile
                return job()
        result, error = asked.result()
        if error is not None:
            raise error
        return cast(T, result)

    def when_idle(self, job: Job | None) -> None:
        """Do this job, too, every second while no other job waits; after None do no such job any more."""
        self._idle = () if job is None else tuple({*self._idle, job})

    @property
    def backlog(self) -> int:
        """Number of waiting jobs."""
        return self._queue.qsize()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def drain(self, timeout_s: float = 60.0) -> bool:
        """Wait until all jobs submitted so far are done; return False if that takes longer."""
        return bool(wait([self.submit(lambda: None)], timeout_s).done)

    def finish(self) -> None:
        """End the thread after the jobs submitted so far; do not wait."""
        self._put(2, None)

    def close(self, timeout_s: float = 60.0, is_slow: Callable[[], object] = lambda: False) -> None:
        """Do the jobs submitted so far, then end the thread.

        After `LEAVE_S` the jobs are left as soon as `is_slow` returns something true.
        """
        self.finish()
        began = time.monotonic()
        while self.is_alive and (waited := time.monotonic() - began) < timeout_s:
            if waited >= LEAVE_S and is_slow():
                return
            assert self._thread is not None
            self._thread.join(LOOK_S)

    def _put(self, rank: int, job: Job | None) -> "Future[Any]":
        done: Future[Any] = Future()
        self._queue.put((rank, next(self._number), job, done))
        return done

    def _work(self) -> None:
        while True:
            job, done = self._next()
            if job is None:
                return
            try:
                done.set_result(job())
            except BaseException as error:  # the thread survives whatever a job raises
                with suppress(Exception):
                    done.set_exception(error)
                with suppress(Exception):
                    logger.exception("error in job %s", getattr(getattr(job, "func", job), "__qualname__", "?"))
            del job, done  # which may hold an agent

    def _next(self) -> tuple[Job | None, "Future[Any]"]:
        until_idle = max(0.0, self._idles_at - time.monotonic()) if self._idle else None
        try:
            return self._queue.get(timeout=until_idle)[2:]
        except queue.Empty:
            jobs, self._idles_at = self._idle, time.monotonic() + IDLE_S
            return lambda: [job() for job in jobs], Future()


def in_background(name: str, job: Callable[[], T]) -> "Future[T]":
    """Do one job in a thread of its own, and return its future at once.

    Examples
    --------
    >>> in_background("ainerd-sum", lambda: 1 + 1).result()
    2
    """
    jobs = Jobs(name)
    jobs.start()
    done = jobs.submit(job)
    jobs.finish()
    return done


def _tried(job: Callable[[], T]) -> tuple[T, None] | tuple[None, BaseException]:
    try:
        return job(), None
    except BaseException as error:  # the one who asked raises it
        return None, error


def harmless(take: Callable[[Any, str, Any], None]) -> Callable[[Any, str, Any], None]:
    """Decorate the ``__call__`` of a subscriber: a document that it cannot take is left out with one log line.

    Examples
    --------
    >>> class Reader:
    ...     @harmless
    ...     def __call__(self, name, doc):
    ...         print(doc["uid"])
    >>> Reader()("start", {})
    >>> Reader()("start", {"uid": "a"})
    a
    """

    @wraps(take)
    def taken(self: Any, name: str, doc: Any) -> None:
        try:
            take(self, name, doc)
        except Exception as error:
            try:
                text = str(error)[:LONGEST]
            except Exception:
                text = ""
            kind, subscriber = type(error).__name__, type(self).__name__
            logger.error("%s left out a %s document: %s: %s", subscriber, str(name)[:LONGEST], kind, text)

    return taken
