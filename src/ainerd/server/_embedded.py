"""An embedded Tiled server, in a process of its own, which lives while anybody uses it.

It shares no interpreter lock with a RunEngine. Who asks for a directory that is already served is connected to the
server that serves it; when the last one leaves, however that ends, the server does. If it dies, those who use it start
it again at the same port.
"""

import fcntl
import json
import logging
import os
import re
import secrets
import select
import shutil
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

import httpx
from tiled.client.container import Container

from ainerd.config import Storage
from ainerd.server import _users
from ainerd.server._connect import ServerError, connect, probe

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 6.0  # it ends itself before
WATCH_S = 0.5
MOST_LOG_BYTES = 5_000_000  # of server.log; what is older is in server.log.1, as much
AGAIN_S = 30.0  # after a start that failed


class EmbeddedServer:
    """A Tiled server on 127.0.0.1 that keeps everything in one directory.

    Make one with `EmbeddedServer.start`, or with `embedded_server` in a ``with`` statement.

    Attributes
    ----------
    directory : Path
        Where catalogue, arrays, tables, logs and the API key are kept.
    """

    def __init__(self, directory: Path, readable: list[str], user: int, api_key: str, lock: IO[str] | None) -> None:
        self.directory, self.api_key = directory, api_key
        self._service = _Service(directory, readable, user, lock)
        self._end = weakref.finalize(self, self._service.end)  # also at interpreter exit

    @classmethod
    def start(cls, directory: str | Path, *, readable_storage: Iterable[str | Path] = ()) -> Self:
        """Serve a directory, made if it does not exist, or connect to the server that already does.

        `readable_storage` are folders outside it whose files (of detectors, say) the server may read.

        Raises
        ------
        ServerError
            If the server cannot start, or the one already there may not read `readable_storage`.
        """
        directory = Path(directory).resolve()
        readable = [str(Path(path).resolve()) for path in readable_storage]
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            directory.mkdir(parents=True, exist_ok=True)
            while True:
                if (user := _users.use(directory)) is not None:
                    try:
                        with open(directory / "lock", "a") as lock:
                            is_free = _taken(lock)
                            if is_free or _served(directory, readable):
                                return cls(directory, readable, user, _api_key(directory), lock if is_free else None)
                    except BaseException:
                        _users.leave(user)
                        raise
                    _users.leave(user)
                if time.monotonic() > deadline:
                    raise ServerError(f"a process holds {directory / 'lock'} but serves nothing: end it")
                time.sleep(0.2)  # it is starting, or just gone
        except OSError as error:
            raise ServerError(f"cannot serve {directory}: {error}") from None

    @property
    def uri(self) -> str:
        """Address of the API, without the key."""
        return self._service.uri

    @property
    def page(self) -> Path:
        """A file that a browser opens, and that leads it to the page of the campaign; it holds the key."""
        return self.directory / "page.html"

    @property
    def owned(self) -> bool:
        """Whether this object started the server. It lives on while others use it."""
        return self._service.process is not None

    def client(self) -> Container:
        """Root of the server as a Tiled client; the same one each time, closed by `close`."""
        clients = self._service.clients
        if not clients:
            clients.append(connect(self.uri, self.api_key))
        return clients[0]

    def close(self) -> None:
        """Close the client, and use the server no more: it ends if nobody else uses it."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.uri} of {self.directory}>"


embedded_server = EmbeddedServer.start


def open_tiled(storage: Storage) -> tuple[Container, Callable[[], None]]:
    """The catalogue that the settings name, and what closes it; ServerError if none can be started or reached."""
    if storage.uri:
        client = connect(storage.uri, storage.api_key.get_secret_value() or None)
        return client, client.context.http_client.close
    server = EmbeddedServer.start(storage.directory, readable_storage=storage.frames)
    return server.client(), server.close


def start_tiled(storage: Storage) -> Callable[[], tuple[Container, Callable[[], None]]]:
    """Begin what `open_tiled` does, and return at once: the server starts while a session imports what it needs.

    What is returned waits, and gives or raises what `open_tiled` does.
    """
    if storage.uri:
        return partial(open_tiled, storage)
    pool = ThreadPoolExecutor(1, "ainerd-server-start")
    started = pool.submit(EmbeddedServer.start, storage.directory, readable_storage=storage.frames)
    pool.shutdown(wait=False)

    def opened() -> tuple[Container, Callable[[], None]]:
        server = started.result()
        return server.client(), server.close

    return opened


def running(directory: Path) -> tuple[str, str] | None:
    """Address and key of the server of a directory, if one is there; nothing is started, and nothing asked."""
    try:
        with open(directory / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return str(_note(directory)["uri"]), (directory / "api_key").read_text().strip()
        except (OSError, ValueError, KeyError):
            return None
    except OSError:
        pass
    return None


class _Service:
    """What an `EmbeddedServer` does in the background; it does not refer to it, so that it can be forgotten."""

    def __init__(self, directory: Path, readable: list[str], user: int, lock: IO[str] | None) -> None:
        self._directory, self._readable, self._user = directory, readable, user
        self.process: subprocess.Popen[bytes] | None = None
        self.clients: list[Container] = []
        if lock is not None:
            self.process = _spawned(directory, readable, lock)
        self.uri = str(_note(directory)["uri"])
        self._ends = threading.Event()
        self._watch = threading.Thread(target=self._keep_up, name="ainerd-server", daemon=True)
        self._watch.start()

    def end(self) -> None:
        """Leave, and wait for the end of the server if it was started here and nobody else uses it."""
        self._ends.set()
        self._watch.join(START_TIMEOUT_S)
        for client in self.clients:
            client.context.http_client.close()
        others, process = _users.leave(self._user), self.process
        if process is not None and not others:
            try:
                process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _keep_up(self) -> None:
        """Start the server again if it dies, whoever of those that use it is first."""
        pause = WATCH_S
        while not self._ends.wait(pause):
            pause = WATCH_S
            try:
                _shorten(self._directory / "server.log")
                with open(self._directory / "lock", "a") as lock:
                    if not _taken(lock):
                        continue
                    there = set(_note(self._directory).get("readable_storage", []))
                    self._readable = sorted({*self._readable, *there})  # what others wanted, too
                    self.process = _spawned(self._directory, self._readable, lock)
                    uri = str(_note(self._directory)["uri"])
            except (ServerError, OSError, ValueError, KeyError) as error:
                logger.error(
                    "the Tiled server cannot be watched, or died and is not to be started again: %s: %s",
                    type(error).__name__,
                    error,
                )
                pause = AGAIN_S
                continue
            if uri == self.uri:
                logger.warning("the Tiled server died, and was started again at %s", uri)
            else:
                logger.error("the Tiled server died, and is at %s now, not %s: start anew", uri, self.uri)
                self.uri = uri


def _spawned(directory: Path, readable: list[str], lock: IO[str]) -> "subprocess.Popen[bytes]":
    """A server in a process of its own, once it serves; ServerError if it does not."""
    _api_key(directory)
    (directory / "server.json").unlink(missing_ok=True)
    log_path = directory / "server.log"
    _shorten(log_path)
    with open(log_path, "ab") as log:  # why the one before died stays there
        begin = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "ainerd.server._child", str(directory), *readable],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=[lock.fileno()],  # the lock lasts as long as the child
            start_new_session=True,  # Ctrl-C in the session is not for the server
        )
    # It may end long after we left: somebody must have waited for it.
    threading.Thread(target=process.wait, name="ainerd-server-end", daemon=True).start()
    try:
        assert process.stdout is not None
        with process.stdout:
            said, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
            line = process.stdout.readline() if said else b""
        if not line:
            raise ServerError(
                f"the Tiled server for {directory} did not start: {_complaint(log_path, begin)} (see {log_path})"
            )
        return process
    except BaseException:
        process.kill()
        process.wait()
        raise


def _shorten(log: Path) -> None:
    """Begin a log anew if it is long, with what was there beside it; whoever writes appends."""
    if log.exists() and log.stat().st_size > MOST_LOG_BYTES:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


def _taken(lock: IO[str]) -> bool:
    """Whether we have the lock of the server now: there is none."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _api_key(directory: Path) -> str:
    path = directory / "api_key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with open(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    if key := path.read_text().strip():
        return key
    raise ServerError(f"{path} is empty: remove it, and a new key is made")


def _note(directory: Path) -> dict[str, Any]:
    """What the server of a directory says of itself: uri, pid, readable_storage; empty if it says nothing."""
    try:
        return dict(json.loads((directory / "server.json").read_text()))
    except FileNotFoundError:
        return {}


def _served(directory: Path, readable: list[str]) -> bool:
    """Whether the server of a directory answers, and may read these folders; ServerError if it may not."""
    try:
        said = _note(directory)
        probe(httpx.URL(said["uri"] + "/"), said["uri"], _api_key(directory), trust_env=False)
    except (OSError, ValueError, KeyError, ServerError):
        return False
    if missing := set(readable) - set(said["readable_storage"]):
        raise ServerError(
            f"{directory} is already served (process {said['pid']}), but without leave to read "
            f"{', '.join(sorted(missing))}: end the sessions that use it, or have the first one name these folders"
        )
    return True


def _complaint(log: Path, begin: int) -> str:
    """The last error in a log from a byte on, or its last line."""
    lines = [line for line in log.read_bytes()[begin:].decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception): [\w('\"\[]", line)]
    return (errors or lines or ["it said nothing"])[-1]
