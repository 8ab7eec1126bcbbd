"""The embedded server lives while a process uses it and restarts at its port; agents of one name are warned."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from ainerd.processes import where_it_may_run, whereabouts
from ainerd.server import EmbeddedServer, running
from tests.waiting import until

STAY = """
import sys
from ainerd.server import EmbeddedServer
server = EmbeddedServer.start(sys.argv[1])
print(server.owned, server.uri, flush=True)
sys.stdin.read()
"""


@contextmanager
def killed_at_the_end(process):
    """Yield the process, and kill it at the end of the test, also if the test fails."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def session(folder):
    """A process that uses the server until its standard input ends."""
    command = [sys.executable, "-c", STAY, str(folder)]
    return killed_at_the_end(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))


def pid_of(folder):
    return json.loads((folder / "server.json").read_text())["pid"]


def answers(uri):
    try:
        return httpx.get(f"{uri}/", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.fault(
    "The session that started the embedded server ends, or the server is killed, while another session uses it",
    "The server continues; a killed one is restarted at the same port; it ends with its last user",
)
def test_the_server_survives_its_first_session_and_is_restarted_after_a_kill(tmp_path):
    assert running(tmp_path) is None
    with session(tmp_path) as first:
        owned, uri = first.stdout.readline().split()
        assert owned == "True"
        with EmbeddedServer.start(tmp_path) as second:
            assert (second.owned, second.uri) == (False, uri)
            second.client().create_container("kept")
            first.communicate(timeout=30)
            pid = pid_of(tmp_path)
            assert answers(uri) and running(tmp_path) == (uri, second.api_key)
            (tmp_path / "server.log").write_text("why it dies\n")
            os.kill(pid, signal.SIGKILL)
            until(lambda: second.owned)
            assert second.uri == uri and pid_of(tmp_path) != pid
            assert (tmp_path / "server.log").read_text().startswith("why it dies\n")
            assert list(second.client()) == ["kept"]  # the same client goes on
    assert running(tmp_path) is None and not answers(uri)


def test_serve_keeps_its_port_and_sessions_find_it(tmp_path):
    browser, opened = tmp_path.with_name(f"{tmp_path.name}.sh"), tmp_path.with_name(f"{tmp_path.name}.opened")
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o700)
    command = [sys.executable, "-m", "ainerd", "serve", str(tmp_path), "--open"]
    environment = os.environ | {"BROWSER": f"{browser} %s"}
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    with killed_at_the_end(started) as serving:
        lines = [serving.stdout.readline() for _ in range(7)]
        assert f"Tiled serves {tmp_path}" in lines[0] and "Ctrl-C" in lines[-1]
        uri, key = running(tmp_path)
        assert uri.removesuffix("/api/v1") in lines[1] and (tmp_path / "api_key").read_text() not in "".join(lines)
        page = tmp_path / "page.html"
        until(lambda: opened.exists() and opened.read_text())
        assert opened.read_text().strip() == page.as_uri() and f"page     {page}" in "".join(lines)
        assert page.stat().st_mode & 0o777 == 0o600
        assert f"{uri.removesuffix('/api/v1')}/ainerd/open.html#key={key}" in page.read_text()
        with EmbeddedServer.start(tmp_path) as server:
            assert not server.owned
            serving.send_signal(signal.SIGINT)
            assert serving.wait(30) == 0
            assert answers(uri)  # it was in use
    with EmbeddedServer.start(tmp_path) as server:
        assert server.uri == uri


def test_the_place_of_another_process_is_named():
    child = subprocess.Popen(["sleep", "60"])
    theirs = {**whereabouts(), "pid": child.pid}
    assert f"(process {child.pid} of" in where_it_may_run(theirs)
    child.kill(), child.wait()
    assert where_it_may_run(theirs) is None and f"(process {os.getpid()} of" in where_it_may_run(whereabouts())
    assert where_it_may_run(theirs | {"host": "beamline-2"}).startswith(" on beamline-2 (process")
