"""HDF5 datasets that all readers of this process share.

HDF5 keeps one record of a dataset for all its handles in a process. If a dataset with two handles is refreshed, HDF5
2.0.0 reads its layout into this record again, but not the numbers of chunks that follow from it
(`H5D_mult_refresh_reopen`). From then on the first chunk is read in place of all others, or the process crashes, until
all handles are closed. Readers here therefore share one handle, and a dataset is not refreshed while others have one.
h5py's issue 2803 reports the fault.
"""

from pathlib import Path
from weakref import WeakSet, WeakValueDictionary

import h5py

from ainerd.documents._storage import DAMAGED, FrameError, MissingFrames, Roots, find_dataset, open_hdf5
from ainerd.internals import hdf5_lock


class _Handle:
    """The handle of a dataset, with its file and its readers."""

    def __init__(self, file: h5py.File, dataset: h5py.Dataset) -> None:
        self.file, self.dataset = file, dataset
        self.readers: WeakSet[SharedDataset] = WeakSet()


_HANDLES: WeakValueDictionary[tuple[int, int], _Handle] = WeakValueDictionary()  # by file and address in it


class SharedDataset:
    """A dataset of an HDF5 file that may be growing; all readers of this process have the same handle.

    Parameters
    ----------
    path : Path
    name : str
        Name of the dataset. Links are followed.
    roots : sequence of Path
        Folders to which links may lead.
    growing : bool
        Whether the file may still be growing.

    Attributes
    ----------
    path : Path
        The file that holds the dataset.
    dataset : h5py.Dataset
    shape : tuple of int, or None
        Shape when it was opened; None if it has no values.

    Raises
    ------
    FrameError
        If there is no such dataset, or it cannot be opened.
    MissingFrames
        If a link leads to a file that does not exist, or the writer locks the file.
    """

    def __init__(self, path: Path, name: str, roots: Roots, *, growing: bool) -> None:
        try:
            self.path, name = find_dataset(path, name, roots, growing=growing)
            with hdf5_lock:  # no other thread opens, refreshes or closes it meanwhile
                self._handle = _handle(self.path, name, roots, growing=growing)
                self._handle.readers.add(self)
                self.dataset = self._handle.dataset
                self.shape: tuple[int, ...] | None = self.dataset.shape  # not safe while another thread refreshes it
        except DAMAGED as error:
            raise FrameError(f"cannot open {path}: {error}") from error

    def refresh(self) -> int:
        """Read the metadata of the dataset again, and return its length.

        Raises
        ------
        MissingFrames
            If others have a handle of the dataset in this process.
        RuntimeError
            If the metadata are damaged.
        """
        with hdf5_lock:
            if not self._is_written_here and self._n_handles > 1:
                raise MissingFrames(f"{self.path}: {self.dataset.name!r} is also open elsewhere in this process")
            self.dataset.refresh()  # refreshing its id is not enough: h5py caches the shape in a file opened to read
            return len(self.dataset)

    def close(self) -> None:
        """Close the file if there is no other reader."""
        with hdf5_lock:
            self._handle.readers.discard(self)
            if not self._handle.readers:
                self._handle.file.close()

    @property
    def _is_written_here(self) -> bool:
        """Whether this process writes the file: then HDF5 has nothing to read again."""
        return bool(self._handle.file.id.get_intent() & h5py.h5f.ACC_RDWR)

    @property
    def _n_handles(self) -> int:
        address = h5py.h5o.get_info(self.dataset.id).addr
        found = h5py.h5f.get_obj_ids(self._handle.file.id, h5py.h5f.OBJ_DATASET)
        return sum(h5py.h5o.get_info(each).addr == address for each in found)


def _handle(path: Path, name: str, roots: Roots, *, growing: bool) -> _Handle:
    """Return the handle of a dataset that is open, or a new one."""
    file = open_hdf5(path, roots, growing=growing)
    handle = None
    try:
        found = file.get(name)
        if not isinstance(found, h5py.Dataset):
            raise FrameError(f"{path}, {name!r}: no such dataset")
        place = h5py.h5o.get_info(found.id)
        handle = _HANDLES.setdefault((place.fileno, place.addr), _Handle(file, found))
    finally:
        if handle is None or handle.file is not file:
            file.close()
    return handle
