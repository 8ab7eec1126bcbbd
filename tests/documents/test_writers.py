"""Detectors that keep their file open, or open it again for each block of frames, while an agent reads it."""

import threading

import h5py
import hdf5plugin
import numpy as np
import pytest

from ainerd.documents import FrameReader, MissingFrames
from sim_devices import WrittenElsewhere

SHAPE, N = (20, 30), 240
MOVIE = np.random.default_rng(0).poisson(0.5, (N, *SHAPE)).astype(np.uint16)


@pytest.fixture(scope="module")
def chunks(tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "movie.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("d", data=MOVIE, chunks=(1, *SHAPE), **hdf5plugin.Bitshuffle(cname="lz4"))
        return [data.id.read_direct_chunk((i, 0, 0))[1] for i in range(N)]


@pytest.mark.fault(
    "The detector opens its file again for each block of frames, while the agent reads it",
    "No point of a scan fails, and each has its result",
)
@pytest.mark.parametrize("how", ["open with SWMR", "opened again", "opened again with SWMR"])
def test_no_writer_is_disturbed(tmp_path, chunks, how):
    """The writer is another process, as at a beamline; it would raise OSError here."""
    file, pixels, frames, ends = WrittenElsewhere(tmp_path, SHAPE, how), np.arange(600), [], threading.Event()

    def read():
        while sum(map(len, frames)) < N and not ends.is_set():
            try:
                reader, first = FrameReader(file.path, "entry/data/data", pixels, SHAPE), sum(map(len, frames))
                frames.append(reader.read(first, first + 10))
            except MissingFrames:
                ends.wait(0.001)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        for first in range(0, N, 10):
            file.append(chunks[first : first + 10])
        file.close()
        reading.join(60)
    finally:
        ends.set()
    assert np.array_equal(np.concatenate(frames), MOVIE.reshape(N, -1))
