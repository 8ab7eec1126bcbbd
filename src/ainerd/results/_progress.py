"""A line, or a progress bar, where a person waits at a terminal."""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ainerd.activity import activity

T = TypeVar("T")
PATIENCE_S = 1.0  # a longer wait is announced
_MANY = 20  # items from which on there is a bar


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
