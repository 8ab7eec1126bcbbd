"""The Tiled server is killed and comes back: the RunEngine goes on, and every run gets its result."""

import json
import time
from resource import RLIM_INFINITY, RLIMIT_FSIZE, getrlimit, prlimit, setrlimit

import pytest
from bluesky import RunEngine
from tiled_process import KEY, start_server

from agents.demo.simulated import hardware_beside, simulated_instrument
from agents.rheo_xpcs import build_agent
from ainerd.config import Settings
from ainerd.plans import expose
from ainerd.runs import Spool
from ainerd.server import connect
from ainerd.words import rendered
from tests.end_to_end.sessions import SMALL
from tests.waiting import until

PORT = 18_432


@pytest.fixture(scope="module")
def beamline(tmp_path_factory):
    """One agent for the tests of faults of its server; each leaves it with nothing kept."""
    folder = tmp_path_factory.mktemp("away")
    settings = Settings.load(SMALL)
    settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
    instrument = simulated_instrument(folder / "frames", hardware_beside(SMALL), speed=1000)
    cam = instrument.detector.cam
    cam.num_images.put(100), cam.acquire_period.put(0.5), cam.acquire_time.put(0.5)
    servers = [start_server(folder, PORT)[0]]
    try:
        client = connect(f"http://127.0.0.1:{PORT}", KEY)
        agent = build_agent(
            client,
            detector=instrument.detector,
            actuators=[instrument.stage.x, instrument.stage.y],
            rheometer=instrument.rheometer,
            shutter=instrument.shutter,
            settings=settings,
        )
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
    "The Tiled server is killed (-9) while runs continue",
    "The RunEngine is not slowed; raw runs and results wait on disk and are written in order when the server is back",
)
def test_runs_and_results_wait_on_disk_while_tiled_is_away(beamline):
    settings, agent, instrument, servers = beamline
    RE = RunEngine({})
    agent.attach(RE)
    stage = instrument.stage

    def take():
        began = time.monotonic()
        plan = expose(instrument.detector, beside=[stage.x, stage.y], shutter=instrument.shutter)
        (uid,) = RE(plan)
        return uid, time.monotonic() - began

    first, usual = take()
    assert agent.drain()
    servers[-1].kill()
    servers[-1].wait()
    away = [take() for _ in range(2)]
    assert max(seconds for _, seconds in away) < 3 * usual + 10  # the RunEngine waits for nobody
    assert agent.drain()
    kept = sorted((settings.storage.unwritten / "results").glob("*/*.jsonl"))
    assert [path.stem.partition("-")[2] for path in kept] == [uid for uid, _ in away]
    assert "does not answer" in (text := rendered(agent)) and "2 runs to be analysed" in text
    servers.append(start_server(settings.storage.directory.parent, PORT)[0])
    last, _ = take()
    until(lambda: agent.drain() and not agent.health()["kept"])  # a server that has just come may be slow to answer
    agent.detach()  # kept raw runs are written
    table = agent.results.table().sort_values("created")
    assert table["raw_uid"].tolist() == [first, *(uid for uid, _ in away), last]
    assert (table["status"] == "complete").all()
    assert not list(kept[0].parent.iterdir())
    raw = connect(f"http://127.0.0.1:{PORT}/api/v1", KEY)["raw"]
    assert agent.health()["raw_kept"] == 0 and set(raw) == set(table["raw_uid"])
    for uid, run in raw.items():
        assert run.metadata["stop"]["run_start"] == uid
        assert run[f"{instrument.detector.name}/{instrument.detector.name}_image"].shape == (100, 1, 128, 192)
        assert run[f"{instrument.detector.name}/{instrument.detector.name}_image"][-1].sum() > 0  # its file is there
    raw.context.http_client.close()


@pytest.mark.fault("The disk of the Tiled server is full", "Runs wait on disk, and are written once there is space")
def test_results_wait_while_the_disk_of_tiled_is_full(beamline):
    settings, agent, instrument, servers = beamline
    RE, stage, before = RunEngine({}), instrument.stage, agent.results.table()
    RE.subscribe(agent)

    def take():
        (uid,) = RE(expose(instrument.detector, beside=[stage.x, stage.y], shutter=instrument.shutter))
        assert agent.drain(120)
        return uid

    def room(n_bytes):  # as if there were no more: no file grows beyond
        prlimit(servers[-1].pid, RLIMIT_FSIZE, (n_bytes, RLIM_INFINITY))

    runs = [take()]
    room(20_000)
    runs.append(take())
    assert agent.health()["kept"] == 1
    room(RLIM_INFINITY)
    runs.append(take())
    until(lambda: not agent.health()["kept"])
    table = agent.results.table().drop(before.index)
    assert sorted(table["raw_uid"]) == sorted(runs) and (table["status"] == "complete").all()


@pytest.mark.fault(
    "The disks of Tiled and of the agent are full, and then no run comes",
    "Once Tiled has space, the raw run in memory is written",
)
def test_a_raw_run_in_memory_does_not_wait_for_the_next_run(beamline, monkeypatch):
    def full(*_):
        raise OSError("no space")

    _, agent, instrument, servers = beamline
    RE = RunEngine({})
    agent.attach(RE)
    prlimit(servers[-1].pid, RLIMIT_FSIZE, (20_000, RLIM_INFINITY))
    monkeypatch.setattr("ainerd.runs._journal._Lines.open", full)
    monkeypatch.setattr("ainerd.runs.Kept._write", full)
    (uid,) = RE(expose(instrument.detector, shutter=instrument.shutter))
    assert agent.drain(120)
    until(lambda: agent.health()["raw_kept"] == 1)  # its writer has a buffer
    prlimit(servers[-1].pid, RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))
    until(lambda: agent.health()["raw_kept"] == 0)
    agent.detach()
    raw = connect(f"http://127.0.0.1:{PORT}/api/v1", KEY)["raw"]
    assert raw[uid].metadata["stop"]["run_start"] == uid
    raw.context.http_client.close()


@pytest.mark.fault(
    "The agent's disk is full while Tiled does not answer",
    "Runs stay in memory until the disk takes them; if the session ends before, the log names them",
)
def test_while_the_disk_is_full_runs_stay_in_memory(tmp_path, caplog):
    documents = [("start", {"uid": "a", "time": 0.0, "note": "x" * 1000}), ("stop", {"run_start": "a"})]
    kept = Spool(tmp_path / "kept", lambda: True)
    soft, hard = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (100, hard))  # as if there were no more room
    try:
        assert kept.keep("a", documents)
        (path,) = kept.waiting()  # Tiled is back before the disk has room
        assert kept.documents(path) == documents and not list((tmp_path / "kept").iterdir())  # no half of a file
        kept.close()
        assert "-a is lost: the disk did not take it" in caplog.text
    finally:
        setrlimit(RLIMIT_FSIZE, (soft, hard))
    assert kept.is_away is False and not path.exists()
    kept.close()
    assert path.exists() and Spool(tmp_path / "kept", lambda: True).documents(path) == documents
    kept.remove(path)
    assert not kept.paths() and not list((tmp_path / "kept").iterdir())


def test_the_spool_is_bounded_and_its_files_are_whole(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("ainerd.runs._spool.MOST", 2)
    answering = []
    kept = Spool(tmp_path / "kept", lambda: bool(answering))
    assert not kept.is_away
    for uid in "abc":
        kept.keep(uid, [("start", {"uid": uid, "time": 0.0})])
    assert [path.stem[-1] for path in kept.paths()] == ["a", "b"] and "run c is not kept" in caplog.text
    assert json.loads(kept.paths()[0].read_text()) == {"name": "start", "doc": {"uid": "a", "time": 0.0}}
    assert kept.waiting() == []
    again = Spool(tmp_path / "kept", lambda: True)  # the next session
    assert again.is_away and len(again.waiting()) == 2 and not again.is_away
    assert not list((tmp_path / "kept").glob("*.part"))


@pytest.mark.fault(
    "Runs come faster than Tiled writes", "A plan gets the result of its run before the results of later runs"
)
def test_a_result_does_not_wait_for_later_writes(beamline):
    _, agent, instrument, _ = beamline
    RE, catalog, is_busy = RunEngine({}), agent._tiled, [True]
    RE.subscribe(agent)

    def write():
        time.sleep(0.02)
        if is_busy:
            catalog.write(write)

    for _ in range(2):  # so that one of them always waits
        catalog.write(write)
    try:
        (uid,) = RE(expose(instrument.detector, shutter=instrument.shutter))
        (outcome,) = agent._analysis.worker.outcomes(uid).result(60)
        assert outcome.status == "complete" and not agent.health()["backlog"]
    finally:
        is_busy.clear()
