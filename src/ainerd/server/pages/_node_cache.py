"""The children of a container: those that changed since a cursor, summaries cached by the server, and a change token.

A page asks twice a second, and mostly nothing has happened: one query of the database answers that. Of thousands of
results, each request reads only those that were written since the last one, with some overlap, because a database
stores the time at which a write began, and SQLite in seconds. The token does not notice that a node was removed.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

import anyio
import orjson
from pydantic import BaseModel, Field, NaiveDatetime
from sqlalchemy import Text, case, cast, func, select
from tiled.catalog import orm

AT_ONCE = 1000  # nodes read before another request is served
OVERLAP, COARSE = timedelta(seconds=60), timedelta(seconds=2)
CLOCK_S = 5.0  # difference of the clocks of two processes of a server
MOST_RECENT = 500  # nodes that the token compares; if more were written, it changes
LONG_AGO = datetime(1970, 1, 1)

Metadata = Mapping[str, Any]
_COLUMNS = orm.Node.id, orm.Node.key, orm.Node.time_updated, cast(orm.Node.metadata_, Text)


class Cursor(BaseModel):
    """How far the children of a container were read."""

    parent: int = 0  #: id of the container
    n: int = 0  #: number of children up to the last one that was read
    last: int = Field(default=0, ge=0, lt=2**31)  #: its id
    key: str = ""  #: its key: SQLite may use the last id again
    written: NaiveDatetime = LONG_AGO  #: the last write in the catalog, by the clock of the database
    at: float = 0.0  #: time of the reading, by the clock of the server


class Changes(NamedTuple):
    """Children that were written since a cursor; `whole`: all have to be read, these are the first; `more` follow."""

    cursor: Cursor
    nodes: list[Any]
    whole: bool
    more: bool


async def read_changes(
    db: Any, parent: int, cursor: Cursor, narrow: Callable[[Any], Any] = lambda query: query, most: int = AT_ONCE
) -> Changes:
    """Return the children that were written since a cursor; `narrow` adds conditions to a query."""
    node, now = orm.Node, time.time()
    is_child = node.parent == parent
    last_key = func.max(case((node.id == cursor.last, node.key)))
    known = narrow(select(func.count(node.id), last_key).where(is_child, node.id <= cursor.last))
    n, key = (await db.execute(known)).one()
    # More children than before are from a transaction that was committed late: they were written within the overlap.
    whole = (parent, key or "") != (cursor.parent, cursor.key) or n < cursor.n or now < cursor.at - CLOCK_S
    written = (await db.execute(select(func.max(node.time_updated)))).scalar_one() or LONG_AGO
    if whole:
        n, cursor = 0, Cursor(parent=parent, written=written)
    new = narrow(select(*_COLUMNS).where(is_child, node.id > cursor.last)).order_by(node.id).limit(most)
    nodes = list((await db.execute(new)).all())
    more = len(nodes) == most
    progress: dict[str, Any] = {"n": n + len(nodes)}
    if nodes:
        progress |= {"last": nodes[-1][0], "key": nodes[-1][1]}
    if not more:
        again = select(*_COLUMNS).where(is_child, node.id <= cursor.last, node.time_updated >= cursor.written - OVERLAP)
        nodes += (await db.execute(narrow(again))).all() if cursor.last else []
        progress |= {"written": written, "at": now}
    return Changes(cursor.model_copy(update=progress), nodes, whole, more)


class Row:
    """A child: its id and key, the summary of its metadata, and when it was last written."""

    __slots__ = ("changed", "created", "id", "key", "summary", "updated")

    def __init__(self, id: int, key: str, summary: Any, updated: datetime, version: int) -> None:
        self.id, self.key, self.summary, self.updated = id, key, summary, updated
        self.created = self.changed = version  # versions of the cache


class NodeCache:
    """The children of one container.

    `summarize` returns the summary for a key and metadata, or None for a child that cannot be shown.
    """

    def __init__(self, summarize: Callable[[str, Metadata], Any]) -> None:
        self._summarize = summarize
        self._lock = asyncio.Lock()
        self._reset()

    def _reset(self) -> None:
        self.generation = secrets.token_hex(4)  # changes if the cache is read anew
        self.rows: dict[int, Row] = {}  # by id
        self.version = 0  # grows by one with each read that finds a change
        self._cursor = Cursor()
        self._hashes: dict[int, int] = {}  # of the metadata, by id: nodes written lately are read again

    async def read(self, node: Any) -> list[Row]:
        """Return the children that the caller who obtained `node` may see, without those that cannot be shown."""
        async with self._lock:
            async with node.context.session() as db:
                more = True
                while more:
                    self._cursor, nodes, whole, more = await read_changes(db, node.node.id, self._cursor)
                    if whole and self.version:
                        cursor = self._cursor
                        self._reset()
                        self._cursor = cursor
                    await self._take(nodes)
                if not (node.conditions or node.access_filters):
                    return list(self.rows.values())
                query = select(orm.Node.id).where(orm.Node.parent == node.node.id)
                visible = set((await db.execute(node.apply_conditions(query))).scalars())
        return [row for row in self.rows.values() if row.id in visible]

    async def _take(self, nodes: list[Any]) -> None:
        changed = [node for node in nodes if self._hashes.get(node[0]) != hash(node[3])]
        if not changed:
            return
        # In a thread: the first result of a technique imports the technique's panels.
        summaries = await anyio.to_thread.run_sync(lambda: [self._summary(key, text) for _, key, _, text in changed])
        self.version += 1
        for (id, key, updated, text), summary in zip(changed, summaries, strict=True):
            self._hashes[id] = hash(text)
            if summary is not None:
                row = self.rows.setdefault(id, Row(id, key, summary, updated, self.version))
                row.summary, row.updated, row.changed = summary, updated, self.version

    def _summary(self, key: str, text: str) -> Any:
        try:
            return self._summarize(key, orjson.loads(text))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            return None  # a person changed the metadata


class _Catalog:
    """The caches of one catalog, and the token of its contents."""

    def __init__(self, context: Any) -> None:
        self.id = secrets.token_hex(8)
        self.caches: dict[tuple[int, Any], NodeCache] = {}
        self._context = ref(context)
        self._lock = asyncio.Lock()
        self._n = 0
        self._newest: tuple[int, datetime] | None = None  # highest id, and last write
        self._recent: dict[int, tuple[datetime, str]] = {}  # the nodes written shortly before that

    async def token(self) -> str:
        """Return a text that differs from the last one if anything that the pages show has changed since."""
        async with self._lock:
            if (context := self._context()) is not None:
                self._n += await self._has_changed(context)
            return f"{self.id}-{self._n}"

    async def _has_changed(self, context: Any) -> bool:
        node = orm.Node
        async with context.session() as db:
            id, written = (await db.execute(select(func.max(node.id), func.max(node.time_updated)))).one()
            before, self._newest = self._newest, (id or 0, written or LONG_AGO)
            since = (before or self._newest)[1] - COARSE
            query = select(node.id, node.time_updated, cast(node.metadata_, Text)).where(node.time_updated >= since)
            recent = {id: (at, text) for id, at, text in await db.execute(query.limit(MOST_RECENT))}
        known, self._recent = self._recent, recent
        if before is None or before[0] != self._newest[0] or len(recent) == MOST_RECENT:
            return True
        return any(known.get(id) != now for id, now in recent.items())


_catalogs: "WeakKeyDictionary[Any, _Catalog]" = WeakKeyDictionary()
_by_id: "WeakValueDictionary[str, _Catalog]" = WeakValueDictionary()


def _catalog(context: Any) -> _Catalog:
    if context not in _catalogs:
        _catalogs[context] = catalog = _Catalog(context)
        _by_id[catalog.id] = catalog
    return _catalogs[context]


def node_cache(node: Any, summarize: Callable[[str, Metadata], Any]) -> NodeCache:
    """Return the cache of the children of a container with these summaries."""
    return _catalog(node.context).caches.setdefault((node.node.id, summarize), NodeCache(summarize))


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


async def newest_key(node: Any) -> tuple[int, str | None]:
    """Return id and key of the last child that the caller may see; 0 and None without children."""
    query = node.apply_conditions(select(orm.Node.id, orm.Node.key).where(orm.Node.parent == node.node.id))
    async with node.context.session() as db:
        row = (await db.execute(query.order_by(orm.Node.id.desc()).limit(1))).first()
    return (0, None) if row is None else tuple(row)
