"""A technique that fails gives a failed result with a reason, or one clear line; the RunEngine continues."""

import threading
import time
from dataclasses import replace
from functools import partial

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest

from ainerd.plans import visit
from ainerd.runs import Worker
from tests.techniques.beamline import Beamline
from tests.techniques.toy.toy import Trajectory


def fails(*_, **__):
    raise RuntimeError("out of order")


SAID = "RuntimeError: out of order"


class Broken(Trajectory):
    """The toy's analysis with replaced parts."""

    def __init__(self, toy, run):
        super().__init__(toy, run.frame_shape)


def broken(**attributes):
    """Return a class of analysis with these properties and methods."""
    return type("Broken", (Broken,), attributes)


def says(**changes):
    return broken(finish=lambda self: replace(Trajectory.finish(self), **changes))


def of_pixels(get):
    return broken(pixels=property(get, lambda self, value: None))


FAULTS = {
    "begin raises": (fails, SAID),
    "begin gives nothing": (lambda toy, run: None, "begin() returned no ainerd.technique.RunAnalysis"),
    "pixels outside": (of_pixels(lambda self: np.array([0, 999])), "999"),
    "push raises": (broken(push=fails), SAID),
    "embedding of NaN": (says(embedding=np.full(4, np.nan, np.float32)), "an embedding that is not finite"),
    "no probability": (says(novelty_p=3.0), "novelty_p = 3.0, which is not a probability"),
    "array of objects": (says(arrays={"a": np.array([{}])}), "arrays['a'] must be of numbers or text"),
    "summary of a taken name": (says(summary={"status": "good"}), "'status' is taken"),
    "nothing": (Broken, None),
}


@pytest.fixture(scope="module")
def shared(installed_toy, server, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AINERD_STORAGE__API_KEY", server.api_key)
        folder = tmp_path_factory.mktemp("bad")
        b = Beamline(folder, server.client().create_container(folder.name).uri, unit='"event"')
        b.start_agent(acquire=bp.count)
        try:
            yield b
        finally:
            b.close()


@pytest.fixture(scope="module")
def results(shared):
    """The results of one run in which the technique fails differently at each event."""
    import toy

    kinds = [kind for kind, _ in FAULTS.values()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy.Toy, "begin", lambda self, run: kinds[run.event - 1](self, run))
        shared.RE(bp.count([shared.camera, shared.x], num=len(kinds)))
        table = shared.table()
    return table.set_index("event").sort_index()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_result_has_a_reason(results, fault):
    row, reason = results.loc[1 + list(FAULTS).index(fault)], FAULTS[fault][1]
    assert row["status"] == ("failed" if reason else "complete")
    if reason is not None:
        assert reason in row["reason"] and "\n" not in row["reason"]


def outcome_of(b, plan):
    """Take a run and wait for its outcome."""
    (uid,) = b.RE(plan)
    (outcome,) = b.agent._analysis.worker.outcomes(uid).result(60)
    return outcome


def test_regimes_that_fail(shared, monkeypatch, caplog):
    """The result is complete without a regime, and a later refit includes it."""
    import toy

    monkeypatch.setattr(toy.Toy, "regimes", fails)
    outcome = outcome_of(shared, bp.count([shared.camera]))
    assert (outcome.status, outcome.regime) == ("complete", -1)
    assert f"the result of run {outcome.raw_uid} has no regime" in caplog.text and "out of order" in caplog.text
    monkeypatch.undo()
    after = outcome_of(shared, bp.count([shared.camera]))
    assert (after.status, after.regime >= 0) == ("complete", True)
    assert shared.agent.optimizer.exposures.regime(outcome.key) >= 0


def test_figures_are_drawn_without_failed_parts(shared, monkeypatch, caplog, tmp_path):
    import toy
    import toy_panels

    outcome_of(shared, bp.count([shared.camera]))
    monkeypatch.setattr(toy.Toy, "landmarks", fails, raising=False)
    monkeypatch.setattr(toy_panels, "strip", fails)
    shared.agent.plot().savefig(tmp_path / "campaign.png")
    assert (tmp_path / "campaign.png").stat().st_size > 5000
    assert "the landmarks of technique 'toy' are not drawn" in caplog.text
    monkeypatch.setattr(toy_panels, "plot", fails)
    with pytest.raises(RuntimeError, match="out of order"):  # who asks for one result sees where it fails
        shared.client["ainerd/results"].values().last().plot()


def test_a_push_that_never_ends(installed_toy, beamline, monkeypatch, capsys):
    """The plan waits for a limited time, and so does `close`."""
    import toy

    monkeypatch.setattr("ainerd.agent._agent.visit", partial(visit, timeout_s=0.3))
    monkeypatch.setattr(Worker.close, "__defaults__", (0.3,))
    b = beamline(agent={"acquire": bp.count})
    goes_on = threading.Event()
    monkeypatch.setattr(toy.Trajectory, "push", lambda self, block, first: goes_on.wait(60))
    began = time.monotonic()
    b.RE(b.agent.explore(2))
    b.RE(bps.null())
    capsys.readouterr()
    assert b.RE.state == "idle" and not b.agent.drain(0.1)
    assert "not finished after 0.1 s: " in capsys.readouterr().err
    assert b.agent.status()["worker"] == "alive" and b.agent.status()["backlog"] > 0
    b.agent.close()
    assert time.monotonic() - began < 30
    goes_on.set()
    b.agent._analysis.jobs._ends.result()
