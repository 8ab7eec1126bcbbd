"""An embedded Tiled server, in a process of its own, which lives while any process uses it.

It does not share the interpreter lock of a RunEngine. A process that starts a directory which is already served
connects to its server. The server ends when its last user has ended or died. If it dies, its users start it
again at the same port.

Each user holds a shared lock on the file ``users``; the server ends once it gets the exclusive lock.
"""

import fcntl
import json
import logging
import os
import re
import secrets
import select
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, Self
from urllib.parse import unquote

import httpx
from tiled.client.container import Container

from ainerd.config import SettingsError, Storage
from ainerd.jobs import in_background
from ainerd.processes import is_locked, lock_file
from ainerd.server._connect import ServerError, connect, probe

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 180.0  # on two busy cores it takes a minute
END_TIMEOUT_S = 6.0  # the server ends itself before that
WATCH_S = 0.5
MOST_LOG_BYTES = 5_000_000  # of server.log; as much of the older log is in server.log.1
RETRY_S = 30.0  # after a start that failed
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
# Variables that a server gets: no key or password, because a server opens files that others wrote.
KEPT = re.compile(
    "(HOME|LANG|PATH|TMPDIR|TZ|USER|LD_LIBRARY_PATH|HDF5_PLUGIN_PATH|VIRTUAL_ENV|NUMBA_CACHE_DIR|MPLCONFIGDIR)"
    "|(CONDA|LC|OMP|OPENBLAS|XDG)_[A-Z_]*|PYTHON[A-Z_]*|AINERD_STUDIED_LINES"
)


class EmbeddedServer:
    """A Tiled server on 127.0.0.1 that keeps everything in one directory.

    Create one with `EmbeddedServer.start`, or with `embedded_server` in a ``with`` statement.

    Attributes
    ----------
    directory : Path
        Directory of the catalog, arrays, tables, logs and the API key.

    Examples
    --------
    >>> from ainerd.results import ResultStore
    >>> with EmbeddedServer.start(folder / "tiled") as server:  # ends with its last user
    ...     raw, ainerd = open_catalog(server.client())
    ...     ResultStore(ainerd).log("the sample is in the beam")
    ...     print(ResultStore(ainerd).logbook()["text"].tolist())
    ['the sample is in the beam']
    """

    def __init__(
        self, directory: Path, readable: list[str], hosts: list[str], user: int, api_key: str, lock: IO[str] | None
    ) -> None:
        self.directory, self.api_key = directory, api_key
        self._client: Container | None = None
        self._service = _Service(directory, readable, hosts, user, lock)
        self._end = weakref.finalize(self, self._service.end)  # also at interpreter exit

    @classmethod
    def start(
        cls, directory: str | Path, *, readable_storage: Iterable[str | Path] = (), hosts: Iterable[str] = ()
    ) -> Self:
        """Serve a directory, or connect to the server that serves it already. A new one is readable by its owner only.

        `readable_storage` are folders outside it with files, such as those of detectors, that the server may read.
        `hosts` are names by which a proxy asks for it, beside 127.0.0.1, localhost and [::1].

        Raises
        ------
        ServerError
            If the server cannot start, or the running one may not read `readable_storage`.
        """
        directory = Path(directory).resolve()
        if odd := [character for character in "#?" if character in str(directory)]:
            raise ServerError(f"storage.directory {directory} contains {odd[0]!r}, which Tiled cannot store: rename it")
        readable = [str(Path(path).resolve()) for path in readable_storage]
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            directory.mkdir(0o700, parents=True, exist_ok=True)
            while True:
                if (user := _register_user(directory)) is not None:
                    try:
                        with open(directory / "lock", "a", opener=_private) as lock:
                            is_first = lock_file(lock)
                            if is_first and (directory / "home").exists() and not (directory / "catalog.db").exists():
                                logger.warning(
                                    "%s was served before, and its catalog.db is missing: it begins empty. If you "
                                    "need the old one, end the session and put the file back",
                                    directory,
                                )
                            if is_first or _is_served(directory, readable):
                                own = lock if is_first else None
                                return cls(directory, readable, [*hosts], user, _api_key(directory), own)
                    except BaseException:
                        _unregister_user(user)
                        raise
                    _unregister_user(user)
                if time.monotonic() > deadline:
                    raise ServerError(f"a process holds {directory / 'lock'} but serves nothing: end it")
                time.sleep(0.2)  # the server is starting, or has just ended
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
            self._client = connect(self.uri, self.api_key, own=True)
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

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.uri} of {self.directory}>"


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
    server = EmbeddedServer.start(storage.directory, readable_storage=storage.frames, hosts=storage.hosts)
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
    if not is_locked(directory / "lock"):
        return None
    try:
        return str(_read_status(directory)["uri"]), (directory / "api_key").read_text().strip()
    except (OSError, ValueError, KeyError):
        return None


def wait_until_unused(directory: Path) -> None:
    """Return when the server has no user; a new user then waits until this process has ended."""
    fcntl.flock(_open_users(directory), fcntl.LOCK_EX)


class Served(NamedTuple):
    """A server in this process."""

    app: Any
    port: int
    uri: str


@contextmanager
def serving(
    directory: Path, *, api_key: str, port: int = 0, readable_storage: Iterable[str] = (), hosts: Iterable[str] = ()
) -> Iterator[Served]:
    """Run a server of `directory` in this process, at any free port by default.

    It refuses requests for other hosts than this machine's own names and `hosts`, so that the page of another site
    cannot reach it by a name that leads to this machine (DNS rebinding).
    """
    from starlette.middleware.trustedhost import TrustedHostMiddleware  # not in an analyst's install

    from ainerd.server import corrections, doors, pages
    from ainerd.server.downloads import offer_downloads
    from ainerd.server.listening import run
    from ainerd.server.result_files import HDF5, ResultFileAdapter, router

    relocate(directory)
    corrections.correct(directory / "catalog.db")
    offer_downloads()
    os.environ["TILED_UI_SETTINGS"] = str(pages.write_ui_settings(directory / "ui.yml"))
    adapters = {HDF5: ResultFileAdapter}
    app, close = corrections.build(directory, api_key, readable_storage, adapters_by_mimetype=adapters)
    app.include_router(router, prefix="/custom")
    app.include_router(pages.router, prefix="/custom")
    app.include_router(doors.router)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL_HOSTS, *hosts], www_redirect=False)
    app.state.is_alone = True  # no other process serves this catalog
    try:
        with run(app, directory, port) as port:
            yield Served(app, port, f"http://127.0.0.1:{port}/api/v1")
    finally:
        close()


class _Service:
    """The background part of an `EmbeddedServer`; it does not refer to it, so that the server can be collected."""

    def __init__(self, directory: Path, readable: list[str], hosts: list[str], user: int, lock: IO[str] | None) -> None:
        self._directory, self._readable, self._hosts, self._user = directory, readable, hosts, user
        self.process: subprocess.Popen[bytes] | None = None
        self._session = os.getpid()
        self.http: list[httpx.Client] = []
        if lock is not None:
            self.process = _spawn(directory, readable, hosts, lock)
        self.uri = str(_read_status(directory)["uri"])
        self._stop = threading.Event()
        self._watch = in_background("ainerd-server", self._keep_alive)

    def end(self) -> None:
        """Stop using the server; wait for its end if it was started here and has no other user.

        A forked process only forgets the server.
        """
        if os.getpid() != self._session:
            return
        self._stop.set()
        wait([self._watch], START_TIMEOUT_S)
        for http in self.http:
            http.close()
        others, process = _unregister_user(self._user), self.process
        if process is not None and not others:
            try:
                process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _keep_alive(self) -> None:
        """Start the server again if it dies; the first of its users to notice does it."""
        pause = WATCH_S
        while not self._stop.wait(pause):
            pause = WATCH_S
            try:
                _rotate(self._directory / "server.log")
                with open(self._directory / "lock", "a", opener=_private) as lock:
                    if not lock_file(lock):
                        continue
                    before = _read_status(self._directory).get("readable_storage", [])
                    self._readable = sorted({*self._readable, *before})  # also those of other users
                    self.process = _spawn(self._directory, self._readable, self._hosts, lock)
                    uri = str(_read_status(self._directory)["uri"])
            except (ServerError, OSError, ValueError, KeyError) as error:
                logger.error(
                    "the Tiled server cannot be watched, or has died and cannot be started again: %s: %s",
                    type(error).__name__,
                    error,
                )
                pause = RETRY_S
                continue
            if uri == self.uri:
                logger.warning("the Tiled server died and was started again at %s", uri)
            else:
                logger.error(
                    "the Tiled server died and was started again at %s instead of %s: start a new session",
                    uri,
                    self.uri,
                )
                self.uri = uri


def _private(path: str, flags: int) -> int:
    """Open a file that is for its owner alone if it is new: who can open the lock can hold it, and seem to serve."""
    return os.open(path, flags, 0o600)


def _register_user(directory: Path) -> int | None:
    """Register this process as a user; return the open file for `_unregister_user`, or None while the server ends."""
    file = _open_users(directory)
    if lock_file(file, fcntl.LOCK_SH):
        return file
    os.close(file)
    return None


def _unregister_user(file: int) -> bool:
    """Unregister this process as a user, and return whether the server has other users."""
    # Without the lock for itself, the server has it already, or there are other users.
    others = not lock_file(file) and lock_file(file, fcntl.LOCK_SH)
    os.close(file)
    return others


def _open_users(directory: Path) -> int:
    return os.open(directory / "users", os.O_RDWR | os.O_CREAT, 0o600)


def _spawn(directory: Path, readable: list[str], hosts: list[str], lock: IO[str]) -> "subprocess.Popen[bytes]":
    """Start a server in a process of its own and wait until it serves; ServerError if it does not."""
    _api_key(directory)
    (directory / "server.json").unlink(missing_ok=True)
    log_path = directory / "server.log"
    _rotate(log_path)
    options = {"readable_storage": readable, "hosts": hosts}
    with open(log_path, "ab", opener=_private) as log:  # the end of the log of a server that died stays
        begin = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "ainerd.server._child", str(directory), json.dumps(options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={name: value for name, value in os.environ.items() if KEPT.fullmatch(name)},
            pass_fds=[lock.fileno()],  # the lock lasts as long as the child
            start_new_session=True,  # Ctrl-C in this session must not reach the server
        )
    # It may end long after its users: a thread must wait for it, so that it does not become a zombie.
    in_background("ainerd-server-end", process.wait)
    try:
        assert process.stdout is not None
        with process.stdout:
            readable_now, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
            line = process.stdout.readline() if readable_now else b""
        if not readable_now:
            busy = f"did not answer in {START_TIMEOUT_S:.0f} s: is this machine busy?"
            raise ServerError(f"the Tiled server for {directory} {busy} (see {log_path})")
        if not line:
            raise ServerError(
                f"the Tiled server for {directory} did not start: {_last_error(log_path, begin)} (see {log_path})"
            )
        return process
    except BaseException:
        process.kill()
        process.wait()
        raise


def _rotate(log: Path) -> None:
    """Move a long log to a file beside it; processes that write to it append."""
    if log.exists() and log.stat().st_size > MOST_LOG_BYTES:
        shutil.copy(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


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
    raise ServerError(f"{path} is empty: remove it, and a new key is created")


def _read_status(directory: Path) -> dict[str, Any]:
    """Return uri, pid and readable_storage of the server of a directory; empty if it does not run.

    ServerError if somebody else may have written them: the key would go to their address.
    """
    try:
        with open(directory / "server.json") as file:
            state = os.fstat(file.fileno())
            if state.st_uid not in (os.getuid(), 0) or state.st_mode & 0o022:
                raise ServerError(f"others may write {directory / 'server.json'}: remove it, and see who did that")
            return dict(json.load(file))
    except FileNotFoundError:
        return {}


def _is_served(directory: Path, readable: list[str]) -> bool:
    """Return whether the server of a directory answers; ServerError if it may not read these folders."""
    try:
        status = _read_status(directory)
    except (OSError, ValueError):
        return False
    try:
        probe(httpx.URL(status["uri"] + "/"), status["uri"], _api_key(directory), trust_env=False, own=True)
    except (ValueError, KeyError, ServerError):
        return False
    if missing := set(readable) - set(status["readable_storage"]):
        raise ServerError(
            f"{directory} is already served (process {status['pid']}), but without permission to read "
            f"{', '.join(sorted(missing))}: end the sessions that use it, or name these folders in the first of them"
        )
    return True


def _last_error(log: Path, begin: int) -> str:
    """Return the last error in a log after byte `begin`, else its last line."""
    lines = [line for line in log.read_bytes()[begin:].decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception): [\w('\"\[]", line)]
    return (errors or lines or ["its log is empty"])[-1]


def relocate(directory: Path) -> int:
    """Make the catalog of a copied or moved directory refer to its own files; return how many addresses changed.

    The file ``home`` holds the directory that the addresses are for.
    """
    directory, home_file, catalog = directory.resolve(), directory / "home", directory / "catalog.db"
    changed = 0
    if catalog.exists() and home_file.exists() and (home := Path(home_file.read_text())) != directory:
        with closing(sqlite3.connect(catalog, timeout=30)) as connection, connection:
            changed = _move(connection, home, directory)
    if changed or not home_file.exists():
        home_file.write_text(str(directory))
    return changed


def _move(connection: sqlite3.Connection, home: Path, directory: Path) -> int:
    tables = "duckdb://localhost/{}/storage.duckdb"
    new = {tables.format(home): tables.format(directory)}
    for (uri,) in connection.execute("SELECT DISTINCT data_uri FROM assets WHERE data_uri IS NOT NULL").fetchall():
        text = uri.removeprefix("file://localhost")
        for path in [Path(text), Path(unquote(text))]:
            if path.is_relative_to(home / "data") and (target := directory / path.relative_to(home)).exists():
                new[uri] = f"file://localhost{target}"  # as Tiled writes it: a space stays a space
                break
    with closing(connection.cursor()) as cursor:
        cursor.executemany("UPDATE assets SET data_uri = ? WHERE data_uri = ?", [(n, old) for old, n in new.items()])
        return cursor.rowcount
