"""The queueserver: a real RE Manager with Redis and its worker, a real Tiled server, an agent that steers by them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
from bluesky_queueserver_api import BPlan
from bluesky_queueserver_api.zmq import REManagerAPI
from typer.testing import CliRunner

from ainerd.agent import build_observer
from ainerd.cli import app
from ainerd.config import Settings
from ainerd.results import AgentNode, ResultStore
from ainerd.results.commands import Take
from ainerd.server import open_catalog
from ainerd_queueserver.queue import steer
from tests.end_to_end.sessions import SMALL, environment
from tests.tiled_servers import free_port
from tests.trials import trials_of
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="an RE Manager keeps its queue in Redis: there is no redis-server"
)
CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sys.executable).parent
PATIENCE_S = 120.0


class Beamline:
    """Tiled and an RE Manager, each in processes of its own, and the queue as a person sees it."""

    def __init__(self, folder, server, stack):
        self.folder, self.stack = folder, stack
        self.settings = Settings.load(SMALL)
        self.settings.storage.directory, self.settings.storage.frames = folder / "tiled", [folder / "frames"]
        self.client = server.client().create_container(folder.name)
        self.store = ResultStore(open_catalog(self.client)[1])
        redis, control, info = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.address = f"tcp://{control}"
        self.manager = REManagerAPI(zmq_control_addr=self.address, zmq_info_addr=f"tcp://{info}")
        stack.callback(hang_up, self.manager)
        options = "--zmq-control-addr", self.address, "--zmq-info-addr", f"tcp://{info}", "--redis-addr", redis
        config = "profiles/queueserver/config.yml"
        self.run("redis", "redis-server", "--bind", "127.0.0.1", "--port", redis.partition(":")[2], "--save", "")
        self.start = partial(self.run, "manager", SCRIPTS / "start-re-manager", "--config", config, *options)
        self.start_manager()

    def start_manager(self):
        self.signal_manager = partial(os.killpg, self.start().pid)
        until(self.answers, "the RE Manager answers")

    def environment(self):
        return environment(self.folder, self.client) | {"QSERVER_ZMQ_CONTROL_ADDRESS": self.address}

    def run(self, name, *command):
        with open(self.folder / f"{name}.log", "w") as log:
            options = {"env": os.environ | self.environment(), "cwd": CHECKOUT, "start_new_session": True}
            process = subprocess.Popen(command, stdout=log, stderr=log, **options)
        self.stack.callback(self.kill, process)
        return process

    @staticmethod
    def kill(process):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its children
        process.wait()

    def answers(self):
        with suppress(TimeoutError):
            return self.manager.ping()

    def open_environment(self):
        self.manager.environment_open()
        self.manager.wait_for_idle(timeout=PATIENCE_S)
        assert self.manager.status()["worker_environment_exists"], self.log("manager")

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    def waiting(self):
        return self.manager.queue_get(reload=True)["items"]

    def waiting_of_the_agent(self):
        """The one item of the agent, by the arguments of its plan; None if there is none."""
        items = [item for item in self.waiting() if "blop_suggestions" in item.get("kwargs", {}).get("md", {})]
        assert len(items) <= 1
        return items[0] if items else None

    def another_than(self, item):
        new = self.waiting_of_the_agent()
        return new if new and new["item_uid"] != item["item_uid"] else None

    def has_measured(self, id):
        return self.store.suggestions().loc[id, "status"] == "measured"

    def complete_but(self, before):
        """The suggestions of complete results that are not among those before."""
        table = self.store.table(all=True).drop(before, errors="ignore")
        return [] if table.empty else table.loc[table["status"] == "complete", "suggestion_id"].tolist()

    def failed(self):
        """The last item that was run, if it failed."""
        newest = self.manager.history_get(reload=True)["items"][-1:]
        return newest[0] if newest and newest[0]["result"]["exit_status"] == "failed" else None

    def is_in(self, state):
        """Whether the RunEngine is "running", "paused" or "idle", and the RE Manager knows."""
        status = self.manager.status(reload=True)
        queue = {"running": "executing_queue"}.get(state, state)
        return (status["re_state"], status["manager_state"]) == (state, queue)

    def pause(self):
        """Pause the plan, which may just be starting."""
        until(lambda: self.is_in("running"), "the plan runs")
        self.manager.re_pause("deferred")
        until(lambda: self.is_in("paused"), "the plan is paused")

    def interrupt(self):
        """Pause whatever plan runs, in its middle; return whether one is paused."""
        with suppress(self.manager.RequestFailedError):  # none runs at this moment
            self.manager.re_pause("immediate")
        return self.is_in("paused")

    def is_clear(self):
        """Return whether nothing runs. If a plan runs, pause it; if it is paused, abort it."""
        with suppress(self.manager.RequestFailedError):  # it went on by itself meanwhile
            if self.is_in("running"):
                self.manager.re_pause("immediate")
            elif self.is_in("paused"):
                self.manager.re_abort()
        return self.is_in("idle")

    def clear(self):
        """Abort the plan that runs, and empty the queue."""
        self.manager.queue_autostart(False)
        until(self.is_clear, "nothing runs")
        self.manager.queue_clear()


def hang_up(manager):
    """Close the connection to a manager; bluesky-queueserver-api 0.0.13 leaves its contexts open."""
    manager.close()
    receivers = manager._console_monitor, manager._system_info_monitor
    for context in (manager._client._ctx, *(r._rco._socket.context for r in receivers)):
        context.destroy(0)


@pytest.fixture(scope="module")
def closed(server, tmp_path_factory):
    with ExitStack() as stack:
        yield Beamline(tmp_path_factory.mktemp("queueserver"), server, stack)


@pytest.fixture(scope="module")
def beamline(closed):
    closed.open_environment()
    return closed


@pytest.fixture
def observer(closed, request):
    settings = closed.settings.model_copy(deep=True)
    settings.steering.review = getattr(request, "param", False)
    observer = build_observer(settings, closed.client)
    observer.quiet = True
    yield observer
    observer.close()


@pytest.fixture
def campaign(beamline, observer):
    """Steers in a thread, as `ainerd steer` does in a process; ends with the test."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        yield lambda **options: (
            pool.submit(steer, observer, beamline.manager, detector="lambda750k", stop=stop, **options),
            stop,
        )
        stop.set()
    beamline.clear()


def test_without_an_environment_nothing_is_started(closed, observer):
    with pytest.raises(ValueError, match="qserver environment open"):
        steer(observer, closed.manager, detector="lambda750k")
    with pytest.raises(ValueError, match="number of positions"):
        steer(observer, closed.manager, detector="lambda750k", n=0)
    assert not closed.manager.status(reload=True)["queue_autostart_enabled"]


def test_missing_packages_of_the_environment_are_named(beamline, observer):
    with pytest.raises(ValueError, match="no device eiger; there are .*lambda750k"):
        steer(observer, beamline.manager, detector="eiger")
    assert not beamline.manager.status(reload=True)["queue_autostart_enabled"]


def test_the_queue_is_shared(beamline, observer, campaign):
    manager = beamline.manager
    # somebody reads the rheometer for a long time, and a killed agent left an item behind
    manager.item_add(BPlan("count", ["rheometer"], num=10_000, delay=0.2))
    left = {"_id": "left", "sample_x": 5.0, "sample_y": 5.0, "reason": "of an agent that was killed"}
    mark = {"blop_correlation_uid": "of another runner"}
    manager.item_add(BPlan("measure", [left], ["sample_x", "sample_y"], ["lambda750k"], md=mark))
    steering, _ = campaign(n=2)
    own = until(beamline.waiting_of_the_agent, "the agent's item waits behind the others")
    assert [item["name"] for item in beamline.waiting()] == ["measure", "measure"]

    beamline.pause()
    manager.item_add(BPlan("measure_at", 2.0, 8.0), pos="front")
    manager.re_resume()
    beamline.pause()
    manager.re_stop()
    until(lambda: beamline.is_in("idle"), "the queue is stopped")

    manager.item_remove(uid=own["item_uid"])
    turned_down = own["kwargs"]["md"]["blop_suggestions"][0]
    another = until(lambda: beamline.another_than(own), "the agent suggests another position")
    assert another["kwargs"]["md"]["blop_suggestions"][0]["_id"] != turned_down["_id"]
    assert [item["name"] for item in beamline.waiting()] == ["measure_at", "measure", "measure"]

    manager.queue_autostart(True)
    uids = steering.result(PATIENCE_S)
    assert observer.drain()
    rows = beamline.store.table(all=True).set_index("raw_uid")
    assert len(uids) == 2 and (rows["status"] == "complete").all(), rows["reason"].tolist()
    assert rows["sample_x"].round(1).tolist()[:2] == [2.0, 5.0] and rows.index[2:].tolist() == uids
    trials = trials_of(observer.optimizer.exposures).values()
    learned = [round(trial["sample_x"], 1) for trial in trials if trial["embedding"] is not None]
    assert learned == rows["sample_x"].round(1).tolist()  # of the person's run and the killed agent's as well
    suggestions = beamline.store.suggestions()
    assert suggestions.loc[turned_down["_id"], ["status", "status_by"]].tolist() == ["rejected", "person"]
    assert suggestions.loc[rows.loc[uids, "suggestion_id"], "status"].eq("measured").all()
    assert not beamline.waiting()


@pytest.mark.parametrize("observer", [True], indirect=True)
def test_in_review_a_suggestion_is_queued_only_once_a_person_took_it(beamline, observer, campaign, caplog):
    observer.hold("tea")
    steering, _ = campaign(n=1)
    until(lambda: "holds the agent, until it is released" in caplog.text, "the campaign waits")
    observer.release()
    until(lambda: "until a person takes the suggestion" in caplog.text, "the campaign waits")
    beamline.manager.item_add(BPlan("measure_at", 2.0, 8.0))  # others go on meanwhile
    until(lambda: not beamline.waiting() and beamline.is_in("idle"), "the item of a person has run")
    assert observer.drain() and not steering.done()
    observer.reject("too near the wall")
    chosen = observer.suggest()
    assert not beamline.waiting() and not steering.done()
    shown = {"position": {name: chosen[name] for name in observer.bounds}, "suggestion": chosen["_id"]}
    page = AgentNode(beamline.client["ainerd"], observer.results.agent)
    assert page.ask(Take(by="Ann", **shown), PATIENCE_S)["status"] == "done"
    (uid,) = steering.result(PATIENCE_S)
    suggestions = beamline.store.suggestions()
    assert suggestions.loc[chosen["_id"], "raw_uid"] == uid and not beamline.waiting()
    assert suggestions.loc[chosen["_id"], "status"] == "measured"


@pytest.mark.fault("A plan in the queue fails", "Its item stays in the queue, and counts once it has succeeded")
def test_a_plan_that_fails_is_tried_again_when_a_person_says_so(beamline, campaign):
    (frames,) = beamline.settings.storage.frames
    frames.mkdir(exist_ok=True)
    aside = frames.rename(frames.with_name("aside"))
    frames.touch()  # nothing can be written there
    steering, _ = campaign(n=1)
    failed = until(beamline.failed, "the plan fails")
    again = until(beamline.waiting_of_the_agent, "its item is in the queue again")
    assert again["kwargs"] == failed["kwargs"] and again["args"] == failed["args"]
    assert not steering.done() and beamline.is_in("idle")
    frames.unlink(), aside.rename(frames)
    beamline.manager.queue_autostart(True)
    (uid,) = steering.result(PATIENCE_S)
    row = beamline.store.table(all=True).set_index("raw_uid").loc[uid]
    assert row["status"] == "complete" and row["suggestion_id"] == failed["args"][0][0]["_id"]
    until(lambda: beamline.has_measured(row["suggestion_id"]), "the suggestion is measured")


def test_an_agent_that_ends_takes_its_item_with_it(beamline, campaign):
    beamline.manager.item_add(BPlan("count", ["rheometer"], num=10_000, delay=0.2))
    steering, stop = campaign()
    own = until(beamline.waiting_of_the_agent, "the agent's item waits")
    stop.set()
    assert steering.result(PATIENCE_S) == [] and not beamline.waiting()
    assert own["args"][0][0]["_id"] not in beamline.store.table(all=True)["suggestion_id"].tolist()


@pytest.mark.fault("No run of a queue gives a result", "The agent ends with the reason")
def test_the_command_ends_by_itself_and_keeps_the_key_to_itself(beamline, tmp_path, monkeypatch):
    before = beamline.store.table(all=True)
    # with another parameter it begins with the runs that are there, and finds no frames of these either
    changed = {"AINERD_STORAGE__FRAMES": json.dumps([str(tmp_path)]), "AINERD_RHEO_XPCS__CONTRAST": "0.1"}
    made = []
    make = "bluesky_queueserver_api.zmq.REManagerAPI"
    monkeypatch.setattr(make, lambda **options: made.append(REManagerAPI(**options)) or made[-1])
    monkeypatch.setattr("signal.signal", lambda number, handler: None)  # those of this process stay
    done = CliRunner(env=beamline.environment() | changed).invoke(app, ["steer", "--detector", "lambda750k"])
    hang_up(made[0])
    assert done.exit_code == 0, done.output
    assert re.search(r"positions? measured; the last \d+ exposures gave no result", " ".join(done.output.split()))
    results = beamline.store.table(all=True).drop(before.index)
    assert (results["status"] == "failed").all() and results["raw_uid"].is_unique and not beamline.waiting()
    key = beamline.client.context.api_key
    assert key not in done.output + beamline.log("manager") + beamline.log("redis")


@pytest.mark.fault(
    "The RE Manager and its worker are killed (-9) while they measure a suggestion",
    "The agent says what to do; then it suggests another position",
    lost="the interrupted exposure",
)
def test_an_agent_continues_after_the_manager_was_killed(beamline, campaign, observer, caplog, monkeypatch):
    monkeypatch.setattr("ainerd_queueserver.queue.LOST_S", 3.0)
    steering, stop = campaign()
    until(beamline.interrupt, "a plan is interrupted")
    lost = beamline.manager.queue_get(reload=True)["running_item"]["args"][0][0]["_id"]
    beamline.signal_manager(signal.SIGKILL)
    before = set(beamline.store.table(all=True).index)
    beamline.start_manager()
    until(lambda: "has no open environment" in caplog.text, "the agent says what to do")
    beamline.open_environment()
    beamline.manager.queue_autostart(True)
    new = until(lambda: beamline.complete_but(before), "another position is measured")
    stop.set()
    steering.result(PATIENCE_S)
    assert lost not in new and beamline.store.suggestions().loc[lost, "status"] == "failed"
