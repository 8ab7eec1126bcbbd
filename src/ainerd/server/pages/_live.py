"""Pictures of runs in progress: one an agent, in memory, rewritten every second or two, gone when its run is over."""

import time
from dataclasses import dataclass
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ainerd.server.pages._access import READ, WRITE, Asked

MOST_BYTES = 256 * 256 * 4
MOST_PICTURES = 100  # of a catalogue
LOOKS_S = 8.0  # after it asked, a page still looks
STALE_S = 20.0  # a picture that is older is of an agent that is away
router = APIRouter()


class Said(BaseModel):
    """What an agent says of its picture."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    key: str = Field(pattern=r"^[0-9A-Za-z_-]{1,100}$")
    scan: str = Field(max_length=100)
    read: int = Field(ge=0)
    of: int | None = Field(default=None, ge=0)
    frame_time_s: float | None = Field(default=None, gt=0)
    shape: tuple[int, int]


@dataclass
class _Picture:
    said: str = ""
    body: bytes = b""
    made: float = -STALE_S
    looked: float = -LOOKS_S
    n: int = 0

    @property
    def wanted(self) -> bool:
        return time.monotonic() - self.looked < LOOKS_S


_of_catalogue: "WeakKeyDictionary[Any, dict[int, _Picture]]" = WeakKeyDictionary()


@router.put("/live/{path:path}")
async def show(request: Request, path: str, asked: Annotated[Asked, Depends()]) -> dict[str, bool]:
    """Keep the picture of an agent, whose node is at `path`; without a body say only whether a page looks.

    The body is float32, little-endian, in C order; the header ``x-said`` says its shape and what it is of.
    """
    picture = _picture(await asked.node(path, scopes=(READ, WRITE)))
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"at most {MOST_BYTES} bytes")
    if body:
        try:
            said = Said.model_validate_json(request.headers.get("x-said", ""))
        except ValidationError:
            raise HTTPException(422, "x-said says what the picture is of") from None
        if min(said.shape) < 1 or 4 * said.shape[0] * said.shape[1] != len(body):
            raise HTTPException(422, "the picture is not of that shape")
        picture.said, picture.body, picture.made, picture.n = (
            said.model_dump_json(),
            body,
            time.monotonic(),
            picture.n + 1,
        )
    return {"wanted": picture.wanted}


@router.delete("/live/{path:path}")
async def forget(path: str, asked: Annotated[Asked, Depends()]) -> dict[str, bool]:
    """Take the picture of an agent away."""
    picture = _picture(await asked.node(path, scopes=(READ, WRITE)))
    picture.said, picture.body = "", b""
    return {"wanted": picture.wanted}


@router.get("/live/{path:path}")
async def live(path: str, asked: Annotated[Asked, Depends()], n: int = -1) -> Response:
    """The picture of an agent's run in progress; 204 if there is none, or it is still the `n`-th, which is known."""
    picture = _picture(await asked.node(path, scopes=(READ, "read:data")))
    picture.looked = time.monotonic()
    is_fresh = picture.looked - picture.made < STALE_S
    headers = {"Cache-Control": "no-store"}
    if not (picture.body and is_fresh):
        return Response(status_code=204, headers={**headers, "x-n": "-1"})
    if n == picture.n:
        return Response(status_code=204, headers={**headers, "x-n": str(n)})
    headers |= {"x-n": str(picture.n), "x-said": picture.said}
    return Response(picture.body, media_type="application/octet-stream", headers=headers)


def _picture(node: Any) -> _Picture:
    """That of the agent of a node."""
    specs = {spec.name for spec in getattr(node, "specs", ())}
    if "AinerdAgent" not in specs:
        raise HTTPException(404, "that is no agent")
    known = _of_catalogue.setdefault(node.context, {})
    if node.node.id not in known and len(known) >= MOST_PICTURES:
        del known[min(known, key=lambda id: max(known[id].made, known[id].looked))]
    return known.setdefault(node.node.id, _Picture())
