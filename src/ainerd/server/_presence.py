"""Show that an agent is running: to other agents of its name, on this machine and elsewhere, and to `ainerd status`."""

import fcntl
import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from getpass import getuser
from pathlib import Path
from socket import gethostname
from typing import IO, Any
from urllib.parse import quote

from ainerd.forks import lock_is_ours

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # between two attempts to lock a folder
ATTEMPTS, PAUSE_S = 5, 0.02  # a process that only reads the file holds the lock for less


class Presence:
    """A locked file that names the process of an agent; the lock ends with the process.

    Logs a warning if an agent of the same name is running already, or if the file cannot be written (it may belong to
    another account): other agents are then not warned.

    Parameters
    ----------
    folder : Path
        Folder in which the agents of this machine keep their files.
    name : str
        Name of the agent.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.leave: Callable[[], object] = lambda: None
        self.is_first = False  # True if no other agent of that name is known to run on this machine
        path = _path(folder, name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            logger.warning("other agents cannot be warned that agent %r is running: %s", name, error)
            return
        self.leave = weakref.finalize(self, os.close, file)  # a second call does nothing
        for attempt in range(ATTEMPTS):
            if try_lock(file):
                os.truncate(file, 0)
                os.write(file, json.dumps(whereabouts()).encode())
                self.is_first = True
                return
            if attempt < ATTEMPTS - 1:
                time.sleep(PAUSE_S)
        warn_of(name, process_text(_read(path)))


def whereabouts() -> dict[str, Any]:
    """Return host, pid and user of this process, and the current time as ``since``."""
    try:
        user = getuser()
    except (KeyError, OSError):  # an account without a name, as in containers
        user = str(os.getuid())
    return {"host": gethostname(), "pid": os.getpid(), "user": user, "since": time.time()}


def where_it_may_run(process: Mapping[str, Any]) -> str | None:
    """Return where another process with these `whereabouts` may be running, in words; None if it has ended.

    A process of another host counts as running. Any program may have written the values: it raises various errors.
    """
    text = f" on {process['host']}{process_text(process)}"
    if process["host"] != gethostname():
        return text
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it is of another account
        pass
    return text if process["pid"] != os.getpid() else None  # two agents of one process have one lock


def at_work(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the `whereabouts` of an agent on this machine, empty if unknown; None if it is not running."""
    path = _path(folder, name)
    return _read(path) if is_locked(path) else None


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


def process_text(process: Mapping[str, Any]) -> str:
    """Return process id, user and start time in parentheses; an empty text if they are unknown."""
    if not process:
        return ""
    since = datetime.fromtimestamp(process["since"])
    return f" (process {process['pid']} of {process['user']}, since {since:%d %b %H:%M})"


def warn_of(name: str, where: str) -> None:
    """Warn that an agent of this name is running, and where."""
    logger.warning(
        "an agent %r is already running%s. A run that both see gets one result. If both measure on one sample, set "
        "steering.shared_s in the settings of both: without it both may measure at one place. To follow the campaign "
        "without a second agent: ainerd status, ainerd log. For another sample give another name.",
        name,
        where,
    )


def _path(folder: Path, name: str) -> Path:
    return folder / f"{quote(name, safe='')}.agent"


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}
