"""Names of steps that take long, for messages, and a line or a progress bar where a person waits."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 1.0  # a longer wait is announced
_MANY = 20  # items from which on there is a bar
LINGER_S = 2.0  # of many short activities in a row, each is still named between two of them
_lock, _began = Lock(), dict[str, list[float]]()
_ended: tuple[str, float] = "", 0.0


class doing:  # noqa: N801  (used like a function)
    """Name an activity while it lasts, in any thread."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        with _lock:
            _began.setdefault(self._what, []).append(time.monotonic())

    def __exit__(self, *_: object) -> None:  # not of a generator: Python closes those of daemon threads when it ends
        global _ended
        with _lock:
            _began[self._what].pop()
            if not _began[self._what]:
                del _began[self._what]
            _ended = self._what, time.monotonic()


def activity(within_s: float = LINGER_S) -> str:
    """Return the activity that began first, or the last one that ended within this time; empty if there is none."""
    with _lock:
        if _began:
            return min(_began, key=lambda what: _began[what][0])
        what, when = _ended
        return what if time.monotonic() - when < within_s else ""


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Print the reason for a wait that takes longer than `PATIENCE_S`; only to a terminal."""
    if not _is_watched():
        yield
        return

    def tell() -> None:
        now = f": {doing}" if (doing := activity()) else ""
        print(f"ainerd: {what}{now} …", file=sys.stderr, flush=True)

    timer = threading.Timer(PATIENCE_S, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def counted(items: Iterable[T], what: str, n: int) -> Iterable[T]:
    """Return the `n` items, with a progress bar if there are many; only on a terminal."""
    if not _is_watched() or n < _MANY:
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, what, n, console=Console(file=sys.stderr), transient=True)


def _is_watched() -> bool:
    return sys.stderr.isatty() and threading.current_thread() is threading.main_thread()
