"""Whether anything is new: one question to the database where there were ten.

A page asks twice a second, and mostly nothing has happened. What pages show changes with a node that is made, which has
a higher number than all before, or with one of the few that are not final. A node that is removed is not noticed here.
"""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from sqlalchemy import Text, case, cast, literal, null, select, union_all
from tiled.catalog import orm

from ainerd.server.pages._kept import may_change, versions

COARSE = timedelta(seconds=2)  # SQLite notes in which second a node was written
MOST_OPEN = 500  # nodes that may change: of more, something always is new

Seen = dict[int, tuple[datetime | None, str | None]]


class News:
    """What a catalogue holds, as a name that changes with it."""

    def __init__(self, context: Any) -> None:
        self.id = secrets.token_hex(8)
        self._context = ref(context)
        self._lock = asyncio.Lock()
        self._n = 0
        self._since = datetime(1970, 1, 1)  # of what was written since then it is asked what it is
        self._seen: Seen = {}
        self._kept: list[tuple[str, int]] = []  # another route may have read what became of a node that was open

    async def name(self) -> str:
        """Of what the catalogue holds."""
        async with self._lock:
            if (context := self._context()) is not None:
                now, open_ones = datetime.now(UTC).replace(tzinfo=None), may_change(context)
                kept = versions(context)
                seen = await self._look(context, open_ones[:MOST_OPEN])
                self._n += len(open_ones) > MOST_OPEN or kept != self._kept or not _same(self._seen, seen)
                self._seen, self._kept, self._since = seen, kept, now - COARSE
            return f"{self.id}-{self._n}"

    async def _look(self, context: Any, open_ones: list[int]) -> Seen:
        """When nodes were written, and what is in those that were written since about the last look.

        At 0 stands the node made last.
        """
        node = orm.Node
        lately = case((node.time_updated >= self._since, cast(node.metadata_, Text)), else_=null())
        newest = select(literal(0), node.time_created, cast(node.id, Text)).order_by(node.id.desc()).limit(1).subquery()
        of_open = select(node.id, node.time_updated, lately).where(node.id.in_(open_ones))
        async with context.session() as db:
            return {id: (at, text) for id, at, text in await db.execute(union_all(select(newest), of_open))}


def _same(before: Seen, now: Seen) -> bool:
    """Whether nothing was written; what is not said of a node that was written long ago is what it was."""
    return before.keys() == now.keys() and all(
        at == before[id][0] and text in (None, before[id][1]) for id, (at, text) in now.items()
    )


_of_catalogue: "WeakKeyDictionary[Any, News]" = WeakKeyDictionary()
_by_id: "WeakValueDictionary[str, News]" = WeakValueDictionary()


async def name_of(context: Any) -> str:
    """A name for what a catalogue holds now."""
    news = _of_catalogue.get(context)
    if news is None:
        news = _of_catalogue[context] = News(context)
        _by_id[news.id] = news
    return await news.name()


async def is_old(name: str) -> bool:
    """Whether a catalogue does not hold what it held any more."""
    news = _by_id.get(name.partition("-")[0])
    return news is None or name != await news.name()
