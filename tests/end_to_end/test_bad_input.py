"""Bad input is a record, not an exception: the loop goes on."""

from pathlib import Path
from urllib.parse import urlparse

import pytest

from agents.rheo_xpcs import build_agent
from ainerd.agent import open_tiled
from ainerd.config import Settings, SettingsError
from ainerd.plans import expose
from ainerd.server import ServerError
from tests.end_to_end.sessions import SMALL
from tests.trials import trials_of


@pytest.fixture
def recorded(session):
    """Documents of a run that the agent has not seen, and the file of its frames."""
    documents = []
    session.agent.detach()
    plan = expose(session.detector, beside=[session.stage.x], shutter=session.shutter)
    session.RE(plan, lambda name, doc: documents.append((name, doc)))
    session.agent.attach(session.RE)
    (resource,) = (doc for name, doc in documents if name == "stream_resource")
    return documents, Path(urlparse(resource["uri"]).path)


@pytest.mark.fault(
    "The file of frames appears too late", "The result is failed, and completed when the run is replayed"
)
def test_a_failed_run_is_completed_when_it_comes_again(session, recorded, tmp_path):
    documents, path = recorded
    away = path.rename(tmp_path / path.name)
    for name, doc in documents:
        session.agent(name, doc)
    assert session.table().iloc[-1]["status"] == "failed"
    before = len(session.table())
    away.rename(path)
    for name, doc in documents:
        session.agent(name, doc)
    table = session.table()
    row = table[table["raw_uid"] == documents[0][1]["uid"]].iloc[0]
    assert len(table) == before and row["status"] == "complete"


@pytest.mark.fault(
    "Exposures fail inside the closed loop", "The loop continues elsewhere; the positions count as failed"
)
def test_failures_do_not_end_the_loop(session):
    before = len(session.table())
    session.expect(1)
    session.RE(session.agent.explore(2))
    table = session.table()
    assert len(table) == before + 2 and (table["status"].iloc[-2:] == "failed").all()
    failed = session.agent.results.suggestions()["status"].eq("failed").sum()
    assert failed >= 2
    session.expect(100)
    session.RE(session.agent.explore(1))
    assert session.table()["status"].iloc[-1] == "complete"


@pytest.mark.fault("The weights are damaged", "One line explains it when the agent is built")
def test_a_corrupt_model_is_one_line(session, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x10" + b"\x00" * 200)
    settings = session.settings.model_copy(deep=True)
    settings.section["encoder"] = str(tmp_path / "model.safetensors")
    with pytest.raises(SettingsError, match=r"^technique rheo_xpcs: [^\n]*model\.safetensors[^\n]*$"):
        build_agent(
            session.client,
            detector=session.detector,
            actuators=[session.stage.x, session.stage.y],
            settings=settings,
        )


@pytest.mark.parametrize("what", ["no server there", "wrong key"])
@pytest.mark.fault("No Tiled server answers at the start, or the key is wrong", "One line explains it within seconds")
def test_a_wrong_url_or_key_is_one_line(session, what):
    settings = Settings.load(SMALL)
    storage = settings.storage
    storage.uri = "http://127.0.0.1:9" if what == "no server there" else str(session.client.context.api_uri)
    storage.api_key = type(storage.api_key)("wrong")
    with pytest.raises(ServerError) as error:
        open_tiled(storage)
    assert "\n" not in str(error.value) and "127.0.0.1" in str(error.value) and "wrong" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda settings: settings.steering.bounds.update(sample_y=(0.0, 100.0)),
            r"steering\.bounds: sample_y = 100 is not within the limits of the actuator",
        ),
        (
            lambda settings: settings.recorded.units.update(sample_y="microns"),
            r"sample_y moves in 'mm', but its unit in the settings is 'microns'",
        ),
        (
            lambda settings: settings.steering.bounds.pop("sample_y"),
            "same names.*sample_y",
        ),
        (
            lambda settings: settings.section.update(preshear=[[30, 190]]),
            r"rheo_xpcs\.preshear needs a rheometer",
        ),
        (
            lambda settings: settings.recorded.series.update(stress="rheometer_strain"),
            "no signal rheometer_strain",
        ),
    ],
)
def test_names_that_do_not_match_are_named(session, change, message):
    settings = session.settings.model_copy(deep=True)
    change(settings)
    rheometer = {} if "preshear" in message else {"rheometer": session.rheometer}
    with pytest.raises(ValueError, match=message):
        build_agent(
            session.client,
            detector=session.detector,
            actuators=[session.stage.x, session.stage.y],
            settings=settings,
            **rheometer,
        )


@pytest.mark.fault("The session ends and another one starts", "Results, regimes and failed positions are restored")
def test_a_restart_remembers_failed_positions(session):
    session.expect(1)
    session.agent.add(9.5, 9.5)
    session.RE(session.agent.explore(1))
    assert session.table()["status"].iloc[-1] == "failed"
    session.expect(100)
    agent = session.start_agent()
    assert agent.catch_up() == 0  # a failed result is not tried again by itself
    trials = trials_of(agent.optimizer.exposures).values()
    failed = [(trial["sample_x"], trial["sample_y"]) for trial in trials if trial["failed"]]
    assert any(place == pytest.approx((9.5, 9.5), abs=0.01) for place in failed)
    for _ in range(3):
        suggestion = agent.reject("only asking")
        assert max(abs(suggestion["sample_x"] - 9.5), abs(suggestion["sample_y"] - 9.5)) > 0.1  # the width of the beam
