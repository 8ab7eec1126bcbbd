"""Bad input is a record, not an exception: the loop goes on."""

from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from ophyd import Component, PVPositioner, Signal

from agents.rheo_xpcs import build_agent
from ainerd.agent import open_tiled
from ainerd.config import Settings, SettingsError
from ainerd.plans import expose
from ainerd.server import ServerError
from tests.end_to_end.sessions import FRAMES, SMALL
from tests.trials import trials_of


@pytest.mark.fault(
    "The file of frames appears too late", "The result is failed, and completed when the run is replayed"
)
def test_a_failed_run_is_completed_when_it_comes_again(session, tmp_path):
    documents = []
    session.agent.detach()
    plan = expose(session.detector, beside=[session.stage.x], shutter=session.shutter)
    session.RE(plan, lambda name, doc: documents.append((name, doc)))
    session.agent.attach(session.RE)
    (path,) = (Path(urlparse(doc["uri"]).path) for name, doc in documents if name == "stream_resource")
    away, before = path.rename(tmp_path / path.name), len(session.table())

    def status_after_it_came():
        for name, doc in documents:
            session.agent(name, doc)
        return session.table()["status"].tolist()[before:]

    assert status_after_it_came() == ["failed"]
    away.rename(path)
    assert status_after_it_came() == ["complete"]


@pytest.mark.fault(
    "Exposures fail inside the closed loop", "The loop continues elsewhere; the positions count as failed"
)
def test_failures_do_not_end_the_loop(session):
    before = len(session.table())
    session.expect(1)
    session.RE(session.agent.explore(2))
    session.expect(FRAMES)
    session.RE(session.agent.explore(1))
    assert session.table()["status"].tolist()[before:] == ["failed"] * 2 + ["complete"]
    assert session.agent.results.suggestions()["status"].eq("failed").sum() == 2


@pytest.mark.fault("Every exposure fails while nobody watches", "The plan ends after five, with the reason")
def test_a_campaign_without_results_ends_by_itself(session):
    before = len(session.table())
    session.expect(1)
    session.RE(session.agent.explore())
    session.expect(FRAMES)
    assert session.table()["status"].tolist()[before:] == ["failed"] * 5
    assert "the last 5 exposures gave no result" in session.agent.status()["explored"]
    assert session.agent.log()["text"].str.contains("explored: the last 5").any()


@pytest.mark.fault("The weights are damaged", "One line explains it when the agent is built")
def test_a_corrupt_model_is_one_line(session, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x10" + b"\x00" * 200)
    with pytest.raises(SettingsError, match=r"^technique rheo_xpcs: [^\n]*model\.safetensors[^\n]*$"):
        build(session, lambda settings: settings.section.update(encoder=str(tmp_path / "model.safetensors")))


@pytest.mark.fault("No Tiled server answers at the start, or the key is wrong", "One line explains it within seconds")
def test_a_wrong_url_or_key_is_one_line(session):
    storage = Settings.load(SMALL).storage
    storage.api_key = type(storage.api_key)("wrong")
    for storage.uri in ("http://127.0.0.1:9", str(session.client.context.api_uri)):
        with pytest.raises(ServerError) as error:
            open_tiled(storage)
        assert "\n" not in str(error.value) and "127.0.0.1" in str(error.value) and "wrong" not in str(error.value)


def build(session, change, rheometer=None, y=None):
    """Build an agent after a change of the settings."""
    settings = session.settings.model_copy(deep=True)
    change(settings)
    actuators = [session.stage.x, y or session.stage.y]
    named = {"detector": session.detector, "actuators": actuators, "rheometer": rheometer}
    return build_agent(session.client, settings=settings, **named)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda settings: settings.steering.bounds.update(sample_y=(0.0, 100.0)), "limits of the actuator"),
        (lambda settings: settings.recorded.units.update(sample_y="microns"), "sample_y moves in 'mm', but"),
        (lambda settings: settings.steering.bounds.pop("sample_y"), "same names.*sample_y"),
        (lambda settings: settings.section.update(preshear=[[30, 190]]), r"rheo_xpcs\.preshear needs a rheometer"),
        (lambda settings: settings.recorded.series.update(stress="no_such_strain"), "no signal no_such_strain"),
    ],
)
def test_names_that_do_not_match_are_named(session, change, message):
    with pytest.raises(ValueError, match=message):
        build(session, change, None if "preshear" in message else session.rheometer)


def test_an_actuator_whose_readback_has_another_name_is_refused(session):
    class Oven(PVPositioner):
        setpoint, readback, done = (Component(Signal, value=1) for _ in range(3))

    with pytest.raises(ValueError, match="sample_y has no reading 'sample_y'.*give its readback the name"):
        build(session, lambda settings: None, y=Oven("", name="sample_y"))


@pytest.mark.fault("The session ends and another one starts", "Results, regimes and failed positions are restored")
def test_a_restart_remembers_failed_positions(session):
    def failed_places(agent):
        trials = trials_of(agent.optimizer.exposures).values()
        return sorted((each["sample_x"], each["sample_y"]) for each in trials if each["failed"])

    before, failed = session.table()["regime"], failed_places(session.agent)
    agent = session.start_agent()
    assert len(failed) >= 7 and agent.catch_up() == 0  # a failed result is not tried again by itself
    assert session.table()["regime"].equals(before)
    assert np.allclose(failed_places(agent), failed, atol=0.01)
    suggestion = agent.reject("only asking")
    assert all(max(abs(suggestion["sample_x"] - x), abs(suggestion["sample_y"] - y)) > 0.1 for x, y in failed)
