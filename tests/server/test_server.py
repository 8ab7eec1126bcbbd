import gc
import http.server
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pyarrow
import pytest

from ainerd.config import SettingsError, Storage
from ainerd.server import EmbeddedServer, ServerError, connect, embedded_server, open_catalog


def child(directory):
    return json.loads((directory / "server.json").read_text())["pid"]


def wait_until_gone(pid, timeout_s=15):
    deadline = time.monotonic() + timeout_s
    while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


def run(code, *args, **options):
    command = [sys.executable, "-W", "error", "-c", code, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=170, **options)


def test_only_the_owner_can_read_the_key(server):
    path = server.directory / "api_key"
    assert [each.stat().st_mode & 0o777 for each in (path, server.page)] == [0o600, 0o600]
    assert path.read_text() == server.api_key and server.api_key in server.page.read_text()
    assert len(server.api_key) == 64 and server.api_key not in server.uri + repr(server)
    server.client()
    for other in server.directory.iterdir():
        if other.is_file() and other not in (path, server.page):
            assert server.api_key.encode() not in other.read_bytes(), f"the key is in {other}"
    process = Path(f"/proc/{child(server.directory)}")
    assert server.api_key.encode() not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()


def test_a_new_folder_is_for_its_owner(tmp_path):
    storage = Storage(directory=tmp_path / "new" / "tiled", frames=[])
    storage.create_directory()
    assert storage.directory.stat().st_mode & 0o777 == 0o700
    storage.directory.chmod(0o711)  # by a person
    storage.create_directory()
    assert storage.directory.stat().st_mode & 0o777 == 0o711
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot create storage\.directory .*file/tiled: Not a directory"):
        Storage(directory=tmp_path / "file" / "tiled", frames=[]).create_directory()


def test_ctrl_c_in_the_session_does_not_reach_the_server(server):
    assert os.getsid(child(server.directory)) != os.getsid(0)


def test_open_catalog_keeps_existing_containers(server):
    server.client().create_container("catalog")
    client = server.client()["catalog"]
    raw, ainerd = open_catalog(client)
    ainerd["log"].create_container("line")
    again, _ = open_catalog(client)
    assert [(spec.name, spec.version) for spec in again.specs] == [("CatalogOfBlueskyRuns", "3.0")]
    assert sorted(client) == ["ainerd", "raw"]
    assert sorted(ainerd) == ["atlas", "log", "results", "suggestions"] and list(ainerd["log"]) == ["line"]


@pytest.mark.fault("A write to the catalogue waits for another one for long", "It is made later, without an error")
def test_a_write_waits_for_another_one_for_longer_than_sqlite_does(tmp_path):
    body = {"id": "b", "structure_family": "container", "metadata": {}, "data_sources": [], "specs": []}
    with EmbeddedServer.start(tmp_path) as own, ThreadPoolExecutor(1) as pool:
        client = own.client()
        other = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        url = client.item["links"]["self"]
        answer = pool.submit(client.context.http_client.post, url, json=body, timeout=60)
        assert not wait([answer], 5.5).done  # SQLite alone gives up after 5 s
        other.execute("COMMIT")
        other.close()
        assert answer.result().status_code == 200 and list(client) == ["b"]


def test_a_folder_below_a_served_one_is_served(server):
    served = json.loads((server.directory / "server.json").read_text())["readable_storage"]
    with EmbeddedServer.start(server.directory, readable_storage=[Path(served[0]) / "2026-3", served[0]]) as again:
        assert again.uri == server.uri
    with pytest.raises(ServerError, match=f"already served .* without permission to read {served[0]}-3:"):
        EmbeddedServer.start(server.directory, readable_storage=[f"{served[0]}-3"])


KILLED = """
import json, os, signal, sys
from ainerd.server import EmbeddedServer
server = EmbeddedServer.start(sys.argv[1])
server.client().create_container("kept")
print(json.loads((server.directory / "server.json").read_text())["pid"], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_session_keeps_its_data(tmp_path):
    ran = run(KILLED, tmp_path)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    wait_until_gone(int(ran.stdout))
    api_key = (tmp_path / "api_key").read_text()
    with embedded_server(tmp_path) as server:
        assert server.owned and server.api_key == api_key and list(server.client()) == ["kept"]
        pid = child(tmp_path)
    assert not Path(f"/proc/{pid}").exists()  # ended, and no zombie
    assert not (tmp_path / "server.json").exists()


def test_an_interpreter_ends_the_server_without_close(tmp_path):
    code = f"""
from ainerd.server import EmbeddedServer, open_catalog
server = EmbeddedServer.start({str(tmp_path)!r})
open_catalog(server.client())
import json, pathlib
print(json.loads(pathlib.Path({str(tmp_path / "server.json")!r}).read_text())["pid"])
"""
    command, environment = [sys.executable, "-m", "IPython", "-c", code], {"IPYTHONDIR": str(tmp_path / "ipython")}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=170, env=os.environ | environment)
    assert (ran.returncode, ran.stderr.replace("ainerd: starting Tiled …\n", "")) == (0, "")
    assert not Path(f"/proc/{int(ran.stdout)}").exists()


def test_a_server_stays_in_use_while_somebody_has_a_node_of_it(tmp_path):
    node = EmbeddedServer.start(tmp_path).client().create_container("kept")
    gc.collect()
    assert list(node) == []
    pid = child(tmp_path)
    del node
    gc.collect()
    wait_until_gone(pid)


def test_start_errors_name_the_reason(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ServerError, match="cannot serve .*/file/tiled: .*Not a directory"):
        EmbeddedServer.start(tmp_path / "file" / "tiled")
    (tmp_path / "api_key").touch()
    with pytest.raises(ServerError, match="api_key is empty: remove it"):
        EmbeddedServer.start(tmp_path)
    (tmp_path / "api_key").unlink()
    (tmp_path / "catalog.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(ServerError, match="did not start: .*file is not a database") as raised:
        EmbeddedServer.start(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_wrong_key_is_refused(server):
    assert connect(f"{server.uri}?api_key={server.api_key}").context.http_client.close() is None
    for api_key, message in [
        ("a" * 64, "refuses the API key"),
        (None, "requires an API key"),
        ("no key!", "characters that no Tiled key has"),
    ]:
        with pytest.raises(ServerError, match=message):
            connect(server.uri, api_key)


@pytest.mark.parametrize("uri", ["", "ftp://127.0.0.1", "http://[::1"])
def test_an_invalid_address_is_refused(uri):
    with pytest.raises(ServerError, match="neither the address"):
        connect(uri, "key")


def test_connect_fails_fast_if_nothing_answers(monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(ServerError, match="no server answers .*ConnectError") as raised:
            connect(f"http://127.0.0.1:{closed.getsockname()[1]}/?api_key=secret", None)
    assert "secret" not in str(raised.value)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(ServerError, match="no server answers .*ReadTimeout"):
            connect(f"http://127.0.0.1:{silent.getsockname()[1]}", "key")
        assert time.monotonic() - started < 30  # Tiled's own client tries for most of a minute


def test_connect_fails_if_the_server_is_not_tiled(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            with pytest.raises(ServerError, match="is not a Tiled server"):
                connect(f"http://127.0.0.1:{other.server_port}", "key")
        finally:
            other.shutdown()
            thread.join()


def test_a_folder_with_characters_of_an_address_is_served(tmp_path):
    with EmbeddedServer.start(tmp_path / "a#b?c") as server:
        client = server.client()
        client.write_array(np.arange(4), key="a")
        assert client["a"].read().tolist() == [0, 1, 2, 3]
        table = client.create_appendable_table(pyarrow.schema([("x", pyarrow.float64())]), key="t")
        table.append_partition(0, pyarrow.table({"x": [1.5]}))
        assert client["t"].read()["x"].tolist() == [1.5]
