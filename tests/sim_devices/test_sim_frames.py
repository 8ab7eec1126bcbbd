"""Frames: their photons, and how HDF5's own filter reads them back."""

import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import pytest

from sim_devices import Geometry
from sim_devices._frames import (
    DATASET,
    FrameFile,
    FrameMaker,
)

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


def test_photons_outside_the_ring_are_poisson_s_and_new_in_each_frame(write):
    """Mean, variance, and covariance of two frames, over the pixels without speckle; at two levels."""
    geometry, rng = GEOMETRIES["small"], np.random.default_rng(0)
    maker, level = FrameMaker(geometry), np.repeat([0.5, 2.0], 400)
    counts = np.zeros((level.size, maker.ring.size), np.uint16)
    frames = write(maker.encode(counts, level, 0.1, rng), geometry.frame_shape).reshape(level.size, -1).astype(float)
    outside = np.setdiff1d(np.flatnonzero(~geometry.bad_pixels), maker.ring)
    relative = frames[:, outside] - level[:, None] * geometry.profile.ravel()[outside]
    expected = level * geometry.profile.ravel()[outside].sum()
    z = (frames[:, outside].sum(1) - expected) / np.sqrt(expected)
    assert abs(z.mean()) < 4 / np.sqrt(z.size) and z.std() == pytest.approx(1, abs=0.1)
    for rows, mean in ((slice(0, 400), 0.5), (slice(400, 800), 2.0)):
        photons = mean * geometry.profile.ravel()[outside]
        error = 4 * np.sqrt(((1 + 2 * photons) * photons).sum() / 400) / photons.sum()
        assert (relative[rows] ** 2).mean(0).sum() / photons.sum() == pytest.approx(1, abs=error)
    shared = (relative[:-1] * relative[1:]).sum(1)
    assert abs(shared.mean()) < 4 * shared.std() / np.sqrt(shared.size)
