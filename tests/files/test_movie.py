"""Frames in one dataset, or in several that follow each other.

A master file of Eiger: the group ``entry/data`` with external links ``data_000001``, … to files ``…_data_000001.h5``,
whose dataset is ``entry/data/data`` (Dectris, SIMPLON API reference, the file writer's format).
"""

import h5py
import numpy as np
import pytest

from ainerd.documents import FrameError
from ainerd_files import find_movie

FRAMES = np.random.default_rng(0).poisson(0.4, (130, 6, 8)).astype(np.uint32)
PIXELS = np.array([3, 9, 47])


class Sees:
    every, pixels = 20, PIXELS

    def __init__(self):
        self.seen = {}

    def whole(self, frame, number):
        self.seen[number] = frame.copy()


@pytest.fixture
def master(tmp_path):
    """Files of 60, 60 and 10 frames; 11 links, so that names sorted as text are in another order than numbers."""
    with h5py.File(tmp_path / "scan_master.h5", "w") as file:
        data = file.create_group("entry/data")
        for k, frames in enumerate(np.split(FRAMES, [60, 120]), start=9):
            name = f"scan_data_{k:06d}.h5"
            with h5py.File(tmp_path / name, "w") as part:
                part["entry/data/data"] = frames
            data[f"data_{k}"] = h5py.ExternalLink(name, "/entry/data/data")
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = np.zeros((6, 8), np.uint32)
    return tmp_path / "scan_master.h5"


def read(movie, analysis=None):
    return np.concatenate([frames for _, frames in movie.blocks(analysis or Sees())])


@pytest.mark.parametrize("dataset", ["entry/data/data", "entry/data"])
def test_a_master_file_is_read_through(master, dataset):
    movie = find_movie(master, dataset)
    assert (movie.n_frames, movie.shape, len(movie.parts)) == (130, (6, 8), 3)
    viewer = Sees()
    assert np.array_equal(read(movie, viewer), FRAMES.reshape(130, -1)[:, PIXELS])
    assert sorted(viewer.seen) == [19, 39, 59, 79, 99, 119]
    assert all(np.array_equal(frame, FRAMES[number]) for number, frame in viewer.seen.items())


def test_frames_of_several_triggers_are_no_movie(master):
    specific = "entry/instrument/detector/detectorSpecific"
    with h5py.File(master, "r+") as file:
        file[f"{specific}/ntrigger"], file[f"{specific}/nimages"] = 2, 65
    with pytest.raises(ValueError, match="holds 2 triggers of 65 images.*with --dataset, such as entry/data/data_9$"):
        find_movie(master, "entry/data")
    assert find_movie(master, "entry/data/data_9").n_frames == 60
    with h5py.File(master, "r+") as file:  # a trigger for each frame
        file[f"{specific}/ntrigger"][()], file[f"{specific}/nimages"][()] = 130, 1
    assert find_movie(master, "entry/data").n_frames == 130


def test_a_file_that_is_missing_is_named(master, tmp_path):
    (tmp_path / "scan_data_000010.h5").unlink()
    with pytest.raises(ValueError, match="entry/data/data_10 leads to scan_data_000010.h5, which cannot be opened"):
        find_movie(master, "entry/data/data")


def test_a_link_that_leads_elsewhere_is_not_read(master, tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    (tmp_path / "scan_data_000010.h5").rename(folder / "part.h5")
    with h5py.File(master, "r+") as file:
        del file["entry/data/data_10"]
        file["entry/data/data_10"] = h5py.ExternalLink(str(folder / "part.h5"), "/entry/data/data")
    assert read(find_movie(master, "entry/data")).shape == (130, 3)  # below the folder of the master
    with h5py.File(master, "r+") as file:
        del file["entry/data/data_10"]
        file["entry/data/data_10"] = h5py.ExternalLink("/dev/null", "/entry/data/data")
    with pytest.raises((ValueError, FrameError)):
        read(find_movie(master, "entry/data"))


def test_datasets_that_are_no_series_are_not_joined(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/data/data_1"] = file["entry/data/data_3"] = FRAMES
    with pytest.raises(ValueError, match="are not one series without a gap; name one dataset with --dataset"):
        find_movie(tmp_path / "scan.h5", "entry/data/data")
