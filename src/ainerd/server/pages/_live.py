"""Pictures of runs in progress: one for each agent, in memory, replaced every second or two until the run is over."""

import json
import time
from dataclasses import dataclass
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ainerd.server._access import bounded_body
from ainerd.server.internals import READ, WRITE, Caller

MOST_BYTES = 256 * 256 * 4
MOST_PICTURES = 100  # of a catalog
WATCHED_S = 8.0  # a page that has asked is taken to be open so long
STALE_S = 20.0  # an older picture belongs to an agent that is away
router = APIRouter()


class PictureHeader(BaseModel):
    """The description that an agent sends with a picture."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    key: str = Field(pattern=r"^[0-9A-Za-z_-]{1,100}$")
    scan: str = Field(max_length=100)
    read: int = Field(ge=0)
    of: int | None = Field(default=None, ge=0)
    frame_time_s: float | None = Field(default=None, gt=0)
    shape: tuple[int, int]


@dataclass
class _Picture:
    header: str = ""
    body: bytes = b""
    received: float = -STALE_S
    asked: float = -WATCHED_S
    n: int = 0

    @property
    def wanted(self) -> bool:
        return time.monotonic() - self.asked < WATCHED_S


_pictures: "WeakKeyDictionary[Any, dict[int, _Picture]]" = WeakKeyDictionary()  # of each catalog, by node id


@router.put("/live/{path:path}")
async def show(request: Request, path: str, caller: Annotated[Caller, Depends()]) -> dict[str, bool]:
    """Store the picture of the agent whose node is at `path`, and return whether a page is open; no body only asks.

    The body is float32, little-endian, in C order; the header ``x-picture`` holds a `PictureHeader` as JSON.
    """
    picture = _picture(await caller.node(path, scopes=(READ, WRITE)))
    body = await bounded_body(request, MOST_BYTES)
    if body:
        try:
            header = PictureHeader.model_validate_json(request.headers.get("x-picture", ""))
        except ValidationError:
            raise HTTPException(422, "the header x-picture does not describe a picture") from None
        if min(header.shape) < 1 or 4 * header.shape[0] * header.shape[1] != len(body):
            raise HTTPException(422, "the picture does not have that shape")
        picture.header, picture.body = json.dumps(header.model_dump()), body  # a header takes ASCII only
        picture.received = time.monotonic()
        picture.n += 1
    return {"wanted": picture.wanted}


@router.delete("/live/{path:path}")
async def forget(path: str, caller: Annotated[Caller, Depends()]) -> dict[str, bool]:
    """Remove the picture of an agent."""
    picture = _picture(await caller.node(path, scopes=(READ, WRITE)))
    picture.header, picture.body = "", b""
    return {"wanted": picture.wanted}


@router.get("/live/{path:path}")
async def live(path: str, caller: Annotated[Caller, Depends()], n: int = -1) -> Response:
    """Return the picture of an agent's run in progress; 204 if it does not exist, or its number is still `n`."""
    picture = _picture(await caller.node(path, scopes=(READ, "read:data")))
    picture.asked = time.monotonic()
    headers = {"Cache-Control": "no-store"}
    if not picture.body or picture.asked - picture.received >= STALE_S:
        return Response(status_code=204, headers={**headers, "x-n": "-1"})
    headers["x-n"] = str(picture.n)
    if n == picture.n:
        return Response(status_code=204, headers=headers)
    return Response(
        picture.body, media_type="application/octet-stream", headers={**headers, "x-picture": picture.header}
    )


def _picture(node: Any) -> _Picture:
    """Return the picture of the agent of a node."""
    if "AinerdAgent" not in {spec.name for spec in getattr(node, "specs", ())}:
        raise HTTPException(404, "there is no agent at this path")
    pictures = _pictures.setdefault(node.context, {})
    if node.node.id not in pictures and len(pictures) >= MOST_PICTURES:
        del pictures[min(pictures, key=lambda id: max(pictures[id].received, pictures[id].asked))]
    return pictures.setdefault(node.node.id, _Picture())
