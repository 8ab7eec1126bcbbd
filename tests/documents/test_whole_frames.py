"""Whole frames of a file; test_elsewhere.py covers other sources."""

from types import SimpleNamespace

import h5py
import hdf5plugin
import numpy as np
import pytest
from tiled.ndslice import NDSlice

from ainerd.documents import FrameError, FrameReader, MissingFrames, Whole
from ainerd.documents._tiled_frames import TiledFrames

WHOLE_BYTES = 32 * 2**20  # of whole frames in a block
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


@pytest.mark.parametrize("size", [1, 4, 50])
def test_every_may_grow_while_frames_are_read_ahead(reader, movie, size):
    sees = Sees(2, until=5)
    sees.take(reader.blocks(0, N, size, whole=Whole(sees)))
    sees.require(movie, [1, 3, 5, 7, 9, *range(11, N, 4)])


def test_few_whole_frames_are_held():
    sees = Sees(3)
    assert Whole(sees).block(50, WHOLE_BYTES // 4) == 12
    assert Whole(sees).block(50, 10 * WHOLE_BYTES) == 3
    assert Whole(Sees(None)).block(50, 10 * WHOLE_BYTES) == 50


@pytest.mark.parametrize("first", [0, 3, 100])
@pytest.mark.parametrize("every", [1, 4, 7])
def test_the_last_of_each_few_frames_is_whole(every, first):
    whole = Whole(Sees(every), first)
    for start, stop in ((first, first + 30), (first + 5, first + 6), (first + 11, first + 29)):
        numbers = [i for i in range(start, stop) if (i - first) % every == every - 1]
        assert whole.indices(start, stop) == numbers
    assert whole.moved(8).first == first + 8 and whole.moved(8).viewer is whole.viewer
    megabytes = WHOLE_BYTES // 4
    assert whole.block(1000, megabytes) == 4 * every  # four frames of a quarter are whole at a time
    assert whole.block(3, megabytes) == 3 and whole.block(1000, 5 * WHOLE_BYTES) == every
    assert Whole().indices(0, 9) == [] and Whole().block(50, 1000) == 50


class Catalog(dict):
    """Runs by uid, with the attributes of a client of Tiled."""


@pytest.mark.parametrize("shape", [(12, NY, NX), (4, 3, NY, NX), (12, 1, NY, NX)])
@pytest.mark.parametrize("last", [1, 2, 12])
def test_tiled_is_asked_for_the_window_of_the_pixels(movie, monkeypatch, shape, last):
    """The stream has two frames before the resource; an index may hold several frames, and a request only one index."""
    held, asked = np.arange(np.prod(shape)).reshape(shape), []
    node = SimpleNamespace(shape=shape, dtype=held.dtype, item={"links": {"full": "here"}})

    def get(link, *, params, headers):
        asked.append(NDSlice.from_numpy_str(params["slice"]))
        part = held[tuple(asked[-1])]
        assert params["expected_shape"] == ",".join(map(str, part.shape))
        return SimpleNamespace(status_code=200, is_error=False, read=part.tobytes)

    raw = Catalog({"uid": {"det": SimpleNamespace(base={"image": node})}})
    raw.context = SimpleNamespace(http_client=SimpleNamespace(get=get))
    monkeypatch.setattr("ainerd.documents._tiled_frames.BLOCK", 4)
    about = {"offset": 2, "why": "no file"}
    frames = TiledFrames(raw, ("uid", "det", "image"), PIXELS, (NY, NX), **about)
    sees = Sees(3)
    blocks = sees.take(frames.blocks(0, last - 2 if last > 2 else last, whole=Whole(sees)))
    every = held.reshape(-1, NY, NX)[2:]
    np.testing.assert_array_equal(blocks, every.reshape(len(every), -1)[: len(blocks), PIXELS])
    sees.require(every, range(2, len(blocks), 3))
    windows = [each for each in asked if each[-2:] == np.s_[0:5, 1:6]]  # pixels 13, 29, 2 and 17
    assert len(windows) >= len(blocks) / 4 and all(len(each) == len(shape) for each in asked)
    first = TiledFrames(raw, ("uid", "det", "image"), PIXELS, (NY, NX), offset=0, why="no file")
    (block,) = first.blocks(0, 1, whole=Whole())
    assert block.tolist() == [held.ravel()[PIXELS].tolist()]
    with pytest.raises(MissingFrames, match="no file, and Tiled holds 12 frames of uid/det/image, 13 were announced"):
        list(frames.blocks(8, 11, whole=Whole()))
    with pytest.raises(MissingFrames, match="no file, and Tiled has no uid/other/image"):
        list(
            TiledFrames(Catalog({"uid": {}}), ("uid", "other", "image"), PIXELS, (NY, NX), **about).blocks(
                0, 1, whole=Whole()
            )
        )
    with pytest.raises(FrameError, match=r"of shape .*, expected frames of \(6, 5\)"):
        list(TiledFrames(raw, ("uid", "det", "image"), PIXELS, (NX, NY), **about).blocks(0, 1, whole=Whole()))
