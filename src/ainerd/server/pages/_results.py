"""The routes of results: rows of a page's table, one result, the mean of an array."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Annotated, Any

import anyio
import numpy as np
import numpy.typing as npt
import pandas as pd
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tiled.utils import ensure_awaitable

from ainerd.results import LoadedResult, Part, ResultRecord, explain, matches, notes_by_key, similar
from ainerd.server._access import json_body, json_response, validated
from ainerd.server.internals import Caller
from ainerd.server.pages._reader import CampaignReader, NodeRows, mapping, seconds, text
from ainerd.server.pages._static import view_script
from ainerd.technique import panels

MOST_ROWS, MOST_KEYS = 200, 2000
MOST_COLUMNS = 40
NEWEST = 100  # results whose motors, units and quantities are columns
MOST_SIMILAR = 8
LONGEST_AXIS = 4096  # values of a coordinate
MOST_TEXT = 20_000  # characters of the metadata of one name
LARGEST_MEAN = 64_000_000  # numbers in an array
MOST_NOTES = 100_000
READ = ("read:metadata", "read:data")
router = APIRouter()


class TableQuery(BaseModel):
    """Which rows, and in which order."""

    model_config = ConfigDict(extra="forbid")

    agent: str | None = Field(default=None, max_length=200)
    sort: str = Field(default="t", max_length=60)
    down: bool = True
    offset: int = Field(default=0, ge=0, lt=10**9)
    limit: int = Field(default=50, ge=0, le=MOST_ROWS)
    filter: str = Field(default="", max_length=200)
    novel: bool | None = None
    regime: int | None = Field(default=None, ge=-1)
    status: str | None = Field(default=None, max_length=20)
    keys: list[str] | None = Field(default=None, max_length=MOST_KEYS)
    until: float | None = None  # s since 1970: only the state of that time


@router.get("/table/{path:path}")
async def table(path: str, caller: Annotated[Caller, Depends()], query: Annotated[TableQuery, Query()]) -> Response:
    """Return some rows of the table."""
    return await _rows(path, caller, query)


@router.post("/table/{path:path}")
async def table_of_many(request: Request, path: str, caller: Annotated[Caller, Depends()]) -> Response:
    """Return the table for many keys, such as those in a lasso."""
    return await _rows(path, caller, validated(TableQuery, await json_body(request, 50 * MOST_KEYS)))


async def _rows(path: str, caller: Caller, query: TableQuery) -> Response:
    reader = await CampaignReader.open(caller, path)
    name = (await reader.agent(query.agent)).name
    rows, notes = (await reader.results()).of(name), await reader.notes()
    last = rows.last(NEWEST)  # whose columns the table has
    if query.until is None:
        _, labels = await reader.labels()
    else:
        known = rows.known(await reader.lines())
        rows, labels = rows.at(known <= query.until), await reader.labels_at(query.until)
        notes = [note for note in notes if (seconds(note.get("created")) or 0.0) <= query.until]
    return json_response(await anyio.to_thread.run_sync(_page, rows, last, labels, notes, query))


def _page(
    rows: NodeRows, last: NodeRows, labels: "pd.Series[float]", notes: Sequence[dict[str, Any]], query: TableQuery
) -> dict[str, Any]:
    noted = notes_by_key(rows.columns, notes)
    motors, quantities, units = last.motors(), last.quantities()[:MOST_COLUMNS], last.units()
    columns = ["scan", "t", "sample", *motors, "regime", "p", "own p", *quantities, "status", "note"]
    if query.sort not in columns:
        raise HTTPException(422, f"there is no column {query.sort!r}")
    some = rows.at(_matching(rows, labels, noted, query))
    keys, column = some.keys, some.columns.column
    table = pd.DataFrame(
        {
            "scan_id": column("scan_id"),
            "event": column("event"),
            "key": keys,
            "scan": some.scans(),
            "t": some.times(),
            "regime": some.regimes(labels),
            "p": some.numbers("novelty_p"),
            "own p": some.numbers("own_p"),
            "novel": column("novel"),
            "note": ["; ".join(noted.get(key, ())) or None for key in keys],
            **{name: some.texts(name) for name in ("sample", "status", "reason", "technique")},
            **{name: some.numbers(name) for name in (*motors, *quantities)},
        }
    )
    by = ["scan_id", "event"] if query.sort == "scan" else [query.sort]
    newest_first = table[::-1] if query.down else table  # of equal values
    shown = newest_first.sort_values(by, ascending=not query.down, kind="stable")[query.offset :][: query.limit]
    return {
        "n": len(rows),
        "found": len(table),
        "offset": query.offset,
        "columns": [
            {
                "name": name,
                "title": name,
                "unit": units.get(name, ""),
                "about": ResultRecord.about_own_p if name == "own p" else "",
            }
            for name in columns
        ],
        "rows": [
            row | {"of": {name: row.pop(name) for name in quantities}} for row in map(dict, shown.to_dict("records"))
        ],
    }


def _matching(
    rows: NodeRows, labels: "pd.Series[float]", notes: Mapping[str, Sequence[str]], query: TableQuery
) -> npt.NDArray[np.bool_]:
    """Select the results that the query asks for."""
    keys, column = rows.keys, rows.columns.column
    matching = np.ones(len(rows), bool)
    if query.keys is not None:
        matching &= keys.isin(query.keys)
    if query.novel is not None:
        matching &= (column("novel") == True) == query.novel  # noqa: E712
    if query.regime is not None:
        matching &= rows.regimes(labels) == query.regime
    if query.status is not None:
        matching &= column("status") == query.status
    words = query.filter.casefold().split()
    names = [f"{scan} {key}" for key, scan in zip(keys, rows.scans(), strict=True)] if words else []
    for word in words:
        matching &= matches(rows.columns, {}, word, notes) | np.array([word in name for name in names], bool)
    return matching


@router.get("/result/{path:path}")
async def result(path: str, caller: Annotated[Caller, Depends()]) -> Response:
    """Return the metadata of a result, their explanation, similar results, and the coordinates of its arrays."""
    parent, _, key = path.strip("/").rpartition("/")
    node = await caller.node(path)
    metadata = _bounded(node.metadata())
    if not isinstance(metadata.get("status"), str):
        raise HTTPException(404, "there is no result at this path")
    reader = await CampaignReader.open(caller, parent.rpartition("/")[0])
    rows, (_, labels), notes = await reader.results(), await reader.labels(), await reader.notes()
    this = rows.at(rows.keys == key)
    arrays = await _arrays(node, metadata)
    configuration = await _configuration(reader, metadata.get("digest"))
    technique = str(metadata.get("technique", ""))
    explanation = await anyio.to_thread.run_sync(_explanation, node.metadata())
    coordinates = await anyio.to_thread.run_sync(_coordinates, technique, metadata, arrays, configuration)
    scans = dict(zip(rows.keys, rows.scans(), strict=True))
    newer = (rows.columns.column("supersedes") == key) & (rows.columns.column("status") != "computing")
    parameters = metadata.pop("parameters", {})
    return json_response(
        {
            "key": key,
            "metadata": metadata,
            "parameters": parameters,
            "explain": explanation,
            "regime": labels.get(key, metadata.get("regime")),
            "note": "; ".join(notes_by_key(this.columns, notes).get(key, ())) or None,
            "arrays": arrays,
            "series": metadata.get("series") or {},
            "tables": metadata.get("tables") or {},
            "coordinates": coordinates,
            "nearest": [{"key": k, "scan": scans[k], "distance": x} for k, x in nearest(rows, key).items()],
            "superseded_by": next(iter(rows.keys[newer]), None),
            "views": f"/custom/ainerd/technique/{technique}/view.js" if view_script(technique) else None,
        }
    )


@router.get("/mean/{path:path}")
async def mean(path: str, caller: Annotated[Caller, Depends()], step: int = 1) -> Response:
    """Return the mean of an array (n, …) over n without NaN, every `step`-th number along the other axes.

    The body is float32, little-endian, in C order; the header ``x-shape`` holds its shape.
    """
    node = await caller.node(path, scopes=READ)
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


def _mean(values: npt.NDArray[Any], step: int) -> npt.NDArray[np.float32]:
    thinned = values[(slice(None), *[slice(None, None, step)] * (values.ndim - 1))]
    finite = np.isfinite(thinned)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.where(finite, thinned, 0).sum(axis=0, dtype=float)
        return np.ascontiguousarray(total / finite.sum(axis=0), dtype="<f4")


def nearest(rows: NodeRows, key: str) -> dict[str, float]:
    """Return the distances of the results most similar to one, nearest first, by key; none without an embedding."""
    try:
        return {str(other): away for other, away in similar(rows.columns, key, MOST_SIMILAR).items()}
    except KeyError:
        return {}


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
        with suppress(Exception):  # not written yet, or written by another program
            adapter = await node.lookup_adapter([name])
            structure = adapter.structure()
            names = adapter.metadata().get("dims") or ""
            dims = list(structure.dims or ()) or [*filter(None, names.split(","))] or None
            dtype = structure.data_type.to_numpy_str()
            details |= {"dims": dims, "dtype": dtype}
        arrays[name] = details
    return arrays


async def _configuration(reader: CampaignReader, digest: Any) -> LoadedResult:
    """Return the metadata and short arrays that results of the same parameters share; empty if they are not stored."""
    node = await reader.child("configurations", digest) if isinstance(digest, str) and digest else None
    if node is None:
        return LoadedResult("", {"arrays": []}, {})
    metadata, arrays = node.metadata(), {}
    for name, shape in list((metadata.get("arrays") or {}).items())[:100]:
        if isinstance(shape, list) and np.prod(shape) <= LONGEST_AXIS:
            arrays[name] = Part(np.asarray(await ensure_awaitable((await node.lookup_adapter([name])).read)))
    return LoadedResult(digest, {**metadata, "arrays": [*arrays]}, arrays)


def _coordinates(
    technique: str, metadata: Mapping[str, Any], arrays: Mapping[str, Any], configuration: LoadedResult
) -> dict[str, Any]:
    coordinates = getattr(panels(technique), "coordinates", None)
    if coordinates is None:
        return {}
    node = SimpleNamespace(metadata=metadata, configuration=configuration)  # as `ainerd.technique.Panels` expects it
    sizes = {dim: n for array in arrays.values() for dim, n in zip(array["dims"] or (), array["shape"], strict=False)}
    try:
        return {
            str(name): {"dim": dim, "values": np.asarray(values), "unit": unit}
            for name, (dim, values, unit) in coordinates(node, sizes).items()
            if np.asarray(values).size <= LONGEST_AXIS and np.asarray(values).dtype.kind in "biuf"
        }
    except Exception:  # the technique may come from anybody
        return {}


def _explanation(metadata: Mapping[str, Any]) -> str:
    try:
        return str(explain(ResultRecord.from_metadata(metadata)))[:5000]
    except (ValidationError, KeyError, TypeError, ValueError):
        return "these metadata are not those of a result of ainerd: somebody changed them"
