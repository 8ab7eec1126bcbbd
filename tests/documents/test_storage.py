"""Frames that lie in other files than the one that is named: links, virtual datasets, raw storage."""

import os
import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest

from ainerd.documents import FrameError, FrameReader, MissingFrames

SHAPE = (4, 5)
PIXELS = np.array([7, 0, 19])


@pytest.fixture
def movie():
    return np.random.default_rng(0).poisson(2.0, (12, *SHAPE)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return tmp_path / "in"


def put(path, frames, name="d", **options):
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset(name, data=frames, **options)
    return path


def linked(path, name, link):
    with h5py.File(path, "w", libver="latest") as file:
        file[name] = link
    return path


def virtual(path, n, *sources):
    """A dataset of n frames; sources are (file, dataset, first, frames)."""
    layout = h5py.VirtualLayout((n, *SHAPE), "u2")
    for file, name, first, frames in sources:
        layout[first : first + frames] = h5py.VirtualSource(str(file), name, (frames, *SHAPE))
    with h5py.File(path, "w", libver="latest") as file:
        file.create_virtual_dataset("d", layout, fillvalue=7)
    return path


def raw(path, frames, *segments):
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("d", frames.shape, frames.dtype, external=[*segments])
    return path


def read(path, n=12, dataset="d", first=0):
    reader = FrameReader(path, dataset, PIXELS, SHAPE)
    try:
        return np.concatenate(list(reader.blocks(first, n)))
    finally:
        reader.close()


def expected(movie):
    return movie.reshape(len(movie), -1)[:, PIXELS]


@pytest.mark.parametrize("options", [{}, {"chunks": (1, *SHAPE), **hdf5plugin.Bitshuffle(cname="lz4")}])
def test_links_inside_the_roots_are_followed(folder, movie, options):
    put(folder / "data.h5", movie, "entry/frames", **options)
    master = linked(folder / "master.h5", "entry/data", h5py.ExternalLink("data.h5", "/entry"))
    with h5py.File(master, "a") as file:
        file["short"] = h5py.SoftLink("/entry/data/frames")
    again = linked(folder / "again.h5", "d", h5py.ExternalLink(str(master), "short"))
    for path, name in ((master, "entry/data/frames"), (master, "short"), (again, "d")):
        assert np.array_equal(read(path, dataset=name), expected(movie))


def test_a_virtual_dataset_inside_the_roots_is_read(folder, movie):
    put(folder / "a.h5", movie[:5], "x/y")
    put(folder / "b.h5", movie[5:])
    master = virtual(folder / "master.h5", 12, ("a.h5", "x/y", 0, 5), (folder / "b.h5", "d", 5, 7))
    assert np.array_equal(read(master), expected(movie))
    nested = virtual(folder / "nested.h5", 12, ("master.h5", "d", 0, 12))
    assert np.array_equal(read(nested), expected(movie))


def test_modules_beside_each_other_are_one_frame(folder, movie):
    put(folder / "left.h5", movie[:, :, :2])
    put(folder / "right.h5", movie[:, :, 2:])
    layout = h5py.VirtualLayout(movie.shape, "u2")
    layout[:, :, :2] = h5py.VirtualSource("left.h5", "d", (12, 4, 2))
    layout[:, :, 2:] = h5py.VirtualSource("right.h5", "d", (12, 4, 3))
    with h5py.File(folder / "master.h5", "w", libver="latest") as file:
        file.create_virtual_dataset("d", layout)
    assert np.array_equal(read(folder / "master.h5"), expected(movie))


def test_raw_storage_inside_the_roots_is_read(folder, movie):
    (folder / "frames.raw").write_bytes(b"head" + movie.tobytes())
    path = raw(folder / "m.h5", movie, (str(folder / "frames.raw"), 4, movie.nbytes))
    assert np.array_equal(read(path), expected(movie))
    os.truncate(folder / "frames.raw", 4 + movie.nbytes - 3)
    assert np.array_equal(read(path, 11), expected(movie)[:11])
    with pytest.raises(MissingFrames, match="ends at byte"):
        read(path, 12)


@pytest.mark.fault("a source of a virtual dataset is not there, or too short", "late; a failed result names it")
def test_sources_that_are_missing_are_noticed(folder, movie):
    master = virtual(folder / "master.h5", 12, ("a.h5", "d", 0, 5), ("b.h5", "d", 5, 7))
    put(folder / "a.h5", movie[:5])
    assert np.array_equal(read(master, 5), expected(movie)[:5])
    with pytest.raises(MissingFrames, match=r"b\.h5, which is not there"):
        read(master, 6)
    put(folder / "b.h5", movie[5:10])
    assert np.array_equal(read(master, 10), expected(movie)[:10])
    with pytest.raises(MissingFrames, match="holds 5 frames, 6 are wanted"):
        read(master, 11)
    put(folder / "b.h5", movie[5:])
    assert np.array_equal(read(master), expected(movie))


@pytest.mark.fault("HDF5 itself leads out of the allowed folders", "a failed result; nothing is read")
@pytest.mark.parametrize(
    "way", ["link", "link to a link", "source", "source of a source", "raw", "relative raw", "fifo"]
)
def test_nothing_leaves_the_roots(folder, movie, way, monkeypatch):
    secret = put(folder.parent / "out" / "secret.h5", movie)
    (folder / "shown.h5").symlink_to(secret)
    os.mkfifo(folder / "fifo")
    monkeypatch.chdir(folder.parent / "out")
    path = folder / "m.h5"
    make = {
        "link": lambda: linked(path, "d", h5py.ExternalLink("../out/secret.h5", "d")),
        "link to a link": lambda: linked(path, "d", h5py.ExternalLink("shown.h5", "d")),
        "source": lambda: virtual(path, 12, (secret, "d", 0, 12)),
        "source of a source": lambda: (
            linked(folder / "inner.h5", "d", h5py.ExternalLink(str(secret), "d")),
            virtual(path, 12, ("inner.h5", "d", 0, 12)),
        ),
        "raw": lambda: raw(path, movie, (str(secret), 0, movie.nbytes)),
        "relative raw": lambda: raw(path, movie, ("secret.h5", 0, movie.nbytes)),
        "fifo": lambda: raw(path, movie, (str(folder / "fifo"), 0, movie.nbytes)),
    }
    make[way]()
    with pytest.raises(FrameError, match="outside the allowed roots|which is no file|no absolute path") as said:
        read(path)
    assert not isinstance(said.value, MissingFrames)


def test_links_in_a_circle_end(folder):
    path = linked(folder / "m.h5", "d", h5py.ExternalLink("m.h5", "d"))
    with pytest.raises(FrameError, match="links one behind the other"):
        read(path)


@pytest.mark.fault("the file of frames is locked by its writer until it is closed", "late, not failed")
def test_a_locked_file_is_late(folder, movie):
    path = put(folder / "m.h5", movie)
    code = "import h5py, sys; file = h5py.File(sys.argv[1], 'a'); print(flush=True); sys.stdin.read(); file.close()"
    writer = subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer.stdout.readline()
    try:
        with pytest.raises(MissingFrames, match="is being written"):
            read(path)
    finally:
        writer.communicate()
    assert np.array_equal(read(path), expected(movie))
