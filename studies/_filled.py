"""A catalogue in PostgreSQL filled by SQL with copies of the runs that an agent wrote.

Of each run everything is copied that the agent and TiledWriter made of it: the result, the run with its streams, the
suggestion, the lines of the log; with their data sources, which point to the same files. Copies have keys, uids, times,
positions, p-values and embeddings of their own; a result has the key that the agent would give it.
"""

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import asyncpg
import numpy as np
from rich.progress import Progress

from ainerd.results import ResultRecord

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


def fill(where: Mapping[str, str], n: int, width: float, size: int) -> dict[str, Any]:
    """Copy until there are `n` results; how many nodes and bytes there are then.

    Embeddings have `size` components and lie about five centres, ten times `width` apart.
    """
    return asyncio.run(_fill(where, n, width, size))


async def _fill(where: Mapping[str, str], n: int, width: float, size: int) -> dict[str, Any]:
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
    """Rows of the table of copies, but for the numbers of their nodes."""
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
