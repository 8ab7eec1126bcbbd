"""Documents of a run that is in Tiled, rebuilt from its nodes."""

import uuid
from collections.abc import Iterator
from typing import Any

from tiled.client.container import Container

Document = tuple[str, dict[str, Any]]


def documents_of(run: Container) -> Iterator[Document]:
    """Documents of a finished run, as TiledWriter took them: start, then stream by stream, then stop.

    Events carry scalars only; frames are announced as one StreamDatum for each data source.

    Parameters
    ----------
    run : tiled.client.container.Container
        A run written by `bluesky_tiled_plugins.TiledWriter`.

    Raises
    ------
    KeyError
        If the run has no stop document.
    """
    start, stop = run.metadata["start"], run.metadata["stop"]
    yield "start", start
    for name in run:
        stream = run[name]
        about = stream.metadata
        yield "descriptor", {"run_start": start["uid"], "name": name, "object_keys": {}, **about}
        nodes = list(stream.base)
        if "internal" in nodes:
            yield from _events(stream.base["internal"].read(), about)
        for key in about["data_keys"]:
            if key in nodes:
                yield from _frames(stream.base[key], key, about["uid"], start["uid"])
    yield "stop", stop


def _events(table: Any, about: Any) -> Iterator[Document]:
    keys = [key for key in about["data_keys"] if key in table and f"ts_{key}" in table]
    for row in table.to_dict("records"):
        yield (
            "event",
            {
                "uid": str(uuid.uuid4()),
                "descriptor": about["uid"],
                "seq_num": row["seq_num"],
                "time": row["time"],
                "data": {key: row[key] for key in keys},
                "timestamps": {key: row[f"ts_{key}"] for key in keys},
                "filled": {},
            },
        )


def _frames(node: Any, key: str, descriptor: str, run_start: str) -> Iterator[Document]:
    stop = node.shape[0]
    for source in node.include_data_sources().data_sources():
        resource = str(uuid.uuid4())
        (asset,) = source.assets
        yield (
            "stream_resource",
            {
                "uid": resource,
                "run_start": run_start,
                "data_key": key,
                "mimetype": source.mimetype,
                "uri": asset.data_uri,
                "parameters": dict(source.parameters),
            },
        )
        yield (
            "stream_datum",
            {
                "uid": f"{resource}/0",
                "descriptor": descriptor,
                "stream_resource": resource,
                "indices": {"start": 0, "stop": stop},
                "seq_nums": {"start": 1, "stop": stop + 1},
            },
        )
