"""Sessions that end as soon as a run has: its result is there, or comes with the next start."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL

from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer

CHECKOUT = Path(__file__).resolve().parents[2]
OPEN = """
import os, signal, threading
import bluesky.plan_stubs as bps
import bluesky.plans as bp
from ainerd.steering import expose
RE(bps.mv(shutter, "open"))
agent.drain()
"""
TAKE = OPEN + "RE(bp.count([lambda750k], num=2))\n"
KILL = "os.kill(os.getpid(), signal.SIGKILL)\n"


HALFWAY = """
def leave(name, doc):
    if name == "stream_datum" and doc["indices"]["stop"] >= 200:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()

RE.subscribe(leave)
lambda750k.cam.num_images.put(5000)
RE(expose(lambda750k, shutter=shutter))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("leaving")


def session(folder, code):
    environment = os.environ | {
        "AINERD_CONFIG": str(SMALL),
        "AINERD_STORAGE__DIRECTORY": str(folder / "tiled"),
        "AINERD_STORAGE__FRAMES": json.dumps([str(folder / "frames")]),
        "IPYTHONDIR": str(folder / "ipython"),
        "MPLBACKEND": "Agg",
    }
    command = [sys.executable, "-m", "IPython", f"--profile-dir={CHECKOUT / 'profiles' / 'rheo_xpcs'}", "-c", code]
    return subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=170)


def results(folder):
    with EmbeddedServer.start(folder / "tiled") as server:
        return ResultStore(server.client()["ainerd"]).table()


@pytest.mark.fault("exit as soon as a run has ended", "the session waits until its results are written")
def test_who_leaves_after_a_run_has_its_results(folder):
    done = session(folder, TAKE + "exit()")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert "finishing what has come" in done.stderr
    assert results(folder)["status"].tolist() == ["complete"] * 2


@pytest.mark.fault(
    "kill -9 of the session: as soon as a run has ended, and while frames come",
    "the next start ends the run, and analyses what came of each, once",
)
def test_who_is_killed_has_the_results_at_the_next_start(folder):
    before = len(results(folder))
    for code in (TAKE + KILL, OPEN + HALFWAY):
        killed = session(folder, code)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert session(folder, "exit()").returncode == 0
    table = results(folder)
    row = table.iloc[-1]
    assert table["status"].tolist() == ["complete"] * (before + 2) + ["partial"]
    assert table.groupby("raw_uid").size().tolist().count(2) == (before + 2) / 2
    assert 200 <= row["n_frames"] < 5000
    with EmbeddedServer.start(folder / "tiled") as server:
        assert server.client()["raw", row["raw_uid"]].metadata["stop"]["reason"] == "the session was killed"
