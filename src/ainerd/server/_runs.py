"""Many finished runs in one request: the nodes from which `ainerd.documents` rebuilds the documents of each.

From Tiled alone a run takes eight requests and more: one for its node, one for each stream, and one for each table.
"""

from typing import Annotated, Any

import msgpack
import pyarrow
from fastapi import APIRouter, Depends, Query, Response

from ainerd.server.internals import Caller, Descendant, read_grandchildren

MOST_RUNS = 100
router = APIRouter()


@router.get("/runs/{path:path}")
async def runs(
    path: str, caller: Annotated[Caller, Depends()], uids: Annotated[list[str], Query(max_length=MOST_RUNS)]
) -> Response:
    """Return runs in a container: metadata and streams of each; null for one that has to be read from Tiled.

    A part of a stream is [table as Arrow, null], or [null, length and data sources] of an array.
    """
    raw = await caller.node(path, scopes=("read:metadata", "read:data"))
    read = {} if caller.has_policy else await read_grandchildren(raw, uids)
    answer = [await _packed(read[uid]) if uid in read else None for uid in uids]
    return Response(msgpack.packb(answer), media_type="application/x-msgpack")


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
