"""A PostgreSQL server, and Tiled on it as docs/how-to/server.md describes."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import yaml
from tiled.utils import path_from_uri

from ainerd.results import ResultRecord
from tests.tiled_servers import DATABASES, POSTGRES, free_port, postgres, tiled

KEY = "soak0soak"


@contextmanager
def tiled_on_postgres(folder: Path) -> Iterator[str]:
    """Serve Tiled on a new PostgreSQL with the one key `KEY`, arrays and frames in `folder`, and yield its address.

    The address of PostgreSQL is in the environment (PGHOST, …).
    """
    with _configured(folder) as config, tiled(config) as uri:
        yield uri


class MortalTiled:
    """Tiled on a new PostgreSQL as in `tiled_on_postgres`; its process can be killed, and starts again at once.

    Between the two, arrays that the process had begun are removed (docs/upstream/tiled_orphan.py).
    """

    def __init__(self, folder: Path) -> None:
        self._data, self._ends, self._port = folder / "data", ExitStack(), free_port()
        self._config = self._ends.enter_context(_configured(folder))
        self.uri, self.api_key = f"http://127.0.0.1:{self._port}/api/v1", KEY
        self._start()

    def kill(self) -> None:
        """Kill the process with SIGKILL, and start another one."""
        self._process.kill()
        self._process.wait()
        self._remove_arrays_without_a_row()
        self._start()

    def close(self) -> None:
        """End Tiled and PostgreSQL."""
        self._process.terminate()
        self._process.wait()
        self._ends.close()

    def _remove_arrays_without_a_row(self) -> None:
        """Remove the folders of arrays that no asset of the catalogue names, as an operator would."""
        uris = subprocess.run(
            [POSTGRES.with_name("psql"), "-d", "catalog", "-Atc", "SELECT data_uri FROM assets"],
            check=True, capture_output=True, text=True,
        ).stdout.splitlines()  # fmt: skip
        known = {path_from_uri(uri) for uri in uris if uri.startswith("file:")}
        for array in {path.parent for path in self._data.rglob("zarr.json")} - known:
            shutil.rmtree(array)

    def _start(self) -> None:
        command = [sys.executable, "-m", "tiled", "serve", "config", str(self._config)]
        with open(self._config.with_name("tiled.log"), "ab") as log:
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self._port)], stdout=log, stderr=log
            )


@contextmanager
def _configured(folder: Path) -> Iterator[Path]:
    """Start a new PostgreSQL, and yield the configuration of a Tiled on it."""
    for name in ("frames", "data"):
        (folder / name).mkdir(exist_ok=True)
        os.environ[f"{name.upper()}_DIRECTORY"] = str(folder / name)
    os.environ.setdefault("STREAMING_CACHE", "memory")
    config = yaml.safe_load(DATABASES.with_name("config.yml").read_text())
    del config["database"], config["access_control"]
    config["authentication"] = {"single_user_api_key": KEY, "allow_anonymous_access": False}
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    with postgres("max_wal_size=8GB") as where:
        os.environ |= where
        yield folder / "config.yml"


def make_indexes() -> None:
    """Make the indexes of docs/how-to/server.md."""
    command = [POSTGRES.with_name("psql"), "-d", "catalog", "-v", "ON_ERROR_STOP=1", "-f"]
    subprocess.run([*command, DATABASES.with_name("indexes.sql")], check=True, capture_output=True)


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
