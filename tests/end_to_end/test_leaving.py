"""Sessions of IPython that end right after a run: its result exists, or comes with the next start."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ainerd.results import ResultStore
from tests.end_to_end.sessions import environment

CHECKOUT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(600)  # two sessions, one after the other
FEW = """
for name, value in {"num_images": 64, "acquire_period": 50 / 64, "acquire_time": 50 / 64}.items():
    getattr(lambda750k.cam, name).put(value)  # fewer frames, of the same light
"""
OPEN = """
import os, signal, threading
import bluesky.plan_stubs as bps
import bluesky.plans as bp
from ainerd.plans import expose
RE(bps.mv(shutter, "open"))
agent.drain()
"""
TAKE = OPEN + "RE(bp.count([lambda750k], num=2))\n"

HALFWAY = """
def leave(name, doc):
    if name == "stream_datum" and doc["indices"]["stop"] >= 200:
        threading.Timer(4.0, os.kill, (os.getpid(), signal.SIGKILL)).start()  # Tiled has them then

RE.subscribe(leave)
lambda750k.cam.num_images.put(5000)
RE(expose(lambda750k, shutter=shutter))
"""


@pytest.fixture(scope="module")
def session(server, tmp_path_factory):
    """Runs code in a session that ends; all sessions share a catalog and a folder of frames."""
    folder = tmp_path_factory.mktemp("leaving")
    client = server.client().create_container(folder.name)
    crash = {"PYTHONFAULTHANDLER": "1"}  # prints the stack of each thread
    command = [sys.executable, "-m", "IPython", f"--profile-dir={CHECKOUT / 'profiles' / 'rheo_xpcs'}", "-c"]

    def type_in(code):
        return subprocess.run(
            [*command, code],
            env=os.environ | environment(folder, client) | crash,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=400,
        )

    return client, type_in, folder


@pytest.fixture(scope="module")
def left(session):
    """A session that is killed while frames arrive, right after another run, and that of the README, which takes a run.

    It exits right after it.
    """
    client, type_in, _ = session
    killed = type_in(FEW + TAKE + HALFWAY)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    blocks = re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.S)
    assert len(blocks) == 2
    done = type_in("\n".join([FEW, *blocks, "display(agent)", TAKE, "exit()"]))
    table = ResultStore(client["ainerd"]).table(all=True)
    return client, done, [rows for _, rows in table.sort_values("run_time").groupby("raw_uid", sort=False)]


def test_the_sessions_of_the_readme_work_when_pasted(left, session):
    _, done, (_, _, *runs, _) = left
    assert len(runs) == 4 and all(rows["status"].tolist() == ["complete"] for rows in runs)
    assert (session[2] / "campaign.png").stat().st_size > 50_000
    assert re.search(r"results\s+\d", done.stdout) and "next" in done.stdout  # the agent shows itself


@pytest.mark.fault("The session exits as soon as a run has ended", "It waits until the results are written")
def test_a_session_that_exits_after_a_run_writes_its_results(left):
    _, done, runs = left
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert "finishing the last runs" in done.stderr
    assert runs[-1]["status"].tolist() == ["complete"] * 2


@pytest.mark.fault(
    "The session is killed (-9) after a run, or while frames arrive", "The next start analyses its frames once"
)
def test_results_of_a_killed_session_come_with_the_next_start(left):
    *_, (ended, halfway, *_) = left
    assert ended["status"].tolist() == ["complete"] * 2
    assert halfway["status"].tolist() == ["partial"]
    assert 200 <= halfway["n_frames"].item() < 5000
