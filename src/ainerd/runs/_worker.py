"""Documents in, results out: a worker that analyses runs while their frames arrive."""

import logging
import queue
import resource
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from event_model import RunRouter
from tiled.client.container import Container

from ainerd.documents import DetectorKeys, WireError, checked, file_documents
from ainerd.results import ResultStore
from ainerd.runs._delivery import Delivery
from ainerd.runs._outcome import Listener, Outcome, Wanted
from ainerd.runs._spool import Spool
from ainerd.runs._subject import Subject
from ainerd.runs._writer import Writer
from ainerd.technique import Technique

logger = logging.getLogger(__name__)

IDLE_S = 1.0
MOST_FUTURES = 1000  # of runs: who asks does so soon
BEHIND_S = 30.0  # a person wants to know of a lag that is longer


class Worker:
    """A document callback, cheap for the RunEngine, with one worker thread behind it.

    Frames are read from files below `roots`, else from the runs in `raw`, up to `late_s` after the end of a run. Runs
    whose results Tiled does not take wait in the folder `spool`. `on_outcome` is told of each result once it is
    written, `glance` of a run that goes on after each block of its frames, in the worker's thread; for a person's eyes.
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
        spool: Path,
        raw: Container | None = None,
        late_s: float = 0.0,
        on_outcome: Callable[[Outcome], None] | None = None,
        glance: Callable[[Subject], None] = lambda subject: None,
    ) -> None:
        self._spool = Spool(spool, store.answers)
        self._writer = Writer(technique, store, keys, wanted, tuple(roots), listener, agent, raw, glance)
        self._late_s, self._on_outcome = late_s, on_outcome
        self._futures: dict[str, Future[list[Outcome]]] = {}
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._router = RunRouter([self._open])
        self._open_runs: dict[str, Delivery] = {}
        self._current: Delivery | None = None
        self._since: float | None = None  # when what is being handled came
        self._is_behind = False
        self.concluded = 0  # runs that got a result
        self._last_run: str | None = None  # uid of the latest of them
        self._thread = threading.Thread(target=self._work, name="ainerd-worker", daemon=True)
        self._thread.start()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document; returns at once."""
        if name == "start" and isinstance(uid := doc.get("uid"), str):
            if uid not in self._futures or self._futures[uid].done():  # who waits for a run that comes twice waits on
                self._futures[uid] = Future()
            while len(self._futures) > MOST_FUTURES and self._futures[oldest := next(iter(self._futures))].done():
                del self._futures[oldest]
        self._queue.put((name, doc, time.monotonic()))

    def submit(self, job: Callable[[], None]) -> None:
        """Have the worker do something in its turn."""
        self._queue.put(job)

    def outcomes(self, raw_uid: str) -> "Future[list[Outcome]]":
        """Future of what became of a run, or of its events; KeyError if its start document has not come.

        Nothing becomes of a run without frames.
        """
        return self._futures[raw_uid]

    @property
    def progress(self) -> tuple[int, int | None] | None:
        """Frames read and expected of the run that is going on; None between runs."""
        delivery = self._current
        return None if delivery is None else delivery.progress

    @property
    def current(self) -> tuple[str, int | None] | None:
        """Uid and number of the run that is going on; None between runs."""
        delivery = self._current
        return None if delivery is None else delivery.run

    @property
    def backlog(self) -> int:
        """Documents waiting."""
        return self._queue.qsize()

    def health(self) -> dict[str, Any]:
        """Whether the worker lives, what waits (and is kept for Tiled), for how long (s), and peak memory (MB)."""
        since = self._since
        return {
            "worker": "alive" if self._thread.is_alive() else "dead",
            "backlog": self.backlog,
            "kept": len(self._spool.runs()),
            "lag_s": 0.0 if since is None else time.monotonic() - since,
            "concluded": self.concluded,
            "last_run": self._last_run,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

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
        while (item := self._next()) is not None:
            try:
                if not callable(item) and item[0] == "start":
                    self._write_kept()
                if callable(item):
                    item()
                else:
                    name, doc, self._since = item
                    self._say_if_behind(time.monotonic() - self._since)
                    self._router(name, doc)
            except BaseException as err:  # the worker outlives whatever a document or a job brings
                with suppress(Exception):  # whatever is in what it would show
                    _complain(item, err)
            finally:
                self._since = None
        for delivery in self._open_runs.values():  # the next session, or another agent, goes on with them
            delivery.close()

    def _say_if_behind(self, lag_s: float) -> None:
        """Log it once when runs come faster than they are analysed, and when that is over."""
        if lag_s > BEHIND_S and not self._is_behind:
            logger.warning("%.0f s behind: runs come faster than they are analysed; none is left out", lag_s)
            self._is_behind = True
        elif lag_s < BEHIND_S / 10 and self._is_behind:
            logger.warning("no longer behind")
            self._is_behind = False

    def _next(self) -> Any:
        """What comes next; to write the runs that were kept, if nothing does."""
        try:
            return self._queue.get(timeout=IDLE_S)
        except queue.Empty:
            return self._write_kept

    def _write_kept(self) -> None:
        """Have the runs that Tiled did not take analysed again, in their order, now that it answers."""
        for path in self._spool.waiting():
            delivery = self._current = self._new_delivery(is_kept=True)
            try:
                documents = list(file_documents(path, by_schema=False))  # they came, and were taken, without that
                ends = [name for name, _ in (documents[:1] + documents[-1:])]
                if ends != ["start", "stop"] or not isinstance(documents[0][1].get("uid"), str):
                    raise ValueError("it is not a whole run")
                for name, doc in documents:
                    delivery(name, dict(doc))
                if self._spool.is_away:
                    return  # again: this one and the others wait
                path.unlink(missing_ok=True)
            except ValueError as error:
                self._spool.set_aside(path, f"{path} cannot be analysed ({type(error).__name__}: {error})")
                self._current = None
                continue
            except Exception as error:  # a disk that does not answer, say: the file may be whole
                self._spool.try_later(path, error)
                self._current = None
                continue

    def close_series(self, value: str) -> "Future[bool]":
        """Have the worker close a series in its turn; whether there was one that grew."""
        done: Future[bool] = Future()

        def close() -> None:
            try:
                done.set_result(self._writer.close_series(value))
            except Exception as error:  # who asked is told
                done.set_exception(error)

        self.submit(close)
        return done

    def _new_delivery(self, *, is_kept: bool = False) -> Delivery:
        return Delivery(self._writer, self._spool, self._resolve, late_s=self._late_s, tell=self._tell, is_kept=is_kept)

    def _open(self, name: str, start: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        self._current = self._open_runs[start["uid"]] = self._new_delivery()
        return [self._current], []

    def _tell(self, outcome: Outcome) -> None:
        if self._on_outcome is None:
            return
        try:
            self._on_outcome(outcome)
        except Exception:  # what a person sees is no reason to lose a run
            logger.exception("while telling of run %s", outcome.raw_uid)

    def _resolve(self, raw_uid: str, outcomes: list[Outcome]) -> None:
        self._current = None
        self._open_runs.pop(raw_uid, None)
        if outcomes:
            self.concluded, self._last_run = self.concluded + 1, raw_uid
        future = self._futures.get(raw_uid)
        if future is not None and not future.done():
            future.set_result(outcomes)


def _complain(item: Any, error: BaseException) -> None:
    """Log what went wrong; in one line, if it was no document in the first place or one of nothing that came."""
    try:
        if not callable(item):
            checked(item[0], item[1])
    except WireError as err:
        logger.warning("left out: %s", err)
        return
    if callable(item) or not isinstance(error, KeyError):
        logger.error("while handling %s", item if callable(item) else item[0], exc_info=error)
    else:
        logger.warning("left out: a %s document of %s, which did not come before", item[0], error)
