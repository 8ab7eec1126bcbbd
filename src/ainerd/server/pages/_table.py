"""The table of results: a page of rows for people, sorted and filtered; and all that changed, for `ResultStore`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import anyio
import orjson
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tiled.queries import Eq

from ainerd.server._access import Caller, json_body, json_response, validated
from ainerd.server.pages._campaign import motor_names
from ainerd.server.pages._node_cache import Cursor, Row, newest, newest_key, read_changes
from ainerd.server.pages._reader import CampaignReader, ResultSummary

MOST_ROWS, MOST_KEYS = 200, 2000
MOST_COLUMNS = 40
MOST, MOST_NOTES = 5000, 100_000  # changed results in an answer, and notes
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


@router.get("/table/{path:path}")
async def table(
    path: str, caller: Annotated[Caller, Depends()], query: Annotated[TableQuery, Query()], keys: str | None = None
) -> Response:
    """Return some rows of the table; `keys`, separated by commas, select results."""
    if keys is not None:
        query.keys = keys.split(",")
    return await _rows(path, caller, query)


@router.post("/table/{path:path}")
async def table_of_many(request: Request, path: str, caller: Annotated[Caller, Depends()]) -> Response:
    """Return the table for many keys, such as those in a lasso."""
    return await _rows(path, caller, validated(TableQuery, await json_body(request, 50 * MOST_KEYS)))


async def _rows(path: str, caller: Caller, query: TableQuery) -> Response:
    reader = await CampaignReader.open(caller, path)
    name = (await reader.agent(query.agent)).name
    _, rows = await reader.results()
    _, labels = await reader.labels()
    _, lines = await reader.lines()
    return json_response(await anyio.to_thread.run_sync(_answer, rows, name, labels, lines, query))


def _answer(
    rows: Sequence[Row], agent: str, labels: Mapping[str, int], lines: Sequence[Row], query: TableQuery
) -> dict[str, Any]:
    results: list[ResultSummary] = [row.summary for row in rows if row.summary.agent == agent]
    regimes = {result.key: labels.get(result.key, result.regime) for result in results}
    notes: dict[str, str] = {}
    for line in (row.summary for row in lines):
        if line.get("note"):
            subject = line["result"] or line["raw_uid"]
            notes[subject] = "; ".join(filter(None, [notes.get(subject), line["note"]]))

    def note_on(result: ResultSummary) -> str | None:
        return "; ".join(filter(None, map(notes.get, (result.key, *result.raw_uids)))) or None

    words, keys = query.filter.casefold().split(), None if query.keys is None else {*query.keys}
    matching = [
        result
        for result in results
        if (keys is None or result.key in keys)
        and (query.novel is None or bool(result.novel) == query.novel)
        and (query.regime is None or regimes[result.key] == query.regime)
        and (query.status is None or result.status == query.status)
        and all(word in result.text or word in (note_on(result) or "").casefold() for word in words)
    ]
    units = results[-1].units if results else {}
    quantities = list(dict.fromkeys(name for result in results[-100:] for name in result.quantities))[:MOST_COLUMNS]
    without_unit = ("scan", "t", "sample", "regime", "p", "status", "note")
    columns = ["scan", "t", "sample", *motor_names(results), "regime", "p", *quantities, "status", "note"]
    if query.sort not in columns:
        raise HTTPException(422, f"there is no column {query.sort!r}")
    sort_value = _sort_value(query.sort, regimes, note_on)
    values = [(sort_value(result), i) for i, result in enumerate(matching)]
    order = sorted(((x, i) for x, i in values if x is not None), reverse=query.down)
    order += [(None, i) for x, i in values if x is None]  # unknown values come last
    return {
        "n": len(results),
        "found": len(matching),
        "offset": query.offset,
        "columns": [{"name": n, "title": n, "unit": "" if n in without_unit else units.get(n, "")} for n in columns],
        "rows": [
            {
                "key": r.key, "scan": r.scan, "t": r.t, "sample": r.sample, **r.positions, "regime": regimes[r.key],
                "p": r.p, "novel": r.novel, "status": r.status, "reason": r.reason, "note": note_on(r),
                "technique": r.technique, "of": r.quantities,
            }
            for r in (matching[i] for _, i in order[query.offset : query.offset + query.limit])
        ],
    }  # fmt: skip


def _sort_value(
    column: str, regimes: Mapping[str, int | None], note_on: Callable[[ResultSummary], str | None]
) -> Callable[[ResultSummary], Any]:
    """Return the function whose value results are sorted by."""
    match column:
        case "scan":
            return lambda r: None if r.scan_id is None else (r.scan_id, r.event or 0)
        case "t" | "p" | "sample" | "status":
            return lambda r: getattr(r, column)
        case "regime":
            return lambda r: regimes[r.key]
        case "note":
            return note_on
    return lambda r: r.positions.get(column, r.quantities.get(column))


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
        cursor, nodes, whole, more = await read_changes(db, results.node.id, cursor, results.apply_conditions, MOST)
    answer: dict[str, Any] = {
        "cursor": cursor.model_dump(mode="json"),
        "whole": whole,
        "more": more,
        "keys": [key for _, key, _, _ in nodes],
        "metadata": [orjson.Fragment(text) for *_, text in nodes],
    }
    if campaign and not more:
        scoped = atlas
        for name, value in (("agent", agent), ("digest", digest)):
            scoped = scoped if value is None else scoped.search(Eq(name, value))
        answer["atlas"] = {"scope": (await newest_key(scoped))[1], "all": (await newest_key(atlas))[1]}
        notes = await newest(log.search(Eq("kind", "note")), MOST_NOTES)
        answer["notes"] = [metadata for _, _, metadata in reversed(notes)]
    return json_response(answer)
