"""The table of results, sorted and filtered by the server, some rows at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ainerd.server.pages._access import Asked, said
from ainerd.server.pages._campaign import json_response
from ainerd.server.pages._kept import Row
from ainerd.server.pages._short import ShortResult
from ainerd.server.pages._sources import Sources
from ainerd.server.pages._wishes import parsed

MOST_ROWS, MOST_KEYS = 200, 2000
MOST_COLUMNS = 40
router = APIRouter()


class TableOf(BaseModel):
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
    path: str, asked: Annotated[Asked, Depends()], wanted: Annotated[TableOf, Query()], keys: str | None = None
) -> Response:
    """Some rows of the table; `keys`, with commas between them, are those of some results."""
    if keys is not None:
        wanted.keys = keys.split(",")
    return await _rows(path, asked, wanted)


@router.post("/table/{path:path}")
async def table_of_many(request: Request, path: str, asked: Annotated[Asked, Depends()]) -> Response:
    """The same for many keys, such as those of a lasso."""
    return await _rows(path, asked, parsed(TableOf, await said(request, 50 * MOST_KEYS)))


async def _rows(path: str, asked: Asked, wanted: TableOf) -> Response:
    sources = await Sources.at(asked, path)
    name = (await sources.agent(wanted.agent)).name
    _, rows = await sources.results()
    _, labels = await sources.labels()
    _, lines = await sources.lines()
    return json_response(await anyio.to_thread.run_sync(_answer, rows, name, labels, lines, wanted))


def _answer(
    rows: Sequence[Row], agent: str, labels: Mapping[str, int], lines: Sequence[Row], wanted: TableOf
) -> dict[str, Any]:
    mine: list[ShortResult] = [row.said for row in rows if row.said.agent == agent]
    regimes = {result.key: labels.get(result.key, result.regime) for result in mine}
    notes: dict[str, str] = {}
    for row in lines:
        if row.said.get("note"):
            about = row.said["result"] or row.said["raw_uid"]
            notes[about] = "; ".join(filter(None, [notes.get(about), row.said["note"]]))

    def noted(result: ShortResult) -> str | None:
        found = [notes.get(result.key), *(notes.get(uid) for uid in result.raw_uids)]
        return "; ".join(filter(None, found)) or None

    words, keys = wanted.filter.casefold().split(), None if wanted.keys is None else {*wanted.keys}
    found = [
        result
        for result in mine
        if (keys is None or result.key in keys)
        and (wanted.novel is None or bool(result.novel) == wanted.novel)
        and (wanted.regime is None or regimes[result.key] == wanted.regime)
        and (wanted.status is None or result.status == wanted.status)
        and all(word in result.text or word in (noted(result) or "").casefold() for word in words)
    ]
    units = mine[-1].units if mine else {}
    motors = list(dict.fromkeys(name for result in mine[-100:] for name in result.positions))
    numbers = list(dict.fromkeys(name for result in mine[-100:] for name in result.of))[:MOST_COLUMNS]
    columns = ["scan", "t", "sample", *motors, "regime", "p", *numbers, "status", "note"]
    if wanted.sort not in columns:
        raise HTTPException(422, f"there is no column {wanted.sort!r}")
    value = _value(wanted.sort, regimes, noted)
    known = [(value(result), i) for i, result in enumerate(found)]
    order = sorted(((x, i) for x, i in known if x is not None), reverse=wanted.down)
    order += [(None, i) for x, i in known if x is None]  # what is not known comes last
    shown = [found[i] for _, i in order[wanted.offset : wanted.offset + wanted.limit]]
    beside = ("t", "scan", "sample", "regime", "p", "status", "note")
    return {
        "n": len(mine),
        "found": len(found),
        "offset": wanted.offset,
        "columns": [{"name": n, "title": n, "unit": "" if n in beside else units.get(n, "")} for n in columns],
        "rows": [
            {
                "key": r.key, "scan": r.scan, "t": r.t, "sample": r.sample, **r.positions, "regime": regimes[r.key],
                "p": r.p, "novel": r.novel, "status": r.status, "reason": r.reason, "note": noted(r),
                "technique": r.technique, "of": r.of,
            }
            for r in shown
        ],
    }  # fmt: skip


def _value(
    name: str, regimes: Mapping[str, int | None], noted: Callable[[ShortResult], str | None]
) -> Callable[[ShortResult], Any]:
    """What results are sorted by."""
    match name:
        case "scan":
            return lambda r: None if r.scan_id is None else (r.scan_id, r.event or 0)
        case "t" | "p" | "sample" | "status":
            return lambda r: getattr(r, name)
        case "regime":
            return lambda r: regimes[r.key]
        case "note":
            return noted
    return lambda r: r.positions.get(name, r.of.get(name))
