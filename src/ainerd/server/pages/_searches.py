"""Several searches below a container in one request, for `ainerd.results.ResultStore`."""

import json
from typing import Annotated, Any
from urllib.parse import parse_qs

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response
from sqlalchemy import Text, cast, select
from tiled.catalog import orm
from tiled.queries import Eq, KeysFilter

from ainerd.server._access import Caller, json_body, json_response

MOST_SEARCHES, MOST_NODES = 20, 300
MOST_BYTES = 200_000
_KEYS = "filter[keys_filter][condition][keys]"
_NAME, _VALUE = "filter[eq][condition][key]", "filter[eq][condition][value]"
_KNOWN = {"fields", "omit_links", "sort", "page[offset]", "page[limit]", _KEYS, _NAME, _VALUE}
router = APIRouter()


@router.post("/several/{path:path}")
async def several(request: Request, path: str, caller: Annotated[Caller, Depends()]) -> Response:
    """Return the answers to ``searches``, each the path of a child and a query of Tiled's own search route.

    An answer holds ``data`` as Tiled would return it, with id and metadata, and the cursor of the ``next`` page; it is
    null if the child does not exist.
    """
    searches = (await json_body(request, MOST_BYTES)).get("searches")
    if not isinstance(searches, list) or len(searches) > MOST_SEARCHES or {*map(type, searches)} - {str}:
        raise HTTPException(422, f"searches must be a list of at most {MOST_SEARCHES} texts")
    node = await caller.node(path)
    children: dict[str, Any] = {}
    answers = []
    for search in searches:
        key, _, query = search.partition("?")
        if key not in children:
            children[key] = await caller.child(node, key)
        answers.append(await _answer(children[key], parse_qs(query, keep_blank_values=True)))
    return json_response({"answers": answers})


async def _answer(node: Any, query: dict[str, list[str]]) -> dict[str, Any] | None:
    if not hasattr(node, "context") or node.node.data_sources:
        return None
    if unknown := query.keys() - _KNOWN:
        raise HTTPException(422, f"this route has no parameter {min(unknown)[:100]!r}")
    try:
        for name, value in zip(query.get(_NAME, []), query.get(_VALUE, []), strict=True):
            node = node.search(Eq(name, json.loads(value)))
        for keys in query.get(_KEYS, []):
            node = node.search(KeysFilter([str(key) for key in json.loads(keys)]))
        offset, limit = (int(query.get(f"page[{name}]", [least])[0]) for name, least in (("offset", 0), ("limit", 100)))
    except (ValueError, TypeError) as error:
        raise HTTPException(422, f"not a search: {error}"[:300]) from None
    if not (0 <= offset < 2**31 and 0 < limit <= MOST_NODES):
        raise HTTPException(422, "no such page")
    with_metadata = query.get("fields") == ["metadata"]
    id, is_child = orm.Node.id, orm.Node.parent == node.node.id
    columns = (id, orm.Node.key, cast(orm.Node.metadata_, Text)) if with_metadata else (id, orm.Node.key)
    order = id.desc() if query.get("sort") == ["-"] else id
    statement = node.apply_conditions(select(*columns).where(is_child)).order_by(order)
    if offset:  # by id first, because a database reads whole rows to skip them
        ids = node.apply_conditions(select(id).where(is_child)).order_by(order)
        first = ids.offset(offset).limit(1).scalar_subquery()
        statement = statement.where(id <= first if order is not id else id >= first)
    async with node.context.session() as db:
        rows = (await db.execute(statement.limit(limit + 1))).all()
    page = rows[:limit]
    data = [
        {"id": key, "attributes": {"metadata": orjson.loads(text[0])} if with_metadata else {}}
        for _, key, *text in page
    ]
    return {"data": data, "next": page[-1][0] if len(rows) > limit else None}
