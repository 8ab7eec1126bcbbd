"""Everything of Tiled and FastAPI that their documentation does not promise: callers and nodes."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from inspect import signature
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import Depends, HTTPException, Request, Security
from pydantic import BaseModel, Field, NaiveDatetime
from sqlalchemy import Text, cast, func, select
from starlette._utils import get_route_path
from tiled.catalog.adapter import Collision
from tiled.catalog.orm import Node
from tiled.serialization.array import save_to_buffer_tifffile
from tiled.server import dependencies
from tiled.server.authentication import (
    check_scopes,
    get_current_access_tags,
    get_current_principal,
    get_current_scopes,
    move_api_key,
)
from tiled.server.core import NoEntry
from tiled.server.schemas import Asset, DataSource, Spec, Specs
from tiled.server.utils import CSRF_COOKIE_NAME, get_root_url
from tiled.structures.core import StructureFamily
from tiled.utils import BrokenLink

from ainerd.results import shared_tags

# For other files.
__all__ = [
    "CSRF_COOKIE_NAME", "Asset", "Collision", "DataSource", "Spec", "Specs", "get_root_url", "get_route_path",
    "move_api_key", "save_to_buffer_tifffile",
]  # fmt: skip

READ, WRITE = "read:metadata", "write:metadata"
STEER = "steer"  # a scope of access policies: commands and notes by our routes, and no writing by those of Tiled
OVERLAP, COARSE = timedelta(seconds=60), timedelta(seconds=2)
CLOCK_S = 5.0  # difference of the clocks of two processes of a server
MOST_RECENT = 500  # nodes that a token compares; if more were written, it changes
AT_ONCE = 5000  # nodes read before another request is served
LONG_AGO = datetime(1970, 1, 1)

_COLUMNS = Node.id, Node.key, Node.time_updated, cast(Node.metadata_, Text)
_part_by_part = dependencies.get_entry
_arguments = signature(_part_by_part)


async def get_entry(*args: Any, **options: Any) -> Any:
    """Find a node by its whole path, in one query instead of one for each part.

    Tiled looks at each part because of access policies, which most servers do not have. Errors are those of Tiled.
    """
    given = _arguments.bind(*args, **options).arguments
    root, families = given["root_tree"], given.get("structure_families")
    if given.get("access_policy") is None and hasattr(root, "lookup_adapter"):
        with suppress(NoEntry, BrokenLink):
            node = await root.lookup_adapter([part for part in given["path"].split("/") if part])
            if families is None or node.structure_family in families:
                return node
    return await _part_by_part(*args, **options)


class Caller:
    """The sender of a request, and access to the nodes that the sender may see."""

    def __init__(
        self,
        request: Request,
        principal: Annotated[Any, Depends(get_current_principal)],
        access_tags: Annotated[Any, Depends(get_current_access_tags)],
        scopes: Annotated[Any, Depends(get_current_scopes)],
        root_tree: Annotated[Any, Depends(dependencies.get_root_tree)],
        _: Annotated[Any, Security(check_scopes, scopes=[READ])],
    ) -> None:
        self.request, self.principal, self.scopes = request, principal, scopes
        self._policy = getattr(request.app.state, "access_policy", None)
        self._access_tags, self._root = access_tags, root_tree

    async def node(self, *parts: str, scopes: tuple[str, ...] = (READ,)) -> Any:
        """Return the node at a path; HTTPException if the caller may not see it, or lacks one of these scopes there."""
        path = "/".join(part.strip("/") for part in parts if part.strip("/"))
        if {".", ".."} & set(path.split("/")):
            raise HTTPException(404, "No such entry")
        if missing := sorted(set(scopes) - set(self.scopes)):
            raise HTTPException(403, f"your key does not allow that: it lacks {', '.join(missing)}")
        return await self._entry(path, scopes, self._root)

    async def steered(self, *parts: str) -> Any:
        """Return the node at a path; HTTPException unless the caller may leave commands and notes there.

        An access policy allows that with the scope `STEER`, or with `WRITE`. The key must have `WRITE`.
        """
        if WRITE in self.scopes:
            with suppress(HTTPException):
                return await self._entry("/".join(part.strip("/") for part in parts), (READ, STEER), self._root)
        return await self.node(*parts, scopes=(READ, WRITE))

    async def child(self, parent: Any, *parts: str, scopes: tuple[str, ...] = (READ,)) -> Any:
        """Return a node below `parent`; None if it does not exist, or the caller lacks one of these scopes there."""
        try:
            return await self._entry("/".join(parts), scopes, parent)
        except HTTPException as error:
            if error.status_code not in (403, 404):
                raise
            return None

    async def _entry(self, path: str, scopes: tuple[str, ...], root: Any) -> Any:
        context: Any = (root, {}, self.request.state.metrics, None, self._policy)
        return await get_entry(path, [*scopes], self.principal, self._access_tags, self.scopes, *context)

    async def create(
        self,
        parent: Any,
        key: str,
        metadata: dict[str, Any],
        specs: Any,
        sources: list[DataSource[Any]] | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        """Create a container with these access tags, by default with those of its parent.

        HTTPException if the policy of the server does not let the caller give these tags.
        """
        given = None if self._policy is None else parent.access_tags
        if tags is not None and self._policy is not None and hasattr(self._policy, "init_node"):
            wanted, caller = shared_tags(tags), (self.principal, self._access_tags, self.scopes)
            try:
                _, given = await self._policy.init_node(*caller, access_tags=wanted)
            except ValueError as error:
                raise HTTPException(403, f"the access tags {wanted} cannot be given: {error}") from None
        family = StructureFamily.container
        await parent.create_node(family, metadata, key=key, specs=specs, data_sources=sources, access_tags=given)

    @property
    def sees_all(self) -> bool:
        """Whether the server has no access policy, so that all callers see the same nodes."""
        return self._policy is None

    @property
    def uuid(self) -> str | None:
        """Id of the principal; None where everybody uses one key."""
        return None if self.principal is None else str(self.principal.uuid)

    @property
    def name(self) -> str | None:
        """Name of the principal; None where everybody uses one key."""
        if self.principal is None:
            return None
        name = next((str(identity.id) for identity in self.principal.identities), "")
        return name or f"{getattr(self.principal.type, 'value', self.principal.type)} {str(self.principal.uuid)[:8]}"


async def has_child(node: Any, key: str) -> bool:
    """Return whether a node has a child with this key, also one that the caller may not see."""
    async with node.context.session() as db:
        query = select(Node.id).where(Node.parent == node.node.id, Node.key == key)
        return (await db.execute(query)).first() is not None


class Child(NamedTuple):
    """A node below a container, with the time at which it was last written and its metadata as JSON."""

    id: int
    key: str
    written: datetime
    text: str

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the node."""
        return dict(orjson.loads(self.text))


class Cursor(BaseModel):
    """The point up to which the children of a container were read."""

    parent: int = 0  #: id of the container
    n: int = 0  #: number of children up to the last one that was read
    last: int = Field(default=0, ge=0, lt=2**31)  #: its id
    key: str = ""  #: its key: SQLite may use the last id again
    written: NaiveDatetime = LONG_AGO  #: the last write in the catalog, by the clock of the database
    at: float = 0.0  #: time of the reading, by the clock of the server


class Changes(NamedTuple):
    """Children that were written since a cursor; `whole`: all have to be read, these are the first; `more` follow."""

    cursor: Cursor
    children: list[Child]
    whole: bool
    more: bool


async def read_changes(
    db: Any, parent: int, cursor: Cursor, narrow: Callable[[Any], Any] = lambda query: query
) -> Changes:
    """Return the children that were written since a cursor; `narrow` adds conditions to a query.

    Those that were written shortly before come again, because a database stores the time at which a write began, and
    SQLite in seconds.
    """
    now, is_child = time.time(), Node.parent == parent
    # two queries, because an index alone answers the first one
    n = (await db.execute(narrow(select(func.count(Node.id)).where(is_child, Node.id <= cursor.last)))).scalar_one()
    key = (await db.execute(narrow(select(Node.key).where(is_child, Node.id == cursor.last)))).scalar()
    # More children than before are from a transaction that was committed late: they were written within the overlap.
    whole = (parent, key or "") != (cursor.parent, cursor.key) or n < cursor.n or now < cursor.at - CLOCK_S
    written = await _last_write(db)
    if whole:
        n, cursor = 0, Cursor(parent=parent, written=written)
    new = narrow(select(*_COLUMNS).where(is_child, Node.id > cursor.last)).order_by(Node.id).limit(AT_ONCE)
    children = list((await db.execute(new)).all())
    more = len(children) == AT_ONCE
    progress: dict[str, Any] = {"n": n + len(children)}
    if children:
        progress |= {"last": children[-1][0], "key": children[-1][1]}
    if not more:
        again = select(*_COLUMNS).where(Node.time_updated >= cursor.written - OVERLAP)
        # sums, so that SQLite uses the index of times, and does not go through all children
        again = again.where(Node.parent + 0 == parent, Node.id + 0 <= cursor.last)
        children += (await db.execute(narrow(again))).all() if cursor.last else []
        progress |= {"written": written, "at": now}
    return Changes(cursor.model_copy(update=progress), [Child(*child) for child in children], whole, more)


async def _last_write(db: Any) -> datetime:
    """Return when a node was last written, without times in the future: the clock may have been ahead."""
    query = select(func.max(Node.time_updated)).where(Node.time_updated <= func.now())
    return (await db.execute(query)).scalar_one() or LONG_AGO


async def change_token(context: Any) -> str:
    """Return a text that is another one after anything was written in a catalog.

    It is made from the nodes that were written last. It does not notice that an older node was removed.
    """
    async with context.session() as db:
        written = await _last_write(db)
        recent = select(*_COLUMNS).where(Node.time_updated >= written - COARSE).limit(MOST_RECENT)
        nodes = (await db.execute(recent)).all()
    return sha256(repr((nodes, len(nodes) == MOST_RECENT and time.time())).encode()).hexdigest()[:20]


async def newest(node: Any, n: int = 1) -> list[Child]:
    """Return the last `n` children that the caller may see, the newest first."""
    query = node.apply_conditions(select(*_COLUMNS).where(Node.parent == node.node.id))
    async with node.context.session() as db:
        return [Child(*child) for child in await db.execute(query.order_by(Node.id.desc()).limit(n))]


async def newest_key(node: Any) -> tuple[int, str | None]:
    """Return id and key of the last child that the caller may see; 0 and None without children."""
    query = node.apply_conditions(select(Node.id, Node.key).where(Node.parent == node.node.id))
    async with node.context.session() as db:
        row = (await db.execute(query.order_by(Node.id.desc()).limit(1))).first()
    return (0, None) if row is None else tuple(row)


async def visible_keys(node: Any) -> list[str] | None:
    """Return the keys of the children that the caller may see; None for all."""
    if not (node.conditions or node.access_filters):
        return None
    query = node.apply_conditions(select(Node.key).where(Node.parent == node.node.id))
    async with node.context.session() as db:
        return list((await db.execute(query)).scalars())
