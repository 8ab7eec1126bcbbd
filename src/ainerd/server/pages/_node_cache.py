"""Summaries of the children of a container, cached by the server, and a token that changes when a catalog changes.

A page asks twice a second, and mostly nothing has happened: one query of the database answers that. The pages
change with a new node, whose id is higher than all before, or with one of the few nodes that are not final. The token
does not notice that a node was removed.

The cache follows the same rules as `ainerd.results`: children are listed in the order in which they were created, and a
final one does not change. Of thousands of results, each request reads only the new ones and those that were not final.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

import anyio
import orjson
from sqlalchemy import Text, case, cast, func, literal, null, select, union_all
from tiled.catalog import orm

AT_ONCE = 1000  # nodes read before another request is served
_BY_ID = 500  # in one query
COARSE = timedelta(seconds=2)  # SQLite stores times of writing in seconds
MOST_OPEN = 500  # nodes that may change; if there are more, the token always changes

Metadata = Mapping[str, Any]
_COLUMNS = orm.Node.id, orm.Node.key, orm.Node.time_updated, cast(orm.Node.metadata_, Text)


class Row:
    """A child: its id and key, the summary of its metadata, and when it was last written."""

    __slots__ = ("changed", "created", "id", "key", "summary", "updated")

    def __init__(self, id: int, key: str, summary: Any, updated: datetime, version: int) -> None:
        self.id, self.key, self.summary, self.updated = id, key, summary, updated
        self.created = self.changed = version  # versions of the cache


class NodeCache:
    """The children of one container.

    `summarize` returns the summary for a key and metadata, or None for a child that cannot be shown; `is_final` returns
    whether a summary will not change any more.
    """

    def __init__(self, summarize: Callable[[str, Metadata], Any], is_final: Callable[[Any], bool]) -> None:
        self._summarize, self._is_final = summarize, is_final
        self._lock = asyncio.Lock()
        self._reset()

    def _reset(self) -> None:
        self.generation = secrets.token_hex(4)  # changes if the cache is read anew
        self.rows: dict[int, Row] = {}  # by id
        self.version = 0  # grows by one with each read that finds a change
        self._n, self._last_id = 0, 0
        self._open: dict[int, bytes] = {}  # nodes that are not final, with the metadata last read

    @property
    def open_ids(self) -> Iterable[int]:
        """Ids of the children that may still change."""
        return self._open.keys()

    async def read(self, node: Any) -> list[Row]:
        """Return the children that the caller who obtained `node` may see, without those that cannot be shown."""
        async with self._lock:
            async with node.context.session() as db:
                await self._update(db, node.node.id)
                if not (node.conditions or node.access_filters):
                    return list(self.rows.values())
                query = select(orm.Node.id).where(orm.Node.parent == node.node.id)
                visible = set((await db.execute(node.apply_conditions(query))).scalars())
        return [row for row in self.rows.values() if row.id in visible]

    async def _update(self, db: Any, parent: int) -> None:
        count, is_child = select(func.count(orm.Node.id)), orm.Node.parent == parent
        n = (await db.execute(count.where(is_child))).scalar_one()
        known = (await db.execute(count.where(is_child, orm.Node.id <= self._last_id))).scalar_one()
        if known != self._n:  # a child was removed
            self._reset()
        open_ids = list(self._open)
        for start in range(0, len(open_ids), _BY_ID):
            query = select(*_COLUMNS).where(orm.Node.id.in_(open_ids[start : start + _BY_ID]))
            await self._take((await db.execute(query)).all())
        while self._n < n:
            query = select(*_COLUMNS).where(is_child, orm.Node.id > self._last_id).order_by(orm.Node.id)
            nodes = (await db.execute(query.limit(AT_ONCE))).all()
            if not nodes:
                break
            await self._take(nodes)
            self._n, self._last_id = self._n + len(nodes), nodes[-1][0]

    async def _take(self, nodes: Any) -> None:
        changed = [node for node in nodes if self._open.get(node[0]) != node[3].encode()]
        if not changed:
            return
        # In a thread: the first result of a technique imports the technique's panels.
        summaries = await anyio.to_thread.run_sync(lambda: [self._summary(key, text) for _, key, _, text in changed])
        self.version += 1
        for (id, key, updated, text), summary in zip(changed, summaries, strict=True):
            if summary is not None:
                row = self.rows.setdefault(id, Row(id, key, summary, updated, self.version))
                row.summary, row.updated, row.changed = summary, updated, self.version
            if summary is not None and self._is_final(summary):
                self._open.pop(id, None)
            else:
                self._open[id] = text.encode()

    def _summary(self, key: str, text: str) -> Any:
        try:
            return self._summarize(key, orjson.loads(text))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            return None  # a person changed the metadata


Seen = dict[int, tuple[datetime | None, str | None]]


class _Catalog:
    """The caches of one catalog, and the token of its contents."""

    def __init__(self, context: Any) -> None:
        self.id = secrets.token_hex(8)
        self.caches: dict[tuple[int, Any], NodeCache] = {}
        self._context = ref(context)
        self._lock = asyncio.Lock()
        self._n = 0
        self._since = datetime(1970, 1, 1)  # metadata are compared for nodes written after this time
        self._seen: Seen = {}
        self._versions: list[tuple[str, int]] = []  # another request may have read the last change of an open node

    async def token(self) -> str:
        """Return a text that differs from the last one if anything that the pages show has changed since."""
        async with self._lock:
            if (context := self._context()) is not None:
                now = datetime.now(UTC).replace(tzinfo=None)
                open_ids = [id for cache in self.caches.values() for id in cache.open_ids]
                versions = [(cache.generation, cache.version) for cache in self.caches.values()]
                seen = await self._look(context, open_ids[:MOST_OPEN])
                is_same = len(open_ids) <= MOST_OPEN and versions == self._versions and _is_same(self._seen, seen)
                self._n += not is_same
                self._seen, self._versions, self._since = seen, versions, now - COARSE
            return f"{self.id}-{self._n}"

    async def _look(self, context: Any, open_ids: list[int]) -> Seen:
        """Return when the open nodes were written, and the metadata of those written since about the last look.

        Id 0 stands for the newest node.
        """
        node = orm.Node
        recent = case((node.time_updated >= self._since, cast(node.metadata_, Text)), else_=null())
        newest = select(literal(0), node.time_created, cast(node.id, Text)).order_by(node.id.desc()).limit(1).subquery()
        of_open = select(node.id, node.time_updated, recent).where(node.id.in_(open_ids))
        async with context.session() as db:
            return {id: (at, text) for id, at, text in await db.execute(union_all(select(newest), of_open))}


def _is_same(before: Seen, now: Seen) -> bool:
    """Return whether nothing was written in between; no metadata means that they were not read again."""
    return before.keys() == now.keys() and all(
        at == before[id][0] and text in (None, before[id][1]) for id, (at, text) in now.items()
    )


_catalogs: "WeakKeyDictionary[Any, _Catalog]" = WeakKeyDictionary()
_by_id: "WeakValueDictionary[str, _Catalog]" = WeakValueDictionary()


def _catalog(context: Any) -> _Catalog:
    if context not in _catalogs:
        _catalogs[context] = catalog = _Catalog(context)
        _by_id[catalog.id] = catalog
    return _catalogs[context]


def node_cache(node: Any, summarize: Callable[[str, Metadata], Any], is_final: Callable[[Any], bool]) -> NodeCache:
    """Return the cache of the children of a container with these summaries."""
    return _catalog(node.context).caches.setdefault((node.node.id, summarize), NodeCache(summarize, is_final))


async def change_token(context: Any) -> str:
    """Return a text that changes with the contents of a catalog."""
    return await _catalog(context).token()


async def has_changed(token: str) -> bool:
    """Return whether a catalog has changed since `change_token` returned this text."""
    catalog = _by_id.get(token.partition("-")[0])
    return catalog is None or token != await catalog.token()


async def newest(node: Any, n: int = 1) -> list[tuple[int, str, Any]]:
    """Return id, key and metadata of the last `n` children that the caller may see, the newest first."""
    id, key, _, text = _COLUMNS
    query = node.apply_conditions(select(id, key, text).where(orm.Node.parent == node.node.id))
    async with node.context.session() as db:
        rows = (await db.execute(query.order_by(orm.Node.id.desc()).limit(n))).all()
    return [(id, key, orjson.loads(text)) for id, key, text in rows]


async def newest_id(node: Any) -> int:
    """Return the id of the last child that the caller may see; 0 without children."""
    query = node.apply_conditions(select(func.max(orm.Node.id)).where(orm.Node.parent == node.node.id))
    async with node.context.session() as db:
        return (await db.execute(query)).scalar_one() or 0
