"""Datasets of HDF5 files that are opened for each reading, so that no reader is in the way of the writer.

HDF5 keeps one record of a dataset for all its handles in a process. If a dataset with two handles is refreshed, HDF5
2.0.0 reads its layout into this record again, but not the numbers of chunks that follow from it
(`H5D_mult_refresh_reopen`). From then on the first chunk is read in place of all others, or the process crashes, until
all handles are closed. A dataset that others hold open is therefore not refreshed; its frames are late. h5py's issue
2803 reports the fault.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from ainerd.documents._storage import (
    DAMAGED,
    FrameError,
    MissingFrames,
    Roots,
    find_dataset,
    is_written_here,
    open_hdf5,
)


class StoredDataset:
    """A dataset of an HDF5 file that may be growing.

    Parameters
    ----------
    path : Path
    name : str
        Name of the dataset. Links are followed.
    roots : sequence of Path
        Folders to which links may lead.

    Attributes
    ----------
    path : Path
        The file that holds the dataset.
    name : str
        Its name in that file.

    Raises
    ------
    FrameError
        If the file cannot be opened.
    MissingFrames
        If a link leads to a file that does not exist, or the file is being written without SWMR.
    """

    def __init__(self, path: Path, name: str, roots: Roots) -> None:
        try:
            self.path, self.name = find_dataset(path, name, roots)
        except DAMAGED as error:
            raise FrameError(f"cannot open {path}: {error}") from error

    @contextmanager
    def opened(self) -> Iterator[h5py.Dataset]:
        """Open the dataset as `open_hdf5` opens its file.

        Raises
        ------
        FrameError
            If there is no such dataset.
        MissingFrames
            If others in this process keep an old state of the dataset open, or the file is being written without SWMR.
        """
        with open_hdf5(self.path) as file:
            dataset = file.get(self.name)
            if not isinstance(dataset, h5py.Dataset):
                raise FrameError(f"{self.path}, {self.name!r}: no such dataset")
            if not is_written_here(file) and h5py.h5f.get_obj_count(file.id, h5py.h5f.OBJ_FILE) > 1:
                if _n_handles(file, dataset) > 1:
                    raise MissingFrames(f"{self.path}: {dataset.name!r} is also open elsewhere in this process")
                dataset.refresh()
            yield dataset


def _n_handles(file: h5py.File, dataset: h5py.Dataset) -> int:
    address = h5py.h5o.get_info(dataset.id).addr
    ids = h5py.h5f.get_obj_ids(file.id, h5py.h5f.OBJ_DATASET)
    return sum(h5py.h5o.get_info(each).addr == address for each in ids)
