"""Files of Rigaku: files of the simulated detector are read again, and corrupt files are refused."""

import numpy as np
import pytest

from ainerd_files import EventFileError, read_rigaku, rigaku_gaps
from ainerd_xpcs.numerics import Partition
from sim_devices import rigaku_words, sparse_speckle, write_rigaku, write_rigaku_3m, write_words

MODULE, CANVAS = (512, 1024), (1676, 2100)


def part_of(shape, seed=0):
    """Three bins of scattered pixels."""
    roi_map = np.random.default_rng(seed).integers(-40, 4, shape).clip(0)
    return Partition.from_roi_map(roi_map)


@pytest.fixture(scope="module")
def module():
    return part_of(MODULE)


def dense(blocks, n_frames, n_pixels):
    out = np.zeros((n_frames, n_pixels), int)
    for events in blocks:
        for t, a, b in zip(events.ticks, events.offsets[:-1], events.offsets[1:], strict=True):
            out[t, events.pixel[a:b]] = events.count[a:b]
    return out


def frames_of(seed, n, photons=0.01, shape=MODULE):
    return np.random.default_rng(seed).poisson(photons, (n, *shape)).astype(np.uint16)


@pytest.mark.parametrize("order", ["rows", "columns"])
def test_rigaku_is_read_as_written(tmp_path, module, order):
    """Of 32,768 words that are read at a time, the last ones are in the middle of a frame."""
    frames = frames_of(1, 12, photons=0.05)
    frames[4:7] = 0
    frames[2, :10, :10] = 4095
    path = tmp_path / "a.bin"
    write_rigaku(path, frames[:5], order=order)
    write_rigaku(path, frames[5:], first=5, order=order)
    blocks = list(read_rigaku(path, module, order=order, block=4))
    np.testing.assert_array_equal(dense(blocks, 12, len(module.pixels)), module.gather(frames))
    assert [x.stop for x in blocks] == [4, 8, 12]
    assert all(set(x.ticks).isdisjoint({4, 5, 6}) for x in blocks)


def test_frames_count_on_where_their_number_wraps(tmp_path, module):
    path, pixel = tmp_path / "a.bin", module.pixels[5]
    ticks = np.array([0, 1 << 22, (1 << 23) + 5, (1 << 24) - 1, 1 << 24, (1 << 24) + 7, 5 << 22, 6 << 22])
    write_words(path, [rigaku_words(ticks, np.full(8, pixel), np.arange(1, 9))])
    blocks = list(read_rigaku(path, module, order="rows"))
    assert np.concatenate([x.ticks for x in blocks]).tolist() == ticks.tolist()
    assert np.concatenate([x.count for x in blocks]).tolist() == list(range(1, 9))
    assert blocks[-1].stop == (6 << 22) + 1 and len(blocks) < 10


def test_the_six_files_of_3m(tmp_path):
    whole = part_of(CANVAS)
    frames = np.zeros((6, *CANVAS), np.uint16)
    rng = np.random.default_rng(3)
    for t in (0, 1, 4, 5):
        frames[t].ravel()[rng.integers(0, frames[t].size, 3000)] = rng.integers(1, 9, 3000)
    frames[1, :800] = 0  # modules that see nothing of a frame
    path = tmp_path / "a.bin"
    write_rigaku_3m(path, frames[:2])
    write_rigaku_3m(path, frames[2:], first=2)
    gap = np.zeros(CANVAS, bool)
    gap[512:582], gap[1094:1164], gap[:, 1024:1076] = True, True, True
    np.testing.assert_array_equal(rigaku_gaps(CANVAS), gap)
    wanted = np.where(gap, 0, frames)
    for name in ("a.bin.000", "a.bin"):
        viewer = Viewer()
        blocks = list(read_rigaku(tmp_path / name, whole, order="rows", n_frames=8, block=4, viewer=viewer))
        np.testing.assert_array_equal(dense(blocks, 8, len(whole.pixels))[:6], whole.gather(wanted))
        np.testing.assert_array_equal(viewer.frames[4], wanted[4])
        assert blocks[-1].stop == 8
    (tmp_path / "a.bin.003").unlink()
    with pytest.raises(EventFileError, match="missing: .*a.bin.003"):
        next(read_rigaku(path, whole, order="rows"))


class Viewer:
    every = 5

    def __init__(self):
        self.frames = {}

    def whole(self, frame, number):
        self.frames[number] = frame


def test_whole_frames_are_given_now_and_then(tmp_path, module):
    frames, path, viewer = frames_of(6, 33), tmp_path / "a.bin", Viewer()
    frames[10:28] = 0
    write_rigaku(path, frames, order="columns")
    for _ in read_rigaku(path, module, order="columns", n_frames=40, block=8, viewer=viewer):
        pass
    assert list(viewer.frames) == [4, 9, 14, 19, 24, 29, 34, 39]
    for number, frame in viewer.frames.items():
        np.testing.assert_array_equal(frame, frames[number] if number < 33 else 0)


def test_a_run_that_ends_early_and_a_part_of_a_word(tmp_path, module):
    path, words = tmp_path / "a.bin", np.concatenate(list(sparse_speckle(50, 0.001)))
    data = words.astype("<u8").tobytes()
    path.write_bytes(data[: len(data) // 16 * 8])
    *_, last = read_rigaku(path, module, order="rows", n_frames=50)
    assert last.stop == 50 and last.ticks[-1] < 30
    path.write_bytes(data[:8003])
    with pytest.raises(EventFileError, match="ends within a word, 3 bytes after word 1000"):
        list(read_rigaku(path, module, order="rows"))


def test_q_maps_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "a.bin"
    write_words(path, sparse_speckle(3, 0.001))
    with pytest.raises(ValueError, match="rows and columns exchanged.* fits neither"):
        next(read_rigaku(path, part_of((1024, 512)), order="rows"))

    with pytest.raises(ValueError, match="no order 'Fortran'"):
        next(read_rigaku(path, part_of(MODULE), order="Fortran"))


def test_corrupt_files_are_refused(tmp_path, module):
    words = rigaku_words(np.arange(10), np.arange(10), np.ones(10))
    cases = {
        "frame 3 after frame 7": words[[0, 7, 3]],
        "word 2: pixel 524288, of 524288 from 0": np.append(words[:2], rigaku_words(2, 1 << 19, 1)),
        "word 1: pixel 5, of 524288 from 1048576": rigaku_words([0, 1], [1 << 20, 5], [1, 1]),
        "frame 9 in a run of 9 frames": words,
        "holds no event": words[:0],
    }
    for message, bad in cases.items():
        path = tmp_path / "bad.bin"
        write_words(path, [bad])
        with pytest.raises(EventFileError, match=message):
            list(read_rigaku(path, module, order="rows", n_frames=9 if "run" in message else None))

    with pytest.raises(EventFileError, match="missing"):
        list(read_rigaku(tmp_path / "none.bin", module, order="rows"))
