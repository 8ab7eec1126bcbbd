"""Where a process runs, for other agents of its name and `ainerd status`; and locks of files and folders."""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from getpass import getuser
from pathlib import Path
from socket import gethostname
from typing import IO, Any

from ainerd.forks import lock_is_ours

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # between two attempts to lock a folder


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


def try_lock(file: int | IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    """Take the lock of an open file, but not for forked processes; return False if another process holds it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    lock_is_ours(file)
    return True


@contextmanager
def only_here(folder: Path, stop: threading.Event) -> Iterator[None]:
    """Wait until no other process works on a folder, and keep others waiting; do not wait once `stop` is set.

    The folder itself is locked, so the settings of the other process do not matter. The lock ends with its process.
    """
    file = os.open(folder, os.O_RDONLY)
    try:
        if not _lock_folder(folder, file):
            logger.warning("another process watches %s: this one begins when that one has ended", folder)
            while not stop.wait(LOOK_S) and not _lock_folder(folder, file):
                pass
        yield
    finally:
        os.close(file)


def _lock_folder(folder: Path, file: int) -> bool:
    try:
        return try_lock(file)
    except OSError as error:  # some network file systems lock no folders
        logger.warning("%s cannot be locked, start one process for it alone: %s", folder, error)
        return True


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of a file."""
    try:
        with open(path) as file:
            return not try_lock(file, fcntl.LOCK_SH)
    except OSError:
        return False


def warn_of(name: str, where: str) -> None:
    """Warn that an agent of this name is running, and where."""
    logger.warning(
        "an agent %r is already running%s. A run that both see gets one result. If both measure on one sample, set "
        "steering.shared_s in the settings of both: without it both may measure at one place. To follow the campaign "
        "without a second agent: ainerd status, ainerd log. For another sample give another name.",
        name,
        where,
    )
