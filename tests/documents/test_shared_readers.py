"""Several readers of one file in one process."""

import os
import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest

from ainerd.documents import FrameError, FrameReader, MissingFrames, open_hdf5

SHAPE = (20, 30)
PIXELS = np.array([5, 599, 0, 77, 300])
MOVIE = np.random.default_rng(0).poisson(0.5, (12, *SHAPE)).astype(np.uint16)
OLD = 1e9, 1e9  # times of a file that nobody writes any more
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
    file.swmr_mode = True
    print(flush=True)
    for line in sys.stdin:
        start, stop = len(data), int(line)
        data.resize(stop, 0)
        data[start:] = movie[start:stop]
        data.flush()
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
    path = put(tmp_path / "m.h5", **layout)
    one, other = (FrameReader(path, "d", PIXELS, SHAPE) for _ in range(2))
    for start in (0, 6):
        assert np.array_equal(one.read(start, start + 6), expected(start, start + 6))
        assert np.array_equal(other.read(start, start + 6), expected(start, start + 6))
    assert np.array_equal(other.read(0, 12), expected(0, 12))
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
    assert np.array_equal(other.read(0, 8), expected(0, 8))
    assert np.array_equal(one.read(4, 8), expected(4, 8))
    until(12)
    assert np.array_equal(other.read(8, 12), expected(8, 12))
    assert np.array_equal(third.read(0, 12), expected(0, 12))


def test_frames_are_late_while_others_hold_the_file_as_it_was(growing):
    path, until = growing
    until(4)
    reader = FrameReader(path, "d", PIXELS, SHAPE)
    with h5py.File(path, "r", libver="latest", swmr=True) as file:
        dataset = file["d"]
        until(8)
        with pytest.raises(MissingFrames, match="holds 4 frames, 8 were announced"):
            reader.read(4, 8)
        assert np.array_equal(dataset[3], MOVIE[3])
    assert np.array_equal(reader.read(0, 8), expected(0, 8))


def test_a_writer_of_this_process_may_find_its_file_open(tmp_path):
    path = put(tmp_path / "m.h5")
    with open_hdf5(path), pytest.raises(OSError, match="already open for read-only"):
        h5py.File(path, "a")
    with h5py.File(path, "a", libver="latest") as file:
        file.swmr_mode = True
        with open_hdf5(path) as again:  # a file that its writer keeps open
            assert np.array_equal(again["d"][3], MOVIE[3])


def test_a_frame_without_a_chunk_is_late_while_its_file_is_new(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("d", MOVIE.shape, "u2", chunks=(1, *SHAPE))[:6] = MOVIE[:6]
    reader = FrameReader(path, "d", PIXELS, SHAPE)
    assert np.array_equal(reader.read(0, 6), expected(0, 6))
    with pytest.raises(MissingFrames, match="does not hold frame 6 yet"):
        reader.read(6, 12)
    with pytest.raises(MissingFrames, match="holds 12 frames, 13 were announced"):
        reader.read(12, 13)
    with pytest.raises(MissingFrames, match="no such dataset"):
        FrameReader(path, "e", PIXELS, SHAPE)
    os.utime(path, OLD)
    assert (reader.read(6, 12) == 0).all()
    with pytest.raises(FrameError, match="holds 12 frames, 13 were announced"):
        reader.read(12, 13)


def test_values_read_while_a_file_changed_are_discarded(tmp_path):
    path = put(tmp_path / "m.h5", libver="earliest", compression="gzip")
    with pytest.raises(MissingFrames, match="changed while it was read"), open_hdf5(path) as file:
        assert np.array_equal(file["d"][3], MOVIE[3])
        with path.open("ab") as writer:
            writer.write(b"more")
