"""A PostgreSQL of its own, and a Tiled server on it, as docs/how-to/server.md has it."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from studies._server import KEY

POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), default=None)
_FILES = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "files" / "tiled"
_SETTINGS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "maintenance_work_mem=512MB", "max_wal_size=8GB")


@contextmanager
def postgres(folder: Path) -> Iterator[dict[str, str]]:
    """A cluster in `folder`, made if it is not there: how clients reach it (PGHOST, …).

    PostgreSQL refuses to run as root: root runs it as the user postgres, who must be able to enter the folder.

    Raises
    ------
    RuntimeError
        If PostgreSQL is not installed.
    """
    if POSTGRES is None:
        raise RuntimeError("no PostgreSQL in /usr/lib/postgresql: apt install postgresql")
    user, tools, db = "postgres" if os.getuid() == 0 else None, POSTGRES.parent, folder / "db"
    folder.mkdir(parents=True, exist_ok=True)
    is_new, word = not db.exists(), folder / "password"
    if is_new:
        word.write_text(secrets.token_hex(8))
        if user is not None:
            for path in (folder, word):
                shutil.chown(path, user)
    password = word.read_text()
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(_free_port()), "PGUSER": "tiled", "PGPASSWORD": password}
    if is_new:
        make = ["-D", db, "-U", "tiled", "--auth=scram-sha-256", f"--pwfile={word}", "-E", "UTF8"]
        subprocess.run([tools / "initdb", *make], check=True, capture_output=True, user=user, cwd="/")
    serve = [f"-p{where['PGPORT']}", *(f"-c{setting}" for setting in _SETTINGS)]
    with open(folder / "log", "ab") as log:
        server = subprocess.Popen([POSTGRES, "-D", db, *serve], stderr=log, user=user, cwd="/")
    try:
        _until(lambda: not subprocess.run([tools / "pg_isready"], env=where, capture_output=True).returncode)
        if is_new:
            ask = [tools / "psql", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-f", _FILES / "databases.sql"]
            subprocess.run(ask, check=True, capture_output=True, env=where)
        yield where
    finally:
        server.terminate()
        server.wait(60)


def index(where: dict[str, str]) -> None:
    """Make the indexes that the page advises for many results, unless they are there."""
    assert POSTGRES is not None
    ask = [POSTGRES.parent / "psql", "-d", "catalog", "-v", "ON_ERROR_STOP=1", "-f", _FILES / "indexes.sql"]
    subprocess.run(ask, check=True, capture_output=True, env=where)


@contextmanager
def tiled_on(where: dict[str, str], folder: Path) -> Iterator[str]:
    """Address of a Tiled server on that PostgreSQL, whose one key is `KEY`; arrays and frames are in `folder`."""
    for name in ("frames", "data"):
        (folder / name).mkdir(exist_ok=True)
    config, more = (yaml.safe_load((_FILES / name).read_text()) for name in ("config.yml", "files.yml"))
    config["catalog"] |= more.pop("catalog")
    del config["database"], config["access_control"]
    config["authentication"] = {"single_user_api_key": KEY, "allow_anonymous_access": False}
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(config | more))
    environment = (
        os.environ | where | {"DATA_DIRECTORY": str(folder / "data"), "FRAMES_DIRECTORY": str(folder / "frames")}
    )
    port = _free_port()
    with open(folder / "tiled.log", "ab") as log:
        command = [sys.executable, "-m", "tiled", "serve", "config", str(path), "--port", str(port)]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    uri = f"http://127.0.0.1:{port}"
    try:
        _until(lambda: _answers(uri) or server.poll() is not None)
        if server.poll() is not None:
            raise RuntimeError(f"Tiled did not start: see {folder / 'tiled.log'}")
        yield uri
    finally:
        server.terminate()
        server.wait(60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until(condition: Callable[[], bool], timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not there after {timeout_s:.0f} s")
        time.sleep(0.1)


def _answers(uri: str) -> bool:
    try:
        return httpx.get(f"{uri}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False
