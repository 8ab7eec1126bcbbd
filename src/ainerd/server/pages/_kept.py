"""What the children of a container say, kept by the server in short: a page asks twice a second.

It rests on the same rules as `ainerd.results`' own reading: children are listed in the order they were made, and one
that is final does not change. Of thousands of results each asking reads what is new, and what was not final.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import orjson
from sqlalchemy import Text, cast, func, select
from tiled.catalog import orm

AT_ONCE = 1000  # nodes read before somebody else may be answered
_BY_NAME = 500  # in one question to the database

Metadata = Mapping[str, Any]


class Row:
    """A child: its key, what is kept of its metadata, since when, and when it was written last."""

    __slots__ = ("changed", "id", "key", "made", "said", "updated")

    def __init__(self, id: int, key: str, said: Any, updated: datetime, made: int) -> None:
        self.id, self.key, self.said, self.updated = id, key, said, updated
        self.made = self.changed = made  # versions of what is kept


class Kept:
    """The children of one container.

    `shorten` makes of key and metadata what is kept, or None for a child that cannot be shown; `is_final` says of it
    whether it will not change any more.
    """

    def __init__(self, shorten: Callable[[str, Metadata], Any], is_final: Callable[[Any], bool]) -> None:
        self._shorten, self._is_final = shorten, is_final
        self._lock = asyncio.Lock()
        self._begin()

    def _begin(self) -> None:
        self.generation = secrets.token_hex(4)  # other after a beginning anew
        self.rows: dict[int, Row] = {}  # by id
        self.version = 0  # one more with each reading that found something
        self._n, self._last = 0, 0
        self._open: dict[int, bytes] = {}  # not final, with what was read of it

    @property
    def open(self) -> Iterable[int]:
        """Ids of the children that may still change."""
        return self._open.keys()

    async def read(self, node: Any) -> list[Row]:
        """The children that who asks may see, as `node` is given to them; rows that cannot be shown are left out."""
        async with self._lock:
            async with node.context.session() as db:
                await self._follow(db, node.node.id)
                if not (node.conditions or node.access_filters):
                    return list(self.rows.values())
                asked = select(orm.Node.id).where(orm.Node.parent == node.node.id)
                seen = set((await db.execute(node.apply_conditions(asked))).scalars())
        return [row for row in self.rows.values() if row.id in seen]

    async def _follow(self, db: Any, parent: int) -> None:
        mine = orm.Node.parent == parent
        n = (await db.execute(select(func.count(orm.Node.id)).where(mine))).scalar_one()
        columns = orm.Node.id, orm.Node.key, orm.Node.time_updated, cast(orm.Node.metadata_, Text)
        before = (await db.execute(select(func.count(orm.Node.id)).where(mine, orm.Node.id <= self._last))).scalar_one()
        if before != self._n:  # something was removed
            self._begin()
        named = list(self._open)
        for start in range(0, len(named), _BY_NAME):
            wanted = select(*columns).where(orm.Node.id.in_(named[start : start + _BY_NAME]))
            await self._take((await db.execute(wanted)).all())
        while self._n < n:
            new = select(*columns).where(mine, orm.Node.id > self._last).order_by(orm.Node.id).limit(AT_ONCE)
            found = (await db.execute(new)).all()
            if not found:
                break
            await self._take(found)
            self._n, self._last = self._n + len(found), found[-1][0]

    async def _take(self, found: Any) -> None:
        changed = [each for each in found if self._open.get(each[0]) != each[3].encode()]
        if not changed:
            return
        # The first result of a technique imports what it draws with.
        short = await anyio.to_thread.run_sync(lambda: [self._short(key, text) for _, key, _, text in changed])
        self.version += 1
        for (id, key, updated, text), said in zip(changed, short, strict=True):
            if said is not None and id in self.rows:
                row = self.rows[id]
                row.said, row.updated, row.changed = said, updated, self.version
            elif said is not None:
                self.rows[id] = Row(id, key, said, updated, self.version)
            if said is not None and self._is_final(said):
                self._open.pop(id, None)
            else:
                self._open[id] = text.encode()

    def _short(self, key: str, text: str) -> Any:
        try:
            return self._shorten(key, orjson.loads(text))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            return None  # somebody changed it by hand


_kept: "WeakKeyDictionary[Any, dict[tuple[int, Any], Kept]]" = WeakKeyDictionary()


def kept(node: Any, shorten: Callable[[str, Metadata], Any], is_final: Callable[[Any], bool]) -> Kept:
    """What this server keeps of the children of a container."""
    of_catalogue = _kept.setdefault(node.context, {})
    at = node.node.id, shorten
    if at not in of_catalogue:
        of_catalogue[at] = Kept(shorten, is_final)
    return of_catalogue[at]


def may_change(context: Any) -> list[int]:
    """Ids of all nodes of a catalogue that are kept and may still change."""
    return [id for store in _kept.get(context, {}).values() for id in store.open]


def versions(context: Any) -> list[tuple[str, int]]:
    """Of all that is kept of a catalogue: others after a reading, whoever asked for it, that found something."""
    return [(store.generation, store.version) for store in _kept.get(context, {}).values()]


async def newest(node: Any, n: int = 1) -> list[tuple[int, str, Any]]:
    """Id, key and metadata of the children made last, the newest first, of those who asks may see."""
    async with node.context.session() as db:
        columns = orm.Node.id, orm.Node.key, cast(orm.Node.metadata_, Text)
        asked = node.apply_conditions(select(*columns).where(orm.Node.parent == node.node.id))
        found = (await db.execute(asked.order_by(orm.Node.id.desc()).limit(n))).all()
    return [(id, key, orjson.loads(text)) for id, key, text in found]


async def newest_id(node: Any) -> int:
    """Number of the child made last of those who asks may see; 0 if there is none."""
    async with node.context.session() as db:
        asked = node.apply_conditions(select(func.max(orm.Node.id)).where(orm.Node.parent == node.node.id))
        return (await db.execute(asked)).scalar_one() or 0
