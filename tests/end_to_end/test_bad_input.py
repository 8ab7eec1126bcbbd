"""Bad input is a record, not an exception: the loop goes on."""

import os
from pathlib import Path
from urllib.parse import urlparse

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest

from agents.demo.simulated import hardware_beside, simulated_instrument
from agents.rheo_xpcs import build_agent
from ainerd.agent import open_tiled
from ainerd.config import Settings, SettingsError
from ainerd.plans import expose
from ainerd.server import ServerError
from tests.end_to_end.sessions import SMALL
from tests.trials import trials_of


@pytest.fixture
def last_result(session):
    """Take a run by `plan` (or its documents) and return the row of its result.

    One agent gets all of the bad input, so that each result is that of an agent which goes on after what came before.
    """
    before, instrument = len(session.table()), session.instrument

    def take(plan=None, documents=()):
        if plan is not None:
            session.RE(plan)
        for name, doc in documents:
            session.agent(name, doc)
        table = session.table()
        assert len(table) == before + 1
        return table.iloc[-1]

    yield take
    session.use_this(instrument)


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


def test_a_run_without_the_detector_is_ignored(session):
    before = len(session.table())
    session.RE(bp.count([session.rheometer]))
    assert len(session.table()) == before


GARBAGE = (
    ("start", {}),
    ("stop", {"run_start": "nobody", "uid": "1", "exit_status": "success", "time": 0.0}),
    ("descriptor", {"uid": "2", "run_start": "nobody", "data_keys": {}, "time": 0.0}),
    ("stream_datum", {"uid": "3/0", "descriptor": "2", "stream_resource": "4", "indices": {"start": 0, "stop": 9}}),
    ("telegram", {"text": "\x1b[2J<script>alert(1)</script>" * 1000}),
)


@pytest.mark.fault("Documents have an unknown type or miss required keys", "They are left out and logged")
def test_invalid_documents_are_left_out(session, caplog):
    before = len(session.table())
    for name, doc in GARBAGE:
        session.agent(name, doc)
    assert len(session.table()) == before
    assert "left out: no kind of document is called 'telegram'" in caplog.text
    assert "left out: start document: " in caplog.text
    assert "document that refers to 'nobody', which has not arrived" in caplog.text and "Traceback" not in caplog.text


@pytest.mark.fault("A run has one frame", "The result is failed, with the reason")
def test_a_run_of_one_frame_fails(session, last_result):
    session.expect(1)
    row = last_result(expose(session.detector, shutter=session.shutter))
    assert row["status"] == "failed" and "1 frame:" in row["reason"]
    assert session.agent.explain().startswith("there is no verdict, the analysis failed: ")  # of the newest run


@pytest.mark.fault("Frames have another shape than the partition", "The result is failed and names both shapes")
def test_a_wrong_shape(session, last_result):
    session.use(geometry={"shape": (120, 180), "beam_center_px": (60.0, 90.0)})
    row = last_result(expose(session.detector, shutter=session.shutter))
    assert row["status"] == "failed" and "120 × 180 pixels, the partition is for 128 × 192" in row["reason"]


@pytest.mark.fault("The shutter stays closed", "A failed result reports zero photons")
def test_a_closed_shutter(session, last_result):
    row = last_result(expose(session.detector))
    assert row["status"] == "failed" and "zero photons" in row["reason"]


@pytest.mark.fault("The file of frames is missing", "A failed result names it")
def test_a_missing_file(recorded, last_result):
    documents, path = recorded
    path.unlink()
    row = last_result(documents=documents)
    assert row["status"] == "failed" and f"no file {path}" in row["reason"]


@pytest.mark.parametrize("part", [0.0, 0.1, 0.7])
@pytest.mark.fault(
    "The file of frames is truncated anywhere", "A failed result names file and frame; HDF5 alone would wait forever"
)
def test_a_truncated_file(recorded, last_result, part):
    documents, path = recorded
    os.truncate(path, int(path.stat().st_size * part))
    row = last_result(documents=documents)
    assert row["status"] == "failed" and str(path) in row["reason"]


@pytest.mark.fault("A link leads out of the allowed folders", "The result is failed; nothing is read")
def test_a_file_outside_the_roots(recorded, last_result, tmp_path):
    documents, path = recorded
    elsewhere = tmp_path / path.name
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    row = last_result(documents=documents)
    assert row["status"] == "failed" and "outside the allowed roots" in row["reason"]


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
    "The plan raises in the middle of a run", "The result is partial, or failed, with the frames that were taken"
)
def test_an_aborted_run_has_a_result(session, last_result):
    session.use()
    session.expect(2000)

    @bpp.stage_decorator([session.detector])
    @bpp.run_decorator()
    def broken():
        yield from bps.declare_stream(session.detector, name="lambda750k", collect=True)
        yield from bps.kickoff(session.detector, wait=True)
        yield from bps.sleep(0.5)
        yield from bps.collect(session.detector, name="lambda750k")
        raise RuntimeError("the sample fell off")

    with pytest.raises(RuntimeError, match="fell off"):
        session.RE(broken())
    row = last_result()
    if row["status"] == "partial":
        assert 64 <= row["n_frames"] < 2000
    else:
        assert row["status"] == "failed" and "the run ended (fail) with" in row["reason"]


def test_the_same_agent_still_explores(session, last_result):
    row = last_result(session.agent.explore(1))
    assert row["status"] == "complete"


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


def test_names_that_do_not_match_are_named(session):
    instrument = simulated_instrument(session.settings.storage.frames[0], hardware_beside(SMALL))
    with pytest.raises(ValueError, match="same names.*sample_y"):
        build_agent(
            session.client, detector=instrument.detector, actuators=[instrument.stage.x], settings=session.settings
        )
    settings = session.settings.model_copy(deep=True)
    settings.steering.bounds = {"sample_x": (0.0, 10.0), "sample_y": (0.0, 100.0)}
    with pytest.raises(ValueError, match=r"steering\.bounds: sample_y = 100 is not within the limits of the actuator"):
        build_agent(
            session.client,
            detector=instrument.detector,
            actuators=[instrument.stage.x, instrument.stage.y],
            settings=settings,
        )
    settings = session.settings.model_copy(deep=True)
    settings.recorded.units["sample_y"] = "microns"
    with pytest.raises(ValueError, match=r"sample_y moves in 'mm', but its unit in the settings is 'microns'"):
        build_agent(
            session.client,
            detector=instrument.detector,
            actuators=[instrument.stage.x, instrument.stage.y],
            settings=settings,
        )
    settings = session.settings.model_copy(deep=True)
    settings.section["preshear"] = [[30, 190]]
    with pytest.raises(ValueError, match=r"rheo_xpcs\.preshear needs a rheometer"):
        build_agent(
            session.client,
            detector=instrument.detector,
            actuators=[instrument.stage.x, instrument.stage.y],
            settings=settings,
        )
    settings.recorded.series = {"stress": "rheometer_strain"}
    with pytest.raises(ValueError, match="no signal rheometer_strain"):
        build_agent(
            session.client,
            detector=instrument.detector,
            actuators=[instrument.stage.x, instrument.stage.y],
            rheometer=instrument.rheometer,
            settings=settings,
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
    trials = trials_of(agent.optimizer.explorer).values()
    failed = [(trial["sample_x"], trial["sample_y"]) for trial in trials if trial["failed"]]
    assert any(place == pytest.approx((9.5, 9.5), abs=0.01) for place in failed)
    for _ in range(3):
        suggestion = agent.reject("only asking")
        assert max(abs(suggestion["sample_x"] - 9.5), abs(suggestion["sample_y"] - 9.5)) > 0.1  # the width of the beam
