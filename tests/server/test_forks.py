"""Processes that a session forks, as by multiprocessing, end nothing."""

import subprocess
import sys

import pytest

SESSION = """
import os, sys
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
print(os.getpid(), flush=True)
"""


@pytest.mark.fault("A process that the session forked ends", "The server goes on")
def test_a_forked_process_ends_nothing(tmp_path):
    ran = subprocess.run([sys.executable, "-c", SESSION, tmp_path], capture_output=True, text=True, timeout=120)
    session = ran.stdout.splitlines()[0]
    assert (ran.returncode, ran.stderr.replace("ainerd: starting Tiled …\n", "")) == (0, "")
    assert ran.stdout.splitlines()[1:] == [f"the session ended {session}"]
