"""One key for all that the embedded server answers: Tiled's routes check it one by one, and some of them do not."""

import re
from secrets import compare_digest

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# Files without data, and what Tiled's clients and pages ask before they send a key.
OPEN = re.compile(r"/|/healthz|/favicon\.ico|/tiled-ui-settings|/api/v1/?|/(ui|static|ainerd)(/.*)?")
OUTSIDE = re.compile(r"/ui/(.*/)?(/|\.\.(/|$)|.*\0).*")  # Tiled opens any file at such a path
STREAM = "/api/v1/stream/single/"  # Tiled itself checks the key in the first message


class KeyRequired:
    """ASGI middleware that refuses requests without the key, and requests of pages of other origins."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._key = app, key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = None if scope["type"] == "lifespan" else self._refusal(HTTPConnection(scope))
        refusal = JSONResponse({"detail": "refused: is the key right?"}, status or 401, {"X-Tiled-Request-ID": "none"})
        answer = self._app if status is None else refusal
        await answer(scope, receive, send)

    def _refusal(self, asked: HTTPConnection) -> int | None:
        path, headers, in_address = asked.scope["path"], asked.headers, asked.query_params.get("api_key")
        if "origin" in headers and headers["origin"].partition("://")[2] != headers.get("host"):
            return 403
        if OUTSIDE.fullmatch(path):
            return 404
        sent = headers.get("authorization", "").partition(" ")[2] or asked.cookies.get("tiled_api_key", "")
        is_stream = asked.scope["type"] == "websocket" and path.startswith(STREAM)
        is_open = not in_address and (is_stream or OPEN.fullmatch(path))  # Tiled makes a cookie of a key in the address
        return None if is_open or compare_digest((in_address or sent).encode(), self._key) else 401
