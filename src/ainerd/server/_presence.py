"""That an agent is at work: told to others of its name, on this machine and on others, and to `ainerd status`."""

import fcntl
import json
import logging
import os
import time
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from getpass import getuser
from pathlib import Path
from socket import gethostname
from typing import Any
from urllib.parse import quote

import httpx
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.queries import Key

from ainerd.server._connect import ServerError, container_in

logger = logging.getLogger(__name__)

FORGOTTEN_S = 7 * 86400.0  # a session that began so long ago and never said that it ended
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
                os.write(file, json.dumps({"pid": os.getpid(), "user": _user(), "since": time.time()}).encode())
                return
            if look < LOOKS - 1:
                time.sleep(PAUSE_S)
        _warn(name, told(_read(_path(folder, name))))


class SharedPresence:
    """A node in Tiled that says on which machine an agent is at work, from now until `leave`.

    If there is one of the same name from another machine, a warning says so. A session that was killed leaves its node
    behind, which is taken for one at work until an agent of that name begins on its machine, or a week has passed.

    Parameters
    ----------
    ainerd : tiled.client.container.Container
    name : str
        Of the agent.
    """

    def __init__(self, ainerd: Container, name: str) -> None:
        self._key, self._nodes = str(uuid.uuid4()), None
        here = {"agent": name, "host": gethostname(), "pid": os.getpid(), "user": _user(), "since": time.time()}
        try:
            nodes = container_in(ainerd, "agents")
            for key, node in nodes.search(Key("agent") == name).items():
                about = dict(node.metadata)
                if about["host"] == here["host"] and not _lives(about["pid"]) or _is_forgotten(about):
                    nodes.delete_contents(key)
                elif about["host"] != here["host"]:
                    _warn(name, f" on {about['host']}{told(about)}, unless it was killed there")
            nodes.create_container(self._key, metadata=here)
            self._nodes = nodes
        except (ClientError, httpx.HTTPError, ServerError, KeyError, TypeError) as error:
            logger.info("other machines are not told that agent %r is at work: %s", name, error)

    def leave(self) -> None:
        """Say that it is not any more."""
        if self._nodes is not None:
            with suppress(ClientError, httpx.HTTPError):
                self._nodes.delete_contents(self._key)
            self._nodes = None


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


def told(about: dict[str, Any]) -> str:
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


def _lives(pid: int) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another account's
        pass
    return True


def _is_forgotten(about: dict[str, Any]) -> bool:
    return bool(time.time() - about["since"] > FORGOTTEN_S)


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
