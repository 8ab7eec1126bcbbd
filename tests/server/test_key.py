"""Without the key a server answers nothing but files without data, by whatever way it is asked."""

import json
import re

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

SECRET = b"DATA-42-"
OTHERS = [
    ("GET", path)
    for path in (
        "/docs", "/openapi.json", "/api/graphql", "/zarr/v2/lab/frames/.zarray", "/zarr/v2/lab/frames/0",
        "/zarr/v3/lab/frames/zarr.json", "/zarr/v3/lab/frames/c/0", "/nothing", "/api/v1/later", "/custom/later",
    )
] + [("POST", "/api/graphql"), ("OPTIONS", "/api/v1/metadata/")]  # fmt: skip


@pytest.fixture(scope="module")
def root(server):
    """The address of a server with an array."""
    lab = server.client().create_container("lab")
    lab.write_array(np.frombuffer(100 * SECRET, np.uint8), key="frames")
    return server.uri.removesuffix("/api/v1")


@pytest.fixture(scope="module")
def http(root):
    with httpx.Client(base_url=root, trust_env=False, timeout=60) as http:
        yield http


def test_no_route_answers_without_the_key(http, server):
    key = {"Authorization": f"Apikey {server.api_key}"}
    described = http.get("/openapi.json", headers=key).json()["paths"]
    routes = [(method.upper(), path) for path, methods in described.items() for method in methods]
    assert len(routes) > 60
    answers = {}
    for method, path in [*routes, *OTHERS]:
        address = re.sub(r"\{path\}", "lab/frames", path)
        address = re.sub(r"\{\w+\}", "0", address)
        for wrong in ({}, {"Authorization": "Apikey 0123abc"}, {"Cookie": "tiled_api_key=0123abc"}):
            answer = http.request(method, address, headers=wrong)
            assert SECRET not in answer.content
            answers[method, path] = answer.status_code
    opened = {route for route, status in answers.items() if status not in (401, 403, 404)}
    assert opened == {("GET", path) for path in ("/healthz", "/tiled-ui-settings", "/", "/ui/{path}", "/api/v1/")}
    params = {"format": "application/octet-stream"}
    assert SECRET in http.get("/api/v1/array/full/lab/frames", headers=key, params=params).content


@pytest.mark.parametrize(
    "path", ["//etc/hostname", "/../../../etc/hostname", "/%2e%2e/static", "/%2Fetc/hostname", "/%00"]
)
def test_the_user_interface_gives_no_other_files(server, root, path):
    with httpx.Client(trust_env=False) as http:
        request = http.build_request("GET", root, headers={"Authorization": f"Apikey {server.api_key}"})
        request.url = request.url.copy_with(raw_path=f"/ui{path}".encode())
        assert http.send(request).status_code == 404
        assert http.get(f"{root}/ui/browse/lab/frames").status_code == 200


def test_a_stream_sends_nothing_without_the_key(server, root):
    address = f"{root.replace('http', 'ws')}/api/v1/stream/single/lab?envelope_format=json"
    with connect(address) as stream:
        stream.send(json.dumps({"type": "auth", "api_key": "0123abc"}))
        with pytest.raises(ConnectionClosed, match="4003"):
            stream.recv(30)
    with connect(address) as stream:
        stream.send(json.dumps({"type": "auth", "api_key": server.api_key}))
        assert json.loads(stream.recv(30))["type"] == "container-schema"
        server.client()["lab"].create_container("later")
        assert json.loads(stream.recv(30))["key"] == "later"
    for refused, sent in ((address, {"Origin": "http://evil.example"}), (f"{address}&api_key=0123abc", {})):
        with pytest.raises(InvalidStatus, match="40[13]"):
            connect(refused, additional_headers=sent)
    with pytest.raises(InvalidStatus, match="401"):
        connect(f"{root.replace('http', 'ws')}/api/v1/later")


@pytest.mark.fault(
    "A page of another site reaches the server by a name that leads to this machine", "The server refuses other hosts"
)
def test_pages_of_other_origins_and_other_hosts_are_refused(http, root, server):
    key, port = {"Authorization": f"Apikey {server.api_key}"}, root.rpartition(":")[2]
    for origin, status in ((root, 200), ("http://127.0.0.1:9", 403), ("https://evil.example", 403), ("null", 403)):
        assert http.get("/api/v1/metadata/", headers={**key, "Origin": origin}).status_code == status
    for host, status in ((f"localhost:{port}", 200), (f"evil.example:{port}", 400), ("", 400)):
        assert http.get("/api/v1/metadata/", headers={**key, "Host": host}).status_code == status


def test_a_wrong_key_becomes_no_cookie_and_no_key_is_in_a_log(root, server):
    for key, status in (("0123abc", 401), (server.api_key, 200)):
        with httpx.Client(trust_env=False) as browser:
            assert browser.get(f"{root}/ui/browse/lab", params={"api_key": key}).status_code == status
            assert browser.get(f"{root}/api/v1/metadata/lab").status_code == status  # by the cookie
    with pytest.raises(InvalidStatus):
        connect(f"{root.replace('http', 'ws')}/api/v1/nothing?api_key={server.api_key}")
    logged = (server.directory / "server.log").read_text()
    assert "/ui/browse/lab" in logged and "api_key" not in logged and server.api_key not in logged
