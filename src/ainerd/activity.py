"""What takes long once, such as compiling, so that messages can say so to a person who waits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

LINGER_S = 2.0  # of many short activities in a row, each is still named between two of them
_lock, _began = Lock(), dict[str, list[float]]()
_ended: tuple[str, float] = "", 0.0


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Name an activity while it lasts, in any thread."""
    global _ended
    with _lock:
        _began.setdefault(what, []).append(time.monotonic())
    try:
        yield
    finally:
        with _lock:
            _began[what].pop()
            if not _began[what]:
                del _began[what]
            _ended = what, time.monotonic()


def activity(within_s: float = LINGER_S) -> str:
    """Return the activity that began first, or the last one that ended within this time; empty if there is none."""
    with _lock:
        if _began:
            return min(_began, key=lambda what: _began[what][0])
        what, when = _ended
        return what if time.monotonic() - when < within_s else ""
