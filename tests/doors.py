"""All routes of a Tiled server, and its answers to each actor; a server with accounts as in docs/how-to/server.md."""

import re
import shutil
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import uvicorn
import yaml
from tiled.client import from_uri
from tiled.commandline._catalog import init
from tiled.config import parse_configs
from tiled.server.app import build_app_from_config
from tiled.server.simple import ThreadedServer

from ainerd.server.internals import routes_of

FILES = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "files" / "tiled"
READ = ["read:metadata", "read:data"]
WRITE = [*READ, "write:metadata", "write:data", "create:node", "delete:node"]
# Everybody may open these. Each other route answers 401 to nobody.
OPEN = {
    "GET /", "GET /healthz", "GET /favicon.ico", "GET /tiled-ui-settings", "GET /ui/{path:path}", "GET /static",
    "GET /api/v1/",
    *(f"GET /{at}/ainerd/{file}" for at in ("custom", "api/v1")
      for file in ("static/{name}", "technique/{name}/view.js")),
    "POST /api/v1/auth/provider/beamline/token", "POST /api/v1/auth/session/refresh",
}  # fmt: skip
# These are no writing to the catalogue, although their method is.
HARMLESS = {
    *(f"POST /{at}/ainerd/table/{{path:path}}" for at in ("custom", "api/v1")),
    "POST /api/v1/auth/apikey", "POST /api/v1/auth/logout",
}  # fmt: skip
SECRET = b"DATA-42-"


class Route(NamedTuple):
    """A method, or WS for a WebSocket, and the template of a path."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def address(self, node: str) -> str:
        """Return a path of this route, for a node."""
        given = {"path": node, "name": "views.js"}
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda match: given.get(match[1], "0"), self.path)


def all_routes(app: Any) -> list[Route]:
    """Return the routes of an app, also those that are included or mounted."""
    routes = set[Route]()
    for route in routes_of(app.routes):
        methods = getattr(route, "methods", None) or ["GET" if hasattr(route, "routes") else "WS"]
        routes.update(Route(method, route.path) for method in methods if method != "HEAD")
    return sorted(routes, key=lambda route: (route.method == "DELETE", route.path, route.method))


def fill(uri: str, key: str) -> str:
    """Write an array of bytes, and return its path."""
    client = from_uri(uri, api_key=key.removeprefix("Apikey "))
    night = client.create_container("night")
    night.write_array(np.frombuffer(100 * SECRET, np.uint8), key="frames", metadata={"title": "frames"})
    client.context.http_client.close()
    return "night/frames"


def faults(route: Route, answers: dict[str, tuple[int, bytes]]) -> list[str]:
    """Return the faults in the answers of a route to each actor; `metadata` is a key that may read only these."""
    problems = []
    if answers["nobody"][0] != 401 and str(route) not in OPEN:
        problems.append("open to everybody")
    problems += [f"{who} gets data" for who in ("nobody", "metadata") if SECRET in answers.get(who, (0, b""))[1]]
    for who in ("metadata", "reader", "person"):
        status = answers.get(who, (401, b""))[0]
        if route.method not in ("GET", "WS") and status < 400 and str(route) not in OPEN | HARMLESS:
            problems.append(f"{who} writes")
        if route.method == "WS" and who == "metadata" and status == 101:
            problems.append(f"{who} listens")
    return problems


def ask(http: httpx.Client, route: Route, node: str, key: str | None) -> tuple[int, bytes]:
    """Return status and body of the answer to a key, `Apikey …` or `Bearer …`."""
    headers = {"Connection": "close"} | ({"Authorization": key} if key else {})
    address = route.address(node) + ("/" if route.path in ("/static", "/mounted") else "")
    if route.method != "WS":
        body = {} if route.method == "GET" else {"content": b"{}"}
        answer = http.request(route.method, address, headers={"Content-Type": "application/json", **headers}, **body)
        return answer.status_code, answer.content
    url = urlsplit(str(http.base_url))
    upgrade = {"Host": url.netloc, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    lines = [f"{name}: {x}" for name, x in {**headers, **upgrade, "Sec-WebSocket-Key": 22 * "A" + "=="}.items()]
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall("\r\n".join([f"GET {address} HTTP/1.1", *lines, "", ""]).encode())
        return int(connection.recv(65536).split()[1]), b""


@contextmanager
def shared_server(folder: Path, change: Any = lambda app: None) -> Iterator[tuple[str, Any, dict[str, str]]]:
    """Serve Tiled with accounts, its databases in files; yield address, app, and the key of each actor."""
    config, more = (yaml.safe_load((FILES / name).read_text()) for name in ("config.yml", "files.yml"))
    catalog = f"sqlite:///{folder}/catalog.db"
    config["catalog"] |= {**more.pop("catalog"), "uri": catalog, "init_if_not_exists": False}
    config["catalog"]["writable_storage"][1] = f"duckdb:///{folder}/tables.duckdb"
    del config["database"]  # in memory
    for name in ("data", "frames"):
        (folder / name).mkdir()
    shutil.copy(FILES / "services_write.py", folder)
    (folder / "config.yml").write_text(yaml.safe_dump(config | more))
    words = {
        "OPERATOR_PASSWORD": "spiegel",
        "ANALYST_PASSWORD": "lupe",
        "TILED_SECRET_KEY": "neither here nor there, nor anywhere",
    }
    places = {"DATA_DIRECTORY": f"{folder}/data", "FRAMES_DIRECTORY": f"{folder}/frames", "STREAMING_CACHE": "memory"}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(action="ignore"):  # of alembic
        for name, x in (words | places).items():
            patch.setenv(name, x)
        init(catalog)
        app = build_app_from_config(parse_configs(folder / "config.yml"))
    change(app)
    server = ThreadedServer(uvicorn.Config(app, port=0, log_config=None))
    with (
        server.run_in_thread() as uri,
        httpx.Client(base_url=f"{uri}/api/v1/auth", trust_env=False, timeout=60) as http,
    ):

        def token(name: str, word: str) -> str:
            login = {"grant_type": "password", "username": name, "password": word}
            return f"Bearer {http.post('/provider/beamline/token', data=login).json()['access_token']}"

        operator = {"Authorization": token("operator", "spiegel")}
        service = http.post("/principal", params={"role": "admin"}, headers=operator).json()["uuid"]

        def key(scopes: list[str]) -> str:
            wanted = {"scopes": scopes, "expires_in": None}
            return f"Apikey {http.post(f'/principal/{service}/apikey', json=wanted, headers=operator).json()['secret']}"

        yield (
            uri,
            app,
            {
                "metadata": key(READ[:1]),
                "reader": key(READ),
                "service": key(WRITE),
                "person": token("analyst", "lupe"),
            },
        )
