"""Tiled for a session: an embedded server in a process of its own, and the way to any server.

The server runs in a child process, so that it shares no interpreter lock with a RunEngine. The child lives as
long as the pipe to its standard input: it ends with its parent, however that ends. Who asks for a directory
that is already served is connected to the server that serves it.
"""

import fcntl
import json
import os
import re
import secrets
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Self

import httpx
from tiled.client import from_uri
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.structures.core import Spec

from ainerd.config import Storage

START_TIMEOUT_S = 60.0
PROBE_TIMEOUT_S = 3.0
END_TIMEOUT_S = 6.0  # it ends itself before
SCOPES = ("read:metadata", "read:data", "write:metadata", "write:data", "create:node", "delete:node")  # of an agent


class ServerError(RuntimeError):
    """No Tiled server could be started or reached; the message says why in one line."""


class EmbeddedServer:
    """A Tiled server on 127.0.0.1 that keeps everything in one directory.

    Make one with `EmbeddedServer.start`, or with `embedded_server` in a ``with`` statement.

    Attributes
    ----------
    directory : Path
        Where catalogue, arrays, tables, logs and the API key are kept.
    uri : str
        Address of the API, without the key.
    owned : bool
        Whether this object started the server, and `close` ends it.
    """

    def __init__(
        self, directory: Path, uri: str, api_key: str, process: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        self.directory, self.uri, self.api_key = directory, uri, api_key
        self.owned = process is not None
        self._clients: list[Container] = []
        self._end = weakref.finalize(self, _end, self._clients, process)  # also at interpreter exit

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
                with open(directory / "lock", "a") as lock:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        pass
                    else:
                        return cls._spawn(directory, readable, lock)
                if there := _served(directory, readable):
                    return cls(directory, *there)
                if time.monotonic() > deadline:
                    raise ServerError(f"a process holds {directory / 'lock'} but serves nothing: end it")
                time.sleep(0.2)  # it is starting, or just gone
        except OSError as error:
            raise ServerError(f"cannot serve {directory}: {error}") from None

    @classmethod
    def _spawn(cls, directory: Path, readable: list[str], lock: IO[str]) -> Self:
        api_key = _api_key(directory)
        (directory / "server.json").unlink(missing_ok=True)
        log_path = directory / "server.log"
        command = [sys.executable, "-m", "ainerd.server._child", str(directory), *readable]
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=[lock.fileno()],  # the lock lasts as long as the child
                start_new_session=True,  # Ctrl-C in the session is not for the server
            )
        try:
            assert process.stdout is not None
            with process.stdout:
                said, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
                line = process.stdout.readline() if said else b""
            if not line:
                raise ServerError(
                    f"the Tiled server for {directory} did not start: {_complaint(log_path)} (see {log_path})"
                )
            return cls(directory, json.loads(line)["uri"], api_key, process)
        except BaseException:
            process.kill()
            _end([], process)
            raise

    def client(self) -> Container:
        """Root of the server as a Tiled client; the same one each time, closed by `close`."""
        if not self._clients:
            self._clients.append(connect(self.uri, self.api_key))
        return self._clients[0]

    def close(self) -> None:
        """Close the client and, if this object started it, the server."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.uri} of {self.directory}>"


embedded_server = EmbeddedServer.start


def connect(uri: str, api_key: str | None = None) -> Container:
    """Connect to a Tiled server, or say within seconds why not.

    The Tiled client alone retries for most of a minute; here one short request comes first.

    Parameters
    ----------
    uri : str
        Such as ``http://127.0.0.1:8000``; a key in its query is used.
    api_key : str, optional
        Otherwise that of the environment, ``TILED_API_KEY``.

    Returns
    -------
    tiled.client.container.Container
        The root, or the node the address names. Close ``client.context.http_client`` when done.

    Raises
    ------
    ServerError
        If the address is no address, nothing answers there, what answers is not Tiled, or it refuses the key.
    """
    try:
        url = httpx.URL(uri)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise ServerError(f"{uri.partition('?')[0]!r} is no address of a server: give http://host:port")
    api_key = api_key or url.params.get("api_key") or os.environ.get("TILED_API_KEY")
    if api_key and not re.fullmatch(r"[A-Za-z0-9_]+", api_key):
        raise ServerError("the API key has characters no Tiled key has: letters and digits only")
    shown = str(url.copy_with(query=None))
    trust_env = url.host not in ("127.0.0.1", "localhost", "::1")  # no proxy on the way to this machine
    api = url.copy_with(path=url.path.partition("/api")[0].rstrip("/") + "/api/v1/", query=None)
    _probe(api, shown, api_key, trust_env)
    return from_uri(shown, api_key=api_key, trust_env=trust_env)


def open_tiled(storage: Storage) -> tuple[Container, Callable[[], None]]:
    """The catalogue that the settings name, and what closes it; ServerError if none can be started or reached."""
    if storage.uri:
        client = connect(storage.uri, storage.api_key.get_secret_value() or None)
        return client, client.context.http_client.close
    server = EmbeddedServer.start(storage.directory, readable_storage=storage.frames)
    return server.client(), server.close


def open_catalog(client: Container) -> tuple[Container, Container]:
    """The two trees of a server, or of a container one may write into, made where they are missing.

    Returns
    -------
    raw, ainerd : tiled.client.container.Container
        `raw` is for TiledWriter; `ainerd` holds ``results``, ``suggestions``, ``atlas`` and ``log`` and is
        for `ainerd.results.ResultStore`.

    Raises
    ------
    ServerError
        If the key may not write.
    """
    raw = _container(client, "raw", [Spec("CatalogOfBlueskyRuns", version="3.0")])
    ainerd = _container(client, "ainerd")
    for key in ("results", "suggestions", "atlas", "log"):
        _container(ainerd, key)
    return raw, ainerd


def _container(parent: Container, key: str, specs: list[Spec] | None = None) -> Container:
    try:
        return parent.create_container(key, specs=specs)
    except ClientError as error:
        status = error.response.status_code
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            shown = httpx.URL(parent.uri).copy_with(query=None)
            raise ServerError(
                f"the API key may not write at {shown}: an agent needs one with the scopes {', '.join(SCOPES)}; "
                "results are read with any key"
            ) from None
        if status != httpx.codes.CONFLICT:
            raise
        return parent[key]


def _probe(api: httpx.URL, shown: str, api_key: str | None, trust_env: bool) -> None:
    headers = {"Authorization": f"Apikey {api_key}"} if api_key else {}
    try:
        with httpx.Client(timeout=PROBE_TIMEOUT_S, trust_env=trust_env, follow_redirects=True) as http:
            about = http.get(api)
            metadata = http.get(api.join("metadata/"), headers=headers)
    except httpx.HTTPError as error:
        raise ServerError(f"no server answers at {shown} ({type(error).__name__}): is it running?") from None
    try:
        about.json()["library_version"]
    except (ValueError, KeyError, TypeError):
        raise ServerError(f"what answers at {shown} is not a Tiled server") from None
    if metadata.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        what = "refuses the API key" if api_key else "wants an API key"
        raise ServerError(f"the Tiled server at {shown} {what}")
    if metadata.is_error:
        raise ServerError(f"the Tiled server at {shown} answers {metadata.status_code} {metadata.reason_phrase}")


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


def _served(directory: Path, readable: list[str]) -> tuple[str, str] | None:
    """Address and key of the server that serves a directory, if it answers."""
    try:
        said = json.loads((directory / "server.json").read_text())
        api_key = _api_key(directory)
        _probe(httpx.URL(said["uri"] + "/"), said["uri"], api_key, trust_env=False)
    except (OSError, ServerError):
        return None
    if missing := set(readable) - set(said["readable_storage"]):
        raise ServerError(
            f"{directory} is already served (process {said['pid']}), but without leave to read "
            f"{', '.join(sorted(missing))}: end that process, or start it with these in readable_storage"
        )
    return said["uri"], api_key


def _complaint(log: Path) -> str:
    """The last error in a log, or its last line."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception): [\w('\"\[]", line)]
    return (errors or lines or ["it said nothing"])[-1]


def _end(clients: list[Container], process: "subprocess.Popen[bytes] | None") -> None:
    for client in clients:
        client.context.http_client.close()
    if process is not None:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
