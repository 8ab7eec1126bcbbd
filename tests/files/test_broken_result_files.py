"""Files that are cut short, closed to us, or full of impossible numbers: one sentence says what is wrong."""

import os

import h5py
import numpy as np
import pytest

from ainerd_files import find_movie, put_right, read_curves


def with_g2(path, g2):
    with h5py.File(path, "w") as file:
        file["entry/data/g2"], file["entry/data/delay_difference"] = g2, np.arange(1.0, 1.0 + len(g2))
        file["entry/instrument/detector/frame_time"] = 0.1
    return path


def test_a_file_that_is_cut_short_says_so(tmp_path):
    path = with_g2(tmp_path / "cut.nxs", np.ones((5000, 3)))
    whole = path.read_bytes()
    path.write_bytes(whole[:5000])
    os.utime(path, (1e9, 1e9))  # nobody writes it any more
    why = rf"cut.nxs is cut short, it has 5000 of {len(whole)} bytes: copy it again"
    for read in (read_curves, lambda path: find_movie(path, "entry/data/data")):
        with pytest.raises(ValueError, match=why):
            read(path)


def test_an_empty_file_says_so(tmp_path):
    (tmp_path / "empty.nxs").touch()
    with pytest.raises(ValueError, match=r"empty.nxs is not an HDF5 file: it is empty"):
        read_curves(tmp_path / "empty.nxs")


def test_numbers_that_overflow_are_refused(tmp_path):
    path = with_g2(tmp_path / "huge.nxs", np.full((40, 3), 1e308))
    with pytest.raises(ValueError, match=r"huge.nxs: entry/data/g2 holds 1e\+308, and no g2 is so large"):
        read_curves(path)


def test_a_map_without_numbers_is_refused():
    with pytest.raises(ValueError, match="map 1 holds no number of a map"):
        put_right(np.full((80, 80), np.nan), 1, "map 1")
