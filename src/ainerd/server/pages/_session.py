"""Who the server takes a page's reader for, and what it lets them do."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from tiled.server.utils import CSRF_COOKIE_NAME

from ainerd.server.pages._access import Asked

router = APIRouter()


@router.get("/session/{path:path}")
async def session(path: str, asked: Annotated[Asked, Depends()], response: Response) -> dict[str, Any]:
    """The token that a page sends back with what it writes, and whether it may write at a path."""
    response.headers["Cache-Control"] = "no-store"
    return {
        "csrf": asked.request.cookies.get(CSRF_COOKIE_NAME),
        "who": asked.name,
        "verified": asked.principal is not None,
        "may_write": await asked.may_write(path),
    }
