"""An embedded Tiled server, in a process of its own, which lives while any process uses it.

It does not share the interpreter lock of a RunEngine. A process that starts a directory which is already served
connects to its server. The server ends when its last user has ended or died. If it dies, its users start it
again at the same port.

Each user holds a shared lock on the file ``users``; the server ends once it gets the exclusive lock. The server holds
the lock of the file ``lock``.
"""

import fcntl
import json
import logging
import os
import re
import secrets
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

import httpx
from tiled.client.container import Container

from ainerd.config import SettingsError, Storage
from ainerd.jobs import in_background, waiting
from ainerd.processes import is_locked, lock_file
from ainerd.server._connect import ServerError, connect

logger = logging.getLogger(__name__)

END_TIMEOUT_S = 6.0  # the server ends itself before that
BUSY_S = 60.0  # of a first answer: the server runs, and the machine may be busy
WATCH_S, RETRY_S = 0.5, 30.0  # between two looks at the server, and after a start that failed


class EmbeddedServer:
    """A Tiled server on 127.0.0.1 that keeps everything in one directory.

    Create one with `EmbeddedServer.start`, or with `embedded_server` in a ``with`` statement.

    Attributes
    ----------
    directory : Path
        Directory of the catalog, arrays, tables, log and the API key.

    Examples
    --------
    >>> from ainerd.results import ResultStore
    >>> with EmbeddedServer.start(folder / "tiled") as server:  # ends with its last user
    ...     raw, ainerd = open_catalog(server.client())
    ...     ResultStore(ainerd).log("the sample is in the beam")
    ...     print(ResultStore(ainerd).logbook()["text"].tolist())
    ['the sample is in the beam']
    """

    def __init__(self, directory: Path, service: "_Service") -> None:
        self.directory, self.api_key, self._service = directory, (directory / "api_key").read_text().strip(), service
        self._client: Container | None = None
        self._end = weakref.finalize(self, service.end)  # also at interpreter exit

    @classmethod
    def start(cls, directory: str | Path, *, readable_storage: Iterable[str | Path] = ()) -> Self:
        """Serve a directory, or connect to the server that serves it already. A new one is readable by its owner only.

        `readable_storage` are folders outside it with files, such as those of detectors, that the server may read.

        Raises
        ------
        ServerError
            If the server cannot start, or the running one may not read `readable_storage`.
        """
        directory = Path(directory).resolve()
        try:
            directory.mkdir(0o700, parents=True, exist_ok=True)
            with waiting("starting Tiled"):
                return cls(directory, _Service(directory, [str(Path(path).resolve()) for path in readable_storage]))
        except OSError as error:
            raise ServerError(f"cannot serve {directory}: {error}") from None

    @property
    def uri(self) -> str:
        """Address of the API, without the key."""
        return self._service.uri

    @property
    def page(self) -> Path:
        """File that redirects a browser to the page of the campaign; it holds the key."""
        return self.directory / "page.html"

    @property
    def owned(self) -> bool:
        """Whether this object started the server, which nevertheless lives until its last user has ended."""
        return self._service.process is not None

    def client(self) -> Container:
        """Return the root of the server as a Tiled client, always the same one; `close` closes it.

        The server stays in use as long as the client or a node from it exists.
        """
        if self._client is None:
            self._client = connect(self.uri, self.api_key, timeout_s=BUSY_S)
            self._service.http.append(self._client.context.http_client)
            self._client.context.embedded_server = self  # all nodes share the context
        return self._client

    def close(self) -> None:
        """Close the client and stop using the server, which ends if it has no other user."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


embedded_server = EmbeddedServer.start


def open_tiled(storage: Storage) -> tuple[Container, Callable[[], None]]:
    """Return the catalog of the settings and a function that closes it; ServerError if it cannot be reached.

    Examples
    --------
    >>> client, close = open_tiled(settings.storage)
    >>> sorted(client)  # an agent has used it
    ['ainerd', 'raw']
    >>> close()
    """
    try:
        storage.create_directory()
    except SettingsError as error:
        raise ServerError(str(error)) from None
    if storage.uri:
        client = connect(storage.uri, storage.api_key.get_secret_value() or None)
        return client, client.context.http_client.close
    server = EmbeddedServer.start(storage.directory, readable_storage=storage.frames)
    return server.client(), server.close


def start_tiled(storage: Storage) -> Callable[[], tuple[Container, Callable[[], None]]]:
    """Run `open_tiled` in the background, so that a session can import its packages at the same time.

    The returned function waits for `open_tiled`, and returns its value or raises its error.

    Examples
    --------
    >>> wait = start_tiled(settings.storage)  # meanwhile a session imports its packages
    >>> client, close = wait()
    >>> sorted(client)
    ['ainerd', 'raw']
    >>> close()
    """
    return in_background("ainerd-server-start", partial(open_tiled, storage)).result


def running(directory: Path) -> tuple[str, str] | None:
    """Return address and key of the server of a directory, from its files; None if it is not running."""
    status = _status(directory) if is_locked(directory / "lock") else {}
    return (status["uri"], (directory / "api_key").read_text().strip()) if status else None


def wait_until_unused(directory: Path) -> None:
    """Return when the server has no user; a new user then waits until this process has ended."""
    fcntl.flock(_open(directory / "users"), fcntl.LOCK_EX)


class _Service:
    """The background part of an `EmbeddedServer`; it does not refer to it, so that the server can be collected."""

    def __init__(self, directory: Path, readable: list[str]) -> None:
        self._directory, self._readable, self._session = directory, readable, os.getpid()
        self.process: subprocess.Popen[bytes] | None = None
        self.http: list[httpx.Client] = []
        self._user, self._stop = _open(directory / "users"), threading.Event()
        fcntl.flock(self._user, fcntl.LOCK_SH)  # waits until a last server has ended
        try:
            while not self._starts() and not _status(directory):  # another process starts it
                time.sleep(0.1)
            status = _status(directory)
            served = status["readable_storage"]
            if missing := [each for each in readable if not any(map(Path(each).is_relative_to, served))]:
                raise ServerError(
                    f"{directory} is already served (process {status['pid']}), but without permission to read "
                    f"{', '.join(missing)}: end the sessions that use it, or name these folders in the first"
                )
        except BaseException:
            os.close(self._user)
            raise
        self.uri, self._readable = str(status["uri"]), status["readable_storage"]
        self._watch = in_background("ainerd-server", self._keep_alive)

    def end(self) -> None:
        """Stop using the server; wait for its end if it was started here and has no other user.

        A forked process only forgets the server.
        """
        if os.getpid() != self._session:
            return
        self._stop.set()
        wait([self._watch], END_TIMEOUT_S)
        for http in self.http:
            http.close()
        # Without the lock for itself, the server has it already, or there are other users.
        others = not lock_file(self._user) and lock_file(self._user, fcntl.LOCK_SH)
        os.close(self._user)
        if self.process is not None and others:  # it may end long after this use: somebody must wait for it then
            in_background("ainerd-server-end", self.process.wait)
        elif self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(END_TIMEOUT_S)
            self.process.kill()  # nothing if it has ended
            self.process.wait()

    def _starts(self) -> bool:
        """Start the server unless it runs or another process starts it; return whether it was started."""
        with open(self._directory / "lock", "a", opener=private) as lock:
            if not lock_file(lock):
                return False
            (self._directory / "server.json").unlink(missing_ok=True)
            if self.process is not None:
                self.process.wait()  # it has died
            self.process = _spawn(self._directory, self._readable, lock)
        return True

    def _keep_alive(self) -> None:
        """Start the server again if it dies; the first of its users to notice does it."""
        while not self._stop.wait(WATCH_S):
            try:
                if self._starts():
                    before, self.uri = self.uri, str(_status(self._directory)["uri"])
                    moved = "" if before == self.uri else f" instead of {before}: start a new session"
                    logger.warning("the Tiled server died and was started again at %s%s", self.uri, moved)
            except (ServerError, OSError, ValueError, KeyError) as error:
                logger.error("the Tiled server has died, and cannot be started again: %s", error)
                self._stop.wait(RETRY_S)


def private(path: str, flags: int) -> int:
    """Open a file that only its owner can read, if it is new."""
    return os.open(path, flags, 0o600)


def _open(path: Path) -> int:
    return private(str(path), os.O_RDWR | os.O_CREAT)


def _spawn(directory: Path, readable: list[str], lock: IO[str]) -> "subprocess.Popen[bytes]":
    """Start a server in a process of its own, and wait as long as that lives; ServerError if it does not serve."""
    key, log_path = directory / "api_key", directory / "server.log"
    if not key.exists():
        with open(key, "x", opener=private) as file:
            file.write(secrets.token_hex(32))
    if not key.read_text().strip():
        raise ServerError(f"{key} is empty: remove it, and a new key is created")
    with open(log_path, "ab", opener=private) as log:  # the end of the log of a server that died stays
        begin = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "ainerd.server._child", str(directory), json.dumps(readable)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={name: x for name, x in os.environ.items() if not name.startswith("TILED_")},  # of other servers
            pass_fds=[lock.fileno()],  # the lock lasts as long as the child
            start_new_session=True,  # Ctrl-C in this session must not reach the server
        )
    assert process.stdout is not None
    with process.stdout as ready:
        if not ready.readline():
            process.wait()
            text = log_path.read_bytes()[begin:].decode(errors="replace")
            errors = re.findall(r"^[\w.]*(?:Error|Exception): [\w('\"\[].*$", text, re.MULTILINE) or text.splitlines()
            raise ServerError(f"the Tiled server for {directory} did not start: {['', *errors][-1]} (see {log_path})")
    return process


def _status(directory: Path) -> dict[str, Any]:
    """Return uri, pid and readable_storage of the server of a directory; empty if it does not serve."""
    with suppress(FileNotFoundError):
        return dict(json.loads((directory / "server.json").read_text()))
    return {}
