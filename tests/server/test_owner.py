"""A server and its folder are its owner's: whatever the umask, whoever holds the port, and whatever the environment."""

import json
import logging
import os
import select
import socket
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpcore
import httpx
import pytest

from ainerd import views
from ainerd.agent._display import write_report
from ainerd.server import EmbeddedServer, ServerError, connect, running
from ainerd.server._connect import _check_peer

# In a process of its own: its umask and its environment are those of a person with a shared group.
SERVED = """
import json, os, sys
from pathlib import Path
import numpy as np, pandas as pd
from ainerd.config import Storage
from ainerd.server import EmbeddedServer, open_catalog
os.umask(0o002)
storage = Storage(directory=Path(sys.argv[1]) / "new" / "tiled", frames=[], group_reads=True)
storage.create_directory()
with EmbeddedServer.start(storage.directory) as server:
    raw, ainerd = open_catalog(server.client())
    raw.write_array(np.arange(3), key="a")
    raw.write_table(pd.DataFrame({"x": [1]}), key="t")
    pid = json.loads((storage.directory / "server.json").read_text())["pid"]
    environment = Path(f"/proc/{pid}/environ").read_text()
    modes = {str(path.relative_to(sys.argv[1])): path.stat().st_mode for path in Path(sys.argv[1]).rglob("*")}
    print(json.dumps([environment, modes]))
"""


def test_no_folder_or_file_can_be_written_by_others_and_the_server_gets_no_secret(tmp_path):
    secrets = {"AINERD_STORAGE__API_KEY": "1a", "PGPASSWORD": "2b", "TILED_SECRET_KEY": "3c", "OPERATOR_PASSWORD": "4d"}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", SERVED, tmp_path],
        env=os.environ | secrets,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    environment, modes = json.loads(ran.stdout)
    assert {name for name in secrets if name in environment} == set()
    written = {Path(name).name for name in modes}
    assert {"server.json", "port", "page.html", "api_key", "lock", "users", "access.log", "catalog.db"} <= written
    assert {"server.log", "error.log", "unwritten", "zarr.json"} <= written
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o022} == {}
    private = {Path(name).name for name, mode in modes.items() if not mode & 0o077}
    assert {"api_key", "page.html", "access.log", "lock", "users", "unwritten"} <= private
    assert modes["new/tiled"] & 0o777 == 0o750


def test_a_report_can_be_written_by_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "report_html", lambda *_: "a night", raising=False)
    umask = os.umask(0o002)
    write_report(SimpleNamespace(agent="a"), tmp_path, {})
    os.umask(umask)
    (report,) = (tmp_path / "reports").iterdir()
    assert [each.stat().st_mode & 0o777 for each in (report.parent, report)] == [0o755, 0o644]


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """A server of a folder that has lost its catalogue, and the warnings of its start."""
    folder, warnings, handler = tmp_path_factory.mktemp("tiled"), [], logging.Handler()
    (folder / "home").write_text(str(folder))
    handler.emit = lambda record: warnings.append(record.getMessage())
    logging.getLogger("ainerd").addHandler(handler)
    with EmbeddedServer.start(folder) as server:
        logging.getLogger("ainerd").removeHandler(handler)
        yield server, warnings


def test_a_missing_catalogue_does_not_begin_empty_without_a_warning(lost):
    server, (warning,) = lost
    assert f"{server.directory} was served before, and its catalog.db is missing" in warning


def test_a_status_that_others_may_write_is_not_believed(lost):
    server, _ = lost
    assert running(server.directory) == (server.uri, server.api_key)
    (server.directory / "server.json").chmod(0o664)
    for ask in (running, EmbeddedServer.start):
        with pytest.raises(ServerError, match=r"others may write .*server\.json: remove it"):
            ask(server.directory)


LISTEN = """
import os, socket
os.setuid(65534)
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            print(connection.recv(1000), flush=True)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
def test_the_key_goes_to_no_port_of_another_user(server):
    command, client = [sys.executable, "-I", "-c", LISTEN], connect(server.uri, server.api_key, own=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            address = f"http://127.0.0.1:{other.stdout.readline().strip()}"
            with pytest.raises(ServerError, match="no server answers"):  # when a command begins
                connect(address, server.api_key, own=True)
            with pytest.raises(httpx.ConnectError, match="another user's process, which gets no key"):  # and later
                client.context.http_client.get(address)
            assert [other.stdout.readline() for _ in range(2)] == ["b''\n"] * 2  # connected, and nothing was sent
        finally:
            other.kill()
            client.context.http_client.close()


def test_a_server_that_ends_while_its_owner_is_asked_does_not_answer():
    """It is as if it were away: callers try again. The connection is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()  # with a reset, as the kernel does when a process is killed
    assert select.select([client], [], [], 30)[0]
    with pytest.raises(httpx.ConnectError, match="not connected"):
        _check_peer("connection.connect_tcp.complete", {"return_value": httpcore._backends.sync.SyncStream(client)})
    assert client.fileno() == -1
