"""A thread that does jobs one after the other."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

IDLE_S = 1.0  # without a job, until the idle job runs

T = TypeVar("T")
Job = Callable[[], Any]


class Jobs:
    """A queue of jobs, and the thread that does them in order; an error ends neither.

    Jobs may be submitted before `start`, from any thread; they wait until then.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Job, Future[Any]] | None] = queue.SimpleQueue()
        self._idle: Job | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._work, name="ainerd-worker", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Add a job and return at once; the future gets its result or error."""
        done: Future[T] = Future()
        self._queue.put((job, done))
        return done

    def when_idle(self, job: Job | None) -> None:
        """Do this job every second while no other job waits."""
        self._idle = job

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

    def close(self, timeout_s: float = 60.0) -> None:
        """Do the jobs submitted so far, then end the thread."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while (following := self._next()) is not None:
            job, done = following
            try:
                done.set_result(job())
            except BaseException as error:  # the thread survives whatever a job raises
                with suppress(Exception):
                    logger.exception("error in job %s", job)
                    done.set_exception(error)
            del following, job, done  # which may hold an agent

    def _next(self) -> tuple[Job, "Future[Any]"] | None:
        if self._idle is None:
            return self._queue.get()
        try:
            return self._queue.get(timeout=IDLE_S)
        except queue.Empty:
            return self._idle, Future()
