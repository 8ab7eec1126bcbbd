"""Processes that a session forks, as by multiprocessing: they end nothing, and keep no lock."""

import os
import signal
import subprocess
import sys

import pytest

from ainerd.processes import is_locked

SESSION = """
import os, signal, sys
from pathlib import Path
import httpx
from ainerd.processes import call_before_exit
from ainerd.server import EmbeddedServer
folder = Path(sys.argv[1])
server = EmbeddedServer.start(folder)
call_before_exit(print, "the session ended", os.getpid())
if not (child := os.fork()):
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert httpx.get(server.uri + "/", trust_env=False).status_code == 200
if not (orphan := os.fork()):
    for number in range(3):
        os.close(number)
    signal.pause()
print(orphan, os.getpid(), flush=True)
"""


@pytest.mark.fault("A process that the session forked ends, or lives on", "The server and all locks are the session's")
def test_a_forked_process_ends_nothing_and_keeps_no_lock(tmp_path):
    ran = subprocess.run([sys.executable, "-c", SESSION, tmp_path], capture_output=True, text=True, timeout=120)
    orphan, session = ran.stdout.splitlines()[0].split()
    try:
        assert (ran.returncode, ran.stderr.replace("ainerd: starting Tiled …\n", "")) == (0, "")
        assert ran.stdout.splitlines()[1:] == [f"the session ended {session}"]
        assert [is_locked(tmp_path / name) for name in ("users", "lock")] == [False] * 2
    finally:
        os.kill(int(orphan), signal.SIGKILL)
