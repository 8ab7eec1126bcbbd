"""That an agent is at work: told to others of its name, on this machine and on others, and to `ainerd status`."""

import fcntl
import json
import logging
import os
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from getpass import getuser
from pathlib import Path
from socket import gethostname
from typing import Any
from urllib.parse import quote

logger = logging.getLogger(__name__)

SILENT_S = 120.0  # an agent tells each few seconds that it is there; clocks of two machines may differ
LOOKS, PAUSE_S = 5, 0.02  # somebody who only looks holds the lock for less


class Presence:
    """A locked file that says who is at work; the lock goes with its process, however that ends.

    If there is an agent of the same name, a warning says so, and what that means. Where the file cannot be written,
    such as that of another account, a warning says so, and nobody is told.

    Parameters
    ----------
    folder : Path
        Of what agents on this machine keep on disk.
    name : str
        Of the agent.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.leave: Callable[[], object] = lambda: None
        self.is_first = False  # whether it is known that nobody else is at work under that name on this machine
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(_path(folder, name), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            logger.warning("others are not told that agent %r is at work: %s", name, error)
            return
        self.leave = weakref.finalize(self, os.close, file)  # a second call does nothing
        for look in range(LOOKS):
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.truncate(file, 0)
                os.write(file, json.dumps(whereabouts()).encode())
                self.is_first = True
                return
            if look < LOOKS - 1:
                time.sleep(PAUSE_S)
        _warn(name, told(_read(_path(folder, name))))


def whereabouts() -> dict[str, Any]:
    """Where this process is: host, pid, user, and since when it is an agent, which is now."""
    return {"host": gethostname(), "pid": os.getpid(), "user": _user(), "since": time.time()}


def warn_of_another(name: str, about: Mapping[str, Any], heard: float, closed: bool) -> None:
    """Warn if an agent of this name was `heard` of from another machine just now; `about` it as of `whereabouts`.

    One that was killed there is heard of no more.
    """
    if about["host"] != gethostname() and not closed and abs(time.time() - heard) < SILENT_S:
        _warn(name, f" on {about['host']}{told(about)}")


def at_work(folder: Path, name: str) -> dict[str, Any] | None:
    """Who is at work under a name on this machine (pid, user, since), as far as that is known; None if nobody is."""
    try:
        with open(_path(folder, name)) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(_path(folder, name))
    except OSError:
        pass
    return None


def told(about: Mapping[str, Any]) -> str:
    """Process, user and time in brackets."""
    if not about:
        return ""
    since = datetime.fromtimestamp(about["since"])
    return f" (process {about['pid']} of {about['user']}, since {since:%d %b %H:%M})"


def _warn(name: str, where: str) -> None:
    logger.warning(
        "an agent %r is at work already%s. A run that both see gets one result, and they share suggestions. To "
        "look on without a second agent: ainerd status, ainerd log. For another sample give it another name.",
        name,
        where,
    )


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # an account without a name, as in containers
        return str(os.getuid())


def _path(folder: Path, name: str) -> Path:
    return folder / f"{quote(name, safe='')}.agent"


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}
