"""Frames: their photons, and how HDF5's own filter reads them back."""

import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import pytest

from sim_devices import DATASET, FrameFile, FrameMaker, Geometry

GEOMETRIES = {
    "lambda": Geometry(bad_share=1e-3),
    "small": Geometry(shape=(128, 192), beam_center_px=(64.0, 96.0)),
    "odd": Geometry(shape=(131, 157), beam_center_px=(65.5, 78.5)),  # 20567 pixels: a short block, and 7 pixels raw
    "ring to the end": Geometry(shape=(131, 157), beam_center_px=(90.0, 110.0)),
}


def read(path, name=DATASET):
    with h5py.File(path) as file:
        return file[name][()]


@pytest.fixture
def write(tmp_path):
    """Chunks to frames, through a file."""

    def through(chunks, shape):
        file = FrameFile(tmp_path, "some", np.zeros(shape, np.uint32))
        file.append(chunks, np.arange(len(chunks)) / 10)
        file.close()
        return read(file.path)

    return through


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_frames_read_back(geometry, write):
    rng = np.random.default_rng(0)
    maker, level = FrameMaker(geometry), np.full(48, 0.5)
    counts = maker.count(np.ones((48, maker.ring.size), np.float32), level, 0.1, rng)
    counts[3, :5] = [0, 1, 255, 256, 65535]
    lost = np.zeros(48, bool)
    lost[[0, 30]] = True
    frames = np.concatenate(
        [
            write(maker.encode(counts[rows], level[rows], 0.1, rng, lost=lost[rows]), geometry.frame_shape)
            for rows in (slice(0, 24), slice(24, 48))
        ]
    ).reshape(48, -1)
    assert not frames[lost].any()
    assert np.array_equal(frames[~lost][:, maker.ring], counts[~lost])
    assert not frames[:, (geometry.bad_pixels & (geometry.hot_hz == 0)).ravel()].any()
