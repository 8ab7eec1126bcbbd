"""Frames of a detector, and their file."""

import h5py
import hdf5plugin
import numpy as np
import pytest


@pytest.fixture
def movie(tmp_path):
    """Sixty frames of 3 × 4, and their file."""
    frames = np.random.default_rng(0).poisson(1.0, (60, 3, 4)).astype(np.uint16)
    (tmp_path / "frames").mkdir()
    with h5py.File(tmp_path / "frames" / "a b_000000.h5", "w", libver="latest") as file:
        file.create_dataset("entry/data/data", data=frames, chunks=(1, 3, 4), **hdf5plugin.Bitshuffle(cname="lz4"))
    return frames
