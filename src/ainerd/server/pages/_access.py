"""Who asks, what they may see, and what they may write: as Tiled itself decides it.

Tiled lets a page write only if it sends back a cookie that no script can read; `/session` hands that out to pages of
this server, and browsers keep the answer from pages of others. Another port of the same machine is the same site, whose
pages a browser sends cookies for: so a foreign ``Origin`` is refused, and so is what a plain form can send.
"""

import json
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request, Security
from tiled.server.authentication import (
    check_scopes,
    get_current_access_tags,
    get_current_principal,
    get_current_scopes,
)
from tiled.server.dependencies import get_entry, get_root_tree

READ, WRITE = "read:metadata", "write:metadata"
MOST_BYTES = 16_384  # of what a person sends


class Asked:
    """Who asks, and the way to the nodes that they may see."""

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
        policy = getattr(request.app.state, "access_policy", None)
        self._about: Any = (principal, access_tags, scopes, root_tree, {}, request.state.metrics, None, policy)
        self._policy, self._access_tags = policy, access_tags

    async def node(self, *parts: str, scopes: tuple[str, ...] = (READ,)) -> Any:
        """The node at a path; HTTPException if there is none for who asks, or it may not do that there."""
        path = "/".join(part.strip("/") for part in parts if part.strip("/"))
        if {".", ".."} & set(path.split("/")):
            raise HTTPException(404, "No such entry")
        if missing := sorted(set(scopes) - set(self.scopes)):
            raise HTTPException(403, f"your key may not do that: it has no {', '.join(missing)}")
        return await get_entry(path, [*scopes], *self._about)

    async def child(self, parent: Any, *parts: str) -> Any:
        """A node below one that they may see; None if there is none, or none for them."""
        (principal, access_tags, scopes, _, *rest) = self._about
        try:
            return await get_entry("/".join(parts), [READ], principal, access_tags, scopes, parent, *rest)
        except HTTPException as error:
            if error.status_code not in (403, 404):
                raise
            return None

    async def may_write(self, path: str) -> bool:
        """Whether they may say yes or no there."""
        try:
            await self.node(path, scopes=(READ, WRITE))
        except HTTPException:
            return False
        return True

    async def new_tags(self) -> Any:
        """Access tags of a node that they make."""
        if self._policy is None or not hasattr(self._policy, "init_node"):
            return None
        return (await self._policy.init_node(self.principal, self._access_tags, self.scopes, access_tags=None))[1]

    @property
    def uuid(self) -> str | None:
        """Of the principal; None where there is one key for everybody."""
        return None if self.principal is None else str(self.principal.uuid)

    @property
    def name(self) -> str | None:
        """What the principal is called; None where nobody knows."""
        if self.principal is None:
            return None
        named = next((str(identity.id) for identity in self.principal.identities), "")
        return named or f"{getattr(self.principal.type, 'value', self.principal.type)} {str(self.principal.uuid)[:8]}"


async def said(request: Request, most: int = MOST_BYTES) -> dict[str, Any]:
    """What a page of ours sends, an object of JSON; HTTPException for anything else, or for a page of others."""
    origin = request.headers.get("origin")
    if origin and origin.partition("://")[2] != request.headers.get("host"):
        raise HTTPException(403, "a page of another origin may not write here")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "a page of another site may not write here")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send application/json")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413, f"at most {most} bytes")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(422, "that is no JSON") from None
    if not isinstance(found, dict):
        raise HTTPException(422, "send an object")
    return found
