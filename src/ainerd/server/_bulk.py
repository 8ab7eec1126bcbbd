"""Much in one request, for programs: changed results for `ainerd.results`, and finished runs for `ainerd.documents`.

From Tiled alone a run takes eight requests and more: one for its node, one for each stream, and one for each table.
"""

from typing import Annotated, Any

import msgpack
import orjson
import pyarrow
from fastapi import APIRouter, Depends, HTTPException, Query, Response
from pydantic import ValidationError
from tiled.queries import Eq

from ainerd.server._access import json_response
from ainerd.server.internals import Caller, Cursor, Descendant, newest, newest_key, read_changes, read_grandchildren
from ainerd.server.result_files import MOST_IN_ANSWER

MOST_RUNS = 100
MOST_NOTES = 100_000
router = APIRouter()


@router.get("/changes/{path:path}")
async def changes(
    path: str,
    caller: Annotated[Caller, Depends()],
    since: str = "{}",
    campaign: bool = False,
    agent: str | None = None,
    digest: str | None = None,
) -> Response:
    """Return ``keys`` and ``metadata`` of the results below a campaign that were written since a ``cursor``.

    Results may come again. `whole`: those of earlier answers do not count any more. `more`: ask again at once. With
    `campaign` the last of these answers has the ``notes`` of people, and ``atlas``: the keys of the newest atlas of
    all, and of the ``scope`` of this agent and digest.
    """
    try:
        cursor = Cursor.model_validate_json(since)
    except ValidationError:
        cursor = Cursor()
    node = await caller.node(path)
    results, atlas, log = [await caller.child(node, name) for name in ("results", "atlas", "log")]
    if not all(hasattr(each, "context") for each in (results, atlas, log)):
        raise HTTPException(404, f"there is no campaign at {path[:200]!r}")
    async with results.context.session() as db:
        cursor, children, whole, more = await read_changes(db, results.node.id, cursor, results.apply_conditions)
    answer: dict[str, Any] = {
        "cursor": cursor.model_dump(mode="json"),
        "whole": whole,
        "more": more,
        "keys": [child.key for child in children],
        "metadata": [orjson.Fragment(child.text) for child in children],
    }
    if campaign and not more:
        scoped = atlas
        for name, value in (("agent", agent), ("digest", digest)):
            scoped = scoped if value is None else scoped.search(Eq(name, value))
        answer["atlas"] = {"scope": (await newest_key(scoped))[1], "all": (await newest_key(atlas))[1]}
        notes = await newest(log.search(Eq("kind", "note")), MOST_NOTES)
        answer["notes"] = [child.metadata for child in reversed(notes)]
    return json_response(answer)


@router.get("/runs/{path:path}")
async def runs(
    path: str, caller: Annotated[Caller, Depends()], uids: Annotated[list[str], Query(max_length=MOST_RUNS)]
) -> Response:
    """Return the nodes of runs in a container, from which their documents are rebuilt; null for one to read from Tiled.

    Null also stands for a run that would make the answer longer than `MOST_IN_ANSWER` bytes, and for all after it.
    A part of a stream is [table as Arrow, null], or [null, length and data sources] of an array.
    """
    raw = await caller.node(path, scopes=("read:metadata", "read:data"))
    read = {} if caller.has_policy else await read_grandchildren(raw, uids)
    answer, left = [msgpack.Packer().pack_array_header(len(uids))], MOST_IN_ANSWER
    for uid in uids:
        packed = msgpack.packb(await _packed(read[uid]) if uid in read and left > 0 else None)
        left -= len(packed)
        answer.append(packed if left >= 0 else msgpack.packb(None))
    return Response(b"".join(answer), media_type="application/x-msgpack")


async def _packed(run: Descendant) -> dict[str, Any] | None:
    if ("BlueskyRun", "3.0") not in {(spec.name, spec.version) for spec in run.adapter.specs}:
        return None  # of another writer, such as databroker
    streams = []
    for key, (stream, parts) in run.children.items():
        if stream.structure_family != "container" or key == "streams":  # as older versions of the TiledWriter did
            return None
        specs = [spec.name for spec in stream.specs]
        streams.append(
            [key, stream.metadata(), specs, {name: await _part(part.adapter) for name, part in parts.items()}]
        )
    return {"metadata": run.adapter.metadata(), "streams": streams}


async def _part(adapter: Any) -> list[Any]:
    if adapter.structure_family == "table":
        table = pyarrow.Table.from_pandas(await adapter.read(), preserve_index=False)
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return [sink.getvalue().to_pybytes(), None]
    sources = [
        [source.mimetype, source.parameters, [asset.data_uri for asset in source.assets]]
        for source in await adapter.data_sources(include_assets=True)
    ]
    return [None, [adapter.structure().shape[0], sources]]
