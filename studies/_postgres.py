"""A PostgreSQL server, Tiled on it as docs/how-to/server.md describes, and a catalogue filled by SQL.

Everything that the agent and TiledWriter wrote of a run is copied: the result, the run with its streams, the
suggestion, the lines of the log, with their data sources, which point to the same files. Copies have keys, uids, times,
positions, p-values and embeddings of their own; a result has the key that the agent would give it.
"""

import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import numpy as np
import yaml
from rich.progress import Progress

from ainerd.results import ResultRecord

KEY = "soak0soak"
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), default=None)
_FILES = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "files" / "tiled"
_SETTINGS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "maintenance_work_mem=512MB", "max_wal_size=8GB")


@contextmanager
def postgres(folder: Path) -> Iterator[dict[str, str]]:
    """Serve the cluster in `folder`, which is created first if needed, and yield its connection settings (PGHOST, …).

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
    """Make the indexes that docs/how-to/server.md advises, unless they exist."""
    assert POSTGRES is not None
    ask = [POSTGRES.parent / "psql", "-d", "catalog", "-v", "ON_ERROR_STOP=1", "-f", _FILES / "indexes.sql"]
    subprocess.run(ask, check=True, capture_output=True, env=where)


@contextmanager
def tiled_on(where: dict[str, str], folder: Path) -> Iterator[str]:
    """Serve Tiled on that PostgreSQL with the one key `KEY`, arrays and frames in `folder`, and yield its address."""
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
            raise RuntimeError(f"no answer after {timeout_s:.0f} s")
        time.sleep(0.1)


def _answers(uri: str) -> bool:
    try:
        return httpx.get(f"{uri}/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


# filling

AT_ONCE = 5000
NEAR = 0.02  # mm, from a run to its copies: elsewhere on the sample nothing is measured
SINCE = 1.79e9  # seconds since 1970, of the first copy; one comes each minute
_PLACES = (
    "SELECT id FROM nodes WHERE parent = (SELECT id FROM nodes WHERE parent = 0 AND key = 'ainerd') AND key = '{}'"
)
_RAW = "(SELECT id FROM nodes WHERE parent = 0 AND key = 'raw')"
_RESULTS, _LOG = (f"({_PLACES.format(name)})" for name in ("results", "log"))
_TEMPLATES = f"""
CREATE TEMP TABLE run AS
  SELECT row_number() OVER (ORDER BY id) - 1 AS k, id, key, metadata->>'raw_uid' AS uid,
         coalesce(metadata->>'suggestion_id', '?') AS suggestion
  FROM nodes WHERE parent = {_RESULTS} AND metadata->>'status' = 'complete' AND metadata->>'copy' IS NULL;
CREATE TEMP TABLE template AS
  SELECT k, c.descendant AS old, row_number() OVER (PARTITION BY k ORDER BY n.id) - 1 AS ord
  FROM run JOIN nodes root ON root.id = run.id OR root.key IN (run.uid, run.suggestion)
      OR (root.parent = {_LOG} AND root.metadata->>'raw_uid' = run.uid)
  JOIN nodes_closure c ON c.ancestor = root.id JOIN nodes n ON n.id = c.descendant;
CREATE TEMP TABLE source AS
  SELECT k, ord, d.id AS old, row_number() OVER (PARTITION BY k ORDER BY d.id) - 1 AS number
  FROM template t JOIN data_sources d ON d.node_id = t.old;
CREATE TEMP TABLE copy (k bigint, node bigint, source bigint, uid text, suggestion text, key text, ns text,
                        run_time float8, scan_id bigint, changed jsonb);
ANALYZE run; ANALYZE template; ANALYZE source;
"""
# As Tiled makes them. Copies are made without them; an interrupted filling makes them the next time.
_LARGE = {
    "ix_nodes_metadata": "metadata jsonb_path_ops",
    "metadata_tsvector_search": """jsonb_to_tsvector('simple', metadata, '["string"]')""",
}
_RENAMED = """replace(replace(replace(o.metadata::text, run.uid, new.uid), run.key, new.key),
                      run.suggestion, new.suggestion)::jsonb"""
_COPIED = f"""
INSERT INTO nodes (id, parent, key, structure_family, metadata, specs)
  SELECT new.node + t.ord, coalesce(new.node + p.ord, o.parent),
    CASE WHEN o.key = run.uid THEN new.uid WHEN o.key = run.key THEN new.key
         WHEN o.key = run.suggestion THEN new.suggestion
         WHEN o.parent = {_LOG} THEN new.ns || substr(o.key, 21) ELSE o.key END,
    o.structure_family,
    CASE WHEN o.parent = {_RESULTS} THEN {_RENAMED} || new.changed
         WHEN o.parent = {_RAW} THEN jsonb_set(jsonb_set({_RENAMED}, '{{start,time}}', to_jsonb(new.run_time)),
                                                '{{start,scan_id}}', to_jsonb(new.scan_id))
         ELSE {_RENAMED} END,
    o.specs
  FROM copy new JOIN run ON run.k = new.k JOIN template t ON t.k = new.k JOIN nodes o ON o.id = t.old
  LEFT JOIN template p ON p.k = t.k AND p.old = o.parent ORDER BY 1;
INSERT INTO nodes_closure (ancestor, descendant, depth)
  SELECT coalesce(new.node + a.ord, c.ancestor), new.node + t.ord, c.depth
  FROM copy new JOIN template t ON t.k = new.k JOIN nodes_closure c ON c.descendant = t.old
  LEFT JOIN template a ON a.k = t.k AND a.old = c.ancestor;
INSERT INTO data_sources (id, node_id, structure_id, mimetype, parameters, properties, management, structure_family)
  SELECT new.source + s.number, new.node + s.ord, d.structure_id, d.mimetype, d.parameters, d.properties, d.management,
         d.structure_family
  FROM copy new JOIN source s ON s.k = new.k JOIN data_sources d ON d.id = s.old;
INSERT INTO data_source_asset_association (data_source_id, asset_id, parameter, num)
  SELECT new.source + s.number, a.asset_id, a.parameter, a.num
  FROM copy new JOIN source s ON s.k = new.k JOIN data_source_asset_association a ON a.data_source_id = s.old;
"""


def copy_runs(where: Mapping[str, str], n: int, width: float, size: int) -> dict[str, Any]:
    """Copy runs until there are `n` results, and return the numbers of nodes and bytes.

    Embeddings have `size` components and lie about five centres, ten times `width` apart.
    """
    return asyncio.run(_copy_runs(where, n, width, size))


async def _copy_runs(where: Mapping[str, str], n: int, width: float, size: int) -> dict[str, Any]:
    db = await asyncpg.connect(
        host=where["PGHOST"], port=int(where["PGPORT"]), user=where["PGUSER"], password=where["PGPASSWORD"],
        database="catalog", timeout=60,
    )  # fmt: skip
    try:
        await db.execute("SET synchronous_commit = off; SET session_replication_role = replica; SET work_mem = '256MB'")
        await db.execute(_TEMPLATES)
        runs = await db.fetch("SELECT k, run.key, metadata FROM run JOIN nodes n ON n.id = run.id ORDER BY k")
        if not runs:
            raise ValueError("the agent wrote no complete result: nothing to copy")
        kept = [json.loads(row["metadata"]) for row in runs]
        nodes = await db.fetchval("SELECT 1 + max(ord) FROM template")
        sources = await db.fetchval("SELECT 1 + max(number) FROM source")
        there = await db.fetchval(f"SELECT count(*) FROM nodes WHERE parent = {_RESULTS}")
        first = [await db.fetchval(f"SELECT 1 + max(id) FROM {table}") for table in ("nodes", "data_sources")]
        for name in _LARGE if there < n else ():
            await db.execute(f"DROP INDEX IF EXISTS {name}")
        made = _copies(kept, there, n, width, size)
        with Progress() as bar:
            task = bar.add_task(f"{n - there:,} runs", total=n - there)
            for begin in range(0, n - there, AT_ONCE):
                some = [next(made) for _ in range(min(AT_ONCE, n - there - begin))]
                rows = [
                    (k, first[0] + (begin + j) * nodes, first[1] + (begin + j) * sources, *rest)
                    for j, (k, *rest) in enumerate(some)
                ]
                await db.execute("TRUNCATE copy")
                await db.copy_records_to_table("copy", records=rows)
                await db.execute("ANALYZE copy")
                await db.execute(_COPIED)
                bar.advance(task, len(rows))
        for table in ("nodes", "data_sources"):
            await db.execute(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")
        for name, of in _LARGE.items():
            await db.execute(f"CREATE INDEX IF NOT EXISTS {name} ON nodes USING gin ({of})")
        await db.execute("RESET session_replication_role; ANALYZE")
        return {
            "results": await db.fetchval(f"SELECT count(*) FROM nodes WHERE parent = {_RESULTS}"),
            "nodes": await db.fetchval("SELECT count(*) FROM nodes"),
            "nodes a run": nodes,
            "catalogue (MB)": await db.fetchval("SELECT pg_database_size('catalog')") / 1e6,
        }
    finally:
        await db.close()


def _copies(kept: list[dict[str, Any]], first: int, last: int, width: float, size: int) -> Iterator[tuple[Any, ...]]:
    """Yield rows of the table of copies, without the numbers of their nodes."""
    rng, regimes = np.random.default_rng([first, 1]), 5
    centres = 10 * width * np.random.default_rng(0).standard_normal((regimes, size)) / np.sqrt(size)
    for i in range(first, last):
        k, uid, suggestion = i % len(kept), _uuid(rng), _uuid(rng)
        p, regime, when = float(rng.random()), i % regimes, SINCE + 60 * i
        point = (centres[regime] + 0.2 * width * rng.standard_normal(size) / np.sqrt(size)).astype(np.float32)
        changed = {
            "copy": True, "scan_id": i, "run_time": when, "novelty_p": p, "novel": p <= 0.05, "regime": regime,
            "atlas_version": i + 1, "embedding": list(map(float, point)), "tau_s": float(rng.lognormal()),
            **{name: kept[k][name] + float(rng.normal(0, NEAR)) for name in kept[k].get("positions") or ()},
        }  # fmt: skip
        record = ResultRecord.from_metadata(kept[k] | {"raw_uid": uid})
        ns = f"{int(when * 1e9):020d}"
        yield k, uid, suggestion, record.key, ns, when, i, json.dumps(changed)


def _uuid(rng: np.random.Generator) -> str:
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))
