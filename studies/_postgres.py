"""A PostgreSQL server, and Tiled on it as docs/how-to/server.md describes."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import yaml

from ainerd.results import ResultRecord

KEY = "soak0soak"
_FILES = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "files" / "tiled"
_TOOLS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
_PATIENCE_S = 600.0
_ENDS_WITH_PARENT = "setpriv", "--pdeathsig", "INT"  # also if this process is killed


@contextmanager
def postgres(folder: Path) -> Iterator[None]:
    """Serve a new cluster in `folder`; its address is in the environment (PGHOST, …).

    PostgreSQL refuses to run as root: root runs it as the user postgres, who must be able to enter the folder.

    Raises
    ------
    RuntimeError
        If PostgreSQL is not installed.
    """
    if _TOOLS is None:
        raise RuntimeError("no PostgreSQL in /usr/lib/postgresql: apt install postgresql")
    user, db, word = "postgres" if os.getuid() == 0 else None, folder / "db", folder / "password"
    folder.mkdir(parents=True)
    word.write_text(secrets.token_hex(8))
    for path in (folder, word) if user else ():
        shutil.chown(path, user)
    os.environ |= {"PGHOST": "127.0.0.1", "PGPORT": free_port(), "PGUSER": "tiled", "PGPASSWORD": word.read_text()}

    create = [_TOOLS / "initdb", "-D", db, "-U", "tiled", "--auth=scram-sha-256", f"--pwfile={word}", "-E", "UTF8"]
    subprocess.run(create, check=True, capture_output=True, user=user, cwd="/")
    settings = "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_wal_size=8GB"
    options = [word for setting in settings for word in ("-c", setting)]
    with open(folder / "log", "ab") as log:
        command = [*_ENDS_WITH_PARENT, _TOOLS / "postgres", "-D", db, "-p", os.environ["PGPORT"], *options]
        server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd="/")
    try:
        end = time.monotonic() + _PATIENCE_S
        while subprocess.run([_TOOLS / "pg_isready", "-q"], check=False).returncode:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start: see {folder / 'log'}")
            time.sleep(0.1)
        run_sql("postgres", "databases.sql")
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def run_sql(database: str, name: str) -> None:
    """Run a file of docs/how-to/files/tiled."""
    command = [_TOOLS / "psql", "-d", database, "-v", "ON_ERROR_STOP=1", "-f", _FILES / name]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def tiled_on(folder: Path) -> Iterator[str]:
    """Serve Tiled on that PostgreSQL with the one key `KEY`, arrays and frames in `folder`, and yield its address."""
    for name in ("frames", "data"):
        (folder / name).mkdir(exist_ok=True)
        os.environ[f"{name.upper()}_DIRECTORY"] = str(folder / name)
    os.environ.setdefault("STREAMING_CACHE", "memory")
    config, more = (yaml.safe_load((_FILES / name).read_text()) for name in ("config.yml", "files.yml"))
    config["catalog"] |= more.pop("catalog")
    del config["database"], config["access_control"]
    config["authentication"] = {"single_user_api_key": KEY, "allow_anonymous_access": False}
    (folder / "config.yml").write_text(yaml.safe_dump(config | more))
    serve = [*_ENDS_WITH_PARENT, sys.executable, "-m", "tiled", "serve", "config"]
    command = [*serve, folder / "config.yml", "--port", port := free_port()]
    with open(folder / "tiled.log", "ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    uri, end = f"http://127.0.0.1:{port}", time.monotonic() + _PATIENCE_S
    try:
        while not _answers(uri):
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Tiled did not start: see {folder / 'tiled.log'}")
            time.sleep(0.1)
        yield uri
    finally:
        server.terminate()
        server.wait(60)


def free_port() -> str:
    """Return a port that is free on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def _answers(uri: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{uri}/healthz", trust_env=False).is_success
    return False


def fill_postgres(model: ResultRecord, records: Iterable[ResultRecord]) -> dict[str, Any]:
    """Write results by SQL, each with copies of the nodes of the run of `model`: run, suggestion, log lines.

    Returns
    -------
    dict
        Number of nodes, and size of the catalogue.
    """
    return asyncio.run(_fill(model, records))


async def _fill(model: ResultRecord, records: Iterable[ResultRecord]) -> dict[str, Any]:
    names = "parent", "key", "structure_family", "metadata", "specs"
    began = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=60)
    db = await asyncpg.connect(database="catalog", timeout=60)
    try:
        templates = await db.fetch(
            f"""SELECT {", ".join(f"n.{name}" for name in names)} FROM nodes n JOIN nodes p ON p.id = n.parent
                WHERE p.key IN ('raw', 'results', 'suggestions', 'log') AND ($1 IN (n.key, n.metadata->>'raw_uid')
                                                                         OR n.key = $2)""",
            model.raw_uid, model.suggestion_id,
        )  # fmt: skip

        def rows() -> Iterator[tuple[Any, ...]]:
            for number, record in enumerate(records):  # one every 50 s, because the server sends the newest nodes again
                at = began + timedelta(seconds=50 * number)
                new = {getattr(model, name): getattr(record, name) for name in ("raw_uid", "key", "suggestion_id")}
                for parent, key, family, metadata, specs in templates:
                    text = json.dumps(record.metadata()) if key == model.key else metadata
                    for one, other in new.items():
                        text = text.replace(one, other)
                    own = new.get(key) or f"{int(1e9 * (record.run_time or 0)):020d}{key[20:]}"  # of a log line
                    yield parent, own, family, text, specs, at, at

        indexes = await db.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'nodes' AND indexdef LIKE '%USING gin%'"
        )
        for name, _ in indexes:  # made anew, which is much faster than row by row
            await db.execute(f"DROP INDEX {name}")
        # a trigger of Tiled reads the closure table for each row; PostgreSQL plans this while the table is empty
        await db.execute("SET enable_seqscan = off")
        await db.copy_records_to_table("nodes", records=rows(), columns=(*names, "time_created", "time_updated"))
        for _, definition in indexes:
            await db.execute(definition)
        return {
            "nodes": await db.fetchval("SELECT count(*) FROM nodes"),
            "catalogue (MB)": await db.fetchval("SELECT pg_database_size('catalog')") / 1e6,
        }
    finally:
        await db.close()
