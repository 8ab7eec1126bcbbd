"""The doors of a Tiled server: no answer without a valid key, apart from a short list.

Tiled's routes check keys one by one, and some that it mounts do not. `router` puts one check before all of them, also
before those of a later Tiled. It belongs to the ``routers`` of a server's configuration; the embedded server has it.
"""

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from ainerd.server.corrections import inspect_dependencies_once
from ainerd.server.internals import ask_for_key, checks_scopes, get_route_path, scopes_of
from ainerd.server.listening import admit

logger = logging.getLogger("tiled.server.doors")  # its lines are in the log of the server

# Without a key: files of the pages, which hold no data; requests of a client before it logs in; and the login.
_FILES = (
    r"/|/healthz|/favicon\.ico|/tiled-ui-settings|/ui(/.*)?|/static/.*|/api/v1/?"
    r"|/(custom|api/v1)/ainerd/(static/[^/]+|technique/[^/]+/view\.js)"
)
_LOGIN = r"/api/v1/auth/provider/[^/]+/(code|authorize|device_code)"
_PASSWORD = r"/api/v1/auth/(provider/[^/]+/(token|authorize|device_code)|session/refresh)"
OPEN = {"GET": re.compile(f"{_FILES}|{_LOGIN}", re.DOTALL), "POST": re.compile(_PASSWORD)}
# Everything else does not exist, with a key either: zarr, GraphQL, the description of the API.
SERVED = re.compile(r"/|/healthz|/favicon\.ico|/tiled-ui-settings|/(ui|static|api/v1|custom)(/.*)?", re.DOTALL)
READING = {"read:metadata", "read:data"}
WRITING = {"write:metadata", "write:data", "create:node", "register"}
MOST_BYTES, BODY_S = 2**20, 30.0  # of a body if the key does not allow writing, and the time for it
# Requests that write to the database of the catalog, which takes one at a time.
CHANGES, CHANGED = {"POST", "PUT", "PATCH", "DELETE"}, re.compile(r"/api/v1/(metadata|register|data_source)(/.*)?")
HEADERS = ((b"content-security-policy", b"frame-ancestors 'none'"), (b"x-frame-options", b"DENY"))

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Refused(Exception):
    """A request that does not reach the routes of the server."""

    def __init__(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason


class Doors:
    """Check each request before any other part of the server sees it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._turn = asyncio.Lock()  # in order: SQLite lets a waiting request starve among many

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it before its body is read."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_framed(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        scopes = await scopes_of(scope)
        if scopes:
            admit(scope)
        try:
            _check(scope, scopes)
            if not scopes & WRITING and scope["type"] == "http":
                receive = await _with_body(receive, MOST_BYTES)
            if scope.get("method") in CHANGES and CHANGED.fullmatch(get_route_path(scope)):
                receive = await _with_body(receive)
                async with self._turn:
                    await self._app(scope, receive, send_framed)
            else:
                await self._app(scope, receive, send_framed)
        except Refused as refused:
            headers = ask_for_key(scope) if refused.status == 401 else {}
            await JSONResponse({"detail": refused.reason}, refused.status, headers)(scope, receive, send_framed)
        except Exception as error:
            if scopes:
                raise
            logger.warning("a request without a key ended with %s", type(error).__name__)  # 24 kB with a traceback


def _check(scope: Any, scopes: set[str]) -> None:
    """Raise `Refused` unless a request with these scopes may reach the routes."""
    connection, path = HTTPConnection(scope), get_route_path(scope)
    method = {"HEAD": "GET", "websocket": "websocket"}.get(scope.get("method", scope["type"]), scope.get("method", ""))
    if not scopes:
        is_preflight = method == "OPTIONS" and "access-control-request-method" in connection.headers
        if "api_key" in connection.query_params:  # it would go into a cookie
            raise Refused(401, "this key is not valid here")
        if not is_preflight and not (method in OPEN and OPEN[method].fullmatch(path)):
            raise Refused(401, "send a valid key, Authorization: Apikey …, or log in")
    # Tiled joins the path of a file of the UI to its folder, and opens the file at any path.
    leads_away = path.startswith("/ui//") or (path.startswith("/ui/") and ("\0" in path or ".." in path.split("/")))
    if leads_away or not SERVED.fullmatch(path):
        raise Refused(404, "Not Found")
    is_open = not scopes or (method in OPEN and OPEN[method].fullmatch(path)) or path.startswith("/api/v1/auth/")
    reads = method in ("GET", "websocket") and scopes >= READING
    if not (is_open or reads or checks_scopes(scope)):  # such as the stream of changes, if a key reads only metadata
        raise Refused(403, "your key does not allow that")


async def _with_body(receive: Receive, most: float = math.inf) -> Receive:
    """Read a body, and return a function from which it can be read again; `Refused` if it is too long or too slow."""
    parts, size, more = [], 0, True
    try:
        async with asyncio.timeout(BODY_S):
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    break
                parts.append(message)
                size += len(message.get("body", b""))
                if size > most:
                    raise Refused(413, f"at most {MOST_BYTES} bytes, unless your key allows writing")
                more = message.get("more_body", False)
    except TimeoutError:
        raise Refused(408, f"the body took longer than {BODY_S:g} s") from None

    async def again() -> Any:
        return parts.pop(0) if parts else await receive()

    return again


@asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    inspect_dependencies_once()
    if not isinstance(app.middleware_stack, Doors):  # a configuration includes each router at two prefixes
        app.middleware_stack = Doors(app.middleware_stack)
    yield


router = APIRouter(lifespan=_lifespan)
