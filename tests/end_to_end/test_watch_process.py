"""The agent in a process of its own: it reads runs from Tiled or a socket, and survives a kill."""

import os
import subprocess
import sys

import pytest
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter

from ainerd.plans import expose
from ainerd.results import ResultStore
from ainerd.server import open_catalog
from tests.end_to_end.sessions import SMALL, environment, small_beamline
from tests.waiting import until

COMMAND = [sys.executable, "-c", "from ainerd.cli import main; main()", "watch", "--config", str(SMALL)]


class Beamline:
    """The RunEngine's side: devices, a RunEngine that writes its runs to Tiled, and no agent."""

    def __init__(self, folder, server):
        _, self.instrument = small_beamline(folder)
        client = server.client().create_container(folder.name)
        raw, ainerd = open_catalog(client)
        self.store, self.log = ResultStore(ainerd), folder / "watch.log"
        self.environment = os.environ | environment(folder, client)
        self.RE = RunEngine({})
        self.writer = TiledWriter(raw, batch_size=1)
        self.RE.subscribe(self.writer)
        self.agents = []

    def watch(self):
        """Start the agent's process."""
        with open(self.log, "a") as log:
            agent = subprocess.Popen(COMMAND, env=self.environment, stdout=log, stderr=log)
        self.agents.append(agent)
        return agent

    def by_hand(self):
        stage = self.instrument.stage
        plan = expose(self.instrument.detector, beside=[stage.x, stage.y], shutter=self.instrument.shutter)
        (uid,) = self.RE(plan)
        return uid

    def wait_for(self, *uids):
        """Return the rows of the results of runs, once they are concluded."""

        def concluded():
            rows = self.store.table(all=True).set_index("raw_uid")
            rows = rows[rows["status"].ne("computing")]
            return {*uids} <= {*rows.index} and (rows.loc[[*uids]],)

        (result,) = until(concluded, f"results: see {self.log}", 120)
        return result

    def close(self):
        for agent in self.agents:
            agent.kill()
            agent.wait()


@pytest.fixture
def beamline(server, tmp_path):
    beamline = Beamline(tmp_path, server)
    yield beamline
    beamline.close()


@pytest.mark.fault(
    "The agent is killed (-9) in the middle of a run",
    "The next agent finishes this run and those taken in the meantime",
)
def test_runs_without_an_agent_and_of_a_killed_agent_get_results(beamline):
    watching, seen = beamline.watch(), beamline.by_hand()
    beamline.wait_for(seen)
    before = beamline.store.table(all=True)
    going_on = beamline.by_hand()
    watching.kill()
    watching.wait()
    missed = beamline.by_hand()
    beamline.watch()
    rows = beamline.wait_for(seen, going_on, missed)
    assert (rows["status"] == "complete").all()
    table = beamline.store.table(all=True)
    assert table["raw_uid"].is_unique
    assert (table.loc[before.index, "created"] == before["created"]).all()
