"""A word, or a bar, where a person waits."""

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 1.0  # a wait that is longer is told of
_MANY = 20  # fewer are there before a bar is


@contextmanager
def waiting(for_what: str) -> Iterator[None]:
    """Say what takes so long, if it takes longer than a person waits without wondering; only to a terminal."""
    if not _is_watched():
        yield
        return
    timer = threading.Timer(PATIENCE_S, lambda: print(f"ainerd: {for_what} …", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def counted(items: Sequence[T], what: str) -> Iterable[T]:
    """The items, with a bar of how many are done where there are many; only to a terminal."""
    if not _is_watched() or len(items) < _MANY:
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(file=sys.stderr), transient=True)


def _is_watched() -> bool:
    return sys.stderr.isatty() and threading.current_thread() is threading.main_thread()
