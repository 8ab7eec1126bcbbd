"""The agent in a process of its own: it reads runs from Tiled or a socket, and survives a kill."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from bluesky import RunEngine, RunEngineInterrupted
from bluesky_tiled_plugins import TiledWriter

from agents.demo.simulated import hardware_beside, simulated_instrument
from ainerd.agent import explore_remote
from ainerd.cli import main
from ainerd.config import Settings
from ainerd.plans import expose
from ainerd.results import AgentNode, ResultStore
from ainerd.results.commands import Hold, Release
from ainerd.server import open_catalog
from tests.end_to_end.sessions import SMALL
from tests.waiting import until

COMMAND = [sys.executable, "-c", "from ainerd.cli import main; main()", "watch", "--config", str(SMALL)]


class Beamline:
    """The RunEngine's side: devices, a RunEngine that writes its runs to Tiled, and no agent."""

    def __init__(self, folder, server):
        self.settings = Settings.load(SMALL)
        self.settings.storage.directory, self.settings.storage.frames = folder / "tiled", [folder / "frames"]
        self.client = server.client().create_container(folder.name)
        raw, ainerd = open_catalog(self.client)
        self.store, self.log = ResultStore(ainerd), folder / "watch.log"
        self.instrument = simulated_instrument(folder / "frames", hardware_beside(SMALL), speed=1000)
        cam = self.instrument.detector.cam
        cam.num_images.put(100), cam.acquire_period.put(0.5), cam.acquire_time.put(0.5)
        self.RE = RunEngine({})
        self.writer = TiledWriter(raw, batch_size=1)
        self.RE.subscribe(self.writer)
        self.agents = []

    def environment(self):
        storage = self.settings.storage
        return {
            "AINERD_STORAGE__URI": self.client.uri,
            "AINERD_STORAGE__API_KEY": str(self.client.context.api_key),
            "AINERD_STORAGE__DIRECTORY": str(storage.directory),
            "AINERD_STORAGE__FRAMES": json.dumps([str(path) for path in storage.frames]),
        }

    def watch(self, *options):
        """Start the agent's process."""
        with open(self.log, "a") as log:
            agent = subprocess.Popen([*COMMAND, *options], env=os.environ | self.environment(), stdout=log, stderr=log)
        self.agents.append(agent)
        return agent

    def options(self):
        instrument = self.instrument
        return {
            "detector": instrument.detector,
            "actuators": [instrument.stage.x, instrument.stage.y],
            "beside": [instrument.rheometer],
            "shutter": instrument.shutter,
        }

    def by_hand(self):
        stage = self.instrument.stage
        plan = expose(self.instrument.detector, beside=[stage.x, stage.y], shutter=self.instrument.shutter)
        (uid,) = self.RE(plan)
        return uid

    def wait_for(self, *uids):
        """Return the rows of the results of runs, once they are concluded."""

        def concluded():
            rows = self.store.table().set_index("raw_uid")
            rows = rows[rows["status"].ne("computing")]
            return {*uids} <= {*rows.index} and (rows.loc[[*uids]],)

        (result,) = until(concluded, f"results: see {self.log}", 120)
        return result

    def close(self):
        for agent in self.agents:
            agent.kill()
            agent.wait()


@pytest.fixture(scope="module")
def beamline(server, tmp_path_factory):
    beamline = Beamline(tmp_path_factory.mktemp("beamline"), server)
    yield beamline
    beamline.close()


@pytest.fixture
def watching(beamline):
    """The process that watches, that of the test before if it lives."""
    running = [agent for agent in beamline.agents if agent.poll() is None]
    return running[0] if running else beamline.watch()


def test_suggestions_reach_the_run_engine_through_tiled(beamline, watching):
    uids = beamline.RE(explore_remote(beamline.client, 2, **beamline.options()))
    rows = beamline.wait_for(*uids)
    assert (rows["status"] == "complete").all()
    suggestions = beamline.store.suggestions().loc[rows["suggestion_id"]]
    assert (suggestions["status"] == "measured").all() and suggestions["raw_uid"].tolist() == list(uids)
    assert suggestions["sample_x"].to_numpy() == pytest.approx(rows["sample_x"].to_numpy(), abs=0.003)
    assert beamline.client.context.api_key not in beamline.log.read_text()


@pytest.mark.fault(
    "The agent is killed (-9) in the middle of a run",
    "The next agent finishes this run and those taken in the meantime",
)
def test_runs_without_an_agent_and_of_a_killed_agent_get_results(beamline, watching):
    seen = beamline.by_hand()
    beamline.wait_for(seen)
    before = beamline.store.table()
    going_on = [beamline.by_hand() for _ in range(2)]
    watching.kill()  # somewhere in them
    watching.wait()
    missed = beamline.by_hand()
    beamline.watch()
    rows = beamline.wait_for(seen, *going_on, missed)
    assert (rows["status"] == "complete").all()
    table = beamline.store.table()
    assert table["raw_uid"].is_unique
    assert before.empty or (table.loc[before.index, "created"] == before["created"]).all()


@pytest.mark.fault(
    "The agent is killed (-9) while a plan of another process waits for a position",
    "The next agent hands it out, and it is measured",
)
def test_a_waiting_plan_gets_its_position_from_the_next_agent(beamline, watching):
    node = AgentNode(beamline.store.container, beamline.settings.name)
    assert node.ask(Hold(), 60)["status"] == "done"

    def replace():
        """Kill the agent once the plan waits, start the next one, and release it."""
        until(lambda: [command for _, command in node.commands() if command["do"] == "next"])
        watching.kill()
        watching.wait()
        agent = beamline.watch()
        assert node.ask(Release(), 60)["status"] == "done"
        return agent

    with ThreadPoolExecutor() as pool:
        replaced = pool.submit(replace)
        (uid,) = beamline.RE(explore_remote(beamline.client, 1, agent="rheo_xpcs", timeout_s=120, **beamline.options()))
        agent = replaced.result()
    (row,) = beamline.wait_for(uid).to_dict("records")
    assert beamline.store.suggestion(row["suggestion_id"]).status == "measured"
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0, beamline.log.read_text()


@pytest.mark.fault(
    "A remote plan waits for an agent that does not answer", "The plan ends with one sentence; the RunEngine is idle"
)
def test_a_plan_without_an_agent_ends_with_a_reason(beamline):
    for record in beamline.store.suggestions().query("status == 'proposed'").index:
        beamline.store.set_status(record, "rejected")
    with pytest.raises(RuntimeError, match="is `ainerd watch` running"):
        beamline.RE(explore_remote(beamline.client, 1, timeout_s=0.5, **beamline.options()))
    with pytest.raises(ValueError, match="number of positions"):
        explore_remote(beamline.client, 0, **beamline.options())
    assert beamline.RE.state == "idle"


@pytest.mark.fault("A suggestion lies beyond the limits of a motor", "It is closed with the reason; nothing moves")
@pytest.mark.parametrize(("x", "bounds", "reason"), [(50.0, {}, "limits of the actuator"), (9.0, (0, 5), "its bounds")])
def test_a_suggestion_beyond_the_limits_moves_nothing(beamline, x, bounds, reason):
    node, where = AgentNode(beamline.store.container, "far"), {"sample_x": 1.0, "sample_y": x}
    node.write_state({"bounds": dict.fromkeys(where, [0, 100])})
    stage = beamline.instrument.stage
    before, asked = (stage.x.position, stage.y.position), []

    def answer():
        """Hand out the position, as an agent does."""
        asked.extend(until(node.commands))
        node.answer(asked[0][0], "done", "there", {"suggestion": f"s{x:g}", "position": where, "reason": "there"})

    agent = threading.Thread(target=answer)
    agent.start()
    options = beamline.options() | {"agent": "far", "bounds": {"sample_y": bounds} if bounds else None}
    with pytest.raises(ValueError, match=f"agent 'far' suggests a position that is out of reach: .*{reason}"):
        beamline.RE(explore_remote(beamline.client, 1, timeout_s=60.0, **options))
    agent.join()
    ((key, report),) = node.commands()
    node.answer(key, "done", "")
    assert asked[0][1]["do"] == "next" and (report["do"], report["failed"]) == ("reject", True)
    assert report["suggestion"] == f"s{x:g}" and reason in report["why"]
    assert (stage.x.position, stage.y.position) == before and beamline.RE.state == "idle"


def test_an_aborted_plan_does_not_wait_for_the_agent(beamline):
    began, abort = time.monotonic(), threading.Timer(1.0, lambda: beamline.RE.abort())
    abort.start()
    with pytest.raises(RunEngineInterrupted):
        beamline.RE(explore_remote(beamline.client, 1, timeout_s=100.0, **beamline.options()))
    assert time.monotonic() - began < 30 and beamline.RE.state == "idle"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--documents", "carrier pigeon"], "no source 'carrier pigeon'"),
        (["--tiled", "http://127.0.0.1:9"], "127.0.0.1:9"),
    ],
)
def test_an_unusable_source_is_one_line(beamline, options, message, monkeypatch, capsys):
    for name, value in beamline.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)  # those of this process stay
    monkeypatch.setattr("logging.basicConfig", lambda **options: None)
    monkeypatch.setattr(sys, "argv", ["ainerd", *COMMAND[3:], *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1] and lines[-1].startswith("ainerd: ")
