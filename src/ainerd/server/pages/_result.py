"""The routes of one result: all that is known of it except its arrays, and the mean of an array."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Annotated, Any

import anyio
import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Response
from numpy.typing import NDArray
from pydantic import ValidationError
from tiled.utils import ensure_awaitable

from ainerd.results import ResultRecord, explain, nearest, notes_on
from ainerd.server._access import Caller, json_response
from ainerd.server.pages._reader import CampaignReader, ResultSummary, mapping, text
from ainerd.server.pages._static import view_script
from ainerd.technique import panels

MOST_SIMILAR = 8
LONGEST_AXIS = 4096  # values of a coordinate
MOST_TEXT = 20_000  # characters of the metadata of one name
LARGEST_MEAN = 64_000_000  # numbers in an array
router = APIRouter()


@router.get("/result/{path:path}")
async def result(path: str, caller: Annotated[Caller, Depends()]) -> Response:
    """Return the metadata of a result, their explanation, similar results, and the coordinates of its arrays."""
    parent, _, key = path.strip("/").rpartition("/")
    node = await caller.node(path)
    metadata = _bounded(node.metadata())
    if not isinstance(metadata.get("status"), str):
        raise HTTPException(404, "there is no result at this path")
    reader = await CampaignReader.open(caller, parent.rpartition("/")[0])
    _, rows = await reader.results()
    _, labels = await reader.labels()
    _, lines = await reader.lines()
    noted = [row.summary for row in lines if row.summary.get("note")]
    notes = [n if n["result"] else {"note": n["note"], "raw_uid": n["raw_uid"]} for n in noted]
    arrays = await _arrays(node, metadata)
    configuration = await _configuration(reader, metadata.get("digest"))
    technique = str(metadata.get("technique", ""))
    explanation = await anyio.to_thread.run_sync(_explanation, node.metadata())
    coordinates = await anyio.to_thread.run_sync(_coordinates, technique, metadata, arrays, configuration)
    results = [row.summary for row in rows]
    parameters = metadata.pop("parameters", {})
    return json_response(
        {
            "key": key,
            "metadata": metadata,
            "parameters": parameters,
            "explain": explanation,
            "regime": labels.get(key, metadata.get("regime")),
            "note": "; ".join(notes_on(key, metadata, notes)) or None,
            "arrays": arrays,
            "series": metadata.get("series") or {},
            "tables": metadata.get("tables") or {},
            "coordinates": coordinates,
            "nearest": most_similar(key, results),
            "superseded_by": next((r.key for r in results if r.supersedes == key and r.status != "computing"), None),
            "views": f"/custom/ainerd/technique/{technique}/view.js" if view_script(technique) else None,
        }
    )


@router.get("/mean/{path:path}")
async def mean(path: str, caller: Annotated[Caller, Depends()], step: int = 1) -> Response:
    """Return the mean of an array (n, …) over n without NaN, every `step`-th number along the other axes.

    The body is float32, little-endian, in C order; the header ``x-shape`` holds its shape.
    """
    node = await caller.node(path, scopes=("read:metadata", "read:data"))
    shape = getattr(getattr(node, "structure", lambda: None)(), "shape", ())
    if len(shape) < 2 or not 1 <= step <= 1000:
        raise HTTPException(404, "a mean needs an array of two dimensions or more")
    if np.prod(shape, dtype=float) > LARGEST_MEAN:
        raise HTTPException(413, f"at most {LARGEST_MEAN:,} numbers")
    values = np.asarray(await ensure_awaitable(node.read))
    if values.dtype.kind not in "biuf":
        raise HTTPException(404, "a mean needs an array of numbers")
    means = await anyio.to_thread.run_sync(_mean, values, step)
    headers = {"x-shape": ",".join(map(str, means.shape)), "Cache-Control": "no-cache"}
    return Response(means.tobytes(), media_type="application/octet-stream", headers=headers)


def _mean(values: NDArray[Any], step: int) -> NDArray[np.float32]:
    thinned = values[(slice(None), *[slice(None, None, step)] * (values.ndim - 1))]
    finite = np.isfinite(thinned)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.where(finite, thinned, 0).sum(axis=0, dtype=float)
        return np.ascontiguousarray(total / finite.sum(axis=0), dtype="<f4")


def most_similar(key: str, results: Sequence[ResultSummary]) -> list[dict[str, Any]]:
    """Return the results of the same agent and parameters that are nearest in the latent space."""
    this = next((r for r in results if r.key == key), None)
    if this is None or this.embedding is None:
        return []
    others = [
        r
        for r in results
        if r is not this
        and (r.agent, r.digest) == (this.agent, this.digest)
        and r.embedding is not None
        and r.embedding.size == this.embedding.size
    ]
    if not others:
        return []
    order, distances = nearest(np.stack([r.embedding for r in others]), this.embedding, MOST_SIMILAR)
    return [
        {"key": others[i].key, "scan": others[i].scan, "distance": float(d)}
        for i, d in zip(order, distances, strict=True)
    ]


def _bounded(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without values longer than a page shows: anybody may have written them."""
    bounded: dict[str, Any] = {}
    for name, value in list(metadata.items())[:1000]:
        if isinstance(value, str):
            bounded[name] = text(value)
        elif isinstance(value, int | float | bool) or len(str(value)) <= MOST_TEXT:
            bounded[name] = value
    return bounded


async def _arrays(node: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return shape, dimensions, type and unit of each array."""
    units = metadata.get("units") or {}
    arrays: dict[str, Any] = {}
    for name, shape in list(mapping(metadata.get("arrays")).items())[:100]:
        details: dict[str, Any] = {"shape": shape, "dims": None, "dtype": None, "unit": units.get(name, "")}
        try:
            structure = (await node.lookup_adapter([name])).structure()
            details["dims"] = list(structure.dims) if structure.dims else None
            details["dtype"] = structure.data_type.to_numpy_str()
        except Exception:  # not written yet, or written by another program
            details["dtype"] = None
        arrays[name] = details
    return arrays


class _Configuration(dict[str, Any]):
    """Arrays by name, each with a `read`, as a client of Tiled would return them."""

    def __init__(self, metadata: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        super().__init__({name: SimpleNamespace(read=lambda x=x: x) for name, x in arrays.items()})
        self.metadata = {**metadata, "arrays": list(arrays)}


async def _configuration(reader: CampaignReader, digest: Any) -> _Configuration | None:
    """Return the metadata and short arrays that results of the same parameters share, or None."""
    node = await reader.child("configurations", digest) if isinstance(digest, str) and digest else None
    if node is None:
        return None
    metadata = node.metadata()
    arrays = {}
    for name, shape in list((metadata.get("arrays") or {}).items())[:100]:
        if isinstance(shape, list) and np.prod(shape) <= LONGEST_AXIS:
            arrays[name] = np.asarray(await ensure_awaitable((await node.lookup_adapter([name])).read))
    return _Configuration(metadata, arrays)


class _Node:
    """A result as `ainerd.technique.Panels.coordinates` expects it."""

    def __init__(self, metadata: Mapping[str, Any], configuration: _Configuration | None) -> None:
        self.metadata, self._configuration = metadata, configuration

    @property
    def configuration(self) -> _Configuration:
        if self._configuration is None:
            raise KeyError("there is no configuration of this result")
        return self._configuration


def _coordinates(
    technique: str, metadata: Mapping[str, Any], arrays: Mapping[str, Any], configuration: _Configuration | None
) -> dict[str, Any]:
    coordinates = getattr(panels(technique), "coordinates", None)
    if coordinates is None:
        return {}
    sizes = {dim: n for array in arrays.values() for dim, n in zip(array["dims"] or (), array["shape"], strict=False)}
    try:
        return {
            str(name): {"dim": dim, "values": np.asarray(values), "unit": unit}
            for name, (dim, values, unit) in coordinates(_Node(metadata, configuration), sizes).items()
            if np.asarray(values).size <= LONGEST_AXIS and np.asarray(values).dtype.kind in "biuf"
        }
    except Exception:  # the technique may come from anybody
        return {}


def _explanation(metadata: Mapping[str, Any]) -> str:
    try:
        return str(explain(ResultRecord.from_metadata(metadata)))[:5000]
    except (ValidationError, KeyError, TypeError, ValueError):
        return "these metadata are not those of a result of ainerd: somebody changed them"
