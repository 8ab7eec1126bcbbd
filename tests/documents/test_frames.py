import os

import h5py
import hdf5plugin
import numpy as np
import pytest

from ainerd.documents import FrameError, FrameReader, MissingFrames

SHAPE = (20, 30)
PIXELS = np.array([5, 599, 0, 77, 300])
OLD = 1e9, 1e9  # times of a file that nobody writes any more


@pytest.fixture
def movie():
    return np.random.default_rng(0).poisson(0.5, (12, *SHAPE)).astype(np.uint16)


@pytest.fixture
def written(tmp_path, movie):
    path = tmp_path / "frames.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("entry/data/data", data=movie, chunks=(1, *SHAPE), **hdf5plugin.Bitshuffle(cname="lz4"))
    return path


def test_blocks_come_in_order_and_cover_all(written, movie):
    reader = FrameReader(written, "entry/data/data", PIXELS, SHAPE)
    blocks = list(reader.blocks(1, 12, size=2))
    assert [len(block) for block in blocks] == [2, 2, 2, 2, 2, 1]
    assert np.array_equal(np.concatenate(blocks), movie[1:].reshape(11, -1)[:, PIXELS])
    assert list(reader.blocks(3, 3)) == []


@pytest.mark.parametrize("pixels", [[], [-1], [600]])
def test_pixels_outside_the_frame_are_refused(written, pixels):
    with pytest.raises(FrameError, match="flat indices in frames of 20 × 30"):
        FrameReader(written, "entry/data/data", np.array(pixels, int), SHAPE)


@pytest.mark.parametrize(
    ("dataset", "shape", "message"),
    [("entry/data/data", (30, 20), "expected"), ("entry/data", SHAPE, "no such dataset"), ("nope", SHAPE, "no such")],
)
def test_a_dataset_that_does_not_fit_is_refused(written, dataset, shape, message):
    with pytest.raises(FrameError, match=message):
        FrameReader(written, dataset, PIXELS, shape)


def test_another_file_format_is_refused(tmp_path):
    (tmp_path / "broken.h5").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(MissingFrames, match="is being written"):
        FrameReader(tmp_path / "broken.h5", "d", PIXELS, SHAPE)
    os.utime(tmp_path / "broken.h5", OLD)
    with pytest.raises(FrameError, match="cannot open"):
        FrameReader(tmp_path / "broken.h5", "d", PIXELS, SHAPE)


@pytest.mark.parametrize("fill", [0, 7])
@pytest.mark.parametrize("dtype", ["u2", "f4"])
@pytest.mark.parametrize("is_virtual", [True, False])
def test_frames_that_nobody_wrote_are_dark(tmp_path, fill, dtype, is_virtual):
    frames = np.arange(12 * 6, dtype=dtype).reshape(12, 2, 3)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        data = file.create_dataset("d", shape=frames.shape, dtype=dtype, chunks=(1, 2, 3), fillvalue=fill)
        data[:4], data[8:] = frames[:4], frames[8:]
    os.utime(tmp_path / "f.h5", OLD)
    layout = h5py.VirtualLayout(frames.shape, dtype)
    for part in (slice(0, 4), slice(8, 12)):
        layout[part] = h5py.VirtualSource(str(tmp_path / "f.h5"), "d", shape=frames.shape)[part]
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("d", layout, fillvalue=fill)
    reader = FrameReader(tmp_path / ("v.h5" if is_virtual else "f.h5"), "d", np.arange(6), (2, 3))
    got = reader.read(0, 12)
    frames[4:8] = 0
    np.testing.assert_array_equal(got, frames.reshape(12, 6))
