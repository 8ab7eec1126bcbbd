"""Compressed frames, read by HDF5's own filter."""

import h5py
import hdf5plugin  # noqa: F401 - registers the filter
import numpy as np
import pytest

from sim_devices import Geometry
from sim_devices._bslz4 import compress, header, shuffle
from sim_devices._frames import DATASET, FrameEncoder, FrameFile

GEOMETRIES = {
    "lambda": Geometry(),
    "small": Geometry(shape=(128, 192), beam_center_px=(64.0, 96.0)),
    "odd": Geometry(shape=(131, 157), beam_center_px=(65.5, 78.5)),  # 20567 pixels: a short block, and 7 pixels raw
    "ring to the end": Geometry(shape=(131, 157), beam_center_px=(90.0, 110.0)),
}


def test_shuffle_is_hdf5_s(tmp_path):
    frame = np.random.default_rng(0).integers(0, 2**16, (64, 64), dtype=np.uint16)
    shuffled = np.empty(2 * frame.size, np.uint8)
    shuffle(frame.ravel(), shuffled)
    file = FrameFile(tmp_path, "one", frame.shape)
    file.append([header(frame.size) + compress(shuffled)])
    file.close()
    with h5py.File(file.path) as read:
        assert np.array_equal(read[DATASET][0], frame)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_frames_read_back(geometry, tmp_path):
    rng = np.random.default_rng(0)
    encoder = FrameEncoder(geometry, 0.5, rng)
    counts = rng.poisson(0.5, (48, encoder.ring.size)).astype(np.uint16)
    counts[3, :5] = [0, 1, 255, 256, 65535]
    file = FrameFile(tmp_path, "some", geometry.frame_shape)
    for start in (0, 24):
        file.append(encoder.encode(counts[start : start + 24], rng))
    file.close()
    with h5py.File(file.path) as read:
        data = read[DATASET]
        assert data.shape == (48, *geometry.frame_shape) and data.chunks == (1, *geometry.frame_shape)
        frames = data[:].reshape(48, -1)
    assert np.array_equal(frames[:, encoder.ring], counts)
    assert not frames[:, geometry.dead.ravel()].any()
    outside = np.setdiff1d(np.flatnonzero(~geometry.dead), encoder.ring)
    expected = 0.5 * geometry.profile.ravel()[outside].sum()
    # 48 frames of background come from 16 drawn ones, so there are that many independent ones at most.
    assert frames[:, outside].sum(1).mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / 10))
    assert len({frame.tobytes() for frame in frames[:, outside]}) == 48


def test_file_grows_under_a_reader(tmp_path, small):
    rng = np.random.default_rng(0)
    encoder = FrameEncoder(small, 0.5, rng)
    counts = rng.poisson(0.5, (6, encoder.ring.size)).astype(np.uint16)
    file = FrameFile(tmp_path, "live", small.frame_shape)
    with h5py.File(file.path, "r", libver="latest", swmr=True) as reader:
        for k in range(3):
            file.append(encoder.encode(counts[2 * k : 2 * k + 2], rng))
            reader[DATASET].id.refresh()
            assert reader[DATASET].shape[0] == 2 * k + 2
            assert np.array_equal(reader[DATASET][2 * k + 1].ravel()[encoder.ring], counts[2 * k + 1])
    file.close()
    file.close()
