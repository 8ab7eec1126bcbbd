"""A Rigaku detector at the beamline: its files of events have the results of dense frames of the same photons."""

from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from event_model import compose_stream_resource

from agents.demo.simulated import agent_of, simulated_instrument
from agents.session import raw_writer
from ainerd.config import Settings
from ainerd.documents import Run, Whole, documents_of
from ainerd.results import ResultStore

TOML = Path(__file__).resolve().parents[2] / "profiles" / "rigaku" / "agent.toml"
N = 64


class Beamline:
    def __init__(self, server, folder, files):
        self.settings = Settings.load(TOML)
        self.settings.storage.directory, self.settings.storage.frames = folder / "tiled", [folder / "frames"]
        self.client = server.client().create_container(folder.name)
        hardware = TOML.with_suffix(".instrument.toml")
        self.instrument = simulated_instrument(folder / "frames", hardware, speed=1000, rigaku=files)
        self.detector, self.documents = self.instrument.detector, []
        for name, value in (("num_images", N), ("acquire_period", 0.5), ("acquire_time", 0.5)):
            getattr(self.detector.cam, name).put(value)
        self.agent = agent_of(self.client, self.settings, self.instrument)
        self.RE = RunEngine({})
        self.RE.subscribe(lambda *document: self.documents.append(document))
        self.agent.attach(self.RE)

    @property
    def store(self):
        return ResultStore(self.client["ainerd"])

    def analysed(self, documents, event=1):
        """Analysis of an event of documents, without an agent."""
        run = Run(self.settings.detector, self.settings.storage.frames)
        for name, doc in documents:
            run(name, doc)
        subject = self.agent._analysis.writer.unit(run, event)
        subject.begin(self.agent.technique)
        run.skip(subject.first)
        whole, until = Whole(subject.analysis, subject.first), event * run.n_event
        for block in run.blocks(subject.analysis.pixels, until=until, whole=whole):
            subject.push(block)
        run.close()
        return subject.analysis.finish()


@pytest.fixture(scope="module")
def beamline(server, tmp_path_factory):
    """A flight to a position of the agent, and a count of two exposures."""
    beamline = Beamline(server, tmp_path_factory.mktemp("rigaku"), "complete")
    beamline.RE.subscribe(writer := raw_writer(beamline.client, beamline.settings))
    beamline.RE(beamline.agent.explore(1))
    beamline.RE(bps.mv(beamline.instrument.shutter, "open"))
    beamline.RE(bp.count([beamline.detector], num=2))
    writer.shutdown()  # it has written the runs then
    assert beamline.agent.drain(120)
    yield beamline
    beamline.agent.close()


def dense(file):
    """The frames of a file of one module, decoded without ainerd."""
    words, frames = np.fromfile(file, "<u8"), np.zeros((N, 512 * 1024), np.uint16)
    np.add.at(frames, ((words >> 40).astype(int), (words >> 16 & 0x1FFFFF).astype(int)), (words & 0xFFF).astype("u2"))
    return frames.reshape(N, 512, 1024)


def compare_with_dense_frames(beamline):
    """Analyse the first flight again, with its frames in HDF5."""
    key = beamline.store.table(all=True).index[0]
    uid = beamline.store.record(key).raw_uid
    start = next(i for i, (name, doc) in enumerate(beamline.documents) if name == "start" and doc["uid"] == uid)
    stop = next(i for i, (name, doc) in enumerate(beamline.documents) if name == "stop" and doc["run_start"] == uid)
    file = beamline.settings.storage.frames[0] / "dense.h5"
    wanted = beamline.analysed(in_hdf5(beamline.documents[start : stop + 1], file))
    assert beamline.store.array(key, "c2").any()
    for name, array in wanted.arrays.items():
        stored = beamline.store.array(key, name)
        if name in ("c2", "mean_frame", "intensity"):
            np.testing.assert_array_equal(stored, array, name)
        else:
            np.testing.assert_allclose(stored, array, rtol=1e-5, atol=1e-6, err_msg=name)


def in_hdf5(documents, file):
    """The documents of a flight with the same frames in HDF5."""
    for name, doc in documents:
        if name == "stream_resource":
            frames = dense(doc["uri"].removeprefix("file://localhost"))
            with h5py.File(file, "w") as opened:
                opened.create_dataset("entry/data/data", data=frames, chunks=(1, 512, 1024))
            doc, _ = compose_stream_resource(
                mimetype="application/x-hdf5", uri=f"file://localhost{file}", data_key=doc["data_key"], uid=doc["uid"],
                parameters={"dataset": "entry/data/data", "swmr": False},
            )  # fmt: skip
        yield name, doc


def test_each_exposure_has_a_result(beamline):
    table = beamline.store.table(all=True)
    assert table["status"].tolist() == ["complete"] * 3, table["reason"].dropna().tolist()
    assert table["event"].tolist() == [1, 1, 2] and table["n_frames"].eq(N).all()
    assert table["novelty_p"].notna().all() and np.isfinite(table["tau_s"]).any()
    announced = [doc["indices"] for name, doc in beamline.documents if name == "stream_datum"]
    assert announced == [{"start": 0, "stop": N}, {"start": 0, "stop": 1}, {"start": 1, "stop": 2}]


def test_it_is_the_result_of_dense_frames_of_the_same_photons(beamline):
    compare_with_dense_frames(beamline)


def test_its_run_is_in_tiled_and_can_be_analysed_again(beamline):
    keys = beamline.store.table(all=True).index
    raw = beamline.client["raw"][beamline.store.record(keys[2]).raw_uid]
    assert raw.metadata["stop"]["exit_status"] == "success"
    assert raw["primary"]["rigaku500k_image"].shape == (2, N, 512, 1024)
    again = beamline.analysed(documents_of(raw), event=2)
    np.testing.assert_array_equal(again.arrays["c2"], beamline.store.array(keys[2], "c2"))
