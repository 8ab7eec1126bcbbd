"""Files of Rigaku and IMM: files of the simulated detector are read again, and corrupt files are refused."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_xpcs.numerics import EventFileError, Events, Partition, read_imm, read_rigaku, read_ufxc, rigaku_gaps
from sim_devices import Rigaku3M, rigaku_words, sparse_speckle, write_rigaku, write_rigaku_3m, write_words

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
    frames = frames_of(1, 12)
    frames[4:7] = 0
    frames[2, :10, :10] = 4095
    path = tmp_path / "a.bin"
    write_rigaku(path, frames[:5], order=order)
    write_rigaku(path, frames[5:], first=5, order=order)
    blocks = list(read_rigaku(path, module, order=order, block=4))
    np.testing.assert_array_equal(dense(blocks, 12, len(module.pixels)), module.gather(frames))
    assert [x.stop for x in blocks] == [4, 8, 12]
    assert all(set(x.ticks).isdisjoint({4, 5, 6}) for x in blocks)
    other = {"rows": "columns", "columns": "rows"}[order]
    assert not np.array_equal(
        dense(read_rigaku(path, module, order=other), 12, len(module.pixels)), module.gather(frames)
    )


def test_words_do_not_depend_on_how_much_is_read_at_a_time(tmp_path, module, monkeypatch):
    path = tmp_path / "a.bin"
    write_words(path, sparse_speckle(20, 0.0001, seed=2))
    wanted = dense(read_rigaku(path, module, order="rows"), 20, len(module.pixels))
    for words in (7, 1000):
        monkeypatch.setattr("ainerd_xpcs.numerics._rigaku.WORDS", words)
        np.testing.assert_array_equal(
            dense(read_rigaku(path, module, order="rows", block=7), 20, len(module.pixels)), wanted
        )
    assert wanted.any()


def test_frames_count_on_where_their_number_wraps(tmp_path, module):
    path, pixel = tmp_path / "a.bin", module.pixels[5]
    ticks = np.array([0, 1 << 22, (1 << 23) + 5, (1 << 24) - 1, 1 << 24, (1 << 24) + 7, 5 << 22, 6 << 22])
    write_words(path, [rigaku_words(ticks, np.full(8, pixel), np.arange(1, 9))])
    blocks = list(read_rigaku(path, module, order="rows"))
    assert np.concatenate([x.ticks for x in blocks]).tolist() == ticks.tolist()
    assert np.concatenate([x.count for x in blocks]).tolist() == list(range(1, 9))
    assert blocks[-1].stop == (6 << 22) + 1 and len(blocks) < 10


def test_bits_without_a_meaning_are_ignored(tmp_path, module):
    path, other = tmp_path / "a.bin", tmp_path / "b.bin"
    words = np.concatenate(list(sparse_speckle(10, 0.001)))
    write_words(path, [words])
    write_words(other, [words | np.uint64(0b111 << 37 | 0b1111 << 12)])
    for a, b in zip(*(read_rigaku(x, module, order="rows") for x in (path, other)), strict=True):
        np.testing.assert_array_equal(a.pixel, b.pixel)
        np.testing.assert_array_equal(a.count, b.count)


def test_the_six_files_of_3m(tmp_path):
    whole = part_of(CANVAS)
    frames = np.zeros((6, *CANVAS), np.uint16)
    rng = np.random.default_rng(3)
    for t in (0, 1, 3, 5):
        frames[t].ravel()[rng.integers(0, frames[t].size, 3000)] = rng.integers(1, 9, 3000)
    frames[1, :800] = 0  # modules that see nothing of a frame
    path = tmp_path / "a.bin"
    write_rigaku_3m(path, frames[:2])
    write_rigaku_3m(path, frames[2:], first=2)
    gap = np.zeros(CANVAS, bool)
    gap[512:582], gap[1094:1164], gap[:, 1024:1076] = True, True, True
    wanted = whole.gather(np.where(gap, 0, frames))
    for name in ("a.bin.000", "a.bin"):
        blocks = list(read_rigaku(tmp_path / name, whole, order="rows", n_frames=8, block=4))
        np.testing.assert_array_equal(dense(blocks, 8, len(whole.pixels))[:6], wanted)
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


@pytest.mark.parametrize("order", ["rows", "columns"])
def test_whole_frames_are_given_now_and_then(tmp_path, module, order):
    frames, path, viewer = frames_of(6, 33), tmp_path / "a.bin", Viewer()
    frames[10:28] = 0
    write_rigaku(path, frames, order=order)
    for _ in read_rigaku(path, module, order=order, n_frames=40, block=8, viewer=viewer):
        pass
    assert list(viewer.frames) == [4, 9, 14, 19, 24, 29, 34, 39]
    for number, frame in viewer.frames.items():
        np.testing.assert_array_equal(frame, frames[number] if number < 33 else 0)


def test_the_detector_of_3m_writes_six_files(tmp_path):
    whole, viewer = part_of(CANVAS), Viewer()
    path = Rigaku3M(photons=0.001).acquire(tmp_path / "b", "b", 12)
    assert sorted(x.name for x in path.parent.iterdir()) == [*(f"b.bin.00{n}" for n in range(6)), "b_metadata.hdf"]
    blocks = list(read_rigaku(path, whole, order="rows", n_frames=12, viewer=viewer))
    frames = dense(blocks, 12, len(whole.pixels))
    np.testing.assert_array_equal(frames[[4, 9]], whole.gather(np.stack(list(viewer.frames.values()))))
    gaps = rigaku_gaps(CANVAS)
    assert gaps.sum() == gaps.size - 6 * 2**19 and viewer.frames[4][gaps].sum() == 0
    assert viewer.frames[4].sum() == pytest.approx(0.001 * 6 * 2**19, rel=0.1)
    assert frames.sum() == pytest.approx(12 * 0.001 * len(whole.pixels) * 6 * 2**19 / (1676 * 2100), rel=0.1)


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
    with pytest.raises(ValueError, match=r"\(100, 100\) fits neither"):
        next(read_rigaku(path, part_of((100, 100)), order="rows"))
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
    path.write_bytes(words.tobytes()[:-3])
    with pytest.raises(EventFileError, match="bad.bin ends within a word, 5 bytes after word 9"):
        list(read_rigaku(path, module, order="rows"))
    with pytest.raises(EventFileError, match="missing"):
        list(read_rigaku(tmp_path / "none.bin", module, order="rows"))


@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_give_events_or_an_error(tmp_path_factory, module, data):
    path = tmp_path_factory.mktemp("x") / "a.bin"
    path.write_bytes(data)
    for read in (lambda: read_rigaku(path, module, order="rows"), lambda: read_imm(path, module)):
        try:
            for number, events in enumerate(read()):
                assert isinstance(events, Events) and number < 100
        except ValueError as err:
            assert str(path) in str(err)


def imm(frames, is_sparse, first=7, gap=0):
    """IMM of frames (b, ny, nx), whose second half begins `gap` frames late."""
    out = b""
    for t, frame in enumerate(frames):
        flat, number = frame.ravel(), first + t + gap * (t >= len(frames) // 2)
        pixel = np.flatnonzero(flat)
        n = pixel.size if is_sparse else flat.size
        header = bytearray(1024)
        struct.pack_into("<ii", header, 0, 2, 6 if is_sparse else 0)
        struct.pack_into("<iii", header, 108, *frame.shape, 2)
        struct.pack_into("<IiI", header, 152, n, 0, number)
        values = pixel.astype("<i4").tobytes() + flat[pixel].astype("<u2").tobytes()
        out += bytes(header) + (values if is_sparse else flat.astype("<u2").tobytes())
    return out


@pytest.mark.parametrize("words", [100, 1 << 20])
def test_ufxc_is_read_as_written(tmp_path, words):
    """Words by the layout of xpcs-eigen, out of order by some frames, past the wrap of the frame number."""
    small, path = part_of((128, 256)), tmp_path / "a.bin"
    rng = np.random.default_rng(5)
    frames = np.sort(rng.integers(0, 5000, 20_000))
    pixel, count = rng.integers(0, 128 * 256, 20_000), rng.integers(1, 4, 20_000)
    order = np.argsort(frames + rng.uniform(0, 30, 20_000), kind="stable")
    word = (frames % 2048) << 21 | count << 15 | pixel
    path.write_bytes(word[order].astype("<u4").tobytes())
    expected = np.zeros((5000, 128, 256), np.uint32)
    np.add.at(expected, (frames, pixel % 128, pixel // 128), count)  # column by column
    blocks = list(read_ufxc(path, small, words=words))
    assert len(blocks) == 2 if words > 20_000 else len(blocks) > 10
    np.testing.assert_array_equal(dense(blocks, 5000, len(small.pixels)), small.gather(expected))
    path.write_bytes(b"123")
    with pytest.raises(EventFileError, match="ends within a word"):
        list(read_ufxc(path, small))
    with pytest.raises(ValueError, match=r"the q map has \(20, 30\)"):
        list(read_ufxc(path, part_of((20, 30))))


@pytest.mark.parametrize("words", [1, 5, 76, 1 << 20])
@pytest.mark.parametrize(("late", "is_refused"), [(6951, True), (6952, False)])
def test_a_word_2048_frames_late_is_read_and_a_later_one_is_named(tmp_path, words, late, is_refused):
    path, before = tmp_path / "a.bin", range(0, 9001, 40)
    frames = [*before, 8600, 8200, 8184, 7600, 7000, late, 8000, 8180, 8200, 9000]
    path.write_bytes(np.array([(frame % 2048) << 21 | 1 << 15 for frame in frames], "<u4").tobytes())
    read = read_ufxc(path, Partition.from_roi_map(np.ones((128, 256), int)), words=words)
    if is_refused:
        with pytest.raises(EventFileError, match=rf"a\.bin, word {len(before) + 5}: frame {late} after frame 9000"):
            list(read)
    else:
        assert np.concatenate([events.ticks for events in read]).tolist() == sorted({*frames})


@pytest.mark.parametrize("is_sparse", [True, False])
def test_imm_is_read_as_written(tmp_path, is_sparse):
    small, path = part_of((20, 30)), tmp_path / "a.imm"
    frames = frames_of(4, 10, 0.1, (20, 30))
    data = imm(frames, is_sparse, gap=3)
    path.write_bytes(data)
    blocks = list(read_imm(path, small, block=4))
    late = np.insert(frames, [5, 5, 5], 0, axis=0)
    np.testing.assert_array_equal(dense(blocks, 13, len(small.pixels)), small.gather(late))
    assert np.concatenate([x.ticks for x in blocks]).tolist() == [0, 1, 2, 3, 4, 8, 9, 10, 11, 12]
    for cut, message in ((len(data) - 1, "ends within a frame"), (1000, "within a header"), (0, "holds no frame")):
        path.write_bytes(data[:cut])
        with pytest.raises(EventFileError, match=message):
            list(read_imm(path, small))
    path.write_bytes(data + data)
    with pytest.raises(EventFileError, match="frame 7 after frame 19"):
        list(read_imm(path, small))
    with pytest.raises(ValueError, match=r"shape \(20, 30\), the q map has \(30, 20\)"):
        list(read_imm(path, part_of((30, 20))))
