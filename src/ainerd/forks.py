"""Processes that a session forks: they hold none of its locks, and end nothing of it."""

import os
import threading
from collections.abc import Callable
from typing import IO, Any

_held: dict[int, tuple[int, int]] = {}  # open files with a lock: device and inode, because a number is used again


def lock_is_ours(file: int | IO[Any]) -> None:
    """Let a forked process lose an open file: it would hold the lock of the file for as long as it lives.

    Examples
    --------
    >>> import fcntl
    >>> with open(folder / "lock", "w") as file:
    ...     fcntl.flock(file, fcntl.LOCK_EX)
    ...     lock_is_ours(file)
    """
    number = file if isinstance(file, int) else file.fileno()
    state = os.fstat(number)
    _held[number] = state.st_dev, state.st_ino


def call_before_exit(function: Callable[..., object], *arguments: object) -> None:
    """Call a function when the interpreter ends, while threads can still be started.

    Functions of `atexit` run too late: then `concurrent.futures` cannot start threads, and files cannot be read. This
    hook of `threading`, which `concurrent.futures` also uses, calls the functions in reverse order. It calls none of
    them when a forked process ends.
    """
    process = os.getpid()
    threading._register_atexit(lambda: os.getpid() == process and function(*arguments))  # type: ignore[attr-defined]  # noqa: SLF001


def _lose() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number, known in _held.items():
        try:
            state = os.fstat(number)
        except OSError:  # closed since
            continue
        if (state.st_dev, state.st_ino) == known:
            os.dup2(null, number, inheritable=False)  # in place of closing it: its owner here may do that later
    os.close(null)
    _held.clear()


os.register_at_fork(after_in_child=_lose)
