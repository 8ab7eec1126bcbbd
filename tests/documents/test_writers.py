"""Detectors that keep their file open, or open it again for each block of frames, while an agent analyses a scan."""

import threading
from contextlib import closing

import h5py
import hdf5plugin
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plans as bp
from ophyd import DeviceStatus
from ophyd.sim import SynAxis

from ainerd.agent import Agent
from ainerd.config import Settings
from ainerd.novelty import find_regimes
from ainerd.plans import Devices
from ainerd.server import open_catalog
from ainerd.technique import Analysis, RunAnalysis, Technique
from sim_devices import StreamingDetector, WrittenElsewhere

SHAPE, POINTS, FRAMES = (20, 30), 2, 120  # an exposure is more than one block for the reader
MOVIE = np.random.default_rng(0).poisson(0.5, (POINTS * FRAMES, *SHAPE)).astype(np.uint16)
WRITERS = [  # in another process, as at a beamline
    (WrittenElsewhere, "open with SWMR"),
    (WrittenElsewhere, "opened again"),
    (WrittenElsewhere, "opened again with SWMR"),
]


class Copies(Technique):
    """A technique that keeps the frames, and says when it got the first of an exposure."""

    name, unit, alpha, embedding_size, regime_width = "copies", "event", 0.05, 1, 1.0
    parameters = {"technique": "copies"}

    def __init__(self):
        self.read = threading.Semaphore(0)

    def begin(self, run):
        return Copy(self.read)

    def regimes(self, embeddings, previous=None):
        return find_regimes(embeddings, previous, width=self.regime_width)


class Copy(RunAnalysis):
    def __init__(self, read):
        self.pixels, self._read, self._frames = np.arange(SHAPE[0] * SHAPE[1]), read, []

    def push(self, block, first):
        self._frames.append(np.array(block))
        if first == 0:
            self._read.release()

    def finish(self):
        frames = np.concatenate(self._frames)
        return Analysis(embedding=np.zeros(1, np.float32), novelty_p=None, arrays={"frames": frames})


class Detector(StreamingDetector):
    """Writes an exposure in two blocks when it is triggered, as soon as the agent has begun to read the last one."""

    def __init__(self, chunks, make, last_is_read):
        super().__init__("", name="det")
        self._chunks, self._make, self._last_is_read = chunks, make, last_is_read
        self._frames_per_index = FRAMES

    def stage(self):
        self._file = self._make()
        self.restart(self._file.path, 1, *SHAPE)
        return super().stage()

    def unstage(self):
        self._file.close()
        return super().unstage()

    def trigger(self):
        if self._written:
            assert self._last_is_read.acquire(timeout=60)
        for _ in range(2):
            self._file.append(self._chunks[self._written : self._written + FRAMES // 2])
            self._written += FRAMES // 2
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def describe(self):
        return {**super().describe(), **self.describe_image(FRAMES, *SHAPE)}


@pytest.fixture(scope="module")
def chunks(tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "movie.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("d", data=MOVIE, chunks=(1, *SHAPE), **hdf5plugin.Bitshuffle(cname="lz4"))
        return [data.id.read_direct_chunk((i, 0, 0))[1] for i in range(len(data))]


@pytest.fixture(scope="module")
def attached(server, tmp_path_factory):
    """An agent of that technique, attached to a RunEngine, and the folder of its frames."""
    folder, engine = tmp_path_factory.mktemp("writers"), RunEngine({}, context_managers=[])
    described = {
        "name": "writers",
        "technique": "copies",
        "detector": {"image": "det_image"},
        "steering": {"bounds": {"x": [0.0, 10.0]}},
        "storage": {"directory": str(folder / "tiled"), "frames": [str(folder)], "late_s": 5.0},
    }
    client, x = server.client().create_container(folder.name), SynAxis(name="x")
    open_catalog(client)
    settings, technique = Settings.of(described, folder), Copies()
    with closing(Agent(technique, client, settings, None, Devices(None, [x]))) as agent:
        agent.quiet = True
        agent.start()
        agent.attach(engine)
        yield agent, technique, engine, folder


@pytest.mark.fault(
    "The detector opens its file again for each block of frames, while the agent reads it",
    "No point of a scan fails, and each has its result",
)
@pytest.mark.parametrize(("kind", "how"), WRITERS)
def test_no_writer_is_disturbed(attached, chunks, kind, how):
    agent, technique, engine, folder = attached
    technique.read = threading.Semaphore(0)
    detector, x = Detector(chunks, lambda: kind(folder, SHAPE, how), technique.read), SynAxis(name="x")
    (uid,) = engine(bp.scan([detector], x, 1, 7, POINTS))
    assert technique.read.acquire(timeout=60) and agent.drain(60)
    table = agent.results.table()
    table = table[table["raw_uid"] == uid].sort_values("event")
    assert table["status"].tolist() == ["complete"] * POINTS, table["reason"].dropna().tolist()
    frames = [agent.results.array(key, "frames") for key in table.index]
    assert np.array_equal(np.concatenate(frames), MOVIE.reshape(len(MOVIE), -1))
