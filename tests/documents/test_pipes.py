"""A file that leads to a named pipe stops nobody: HDF5 would wait for its writer, and all threads for HDF5."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from ainerd.documents import FrameError, FrameReader, open_item

SHAPE = (3, 4)
READ = """
import sys, numpy as np
from pathlib import Path
from ainerd.documents import FrameError, FrameReader, open_item
path = Path("master.h5").resolve()
for name in sys.argv[1:]:
    for read in (lambda: FrameReader(path, name, np.arange(12), (3, 4)).read(0, 1), lambda: whole(path, name)):
        def whole(path, name):
            with open_item(path, name, [path.parent]) as item:
                item[...] if hasattr(item, "shape") else len(item)
        try:
            read()
        except FrameError as error:
            print(name, error)
"""


def virtual(file, name, source, *, grows=False, dataset="d"):
    layout = h5py.VirtualLayout((6, *SHAPE), "u2", maxshape=(None, *SHAPE) if grows else None)
    there = h5py.VirtualSource(source, dataset, (6, *SHAPE), maxshape=(None, *SHAPE) if grows else None)
    rows = slice(0, h5py.h5s.UNLIMITED if grows else 6)
    layout[rows] = there[rows]
    file.create_virtual_dataset(name, layout)


@pytest.mark.fault("A link or a source of an HDF5 file leads to a named pipe", "The result is failed with that reason")
def test_a_named_pipe_is_refused_before_hdf5_opens_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    with h5py.File(tmp_path / "second.h5", "w") as file:
        file["d"] = h5py.ExternalLink("pipe.h5", "/d")
    with h5py.File(tmp_path / "master.h5", "w", libver="latest") as file:
        file["link"] = h5py.ExternalLink("pipe.h5", "/d")
        file["group"] = h5py.ExternalLink("pipe.h5", "/")
        file["soft"] = h5py.SoftLink("group/d")
        file["far"] = h5py.ExternalLink("second.h5", "/d")
        for grows in (False, True):
            virtual(file, f"source{grows}", "pipe.h5", grows=grows)
            virtual(file, f"source_far{grows}", "second.h5", grows=grows)
        virtual(file, "of_itself", ".", dataset="soft")
        names = ["link", "group/d", "soft", "far", *(name for name in file if name.startswith(("source", "of_")))]
    command = [sys.executable, "-c", READ, *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    refused = [line.split()[0] for line in done.stdout.splitlines() if "pipe.h5 is not a regular file" in line]
    assert refused == [name for name in names for _ in range(2)]


def test_links_in_the_middle_of_a_name_are_followed(tmp_path):
    movie = np.random.default_rng(0).poisson(1.0, (6, *SHAPE)).astype("u2")
    with h5py.File(tmp_path / "second.h5", "w") as file:
        file["entry/data"] = movie
        file["entry/again"] = h5py.SoftLink("data")
        file["loop"] = h5py.SoftLink("loop")
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["a/b"] = h5py.ExternalLink("second.h5", "/entry")
        file["a/soft"] = h5py.SoftLink("/a/b")
    path = tmp_path / "master.h5"
    for name in ("a/b/data", "/a//b/again", "a/soft/./data"):
        read = FrameReader(path, name, np.arange(12), SHAPE).read(0, 6)
        assert np.array_equal(read, movie.reshape(6, -1))
    for name in ("a/c/data", "a/b/data/x"):
        with pytest.raises(FrameError, match="no such dataset"), open_item(path, name, [tmp_path]):
            pass
    with (
        pytest.raises(FrameError, match="links lead to each other"),
        open_item(tmp_path / "second.h5", "loop", [tmp_path]),
    ):
        pass
