"""A technique that fails costs its result, with the reason in it, or one clear line: the RunEngine goes on."""

import threading
import time
from dataclasses import replace

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest

from ainerd.config import SettingsError
from ainerd.runs import Worker
from ainerd.technique import Layout
from tests.techniques.beamline import Beamline


def fails(*_, **__):
    raise RuntimeError("the detector of my dreams")


FAILS = property(fails)
SAID = "RuntimeError: the detector of my dreams"


def says(**changes):
    """A `finish` that gives an analysis with other fields."""

    def finish(self):
        return replace(self.well(), **changes)

    return finish


@pytest.fixture(scope="module")
def shared(installed_toy, server, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINERD_STORAGE__API_KEY", server.api_key)
        folder = tmp_path_factory.mktemp("bad")
        b = Beamline(folder, server.client().create_container(folder.name).uri)
        b.start_agent(acquire=bp.count)
        try:
            yield b
        finally:
            b.close()


@pytest.fixture
def toy(shared, monkeypatch):
    """The modules of the toy, to be broken; afterwards all works."""
    import toy
    import toy_panels

    monkeypatch.setattr(toy.Trajectory, "well", toy.Trajectory.finish, raising=False)
    yield toy, toy_panels
    monkeypatch.undo()
    before = len(shared.table())
    shared.RE(shared.agent.sample((2.0,)))
    assert shared.table()["status"].tolist()[before:] == ["complete"]


@pytest.mark.parametrize(
    ("where", "name", "does", "reason"),
    [
        ("Toy", "begin", fails, SAID),
        ("Trajectory", "pixels", FAILS, SAID),
        ("Trajectory", "layouts", FAILS, SAID),
        ("Trajectory", "push", fails, SAID),
        ("Trajectory", "finish", fails, SAID),
        ("Toy", "regimes", fails, SAID),
        ("Toy", "begin", lambda self, run: None, "'NoneType' object has no attribute"),
        ("Trajectory", "pixels", property(lambda self: np.array([0, 999])), "999"),
        ("Trajectory", "layouts", {"trajectory": Layout((-1,), "float64")}, "trajectory"),
        ("Trajectory", "finish", lambda self: None, "NoneType"),
        ("Trajectory", "finish", says(embedding=np.full(4, np.nan, np.float32)), "embedding that is not finite"),
        ("Trajectory", "finish", says(embedding=np.zeros(7, np.float32)), "of shape (7,), announced (4,)"),
        ("Trajectory", "finish", says(novelty_p=3.0), "novelty_p = 3.0, which is no probability"),
        ("Trajectory", "finish", says(novelty_p=0.5, calibration={}), "calibration has no 'alpha'"),
        ("Trajectory", "finish", says(arrays={"a": np.array([{}])}), "a"),
        ("Trajectory", "finish", says(arrays={"a/b": np.zeros(2)}), "a/b"),
        ("Trajectory", "finish", says(dims={"trajectory": ("frame", "bin")}), "trajectory"),
        ("Trajectory", "finish", says(summary={"status": "good"}), "'status' is taken"),
    ],
    ids=str,
)
def test_a_failed_result_says_why(shared, toy, monkeypatch, where, name, does, reason):
    before = len(shared.table())
    monkeypatch.setattr(getattr(toy[0], where), name, does, raising=False)
    shared.RE(shared.agent.sample((2.0,)))
    rows = shared.table().iloc[before:]
    assert rows["status"].tolist() == ["failed"]
    said = rows["reason"].iloc[0]
    assert reason in said and "\n" not in said


def test_parameters_that_fail(shared, toy, monkeypatch, caplog):
    before = len(shared.table())
    monkeypatch.setattr(toy[0].Toy, "parameters", FAILS)
    shared.RE(shared.agent.sample((2.0,)))
    assert shared.agent.drain() and SAID.partition(": ")[2] in caplog.text
    monkeypatch.undo()
    assert len(shared.table()) == before  # its key cannot be told


@pytest.mark.parametrize(("name", "does"), [("from_settings", classmethod(fails)), ("__init__", fails)])
def test_settings_that_fail_are_told_in_a_line(shared, toy, monkeypatch, name, does):
    from ainerd.agent import build_agent

    monkeypatch.setattr(toy[0].Toy, name, does)
    with pytest.raises(SettingsError, match="^technique toy: .*the detector of my dreams$"):
        build_agent(shared.settings, shared.client, detector=shared.camera, actuators=[shared.x])


def test_figures_without_what_fails(shared, toy, monkeypatch, caplog, tmp_path):
    shared.RE(shared.agent.sample((2.0,)))
    assert shared.agent.drain()
    monkeypatch.setattr(toy[0].Toy, "landmarks", fails, raising=False)
    monkeypatch.setattr(toy[1], "strip", fails)
    shared.agent.plot().savefig(tmp_path / "campaign.png")
    assert (tmp_path / "campaign.png").stat().st_size > 5000
    monkeypatch.setattr(toy[1], "plot", fails)
    with pytest.raises(RuntimeError, match="my dreams"):  # who asked for it sees where it fails
        shared.client["ainerd/results"].values().last().plot()


def test_a_push_that_never_ends(server, installed_toy, tmp_path, monkeypatch):
    import toy

    import ainerd.agent._agent

    monkeypatch.setenv("AINERD_STORAGE__API_KEY", server.api_key)
    visit = ainerd.agent._agent.visit
    monkeypatch.setattr(ainerd.agent._agent, "visit", lambda *a, **k: visit(*a, timeout_s=0.3, **k))
    monkeypatch.setattr(Worker.close, "__defaults__", (0.3,))
    b = Beamline(tmp_path, server.client().create_container(tmp_path.name).uri)
    b.start_agent(acquire=bp.count)
    goes_on = threading.Event()
    monkeypatch.setattr(toy.Trajectory, "push", lambda self, block: goes_on.wait(60))
    began = time.monotonic()
    b.RE(b.agent.explore(2))
    b.RE(bps.null())
    assert b.RE.state == "idle" and not b.agent.drain(0.1)
    b.agent.close()
    assert time.monotonic() - began < 30
    goes_on.set()
    b.agent._worker._thread.join()
    b.close()
