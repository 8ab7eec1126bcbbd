"""Several readers of one file in one process."""

import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest

from ainerd.documents import FrameReader, MissingFrames
from ainerd.documents._frame_numbers import Column

SHAPE = (20, 30)
PIXELS = np.array([5, 599, 0, 77, 300])
MOVIE = np.random.default_rng(0).poisson(0.5, (12, *SHAPE)).astype(np.uint16)
LZ4 = dict(hdf5plugin.Bitshuffle(cname="lz4"))
LAYOUTS = {
    "extensible array": {"maxshape": (None, *SHAPE), **LZ4},
    "fixed array": LZ4,
    "implicit": {},
    "several frames": {"maxshape": (None, *SHAPE), "chunks": (5, *SHAPE)},
    "tiles": {"maxshape": (None, *SHAPE), "chunks": (1, 7, 11)},
    "B-tree": {"libver": "earliest", **LZ4},
}
WRITER = """
import sys, h5py, hdf5plugin, numpy as np
movie = np.load(sys.argv[2])
with h5py.File(sys.argv[1], "w", libver="latest") as file:
    bslz4 = hdf5plugin.Bitshuffle(cname="lz4")
    shape = movie.shape[1:]
    data = file.create_dataset("d", (0, *shape), "u2", maxshape=(None, *shape), chunks=(1, *shape), **bslz4)
    number = file.create_dataset("number", (0,), "i4", maxshape=(None,), chunks=(2,))
    file.swmr_mode = True
    print(flush=True)
    for line in sys.stdin:
        start, stop = len(data), int(line)
        for dataset, values in ((data, movie[start:stop]), (number, range(start, stop))):
            dataset.resize(stop, 0)
            dataset[start:] = values
            dataset.flush()
        print(flush=True)
"""


def put(path, *, libver="latest", **layout):
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("d", data=MOVIE, **{"chunks": (1, *SHAPE), **layout})
    return path


def expected(start, stop):
    return MOVIE[start:stop].reshape(stop - start, -1)[:, PIXELS]


@pytest.fixture
def growing(tmp_path):
    """A file and a function that lets another process write its frames up to a number."""
    np.save(tmp_path / "movie.npy", MOVIE)
    command = [sys.executable, "-c", WRITER, tmp_path / "m.h5", tmp_path / "movie.npy"]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    writer.stdout.readline()

    def until(stop):
        print(stop, file=writer.stdin, flush=True)
        writer.stdout.readline()

    yield tmp_path / "m.h5", until
    writer.communicate()
    assert writer.returncode == 0


@pytest.mark.fault("Two agents of one process read a file", "Both get its frames")
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_two_readers_get_their_frames(tmp_path, layout):
    path, swmr = put(tmp_path / "m.h5", **layout), "libver" not in layout  # old files cannot grow under a reader
    one, other = (FrameReader(path, "d", PIXELS, SHAPE, swmr=swmr) for _ in range(2))
    for start in (0, 6):
        assert np.array_equal(one.read(start, start + 6), expected(start, start + 6))
        assert np.array_equal(other.read(start, start + 6), expected(start, start + 6))
    one.close()
    one.close()
    assert np.array_equal(other.read(0, 12), expected(0, 12))
    other.close()
    with h5py.File(path, "a") as file:  # nobody has it open
        assert len(file["d"]) == 12


@pytest.mark.fault("Two agents of one process read a file while another process writes it", "Both get its frames")
def test_two_readers_follow_a_file(growing):
    path, until = growing
    until(4)
    one = FrameReader(path, "d", PIXELS, SHAPE)
    assert np.array_equal(one.read(0, 4), expected(0, 4))
    until(8)
    other, third = FrameReader(path, "d", PIXELS, SHAPE), FrameReader(path, "d", PIXELS, SHAPE)
    numbers = [Column(path, "number", roots=[path.parent], swmr=True) for _ in range(2)]
    assert np.array_equal(other.read(0, 8), expected(0, 8))
    assert np.array_equal(one.read(4, 8), expected(4, 8))
    one.close()
    until(12)
    assert np.array_equal(other.read(8, 12), expected(8, 12))
    assert np.array_equal(third.read(0, 12), expected(0, 12))
    for each in numbers:
        assert each.read(3, 12).tolist() == list(range(3, 12))
    for each in (*numbers, other, third):
        each.close()


def test_frames_are_late_while_others_have_the_dataset_open(growing):
    path, until = growing
    until(4)
    reader = FrameReader(path, "d", PIXELS, SHAPE)
    with h5py.File(path, "r", libver="latest", swmr=True) as file:
        dataset = file["d"]
        until(8)
        with pytest.raises(MissingFrames, match="'/d' is also open elsewhere in this process"):
            reader.read(4, 8)
        assert np.array_equal(dataset[3], MOVIE[3])
    assert np.array_equal(reader.read(0, 8), expected(0, 8))
    reader.close()


def test_a_reader_that_was_not_closed_leaves_no_file_open(tmp_path):
    path = put(tmp_path / "m.h5")
    Column(path, "d", roots=[tmp_path], swmr=True)
    with h5py.File(path, "a") as file:
        assert len(file["d"]) == 12


def test_hdf5_itself_reads_the_first_frame_for_all(tmp_path):
    """If this fails, HDF5 is mended: `ainerd.documents._shared` is not needed any more."""
    path = put(tmp_path / "m.h5", maxshape=(None, *SHAPE))
    with h5py.File(path, "r") as one, h5py.File(path, "r") as other:
        frames, handle = one["d"], other["d"]
        assert all(np.array_equal(frames[i], MOVIE[i]) for i in range(12))
        handle.refresh()
        assert all(np.array_equal(frames[i], MOVIE[0]) for i in range(12))
