"""Work in other threads: one job, queues of jobs that no error ends, and names of long steps for a waiting person.

An exception of a subscriber ends the plan of a RunEngine, so `harmless` ones never raise.
"""

import itertools
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from functools import partial, wraps
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

IDLE_S = 1.0  # between two rounds of the idle jobs
LEAVE_S, LOOK_S = 5.0, 0.1  # at the end: shortest wait for slow jobs, pause between two looks
LONGEST = 200  # characters of an error in the log
PATIENCE_S = 2.0  # a longer wait or activity is announced
GAP_S = 0.5  # between two parts of one activity, at most
LINGER_S = 2.0  # of many short activities in a row, each is still named between two of them

T = TypeVar("T")
Job = Callable[[], Any]
_lock, _began, _announced = threading.Lock(), dict[str, list[float]](), set[str]()
_ended: tuple[str, float] = "", 0.0


def in_background(name: str, job: Callable[[], T]) -> "Future[T]":
    """Do one job in a thread of its own, and return its future at once; the interpreter does not wait for the thread.

    Examples
    --------
    >>> in_background("ainerd-sum", lambda: 1 + 1).result()
    2
    """
    done: Future[T] = Future()
    threading.Thread(target=_do, args=(job, done), name=name, daemon=True).start()
    return done


def _do(job: Callable[[], T], done: "Future[T]") -> None:
    try:
        done.set_result(job())
    except BaseException as error:  # who waits for the future raises it
        done.set_exception(error)


class Jobs:
    """A queue of jobs, and the thread that does them; an error ends neither.

    Jobs may be submitted before `start`, from any thread; they wait until then. Those of one kind are done in order,
    and writes before all others. The idle jobs are done each `idle_s` seconds, by default `IDLE_S`.
    """

    def __init__(self, name: str = "ainerd-analysis", idle_s: float | None = None) -> None:
        self._name, self._idle_s = name, IDLE_S if idle_s is None else idle_s
        self._queue: queue.PriorityQueue[tuple[int, int, Job | None, Future[object]]] = queue.PriorityQueue()
        self._number = itertools.count()
        self._idle: tuple[Job, ...] = ()
        self._idles_at = 0.0  # on the clock of `time.monotonic`: when the idle jobs are next due
        self._ends: Future[None] | None = None  # of the thread
        self._ident = 0  # of the thread

    def start(self) -> None:
        """Start the thread."""
        self._idles_at = time.monotonic() + self._idle_s
        self._ends = in_background(self._name, self._work)

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Add a job and return at once; the future gets its result or error."""
        return self._put(2, job)

    def write(self, job: Callable[[], T], *, first: bool = False) -> "Future[T]":
        """Add a job that writes known values; with `first` before other writes, because somebody waits."""
        return self._put(0 if first else 1, job)

    def ask(self, job: Callable[[], T]) -> T:
        """Wait until the thread has done a job, before its other jobs, and return the result, or raise its error.

        In the thread itself, and while it does not run, the job is done at once.
        """
        if not self.is_alive or threading.get_ident() == self._ident:
            return job()
        done: Future[T] = Future()
        self._put(0, partial(_do, job, done))
        while not wait([done], LOOK_S).done:
            if not self.is_alive:  # it has ended meanwhile
                return job()
        return done.result()

    def do_first(self) -> None:
        """Do the jobs that go before others, in the middle of a long job of this thread."""
        if threading.get_ident() == self._ident:
            while self._queue.queue and self._queue.queue[0][0] == 0:
                self._do(*self._queue.get()[2:])

    def when_idle(self, job: Job | None) -> None:
        """Do this job, too, again and again while no other job waits; after None do no such job any more."""
        self._idle = () if job is None else tuple({*self._idle, job})

    @property
    def backlog(self) -> int:
        """Number of waiting jobs."""
        return self._queue.qsize()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._ends is not None and not self._ends.done()

    def drain(self, timeout_s: float = 60.0) -> bool:
        """Wait until all jobs submitted so far are done; return False if that takes longer."""
        return bool(wait([self.submit(lambda: None)], timeout_s).done)

    def close(self, timeout_s: float = 60.0, is_slow: Callable[[], object] = lambda: False) -> None:
        """Do the jobs submitted so far, then end the thread.

        After `LEAVE_S` the jobs are left as soon as `is_slow` returns something true.
        """
        self._put(2, None)
        began = time.monotonic()
        while self.is_alive and (waited := time.monotonic() - began) < timeout_s:
            if waited >= LEAVE_S and is_slow():
                return
            wait([] if self._ends is None else [self._ends], LOOK_S)

    def _put(self, rank: int, job: Job | None) -> "Future[Any]":
        done: Future[object] = Future()
        self._queue.put((rank, next(self._number), job, done))
        return done

    def _work(self) -> None:
        self._ident = threading.get_ident()
        while True:
            job, done = self._next()
            if job is None:
                return
            self._do(job, done)
            del job, done  # which may hold an agent

    def _do(self, job: Job | None, done: "Future[object]") -> None:
        assert job is not None  # the end has the last rank
        try:
            done.set_result(job())
        except BaseException as error:  # the thread survives whatever a job raises
            with suppress(Exception):
                done.set_exception(error)
            with suppress(Exception):
                logger.exception("error in job %s", getattr(getattr(job, "func", job), "__qualname__", "?"))

    def _next(self) -> tuple[Job | None, "Future[object]"]:
        until_idle = max(0.0, self._idles_at - time.monotonic()) if self._idle else None
        try:
            return self._queue.get(timeout=until_idle)[2:]
        except queue.Empty:
            jobs, self._idles_at = self._idle, time.monotonic() + self._idle_s
            return lambda: [job() for job in jobs], Future()


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
    def taken(self: object, name: str, doc: object) -> None:
        try:
            take(self, name, doc)
        except Exception as error:
            kind, subscriber = type(error).__name__, type(self).__name__
            logger.error("%s left out a %s document: %s: %s", subscriber, name, kind, str(error)[:LONGEST])

    return taken


class doing:  # noqa: N801  (used like a function)
    """Name an activity while it lasts, in any thread; if it lasts longer than `PATIENCE_S`, print it once."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        with _lock:
            _began.setdefault(self._what, []).append(time.monotonic())
            is_new = self._what not in _announced
            _announced.add(self._what)
        if is_new:
            in_background("ainerd-announce", partial(_announce, self._what))

    def __exit__(self, *_: object) -> None:  # not of a generator: Python closes those of daemon threads when it ends
        global _ended
        with _lock:
            _began[self._what].pop()
            if not _began[self._what]:
                del _began[self._what]
            _ended = self._what, time.monotonic()


def _announce(what: str) -> None:
    time.sleep(PATIENCE_S)
    with _lock:
        if what not in _began and (_ended[0] != what or time.monotonic() - _ended[1] > GAP_S):
            _announced.discard(what)
            return
    print(f"ainerd: {what} …", file=sys.stderr, flush=True)


def activity(within_s: float = LINGER_S) -> str:
    """Return the activity that began first, or the last one that ended within this time; empty if there is none."""
    with _lock:
        if _began:
            return min(_began, key=lambda what: _began[what][0])
        what, when = _ended
        return what if time.monotonic() - when < within_s else ""


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Print the reason for a wait of the main thread that takes longer than `PATIENCE_S`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()

    def tell() -> None:
        if over.wait(PATIENCE_S):
            return
        now = f": {doing}" if (doing := activity()) else ""
        print(f"ainerd: {what}{now} …", file=sys.stderr, flush=True)

    in_background("ainerd-waiting", tell)
    try:
        yield
    finally:
        over.set()
