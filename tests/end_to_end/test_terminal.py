"""A real IPython in a terminal: its lines agree with Tiled, and Ctrl-C twice interrupts a plan."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pexpect
import pytest

from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer
from tests.end_to_end.sessions import environment

PROFILE = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs"
HOLD = """
import threading, time
from pathlib import Path
for name, value in {{"num_images": 64, "acquire_period": 50 / 64, "acquire_time": 50 / 64}}.items():
    getattr(lambda750k.cam, name).put(value)
RE(bps.mv(shutter, "open"))
agent.drain()

def wait():
    while not Path({go!r}).exists():
        time.sleep(0.05)

agent._analysis.jobs.submit(wait)
"""
SLOW = """
lambda750k.cam.num_images.put(1000)
lambda750k.cam.acquire_period.put(60.0)  # one a second: the exposure outlasts the test

def tell(name, doc):
    if name == "stream_datum":
        print("FRAMES" + " COME")
        RE.unsubscribe(token)

token = RE.subscribe(tell)
"""
PATIENCE_S = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("terminal")


@pytest.fixture(scope="module")
def terminal(folder):
    """One session for both tests: its start takes a minute."""
    plainly = {"TERM": "xterm", "NO_COLOR": "1", "PROMPT_TOOLKIT_NO_CPR": "1"}
    command = ["-m", "IPython", f"--profile-dir={PROFILE}", "--no-banner", "--no-confirm-exit", "--colors=NoColor"]
    options = {"env": os.environ | environment(folder) | plainly, "encoding": "utf8", "timeout": PATIENCE_S}
    process = pexpect.spawn(sys.executable, command, dimensions=(50, 250), **options)
    process.expect("In ")
    yield process
    if process.isalive():
        process.kill(signal.SIGKILL)
        process.wait()


def plain(text):
    """Remove control sequences and colors."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\x1b[=>]|\r", "", text)


@pytest.mark.timeout(600)
def test_results_appear_while_a_person_types(terminal, folder):
    go, code = folder / "go", folder / "hold.py"
    code.write_text(HOLD.format(go=str(go)))
    terminal.send(f"%run -i {code}\r")
    terminal.send('counted = RE(bp.count([lambda750k], num=3)); print("COUN" + "TED")\r')
    terminal.expect("COUNTED")  # and nothing is analysed yet
    assert "regime" not in terminal.before.split("Transient Scan ID")[-1]
    terminal.send('print("typed", 6 * 7)')
    go.touch()
    terminal.expect(r"scan \d+\.3: [^\n]*\n")  # late, while a line is being typed
    late = terminal.before + terminal.after
    terminal.send("\r")
    terminal.expect("typed 42")  # which is as it was
    with EmbeddedServer.start(folder / "tiled") as server:
        results = ResultStore(server.client()["ainerd"]).table(all=True)
    lines = re.findall(r"scan (\d+)\.(\d): (no regime|regime \d+), p = ([\d.e-]+)", plain(late))
    scans, events, regimes, p = zip(*lines, strict=True)
    assert [int(event) for event in events] == results["event"].tolist() == [1, 2, 3]
    assert {int(number) for number in scans} == set(results["scan_id"])
    then = [f"regime {label}" if label >= 0 else "no regime" for label in results["regime_then"].fillna(-1)]
    assert list(regimes) == then, plain(late)
    assert [float(x) for x in p] == pytest.approx(results["novelty_p"].tolist(), abs=5.1e-3)


@pytest.mark.timeout(600)
@pytest.mark.fault(
    "A person presses Ctrl-C twice while a plan takes frames, and aborts",
    "The RunEngine pauses at once; the abort closes the shutter, the run and the suggestion",
)
def test_ctrl_c_twice_then_abort_leaves_nothing_open(terminal, folder):
    code = folder / "slow.py"
    code.write_text(SLOW)
    terminal.send("agent.drain()\r")
    terminal.send(f"%run -i {code}\r")
    terminal.send("RE(agent.explore(2))\r")
    terminal.expect("FRAMES COME")
    for _ in range(9):  # the second counts within ten seconds, which may be short on a busy machine
        time.sleep(0.5)  # bluesky takes signals within 0.1 s for one
        terminal.sendintr()
        if terminal.expect([r"RE\.resume\(\)", r"hit Ctrl\+C again"]) == 0:
            break
    terminal.send('print(f"NOW {RE.state}")\r')  # in one piece: the agent may say something meanwhile
    terminal.expect("NOW paused")
    terminal.send('RE.abort(); print(f"THEN {RE.state} {shutter.is_open}")\r')
    terminal.expect("THEN idle False")
    assert "Traceback" not in terminal.before and "WARNING" not in terminal.before
    terminal.send("exit\r")
    terminal.expect(pexpect.EOF)
    terminal.wait()
    with EmbeddedServer.start(folder / "tiled") as server:
        client = server.client()
        store = ResultStore(client["ainerd"])
        (row,) = store.table(all=True).dropna(subset="suggestion_id").to_dict("records")
        suggestions = store.suggestions()
        runs = [run.metadata for run in client["raw"].values()]
    aborted = [run["start"] for run in runs if run["stop"]["exit_status"] == "abort"]
    assert sorted(start["plan_name"] for start in aborted) == ["explore", "expose"]  # the plan, and in it the exposure
    assert row["raw_uid"] in [start["uid"] for start in aborted]
    assert row["status"] in ("partial", "failed")
    status = suggestions.loc[row["suggestion_id"], "status"]
    assert status == ("measured" if row["status"] == "partial" else "failed")
    assert not suggestions["status"].isin(["proposed", "accepted"]).any()
