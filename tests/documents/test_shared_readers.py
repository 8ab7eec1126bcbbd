"""Several readers of one file in one process."""

import subprocess
import sys
import threading

import h5py
import hdf5plugin
import numpy as np
import pytest

from ainerd.documents import FrameReader, MissingFrames
from ainerd.documents._frame_numbers import numbers_in_file

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
    path = put(tmp_path / "m.h5", **layout)
    one, other = (FrameReader(path, "d", PIXELS, SHAPE) for _ in range(2))
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
    assert np.array_equal(other.read(0, 8), expected(0, 8))
    assert np.array_equal(one.read(4, 8), expected(4, 8))
    one.close()
    until(12)
    assert np.array_equal(other.read(8, 12), expected(8, 12))
    assert np.array_equal(third.read(0, 12), expected(0, 12))
    assert numbers_in_file(path, "number", [path.parent], 3, 12).tolist() == list(range(3, 12))
    for each in (other, third):
        each.close()


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
    reader.close()


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_file_is_written_again_between_two_reads(tmp_path, libver):
    path = put(tmp_path / "m.h5", libver=libver, maxshape=(None, *SHAPE), **LZ4)
    reader = FrameReader(path, "d", PIXELS, SHAPE)
    append = "import h5py, hdf5plugin, sys; d = h5py.File(sys.argv[1], 'a')['d']; d.resize(14, 0); d[13] = d[0]"
    for n in (13, 14):
        assert np.array_equal(reader.read(0, 12), expected(0, 12))
        if n == 14:
            subprocess.run([sys.executable, "-c", append, path], check=True)
            break
        with h5py.File(path, "a") as file:
            file["d"].resize(13, 0)
            file["d"][12] = MOVIE[3]
    assert np.array_equal(reader.read(11, 14), expected(0, 12)[[11, 3, 0]])
    reader.close()


def test_no_writer_opens_a_file_while_it_is_read(tmp_path, monkeypatch):
    path, opened, writers = put(tmp_path / "m.h5", compression="gzip"), threading.Event(), []
    reader, fetch = FrameReader(path, "d", PIXELS, SHAPE), h5py.Dataset.__getitem__

    def write():
        with h5py.File(path, "a"):
            opened.set()

    def check(dataset, index):
        if not writers:
            writers.append(threading.Thread(target=write))
            writers[0].start()
        assert not opened.wait(0.05)  # it waits for HDF5, and neither fails nor sees the file open
        return fetch(dataset, index)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", check)
    assert np.array_equal(reader.read(0, 1), expected(0, 1))
    writers[0].join(10)
    assert opened.is_set()
    reader.close()


def test_frames_that_another_process_did_not_close_yet_are_late(tmp_path):
    """Without SWMR, the metadata of a file that is open come to the disk in any order."""
    path = put(tmp_path / "m.h5", libver="earliest", chunks=None)
    write = "import h5py, sys; f = h5py.File(sys.argv[1], 'a'); f['d'][0] = 7; print(flush=True); sys.stdin.read()"
    reader = FrameReader(path, "d", PIXELS, SHAPE)
    writer = subprocess.Popen([sys.executable, "-c", write, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer.stdout.readline()
    with pytest.raises(MissingFrames, match="is being written"):
        reader.read(0, 1)
    writer.communicate()
    assert (reader.read(0, 1) == 7).all()
    reader.close()


def test_values_read_while_a_file_changed_are_discarded(tmp_path, monkeypatch):
    path, fetch = put(tmp_path / "m.h5", libver="earliest", compression="gzip"), h5py.Dataset.__getitem__
    reader = FrameReader(path, "d", PIXELS, SHAPE)

    def fetch_and_change(dataset, index):
        with path.open("ab") as file:
            file.write(b"more")
        return fetch(dataset, index)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", fetch_and_change)
    with pytest.raises(MissingFrames, match="changed while it was read"):
        reader.read(0, 12)
    reader.close()


def test_frames_that_a_writer_has_announced_but_not_written_are_late(tmp_path):
    path, more = tmp_path / "m.h5", {"chunks": (1, *SHAPE)}
    for options in (LZ4, {}, {"compression": "gzip"}):
        with h5py.File(path, "w", libver="latest") as file:
            data = file.create_dataset("d", MOVIE.shape, "u2", fillvalue=9, **more, **options)
            file.swmr_mode = True
            data[:6] = MOVIE[:6]
            data.flush()
            reader = FrameReader(path, "d", PIXELS, SHAPE)
            assert np.array_equal(reader.read(0, 6), expected(0, 6))
            with pytest.raises(MissingFrames, match="does not hold frame 6 yet"):
                reader.read(4, 8)
        assert (reader.read(6, 8) == 0).all()  # the writer left them out
        reader.close()
