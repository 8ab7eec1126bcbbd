"""Locks between processes; where a process runs; and a call at its end."""

import atexit
import ctypes
import fcntl
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from getpass import getuser
from pathlib import Path
from socket import gethostname
from typing import IO, Any


def lock_file(file: int | IO[Any], kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file; return False if another process holds the lock. Forked processes hold it, too.

    Examples
    --------
    >>> with open(folder / "lock", "w") as file, open(folder / "lock") as another:
    ...     lock_file(file), lock_file(another)
    (True, False)
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of a file."""
    try:
        with open(path) as file:
            return not lock_file(file, fcntl.LOCK_SH)
    except OSError:
        return False


def whereabouts() -> dict[str, Any]:
    """Return host, pid and user of this process, and the current time as ``since``."""
    try:
        user = getuser()
    except (KeyError, OSError):  # an account without a name, as in containers
        user = str(os.getuid())
    return {"host": gethostname(), "pid": os.getpid(), "user": user, "since": time.time()}


def where_it_may_run(process: Mapping[str, Any]) -> str | None:
    """Return where a process with these `whereabouts` may be running, in words; None if it has ended.

    A process of another host counts as running. Any program may have written the values: it raises various errors.
    """
    since = datetime.fromtimestamp(process["since"])
    text = f" on {process['host']} (process {process['pid']} of {process['user']}, since {since:%d %b %H:%M})"
    if process["host"] != gethostname():
        return text
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it is of another account
        pass
    return text


def inside(directory: Path) -> Path:
    """Return a path to the directory for a process that works in it: on Linux one that also holds in a copy of it."""
    working = Path("/proc/self/cwd")
    return working if working.exists() else directory


def call_before_exit(function: Callable[..., object], *arguments: object) -> None:
    """Call a function when the interpreter ends, but not when a forked process ends.

    Threads can be started then, but not those of `concurrent.futures`.
    """
    process = os.getpid()
    atexit.register(lambda: os.getpid() == process and function(*arguments))


def release_memory() -> None:
    """Give freed memory back to the system, in some milliseconds: glibc keeps what lies between blocks in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # of glibc alone
        trim(0)
