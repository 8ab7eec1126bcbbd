"""The shutter is closed whatever happens."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from ainerd.plans import _shutter, visit
from tests.plans.beamline import Beamline, Detector, Motor, child, openings

SLOW_S = 60.0
pytestmark = pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # bluesky's, of messages that a halt leaves out


@pytest.fixture
def line(tmp_path):
    return Beamline(tmp_path)


def once_open(line, act, when=None):
    """Do something from another thread when the shutter has opened, or at another event; return the thread."""

    def wait():
        assert (when or line.shutter.opened).wait(SLOW_S)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def interrupted(RE, line, act, x=1.0, when=None):
    """Run an exposure that is interrupted while the shutter is open and the detector takes its frames."""
    line.detector.takes_s = None
    thread = once_open(line, act, when)
    with pytest.raises(RunEngineInterrupted):
        RE(line.plan(x))
    thread.join(SLOW_S)
    line.detector.takes_s = 0.0


def test_the_shutter_is_closed_during_a_pause_and_the_exposure_is_taken_again(RE, line):
    interrupted(RE, line, RE.request_pause, when=line.detector.began)
    assert RE.state == "paused" and len(openings(line.shutter.path)) == 1
    line.x.put(7.0)  # a person moves the sample
    stops = []
    token = RE.subscribe(lambda name, doc: stops.append((doc["exit_status"], doc["reason"])), "stop")
    RE.resume()
    RE.unsubscribe(token)
    assert [status for status, _ in stops] == ["fail", "success"]
    assert stops[0][1] == "spoilt: the shutter was closed because the plan was interrupted"
    assert [where for _, *where in openings(line.shutter.path)] == [[1.0, 1.0], [1.0, 1.0]]


def test_a_pause_while_an_exposure_ends_leaves_nothing_staged_and_spoils_nothing(RE, line, monkeypatch):
    staged, stops, pauses = [], [], iter([True])

    def stage(device):
        assert device not in staged, f"{device.name} is staged twice"
        staged.append(device)
        return staged

    def unstage(device):
        staged.remove(device)
        if next(pauses, False):  # the first device; the other one follows
            threading.Thread(target=RE.request_pause).start()
            time.sleep(0.3)
        return staged

    for each in (Detector, Motor):
        monkeypatch.setattr(each, "stage", stage, raising=False)
        monkeypatch.setattr(each, "unstage", unstage, raising=False)
    token = RE.subscribe(lambda name, doc: stops.append(doc["exit_status"]), "stop")
    with pytest.raises(RunEngineInterrupted):
        RE(line.plan(1.0))
    openings(line.shutter.path)
    RE.resume()
    RE.unsubscribe(token)
    assert stops == ["success"] and not staged


def test_a_pause_spoils_an_exposure_that_comes_after_another_run(RE, line):
    def dark_first(devices, md):
        yield from bps.open_run({"plan_name": "dark"})
        yield from bps.close_run()
        return (yield from bp.count(devices, md=md))

    stops = []
    line.measure = visit(None, shutter=line.shutter, acquire=dark_first)
    token = RE.subscribe(lambda name, doc: stops.append(doc["exit_status"]), "stop")
    interrupted(RE, line, RE.request_pause, when=line.detector.began)
    RE.resume()
    RE.unsubscribe(token)
    assert stops == ["success", "fail", "success", "success"]


@pytest.mark.parametrize("way", ["abort", "stop", "halt"])
@pytest.mark.parametrize("first", ["pause", "at once"])
def test_the_shutter_is_closed_after_any_end(RE, line, way, first):
    if first == "pause":
        interrupted(RE, line, RE.request_pause)
        assert len(openings(line.shutter.path)) == 1
        getattr(RE, way)()
    else:
        interrupted(RE, line, getattr(RE, way))
    assert len(openings(line.shutter.path)) == 1


def test_a_shutter_that_does_not_close_is_tried_again(RE, line, monkeypatch, caplog):
    monkeypatch.setattr(_shutter, "RETRY_S", 0.01)
    move, tries = line.shutter.set, []

    def stuck(value):
        tries.append(value)
        if tries.count("close") in (1, 2):
            raise OSError("no air pressure")
        return move(value)

    monkeypatch.setattr(line.shutter, "set", stuck)
    with pytest.raises(_shutter.ShutterError, match="shutter does not close, look after it: OSError: no air pressure"):
        RE(line.plan(1.0))
    assert line.shutter.closed.wait(SLOW_S)
    for thread in threading.enumerate():
        if thread.name == "ainerd-shutter":
            thread.join(SLOW_S)
    assert len(openings(line.shutter.path)) == 1 and "ainerd tries again" in caplog.text


@pytest.mark.parametrize("handled", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_the_shutter_before_its_own_handler_is_called(line, number, handled):
    record = line.folder / "told.txt"

    def handler(*_):
        record.write_text(str(len(openings(line.shutter.path))))  # it is closed by now
        os._exit(7)

    def work():
        line.detector.takes_s = None
        signal.signal(number, handler if handled else signal.SIG_DFL)
        line.restart()
        once_open(line, lambda: os.kill(os.getpid(), number))
        RunEngine({}, loop=asyncio.new_event_loop())(line.plan(1.0))

    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        _, status = os.waitpid(child(work), 0)
    if handled:
        assert os.waitstatus_to_exitcode(status) == 7 and record.read_text() == "1"
    else:
        assert os.WTERMSIG(status) == number
    line.restart()
    assert len(openings(line.shutter.path)) == 1


SCRIPT = """
import os, signal, sys, threading
from pathlib import Path
from bluesky import RunEngine
from ainerd.plans import expose
from ophyd.status import Status
from tests.plans.beamline import Motor, Shutter

class Flyer:
    name, parent = "flyer", None
    def stage(self): return [self]
    def unstage(self): return [self]
    def kickoff(self):
        status = Status()
        status.set_finished()
        return status
    def complete(self): return Status()
    def describe_collect(self): return {"n": {"source": "", "dtype": "number", "shape": []}}
    def collect(self): return iter(())

shutter = Shutter(Path(sys.argv[1]), Motor(name="x", value=0.0))

def leave():
    shutter.opened.wait()
    LEAVE

threading.Thread(target=leave, daemon=True).start()
RE = RunEngine({})
RE(expose(Flyer(), shutter=shutter))
"""
WAYS = {
    "double Ctrl-C": "import time; os.kill(os.getpid(), 2); time.sleep(0.2); os.kill(os.getpid(), 2)",
    "sys.exit in a handler": "os.kill(os.getpid(), signal.SIGTERM)",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_script_closes_the_shutter_before_it_ends(tmp_path, way):
    script = SCRIPT.replace("LEAVE", WAYS[way])
    if way == "sys.exit in a handler":
        script = script.replace("RE = ", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\nRE = ")
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "shutter.txt")],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert len(openings(tmp_path / "shutter.txt")) == 1, done.stderr
    assert done.returncode == (1 if way == "double Ctrl-C" else 5), done.stderr


def test_a_shutter_of_ophyd_async_is_closed_while_the_event_loop_hangs(RE, tmp_path):
    core = pytest.importorskip("ophyd_async.core")
    states, is_closed = [], threading.Event()

    class AsyncShutter(core.Device):
        @core.AsyncStatus.wrap
        async def set(self, value):
            await asyncio.sleep(0.001)
            states.append(value)
            if value == "close":
                is_closed.set()

    line = Beamline(tmp_path)
    line.shutter = AsyncShutter(name="shutter")
    line.restart()
    line.detector.trigger = lambda: time.sleep(0 if is_closed.wait(SLOW_S) else 1)  # in the RunEngine's thread
    with pytest.raises(Exception):  # noqa: B017, PT011
        RE(line.plan(1.0))
    assert states == ["open", "close"]
