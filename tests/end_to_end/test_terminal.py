"""A real IPython in a terminal: what it says of a count, a scan and late results is what is in Tiled."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import pexpect
import pytest
from conftest import SMALL

from ainerd.results import ResultStore
from ainerd.server import EmbeddedServer

PROFILE = Path(__file__).resolve().parents[2] / "profiles" / "rheo_xpcs"
HOLD = """
import threading, time
from pathlib import Path
lambda750k.cam.num_images.put(100)
RE(bps.mv(shutter, "open"))
agent.drain()

def wait():
    while not Path({go!r}).exists():
        time.sleep(0.05)

agent._worker.submit(wait)
"""
PATIENCE_S = 300


@pytest.fixture
def terminal(tmp_path):
    environment = os.environ | {
        "AINERD_CONFIG": str(SMALL),
        "AINERD_STORAGE__DIRECTORY": str(tmp_path / "tiled"),
        "AINERD_STORAGE__FRAMES": json.dumps([str(tmp_path / "frames")]),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "MPLBACKEND": "Agg",
        "TERM": "xterm",
        "NO_COLOR": "1",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }
    options = [f"--profile-dir={PROFILE}", "--no-banner", "--no-confirm-exit", "--colors=NoColor"]
    process = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", *options],
        env=environment,
        encoding="utf8",
        timeout=PATIENCE_S,
        dimensions=(50, 250),
    )
    yield process
    if process.isalive():
        process.kill(signal.SIGKILL)
        process.wait()


def plain(text):
    """Without what moves the cursor and colours."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\x1b[=>]|\r", "", text)


@pytest.mark.timeout(600)
def test_what_the_terminal_says_is_in_tiled(terminal, tmp_path):
    go, code = tmp_path / "go", tmp_path / "hold.py"
    code.write_text(HOLD.format(go=str(go)))
    terminal.expect("In ")
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
    terminal.send('RE(bp.scan([rheometer], stage.x, 0, 1, 3)); print("SCAN" + "NED")\r')
    terminal.expect("SCANNED")
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in plain(terminal.before).splitlines()]
    with EmbeddedServer.start(tmp_path / "tiled") as server:
        client = server.client()
        results = ResultStore(client["ainerd"]).table()
        scan = client["raw"].values().last()
        moved = scan["primary"].read()["sample_x"].values
    said = re.findall(r"scan (\d+)(?:\.(\d))?: (no regime|regime \d+), p = ([\d.e-]+)", plain(late))
    scans, events, regimes, p = zip(*said, strict=True)
    assert [int(event or "1") for event in events] == results["event"].tolist() == [1, 2, 3]
    assert {int(number) for number in scans} == set(results["scan_id"])
    then = results["regime_then"]
    assert list(regimes) == [f"regime {label}" if label >= 0 else "no regime" for label in then]
    assert [float(x) for x in p] == pytest.approx(results["novelty_p"].tolist(), rel=6e-3)
    heads = [row for row in table if row[:1] == ["seq_num"]]
    column = heads[-1].index("sample_x")
    shown = [float(row[column]) for row in table if row and row[0].isdigit()]
    assert shown == pytest.approx(moved, abs=1e-3)
    terminal.send("exit\r")
    terminal.expect(pexpect.EOF)
    terminal.wait()
