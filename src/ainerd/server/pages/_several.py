"""Several searches below a container in one request: what a store asks before it shows a table."""

import json
from typing import Annotated, Any
from urllib.parse import parse_qs

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from sqlalchemy import Text, cast, select
from tiled.catalog import orm
from tiled.queries import Eq, KeysFilter

from ainerd.server.pages._access import Asked, said

MOST_SEARCHES, MOST_NODES = 20, 300
MOST_BYTES = 200_000
_KEYS = "filter[keys_filter][condition][keys]"
_NAME, _VALUE = "filter[eq][condition][key]", "filter[eq][condition][value]"
_KNOWN = {"fields", "omit_links", "sort", "page[offset]", "page[limit]", _KEYS, _NAME, _VALUE}
router = APIRouter()


@router.post("/several/{path:path}")
async def several(request: Request, path: str, asked: Annotated[Asked, Depends()]) -> Response:
    """Answers to ``searches``, each the path of a child and a query of Tiled's own route for searches.

    An answer has the ``data`` that Tiled would give, with id and metadata, and the cursor of the ``next`` page; null
    if there is no such child.
    """
    searches = (await said(request, MOST_BYTES)).get("searches")
    if not isinstance(searches, list) or len(searches) > MOST_SEARCHES or {*map(type, searches)} - {str}:
        raise HTTPException(422, f"searches are at most {MOST_SEARCHES} texts")
    node = await asked.node(path)
    children: dict[str, Any] = {}
    answers = []
    for search in searches:
        key, _, query = search.partition("?")
        if key not in children:
            children[key] = await asked.child(node, key)
        answers.append(await _answer(children[key], parse_qs(query, keep_blank_values=True)))
    return Response(orjson.dumps({"answers": answers}), media_type="application/json")


async def _answer(node: Any, query: dict[str, list[str]]) -> dict[str, Any] | None:
    if not hasattr(node, "context") or node.node.data_sources:
        return None
    if unknown := query.keys() - _KNOWN:
        raise HTTPException(422, f"this is not searched for here: {min(unknown)[:100]!r}")
    try:
        for name, value in zip(query.get(_NAME, []), query.get(_VALUE, []), strict=True):
            node = node.search(Eq(name, json.loads(value)))
        for keys in query.get(_KEYS, []):
            node = node.search(KeysFilter([str(key) for key in json.loads(keys)]))
        offset, limit = (int(query.get(f"page[{name}]", [least])[0]) for name, least in (("offset", 0), ("limit", 100)))
    except (ValueError, TypeError) as error:
        raise HTTPException(422, f"no search: {error}"[:300]) from None
    if not (0 <= offset < 2**31 and 0 < limit <= MOST_NODES):
        raise HTTPException(422, "no such page")
    with_metadata = query.get("fields") == ["metadata"]
    id, of = orm.Node.id, orm.Node.parent == node.node.id
    columns = (id, orm.Node.key, cast(orm.Node.metadata_, Text)) if with_metadata else (id, orm.Node.key)
    order = id.desc() if query.get("sort") == ["-"] else id
    statement = node.apply_conditions(select(*columns).where(of)).order_by(order)
    if offset:  # by number first, for a database reads whole rows to leave them out
        first = node.apply_conditions(select(id).where(of)).order_by(order).offset(offset).limit(1).scalar_subquery()
        statement = statement.where(id <= first if order is not id else id >= first)
    async with node.context.session() as db:
        found = (await db.execute(statement.limit(limit + 1))).all()
    page = found[:limit]
    data = [
        {"id": key, "attributes": {"metadata": orjson.loads(text[0])} if with_metadata else {}}
        for _, key, *text in page
    ]
    return {"data": data, "next": page[-1][0] if len(found) > limit else None}
