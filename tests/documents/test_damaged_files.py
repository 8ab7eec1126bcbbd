"""HDF5 files that were cut short or changed are refused."""

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
    try:
        return np.concatenate(list(reader.blocks(0, N)))
    finally:
        reader.close()


@pytest.mark.fault(
    "A file that its writer left open for SWMR is cut short",
    "The result is failed; HDF5 alone may block Python and the RunEngine forever",
)
@pytest.mark.parametrize("userblock", [0, 512])
def test_a_file_that_is_cut_short_is_refused(tmp_path, movie, userblock, monkeypatch):
    monkeypatch.setattr("ainerd.documents._storage.RECENT_S", 0.0)  # else its writer might go on
    path = tmp_path / "master.h5"
    with h5py.File(tmp_path / "data.h5", "w", libver="latest") as file:
        file["d"] = movie
    layout = h5py.VirtualLayout((N, *SHAPE), "u2")
    layout[:] = h5py.VirtualSource("data.h5", "d", (N, *SHAPE))
    with h5py.File(path, "w", libver="latest", userblock_size=userblock) as file:
        file.create_virtual_dataset("d", layout)
    whole = bytearray(path.read_bytes())
    for flags in (0, 5):  # closed, and left open by a writer with SWMR
        whole[userblock + 11] = flags
        for end in range(userblock + 48, len(whole), 512):
            path.write_bytes(whole[:end])
            with pytest.raises(FrameError, match=f"truncated file: eof = {end}, stored_eof = {len(whole)}"):
                read(path)


@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
def test_a_whole_file_of_any_version_is_read(tmp_path, movie, libver):
    path = tmp_path / "frames.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["d"] = movie
    assert np.array_equal(read(path), movie.reshape(N, -1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(FrameError, match=f"truncated file: eof = {len(whole) - 1}, stored_eof = {len(whole)}"):
        read(path)
