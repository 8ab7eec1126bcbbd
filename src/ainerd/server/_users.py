"""Who uses an embedded server: each holds a shared lock on one file, which goes with its process.

The server waits for the lock of its own, which it gets when nobody uses it any more, and ends.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


def use(directory: Path) -> int | None:
    """Say that this process uses the server; None while one is ending. Keep what is returned for `leave`."""
    file = _opened(directory)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def leave(file: int) -> bool:
    """Use it no more; whether somebody else does."""
    others = False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # the server has it already, or others do use it
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            others = True
    os.close(file)
    return others


def wait_until_unused(directory: Path) -> None:
    """Return once nobody uses the server; whoever comes then waits until this process has ended."""
    fcntl.flock(_opened(directory), fcntl.LOCK_EX)


def _opened(directory: Path) -> int:
    return os.open(directory / "users", os.O_RDWR | os.O_CREAT, 0o600)
