"""Documents in, results out: a worker that analyses runs while their frames arrive."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from event_model import RunRouter

from ainerd._watched_run import Job, Listener, Outcome, Wanted, WatchedRun
from ainerd.documents import DetectorKeys
from ainerd.results import ResultStore
from ainerd.technique import Technique

__all__ = ["Listener", "Outcome", "Wanted", "Watch"]

logger = logging.getLogger(__name__)


class Watch:
    """A document callback, cheap for the RunEngine, with one worker thread behind it.

    Parameters
    ----------
    technique : Technique
    store : ResultStore
    keys : DetectorKeys
    wanted : Wanted
    roots : sequence of Path
        Folders frames may be read from.
    listener : Listener
    agent : str
        Name of the agent in the results.
    on_outcome : callable, optional
        Told of each finished run at the end, in the worker's thread; for a person's eyes.
    """

    def __init__(
        self,
        technique: Technique,
        store: ResultStore,
        *,
        keys: DetectorKeys,
        wanted: Wanted,
        roots: Sequence[Path],
        listener: Listener,
        agent: str,
        on_outcome: Callable[[Outcome], None] | None = None,
    ) -> None:
        self._job = Job(technique, store, keys, wanted, tuple(roots), listener, agent)
        self._on_outcome = on_outcome
        self._futures: dict[str, Future[Outcome | None]] = {}
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._router = RunRouter([self._open])
        self._current: WatchedRun | None = None
        self.concluded = 0  # runs that got a result
        self._thread = threading.Thread(target=self._work, name="ainerd-watch", daemon=True)
        self._thread.start()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document; returns at once."""
        if name == "start":
            self._futures[doc["uid"]] = Future()
        self._queue.put((name, doc))

    def submit(self, job: Callable[[], None]) -> None:
        """Have the worker do something in its turn."""
        self._queue.put(job)

    def outcome(self, raw_uid: str) -> "Future[Outcome | None]":
        """Future of a run's outcome; None once it is known that the run has no frames for us.

        Raises
        ------
        KeyError
            If the run's start document has not come.
        """
        return self._futures[raw_uid]

    @property
    def progress(self) -> tuple[int, int] | None:
        """Frames read and announced of the run that is going on; None between runs."""
        watched = self._current
        return None if watched is None else watched.progress

    @property
    def backlog(self) -> int:
        """Documents waiting."""
        return self._queue.qsize()

    def drain(self, timeout_s: float = 60.0) -> bool:
        """Wait until everything that came so far is done; False if it takes longer."""
        done = threading.Event()
        self._queue.put(done.set)
        return done.wait(timeout_s)

    def close(self, timeout_s: float = 60.0) -> None:
        """Finish what has come, then end the worker."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if callable(item):
                    item()
                else:
                    self._router(*item)
            except Exception:
                # the worker outlives whatever a document or a job brings
                logger.exception("while handling %s", item if callable(item) else item[0])

    def _open(self, name: str, start: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        self._current = WatchedRun(self._job, self._resolve)
        return [self._current], []

    def _resolve(self, raw_uid: str, outcome: Outcome | None) -> None:
        self._current = None
        self.concluded += outcome is not None
        try:
            if outcome is not None and self._on_outcome is not None:
                self._on_outcome(outcome)
        finally:
            future = self._futures.get(raw_uid)
            if future is not None and not future.done():
                future.set_result(outcome)
