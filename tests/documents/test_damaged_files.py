"""HDF5 files that were cut short or changed are refused."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from ainerd.documents import FrameError, FrameReader

SHAPE, N = (3, 4), 6


@pytest.fixture
def movie():
    return np.random.default_rng(0).poisson(1.0, (N, *SHAPE)).astype(np.uint16)


def read(path):
    reader = FrameReader(path, "d", np.arange(12), SHAPE)
    return np.concatenate(list(reader.blocks(0, N)))


@pytest.mark.fault(
    "A file that its writer left open for SWMR is cut short",
    "The result is failed; HDF5 alone may block Python and the RunEngine forever",
)
def test_a_file_that_is_cut_short_is_refused(tmp_path, movie):
    path = tmp_path / "master.h5"
    with h5py.File(tmp_path / "data.h5", "w", libver="latest") as file:
        file["d"] = movie
    write = """if True:
        import h5py, os, sys
        layout = h5py.VirtualLayout((6, 3, 4), "u2")
        layout[:] = h5py.VirtualSource("data.h5", "d", (6, 3, 4))
        with h5py.File(sys.argv[1], "w", libver="latest") as file:
            file.create_virtual_dataset("d", layout)
            if sys.argv[2] == "left open":
                file.swmr_mode = True
                os._exit(0)
        """
    for how in ("closed", "left open"):
        subprocess.run([sys.executable, "-c", write, path, how], check=True)
        assert np.array_equal(read(path), movie.reshape(N, -1))
        whole = path.read_bytes()
        for end in range(48, len(whole), 512):
            path.write_bytes(whole[:end])
            os.utime(path, (1e9, 1e9))  # its writer has ended
            with pytest.raises(FrameError, match=f"cannot open.*truncated file: eof = {end}"):
                read(path)
