"""The Tiled server is killed and comes back: the RunEngine goes on, and every run gets its result."""

import time

import pytest
from bluesky import RunEngine
from tiled_process import KEY, start_server

from agents.demo.simulated import agent_of
from agents.session import raw_writer
from ainerd.plans import expose
from ainerd.server import connect
from ainerd.words import rendered
from tests.end_to_end.sessions import FRAMES, small_beamline
from tests.waiting import until

PORT = 18_432


@pytest.fixture(scope="module")
def beamline(tmp_path_factory):
    """One agent for the tests of faults of its server; each leaves it with nothing kept."""
    folder = tmp_path_factory.mktemp("away")
    settings, instrument = small_beamline(folder)
    servers = [start_server(folder, PORT)[0]]
    try:
        client = connect(f"http://127.0.0.1:{PORT}", KEY)
        agent = agent_of(client, settings, instrument)
        agent.quiet = True
        with pytest.MonkeyPatch.context() as patch:
            for name in ("ATTEMPTS", "TIMEOUT"):
                patch.setattr(f"tiled.client.utils.TILED_RETRY_{name}", 2)  # else a call waits 45 s for the server
            yield settings, agent, instrument, servers
        agent.close()
        client.context.http_client.close()
    finally:
        servers[-1].kill()
        servers[-1].wait()


@pytest.mark.fault(
    "The Tiled server is killed (-9) during a run, and comes back",
    "The RunEngine is not slowed, results wait in memory; after `catch_up` each run and its result are there once",
)
def test_a_run_during_which_tiled_goes_away_is_there_once_in_the_end(beamline):
    settings, agent, instrument, servers = beamline
    RE, killed = RunEngine({}), []
    writer = raw_writer(agent._client, settings)
    RE.subscribe(writer)
    agent.attach(RE)

    def kill(name, doc):
        if name == "stream_datum" and not killed:
            servers[-1].kill()
            killed.append(servers[-1].wait())

    def take():
        began = time.monotonic()
        plan = expose(instrument.detector, beside=[instrument.stage.x], shutter=instrument.shutter)
        (uid,) = RE(plan)
        return uid, time.monotonic() - began

    first, usual = take()
    assert agent.drain(170)
    RE.subscribe(kill)
    away = [take() for _ in range(2)]
    assert max(seconds for _, seconds in away) < 3 * usual + 10  # the RunEngine waits for nobody
    assert "does not answer" in (text := rendered(agent)) and "2 runs to be analysed" in text
    until(lambda: len(list(settings.storage.unwritten.glob("*.jsonl"))) == 2)
    servers.append(start_server(settings.storage.directory.parent, PORT)[0])
    last, _ = take()
    until(agent.drain)  # a server that has just come may be slow to answer
    writer.shutdown()
    assert agent.catch_up() == 0
    uids = [first, *(uid for uid, _ in away), last]
    table = agent.results.table(all=True).sort_values("created")
    assert table["raw_uid"].tolist() == uids and (table["status"] == "complete").all()
    assert not list(settings.storage.unwritten.iterdir())
    raw = connect(f"http://127.0.0.1:{PORT}/api/v1", KEY)["raw"]
    assert sorted(raw) == sorted(uids)
    for uid, run in raw.items():
        image = run[f"{instrument.detector.name}/{instrument.detector.name}_image"]
        assert run.metadata["stop"]["run_start"] == uid
        assert image.shape == (FRAMES, 1, 128, 192) and image[-1].sum() > 0
        assert len(run["primary"].read()["sample_x"]) == 1
    raw.context.http_client.close()
