"""Frames in other files than the named one: links, virtual datasets, raw storage."""

import os
import subprocess
import sys

import h5py
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
    with h5py.File(path, "a", libver="latest") as file:
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


def read(path, n=12, dataset="d", first=0, **options):
    reader = FrameReader(path, dataset, PIXELS, SHAPE, **options)
    return np.concatenate(list(reader.blocks(first, n)))


def expected(movie):
    return movie.reshape(len(movie), -1)[:, PIXELS]


def test_links_inside_the_roots_are_followed(folder, movie):
    put(folder / "data.h5", movie, "entry/frames")
    master = linked(folder / "master.h5", "entry/data", h5py.ExternalLink("data.h5", "/entry"))
    with h5py.File(master, "a") as file:
        file["short"] = h5py.SoftLink("/entry/data/frames")
    again = linked(folder / "again.h5", "d", h5py.ExternalLink(str(master), "short"))
    for path, name in ((master, "entry//data/./frames"), (master, "short"), (again, "d")):
        assert np.array_equal(read(path, dataset=name), expected(movie))
    with pytest.raises(FrameError, match="links lead to each other"):
        read(linked(folder / "loop.h5", "d", h5py.SoftLink("d")))


@pytest.mark.fault("A link or a source of an HDF5 file leads to a named pipe", "The result is failed with that reason")
def test_a_named_pipe_is_refused_before_hdf5_opens_it(folder):
    """HDF5 would wait for its writer, and all threads for HDF5."""
    os.mkfifo(folder / "pipe.h5")
    linked(folder / "link.h5", "d", h5py.ExternalLink("pipe.h5", "d"))
    virtual(folder / "source.h5", 12, ("pipe.h5", "d", 0, 12))
    for name in ("link", "source"):
        with pytest.raises(FrameError, match="pipe.h5 is not a regular file"):
            read(folder / f"{name}.h5")


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


def test_raw_storage_is_refused(folder, movie):
    (folder / "frames.raw").write_bytes(movie.tobytes())
    path = raw(folder / "m.h5", movie, (str(folder / "frames.raw"), 0, movie.nbytes))
    master = virtual(folder / "master.h5", 12, ("m.h5", "d", 0, 12))
    for file in (path, master):
        with pytest.raises(FrameError, match="m.h5, '/d': its values are raw data outside the file"):
            read(file)


@pytest.mark.fault(
    "A source of a virtual dataset is missing or too short", "The agent waits; then a failed result names it"
)
def test_sources_that_are_missing_are_noticed(folder, movie):
    master = virtual(folder / "master.h5", 12, ("a.h5", "d", 0, 5), ("b.h5", "d", 5, 7))
    put(folder / "a.h5", movie[:5])
    assert np.array_equal(read(master, 5), expected(movie)[:5])
    with pytest.raises(MissingFrames, match=r"no file .*b\.h5"):
        read(master, 6)
    put(folder / "b.h5", movie[5:10])
    assert np.array_equal(read(master, 10), expected(movie)[:10])
    with pytest.raises(MissingFrames, match="holds 5 frames, 6 are needed"):
        read(master, 11)
    put(folder / "b.h5", movie[5:])
    assert np.array_equal(read(master), expected(movie))


@pytest.mark.fault("A file leads out of the allowed folders by an HDF5 link", "The result is failed; nothing is read")
@pytest.mark.parametrize("own", [True, False], ids=["own folder", "roots given"])
@pytest.mark.parametrize("way", ["link", "link to a link", "source", "source of a source"])
def test_nothing_leaves_the_roots(folder, movie, way, own):
    secret = put(folder.parent / "out" / "secret.h5", movie)
    (folder / "shown.h5").symlink_to(secret)
    path = folder / "m.h5"
    make = {
        "link": lambda: linked(path, "d", h5py.ExternalLink("../out/secret.h5", "d")),
        "link to a link": lambda: linked(path, "d", h5py.ExternalLink("shown.h5", "d")),
        "source": lambda: virtual(path, 12, (secret, "d", 0, 12)),
        "source of a source": lambda: (
            linked(folder / "inner.h5", "d", h5py.ExternalLink(str(secret), "d")),
            virtual(path, 12, ("inner.h5", "d", 0, 12)),
        ),
    }
    make[way]()
    allowed = None if own else [folder.parent / "another", folder]
    with pytest.raises(FrameError, match="outside the allowed roots") as caught:
        read(path, 2, roots=allowed)
    assert not isinstance(caught.value, MissingFrames)


@pytest.mark.fault(
    "The writer locks the file of frames until it closes it", "The agent waits; the result does not fail"
)
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


@pytest.mark.fault("Frames of several writers take turns in a virtual dataset", "They are read, each from its writer")
@pytest.mark.parametrize("block", [1, 3])
def test_sources_of_a_virtual_dataset_are_read_as_hdf5_maps_them(folder, movie, block):
    path, layout = folder / "m.h5", h5py.VirtualLayout(movie.shape, "u2")
    shares = [np.flatnonzero(np.arange(12) // block % 2 == k) for k in range(2)]
    for k, share in enumerate(shares):
        put(folder / f"s_{k}.h5", movie[share][:1])  # of its frames only the first is written
        selection = h5py.h5s.create_simple(movie.shape)
        selection.select_hyperslab((k * block, 0, 0), (6 // block, 1, 1), (2 * block, *SHAPE), (block, *SHAPE))
        layout.dcpl.set_virtual(selection, f"s_{k}.h5".encode(), b"d", h5py.h5s.create_simple((6, *SHAPE)))
    with h5py.File(path, "w", libver="latest") as file:
        file.create_virtual_dataset("d", layout, fillvalue=7)
    n = 2 if block == 1 else 1
    assert np.array_equal(read(path, n), expected(movie)[:n])
    with pytest.raises(MissingFrames, match="holds 1 frames, 2 are needed"):
        read(path, n + 1)
    for k, share in enumerate(shares):
        put(folder / f"s_{k}.h5", movie[share])
    assert np.array_equal(read(path), expected(movie))
    (folder / "s_0.h5").unlink()
    with pytest.raises(MissingFrames, match=r"no file .*s_0\.h5"):
        read(path)


@pytest.mark.parametrize("shape", [(3, 4), (1, 12)])
def test_a_source_of_four_axes_is_refused(folder, movie, shape):
    source = h5py.VirtualSource(put(folder / "s.h5", movie.reshape(*shape, *SHAPE)), "d", (*shape, *SHAPE))
    layout = h5py.VirtualLayout(movie.shape, "u2")
    layout[:] = source
    with h5py.File(folder / "m.h5", "w", libver="latest") as file:
        file.create_virtual_dataset("d", layout)
    with pytest.raises(FrameError, match=r"s\.h5, 'd' has 4 axes, .*m\.h5 has 3"):
        read(folder / "m.h5", 1)
