"""The caller of a request: who it is, which nodes it may read and write (as Tiled decides), and the body that it sends.

Tiled lets a page write only if it sends back a cookie that no script can read. The route `session` gives that token to
pages of this server, and browsers hide the answer from pages of others. But a page on another port of the same machine
belongs to the same site, and a browser sends cookies for it: so a foreign ``Origin`` is refused, and so is every
content type that a plain HTML form can send.
"""

import json
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request, Response, Security
from pydantic import ValidationError
from tiled.server.authentication import (
    check_scopes,
    get_current_access_tags,
    get_current_principal,
    get_current_scopes,
)
from tiled.server.dependencies import get_entry, get_root_tree
from tiled.server.utils import CSRF_COOKIE_NAME

READ, WRITE = "read:metadata", "write:metadata"
MOST_BYTES = 16_384  # of a person's request
router = APIRouter()


class Caller:
    """The sender of a request, and access to the nodes that the sender may see."""

    def __init__(
        self,
        request: Request,
        principal: Annotated[Any, Depends(get_current_principal)],
        access_tags: Annotated[Any, Depends(get_current_access_tags)],
        scopes: Annotated[Any, Depends(get_current_scopes)],
        root_tree: Annotated[Any, Depends(get_root_tree)],
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

    async def new_tags(self) -> Any:
        """Return the access tags of a node that the caller creates."""
        if self._policy is None or not hasattr(self._policy, "init_node"):
            return None
        return (await self._policy.init_node(self.principal, self._access_tags, self.scopes, access_tags=None))[1]

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


@router.get("/session/{path:path}")
async def session(path: str, caller: Annotated[Caller, Depends()], response: Response) -> dict[str, Any]:
    """Return the token that a page sends with each write, the name of its reader, and whether they may write there."""
    response.headers["Cache-Control"] = "no-store"
    try:
        may_write = await caller.node(path, scopes=(READ, WRITE)) is not None
    except HTTPException:
        may_write = False
    return {
        "csrf": caller.request.cookies.get(CSRF_COOKIE_NAME),
        "who": caller.name,
        "verified": caller.principal is not None,
        "may_write": may_write,
    }


async def json_body(request: Request, most: int = MOST_BYTES) -> dict[str, Any]:
    """Return the JSON object that a page of ours sends; HTTPException for anything else, or for another site's page."""
    origin = request.headers.get("origin")
    if origin and origin.partition("://")[2] != request.headers.get("host"):
        raise HTTPException(403, "a page of another origin may not write here")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "a page of another site may not write here")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send application/json")
    try:
        body = json.loads(await bounded_body(request, most))
    except (ValueError, RecursionError):
        raise HTTPException(422, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(422, "send a JSON object")
    return body


async def bounded_body(request: Request, most: int) -> bytes:
    """Return the body of a request; HTTPException 413 if it has more than `most` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > most:
            raise HTTPException(413, f"at most {most} bytes")
    return b"".join(parts)


def validated(model: Any, body: dict[str, Any]) -> Any:
    """Return the body of a request as a pydantic model; HTTPException 422, in one line, if it does not fit."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise HTTPException(422, f"{where[:60]}: {first['msg'][:200]}" if where else first["msg"][:200]) from None


def json_response(content: Any) -> Response:
    """Return plain values and arrays as JSON, with null for NaN."""
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
