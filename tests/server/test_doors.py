import asyncio
import hashlib
import logging
import re
import socket
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI, WebSocket

from ainerd.server import doors, embedded_server, listening
from ainerd.server.pages import _static
from tests.doors import OPEN, SECRET, all_routes, ask, faults, fill, shared_server

ACTORS = "metadata", "reader", "service", "person"


def add_later_routes(app):
    """Add routes as a later Tiled may have them, without a check of their own."""

    async def later():
        return SECRET.decode()

    async def listen(websocket: WebSocket):
        await websocket.accept()

    mounted = FastAPI()
    mounted.add_api_route("/", later)
    app.add_api_route("/later", later)
    app.add_api_route("/api/v1/later", later, methods=["GET", "POST"])
    app.add_api_websocket_route("/api/v1/listen", listen)
    app.mount("/mounted", mounted)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server with accounts."""
    with (
        shared_server(tmp_path_factory.mktemp("accounts"), add_later_routes) as (uri, app, keys),
        httpx.Client(base_url=uri, trust_env=False, timeout=60) as http,
    ):
        node = fill(uri, keys["service"])
        yield SimpleNamespace(http=http, routes=all_routes(app), keys=keys, node=node)


@pytest.fixture(scope="module")
def embedded(server):
    """The embedded server."""
    uri, key = server.uri.removesuffix("/api/v1"), f"Apikey {server.api_key}"
    with httpx.Client(base_url=uri, trust_env=False, timeout=60) as http:
        yield SimpleNamespace(http=http, key=key, node=fill(uri, key), directory=server.directory)


@pytest.fixture
def connection(embedded):
    """Returns new connections to the embedded server, and sends bytes."""
    with ExitStack() as stack:

        def connect(*lines, body=b""):
            address = embedded.http.base_url.host, embedded.http.base_url.port
            each = stack.enter_context(socket.create_connection(address, timeout=60))
            each.sendall("\r\n".join(lines).encode() + body)
            return each

        yield connect


def is_closed(each):
    try:
        return each.recv(1) == b""
    except ConnectionResetError:
        return True


def test_nobody_gets_an_answer_without_a_key(shared, embedded):
    assert len(shared.routes) > 100 and {"GET /later", "WS /api/v1/listen"} <= {*map(str, shared.routes)}
    nobody = {
        http: {r: ask(http, r, "night/frames", None) for r in shared.routes} for http in (shared.http, embedded.http)
    }
    for route in shared.routes:
        for http, answers in nobody.items():
            assert not faults(route, {"nobody": answers[route]}), f"{route} at {http.base_url}"
    assert {*map(str, shared.routes)} >= OPEN  # none of a former version
    assert all(nobody[shared.http][route][0] < 500 for route in shared.routes if str(route) in OPEN)


def test_a_key_opens_its_scopes_and_no_more(shared):
    for route in shared.routes:
        reads = route.method in ("GET", "WS")
        if (not reads or "{path" in route.path or "later" in route.path) and "v1/ainerd" not in route.path:
            actors = ("metadata",) if reads else ("metadata", "reader", "person")
            asked = {who: ask(shared.http, route, shared.node, shared.keys[who]) for who in actors}
            assert not faults(route, {"nobody": (401, b""), **asked}), route
    full = f"/api/v1/array/full/{shared.node}"
    answers = {who: shared.http.get(full, headers={"Authorization": shared.keys[who]}) for who in ACTORS}
    assert {who: SECRET in answer.content for who, answer in answers.items()} == {
        "metadata": False, "reader": True, "service": True, "person": True,
    }  # fmt: skip


def test_unused_parts_are_switched_off(embedded, shared):
    for path in (
        "/zarr/v2/.zattrs",
        "/zarr/v3/zarr.json",
        "/api/graphql",
        "/docs",
        "/openapi.json",
        "/later",
        "/mounted/",
    ):
        for http, key in ((embedded.http, embedded.key), (shared.http, shared.keys["service"])):
            assert http.get(path, headers={"Authorization": key}).status_code == 404, path


def test_the_files_of_the_user_interface_stay_in_their_folder(embedded, connection, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    up = "/ui/" + "../" * 30
    assert embedded.http.get("/ui/browse/night").status_code == 200
    for path in (
        f"/ui/{secret}",
        f"/ui//{secret}",
        up + f"{secret}"[1:],
        f"/ui/%2F{secret}",
        "/ui/%00",
        "/ui/..",
        "/ui/%2e%2e/static",
    ):
        for key in ((), (f"Authorization: {embedded.key}",)):
            answer = (
                connection(f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *key, "", "")
                .makefile("rb")
                .read()
            )
            assert answer.startswith(b"HTTP/1.1 404") and SECRET not in answer, path


def test_a_wrong_key_is_not_stored_by_a_browser(embedded):
    key = embedded.key.split()[1]
    for path in ("/", "/ui/browse/night", "/custom/ainerd/open/night", "/api/v1/", "/api/v1/metadata/", "/healthz"):
        for wrong in ("x", "é", "", key.upper() + "0"):
            if wrong or path not in ("/", "/ui/browse/night", "/api/v1/", "/healthz"):
                answer = embedded.http.get(path, params={"api_key": wrong})
                assert answer.status_code == 401 and "tiled_api_key" not in answer.headers.get("set-cookie", ""), path
    assert "tiled_api_key" in embedded.http.get("/ui/", params={"api_key": key}).headers["set-cookie"]
    embedded.http.cookies.clear()


def test_no_other_page_can_show_ours_in_a_frame(embedded, shared):
    for http, key in ((embedded.http, embedded.key), (shared.http, shared.keys["reader"])):
        for path in ("/", "/ui/browse/night", "/api/v1/metadata/night", "/custom/ainerd/static/views.js", "/nothing"):
            headers = http.get(path, headers={"Authorization": key}).headers
            assert (headers["content-security-policy"], headers["x-frame-options"]) == (
                "frame-ancestors 'none'",
                "DENY",
            )


def test_no_body_is_read_without_a_key(connection):
    head = "POST /api/v1/metadata/ HTTP/1.1", "Host: localhost", "Content-Type: application/json"
    each = connection(*head, "Content-Length: 200000000", "", "")
    assert each.recv(100).startswith(b"HTTP/1.1 401")
    with pytest.raises(OSError):  # closed after a part of it
        for _ in range(200):
            each.sendall(bytes(2**20))
    endless = connection("GET / HTTP/1.1", "Host: localhost", "X-Long: ")
    with pytest.raises(OSError):
        for _ in range(200):
            endless.sendall(b"x" * 2**20)


def test_only_a_key_that_writes_sends_a_long_body(shared):
    sent = {"content": b'{"keys": "' + 2_000_000 * b"x" + b'"}', "headers": {"Content-Type": "application/json"}}
    for who, status in (("reader", 413), ("metadata", 413), ("service", 422)):
        sent["headers"]["Authorization"] = shared.keys[who]
        assert shared.http.post("/api/v1/metadata/nothing/here", **sent).status_code == status, who
    del sent["headers"]["Authorization"]
    assert shared.http.post("/api/v1/auth/session/refresh", **sent).status_code == 413
    chunks = (1_000_000 * b"x" for _ in range(3))  # of no announced length
    answer = shared.http.post("/api/v1/auth/session/refresh", content=chunks, headers=sent["headers"])
    assert answer.status_code == 413


def test_idle_connections_do_not_stop_the_server(embedded, connection):
    with embedded.http.stream("GET", "/api/v1/metadata/", headers={"Authorization": embedded.key}) as known:
        idle = [connection() for _ in range(listening.MOST_KEYLESS + 20)]
        assert all(is_closed(each) for each in idle[:20])
        assert httpx.get(known.url, headers={"Authorization": embedded.key}, trust_env=False, timeout=60).is_success
        slow = connection("GET / HTTP/1.1", "Host: localhost", "X-Slow: ")
        assert is_closed(idle[-1]) and is_closed(slow)  # after a time
        assert known.read()


def test_an_error_of_a_request_without_a_key_is_one_line_in_the_log(embedded):
    log = embedded.directory / "error.log"
    before = log.stat().st_size
    for _ in range(3):
        assert embedded.http.get("/ui/" + 300 * "a").status_code == 500  # no file can have this name
    assert 0 < log.stat().st_size - before < 1000


def test_logs_are_rotated_and_hold_no_query(tmp_path, monkeypatch):
    monkeypatch.setattr(listening, "MOST_LOG_BYTES", 2000)

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    with listening.run(app, tmp_path, 0) as port, httpx.Client(trust_env=False, timeout=60) as http:
        for i in range(60):
            http.get(f"http://127.0.0.1:{port}/page-{i}%0A?api_key=secret")
    logs = [tmp_path / "access.log", tmp_path / "access.log.1", tmp_path / "error.log"]
    assert all(log.stat().st_mode & 0o777 == 0o600 and log.stat().st_size <= 2000 for log in logs)
    lines = logs[0].read_text().splitlines()
    assert "/page-59%0A HTTP" in lines[-1] and len([*tmp_path.glob("access.log*")]) == 2
    assert "secret" not in "".join(log.read_text() for log in logs)
    for name in ("uvicorn.access", "uvicorn.error", "tiled"):  # their files are in a folder that goes
        for handler in (logger := logging.getLogger(name)).handlers[:]:
            logger.removeHandler(handler)
            handler.close()


def test_variables_for_another_tiled_do_not_reach_the_embedded_server(tmp_path, monkeypatch):
    monkeypatch.setenv("TILED_ALLOW_ORIGINS", '["http://evil.example"]')
    monkeypatch.setenv("TILED_ALLOW_ANONYMOUS_ACCESS", "1")
    with embedded_server(tmp_path / "tiled") as server:
        address = f"{server.uri}/metadata/"
        assert httpx.get(address, trust_env=False, timeout=60).status_code == 401
        sent = {"Origin": "http://evil.example", "Authorization": f"Apikey {server.api_key}"}
        headers = httpx.get(address, headers=sent, trust_env=False, timeout=60).headers
        assert "access-control-allow-origin" not in headers


def test_plotly_is_the_published_file():
    path = Path(_static.__file__).with_name("static") / _static.PLOTLY
    assert hashlib.sha256(path.read_bytes()).hexdigest() == _static.PLOTLY_SHA256
    assert (
        re.search(rb"plotly\.js \(cartesian - minified\) v([\d.]+)", path.read_bytes())[1].decode()
        == _static.PLOTLY_VERSION
    )


@pytest.mark.parametrize(("method", "path", "together"), [
    ("POST", "/api/v1/metadata/ainerd/log", 1), ("PATCH", "/api/v1/metadata/ainerd/results/a", 1),
    ("GET", "/api/v1/metadata/ainerd/log", 4), ("PUT", "/api/v1/array/full/a", 4),
])  # fmt: skip
def test_requests_that_change_the_catalog_come_one_at_a_time_and_in_order(monkeypatch, method, path, together):
    inside, most, order = [], [], []

    async def app(scope, receive, send):
        inside.append(scope["number"]), order.append(scope["number"])
        most.append(len(inside))
        await asyncio.sleep(0)
        inside.remove(scope["number"])

    async def scopes(scope):
        return doors.READING | doors.WRITING

    async def receive():
        return {"type": "http.request", "body": b"{}"}

    async def requests():
        server = doors.Doors(app)
        scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "root_path": ""}
        await asyncio.gather(*(server({**scope, "number": i}, receive, None) for i in range(4)))

    monkeypatch.setattr(doors, "scopes_of", scopes)
    monkeypatch.setattr(doors, "admit", lambda scope: None)
    monkeypatch.setattr(doors, "checks_scopes", lambda scope: True)
    asyncio.run(requests())
    assert max(most) == together and order == [0, 1, 2, 3]
