"""Whole frames of a file; test_elsewhere.py covers other sources."""

import h5py
import hdf5plugin
import numpy as np
import pytest

from ainerd.documents import FrameReader, Whole

PIXELS = np.array([13, 29, 2, 17])
N, NY, NX = 60, 5, 6
LAYOUTS = {
    "bitshuffle": {"chunks": True, **hdf5plugin.Bitshuffle(cname="lz4")},
    "plain chunks": {"chunks": True},
    "contiguous": {},
    "gzip, four at a time": {"chunks": (4, 5, 6), "compression": "gzip"},
}


class Sees:
    """Keeps what it gets; with `until`, `every` doubles after so many frames."""

    def __init__(self, every, until=10**9):
        self.every, self.until, self.seen, self.pushed = every, until, {}, 0

    def whole(self, frame, number):
        assert number not in self.seen and not frame.flags.writeable
        assert self.pushed > number  # its block has come
        self.seen[number] = frame.copy()
        if len(self.seen) == self.until:
            self.every *= 2

    def take(self, blocks):
        taken = []
        for block in blocks:
            self.pushed += len(block)
            taken.append(block)
        return np.concatenate(taken)

    def require(self, movie, numbers):
        assert list(self.seen) == list(numbers)
        assert all(np.array_equal(frame, movie[number]) for number, frame in self.seen.items())


@pytest.fixture(scope="module")
def movie():
    return np.random.default_rng(0).poisson(1.0, (N, NY, NX)).astype(np.uint16)


@pytest.fixture(params=LAYOUTS)
def reader(request, tmp_path, movie):
    layout = LAYOUTS[request.param]
    layout = layout | ({"chunks": (1, 5, 6)} if layout.get("chunks") is True else {})
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("d", data=movie, **layout)
    reader = FrameReader(tmp_path / "m.h5", "d", PIXELS, movie.shape[1:])
    yield reader


@pytest.mark.parametrize(("every", "numbers"), [(None, []), (1, range(N)), (7, range(6, N, 7)), (61, [])])
def test_every_kth_frame_is_passed_on(reader, movie, every, numbers):
    sees = Sees(every)
    blocks = sees.take(reader.blocks(0, N, 8, whole=Whole(sees)))
    np.testing.assert_array_equal(blocks, movie.reshape(N, -1)[:, PIXELS])
    sees.require(movie, numbers)


def test_few_whole_frames_are_held():
    most = 32 * 2**20  # bytes
    assert [Whole(Sees(3)).block(50, size) for size in (most // 4, 10 * most)] == [12, 3]
    assert Whole(Sees(None)).block(50, 10 * most) == 50


@pytest.mark.parametrize("size", [1, 4, 50])
def test_every_may_grow_while_frames_are_read_ahead(reader, movie, size):
    sees = Sees(2, until=5)
    sees.take(reader.blocks(0, N, size, whole=Whole(sees)))
    sees.require(movie, [1, 3, 5, 7, 9, *range(11, N, 4)])
