"""X-TEC from a RunEngine to Tiled: runs of one temperature each, in any order, and a process that is killed between."""

import os
import signal
import subprocess
import sys
import textwrap

import bluesky.plans as bp
import numpy as np
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter

from agents.xtec import TOML, build_agent
from agents.xtec_demo import devices
from ainerd.config import Settings
from ainerd.results import ResultStore
from sim_devices import Crystal

TEMPERATURES = np.linspace(30.0, 180.0, 5)


class Frozen(Crystal):
    """Counts that depend on the temperature alone: the same frames in whatever order."""

    def counts(self, temperature, exposure=1.0):
        at = float(TEMPERATURES[np.abs(TEMPERATURES - temperature).argmin()])
        return np.random.default_rng(int(10 * at)).poisson(super().counts(at)).astype(float)


class Drawn:
    """In place of the detector's generator: no noise, no flicker."""

    poisson = staticmethod(lambda counts: counts.astype(np.int64))
    normal = staticmethod(lambda *args: 0.0)


def beamline(folder, client):
    settings = Settings.load(TOML)
    settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
    settings.section["clusters"] = 4
    detector, temperature = devices(settings, crystal=Frozen(64), speed=1e6)
    detector._rng, temperature._rng = Drawn, Drawn
    agent = build_agent(client, detector=detector, temperature=temperature, settings=settings)
    RE = RunEngine({}, context_managers=[])
    RE.subscribe(
        TiledWriter(client["raw"], batch_size=20, max_array_size=0)
    )  # without a buffer, which a kill would lose
    agent.attach(RE)
    return agent, RE, detector, temperature


def one_frame_each(line, temperatures, **md):
    agent, RE, detector, temperature = line
    for t in temperatures:
        RE(bp.scan([detector], temperature, t, t, 1), **md)
    assert agent.drain()


def bits(result):
    """Everything that the frames decide."""
    about = result.metadata
    return (
        {name: result[name].read().tobytes() for name in about["arrays"]},
        about["embedding"],
        about["log_likelihood"],
    )


def test_one_run_or_many_in_any_order_with_a_kill_between_are_the_same_bits(server, tmp_path):
    client = server.client().create_container(tmp_path.name)
    order = np.random.default_rng(0).permutation(TEMPERATURES)
    child = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        from ainerd.server import connect
        from tests.end_to_end.test_xtec import beamline, one_frame_each
        line = beamline(Path({str(tmp_path)!r}), connect({client.uri!r}, {server.api_key!r}))
        one_frame_each(line, {order[:2].tolist()}, series_id="b")
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    killed = subprocess.run([sys.executable, "-c", child], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert killed.returncode == -signal.SIGKILL
    line = agent, RE, detector, temperature = beamline(tmp_path, client)
    try:
        (growing,) = ResultStore(client["ainerd"]).table(all=True).itertuples()
        assert growing.status == "growing"
        one_frame_each(line, order[2:4], series_id="b")
        one_frame_each(line, order[4:], series_id="b", series_id_ends=True)
        RE(bp.list_scan([detector], temperature, TEMPERATURES.tolist()))
        assert agent.drain()
        table = agent.results.table(all=True)
        assert table["status"].tolist() == ["complete"] * 2 and table["n_frames"].tolist() == [5, 5]
        many, one = (client["ainerd/results"][key] for key in table.index)
        assert len(agent.results.record(table.index[0]).raw_uids) == 5
        assert bits(many) == bits(one)
        RE(bp.scan([detector], temperature, 30, 80, 2), series_id="b")  # it is closed
        assert agent.drain() and len(agent.results.table(all=True)) == 2
        assert "from 30 to 180 K" in one.plot().get_suptitle()
        for figure in (one.plot(), agent.plot()):
            figure.savefig(tmp_path / "figure.png")
            assert (tmp_path / "figure.png").stat().st_size > 5000
        assert "clusters of" in agent.explain(table.index[1])
    finally:
        agent.close()


def test_the_agent_chooses_temperatures_and_says_why(server, tmp_path):
    client = server.client().create_container(tmp_path.name)
    agent, RE, *_ = beamline(tmp_path, client)
    try:
        RE.md["series_id"] = "chosen"
        RE(agent.explore(5))
        assert agent.close_series("chosen") and agent.drain()
        (row,) = agent.results.table(all=True).itertuples()
        assert (row.status, row.n_frames) == ("complete", 5)
        asked = agent.results.suggestions().query("status == 'measured'")
        assert asked["temperature"].tolist()[:4] == [30.0, 80.0, 130.0, 180.0]
        assert asked["reason"].str.contains("trajectories bend most between").any()
    finally:
        agent.close()
