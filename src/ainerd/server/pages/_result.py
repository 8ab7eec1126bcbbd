"""One result: all that is said of it that is no array."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

import anyio
import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import ValidationError
from tiled.utils import ensure_awaitable

from ainerd.results import ResultRecord, explain, notes_on
from ainerd.server.pages._access import Asked
from ainerd.server.pages._alike import nearest
from ainerd.server.pages._campaign import json_response
from ainerd.server.pages._short import text
from ainerd.server.pages._sources import Sources
from ainerd.server.pages._static import view_script
from ainerd.technique import panels

LONGEST_AXIS = 4096  # values of a coordinate
MOST_TEXT = 20_000  # characters of the metadata of one name
router = APIRouter()


@router.get("/result/{path:path}")
async def result(path: str, asked: Annotated[Asked, Depends()]) -> Response:
    """What a result says, explained, with what it is nearest to and where its arrays are along their axes."""
    parent, _, key = path.strip("/").rpartition("/")
    campaign = parent.rpartition("/")[0]
    node = await asked.node(path)
    said = _bounded(node.metadata())
    if not isinstance(said.get("status"), str):
        raise HTTPException(404, "that is no result")
    sources = await Sources.at(asked, campaign)
    _, rows = await sources.results()
    _, labels = await sources.labels()
    _, lines = await sources.lines()
    noted = [row.said for row in lines if row.said.get("note")]
    notes = [n if n["result"] else {"note": n["note"], "raw_uid": n["raw_uid"]} for n in noted]
    arrays = await _arrays(node, said)
    configuration = await _configuration(sources, said.get("digest"))
    technique = str(said.get("technique", ""))
    explained = await anyio.to_thread.run_sync(_explained, node.metadata())
    coordinates = await anyio.to_thread.run_sync(_coordinates, technique, said, arrays, configuration)
    results = [row.said for row in rows]
    parameters = said.pop("parameters", {})
    script = f"/custom/ainerd/technique/{technique}/view.js" if view_script(technique) else None
    return json_response(
        {
            "key": key,
            "metadata": said,
            "parameters": parameters,
            "explain": explained,
            "regime": labels.get(key, said.get("regime")),
            "note": "; ".join(notes_on(key, said, notes)) or None,
            "arrays": arrays,
            "series": said.get("series") or {},
            "tables": said.get("tables") or {},
            "coordinates": coordinates,
            "nearest": nearest(key, results),
            "superseded_by": next((r.key for r in results if r.supersedes == key and r.status != "computing"), None),
            "views": script,
        }
    )


def _bounded(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without what is longer than any page shows: somebody else may have written them."""
    found: dict[str, Any] = {}
    for name, value in list(metadata.items())[:1000]:
        if isinstance(value, str):
            found[name] = text(value)
        elif isinstance(value, int | float | bool) or len(str(value)) <= MOST_TEXT:
            found[name] = value
    return found


async def _arrays(node: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    """Shape, dimensions, type and unit of each array."""
    units = said.get("units") or {}
    arrays = said.get("arrays")
    found: dict[str, Any] = {}
    for name, shape in list((arrays if isinstance(arrays, Mapping) else {}).items())[:100]:
        about: dict[str, Any] = {"shape": shape, "dims": None, "dtype": None, "unit": units.get(name, "")}
        try:
            structure = (await node.lookup_adapter([name])).structure()
            about["dims"] = list(structure.dims) if structure.dims else None
            about["dtype"] = structure.data_type.to_numpy_str()
        except Exception:  # not there yet, or somebody else's
            about["dtype"] = None
        found[name] = about
    return found


async def _configuration(sources: Sources, digest: Any) -> Any:
    """What results of the same parameters have in common, as far as it is short."""
    node = await sources.child("configurations", digest) if isinstance(digest, str) and digest else None
    if node is None:
        return None
    metadata = node.metadata()
    arrays = {}
    for name, shape in list((metadata.get("arrays") or {}).items())[:100]:
        if isinstance(shape, list) and np.prod(shape) <= LONGEST_AXIS:
            adapter = await node.lookup_adapter([name])
            arrays[name] = np.asarray(await ensure_awaitable(adapter.read))
    return _Configuration(metadata, arrays)


def _as_client(metadata: Mapping[str, Any], configuration: Any) -> Any:
    """What `ainerd.technique.Panels.coordinates` asks of a result, of what the server has read."""
    if configuration is None:
        return _WithoutConfiguration(metadata)
    return SimpleNamespace(metadata=metadata, configuration=configuration)


class _Configuration(dict[str, Any]):
    """Arrays by name, each with its `read`."""

    def __init__(self, metadata: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        super().__init__({name: SimpleNamespace(read=lambda x=x: x) for name, x in arrays.items()})
        self.metadata = {**metadata, "arrays": list(arrays)}


class _WithoutConfiguration:
    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata = metadata

    @property
    def configuration(self) -> Any:
        raise KeyError("nobody kept the configuration")


def _coordinates(
    technique: str, said: Mapping[str, Any], arrays: Mapping[str, Any], configuration: Any
) -> dict[str, Any]:
    ask = getattr(panels(technique), "coordinates", None)
    if ask is None:
        return {}
    sizes = {dim: n for about in arrays.values() for dim, n in zip(about["dims"] or (), about["shape"], strict=False)}
    try:
        found = ask(_as_client(said, configuration), sizes)
        return {
            str(name): {"dim": dim, "values": np.asarray(values), "unit": unit}
            for name, (dim, values, unit) in found.items()
            if np.asarray(values).size <= LONGEST_AXIS and np.asarray(values).dtype.kind in "biuf"
        }
    except Exception:  # it may be anybody's code
        return {}


def _explained(metadata: Mapping[str, Any]) -> str:
    try:
        return str(explain(ResultRecord.from_metadata(metadata)))[:5000]
    except (ValidationError, KeyError, TypeError, ValueError):
        return "these metadata are no result's of ours: somebody changed them"
