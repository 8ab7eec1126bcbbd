"""The body of a request, and the session of a page.

Tiled lets a page write only if it sends back a cookie that no script can read. The route `session` gives that token to
pages of this server, and browsers hide the answer from pages of others. But a page on another port of the same machine
belongs to the same site, and a browser sends cookies for it: so a foreign ``Origin`` is refused, and so is every
content type that a plain HTML form can send.
"""

import json
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from ainerd.server.internals import CSRF_COOKIE_NAME, Caller, get_root_url, move_api_key
from ainerd.words import first_problem

MOST_BYTES = 16_384  # of a person's request
router = APIRouter()


@router.get("/open/{path:path}", dependencies=[Depends(move_api_key)])
async def open_page(request: Request, path: str) -> Response:
    """Put the key of the address into a cookie, and redirect to the page of a node, whose address has no key."""
    return RedirectResponse(f"{get_root_url(request)}/ui/browse/{quote(path)}", 303)


@router.get("/session/{path:path}")
async def session(path: str, caller: Annotated[Caller, Depends()], response: Response) -> dict[str, Any]:
    """Return the token that a page sends with each write, the name of its reader, and whether they may write there."""
    response.headers["Cache-Control"] = "no-store"
    try:
        may_write = await caller.steered(path) is not None
    except HTTPException:
        may_write = False
    return {
        "csrf": caller.request.cookies.get(CSRF_COOKIE_NAME),
        "who": caller.name,
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
        raise HTTPException(422, first_problem(error)[:250]) from None


def json_response(content: Any) -> Response:
    """Return plain values and arrays as JSON, with null for NaN."""
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
