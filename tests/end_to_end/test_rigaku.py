"""A Rigaku detector at the beamline: its files of events have the results of dense frames of the same photons."""

from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine

from agents.demo.simulated import agent_of, simulated_instrument
from agents.session import raw_writer
from ainerd.config import Settings
from ainerd.technique import RunInfo

TOML = Path(__file__).resolve().parents[2] / "profiles" / "rigaku" / "agent.toml"
N = 64


@pytest.fixture(scope="module")
def beamline(server, tmp_path_factory):
    """Agent, catalog and documents after a flight to a position of the agent, and a count of two exposures."""
    folder, settings, documents = tmp_path_factory.mktemp("rigaku"), Settings.load(TOML), []
    settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
    client = server.client().create_container(folder.name)
    hardware = TOML.with_suffix(".instrument.toml")
    instrument = simulated_instrument(folder / "frames", hardware, speed=1000, rigaku="complete")
    for name, value in (("num_images", N), ("acquire_period", 0.5), ("acquire_time", 0.5)):
        getattr(instrument.detector.cam, name).put(value)
    agent, RE = agent_of(client, settings, instrument), RunEngine({})
    RE.subscribe(lambda *document: documents.append(document))
    agent.attach(RE)
    RE.subscribe(writer := raw_writer(client, settings))
    RE(agent.explore(1))
    RE(bps.mv(instrument.shutter, "open"))
    RE(bp.count([instrument.detector], num=2))
    writer.shutdown()  # it has written the runs then
    assert agent.drain(120)
    yield agent, client, documents
    agent.close()


def dense(file):
    """The frames of a file of one module, decoded without ainerd."""
    words, frames = np.fromfile(file, "<u8"), np.zeros((N, 512 * 1024), np.uint16)
    np.add.at(frames, ((words >> 40).astype(int), (words >> 16 & 0x1FFFFF).astype(int)), (words & 0xFFF).astype("u2"))
    return frames


def test_each_exposure_has_a_result_and_a_run_in_tiled(beamline):
    agent, client, documents = beamline
    table = agent.results.table(all=True)
    assert table["status"].tolist() == ["complete"] * 3, table["reason"].dropna().tolist()
    assert table["event"].tolist() == [1, 1, 2] and table["n_frames"].eq(N).all()
    assert table["novelty_p"].notna().all() and np.isfinite(table["tau_s"]).any()
    announced = [doc["indices"] for name, doc in documents if name == "stream_datum"]
    assert announced == [{"start": 0, "stop": N}, {"start": 0, "stop": 1}, {"start": 1, "stop": 2}]
    raw = client["raw"][table["raw_uid"].iloc[-1]]
    assert raw.metadata["stop"]["exit_status"] == "success"
    assert raw["primary"]["rigaku500k_image"].shape == (2, N, 512, 1024)


def test_it_is_the_result_of_dense_frames_of_the_same_photons(beamline):
    agent, _, documents = beamline
    resource = next(doc for name, doc in documents if name == "stream_resource")
    frames = dense(resource["uri"].removeprefix("file://localhost"))
    info = RunInfo(raw_uid="", n_frames=N, frame_shape=(512, 1024), frame_time_s=0.5)
    analysis = agent.technique.begin(info)
    analysis.push(frames[:, analysis.pixels], 0)
    wanted, key = analysis.finish().arrays, agent.results.table(all=True).index[0]
    assert wanted["c2"].any()
    np.testing.assert_array_equal(agent.results.array(key, "c2"), wanted["c2"])
    np.testing.assert_allclose(agent.results.array(key, "g2"), wanted["g2"], rtol=1e-5, atol=1e-6)
