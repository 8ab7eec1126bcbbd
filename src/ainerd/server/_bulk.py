"""Changed results in one request, for `ainerd.results`."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import ValidationError
from tiled.queries import Eq

from ainerd.server._access import json_response
from ainerd.server.internals import Caller, Cursor, newest, newest_key, read_changes

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
