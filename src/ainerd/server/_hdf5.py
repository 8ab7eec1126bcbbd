"""Files that others wrote, as Tiled's adapters open them: only below the folders of the server, and of bounded size.

Tiled compares the address of a file with the folders that it may read, but follows links, and HDF5 opens whatever a
file names. Here each file goes through the check of the agent, whenever it is opened.
"""

from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
from fastapi import HTTPException
from tiled.adapters.hdf5 import HDF5_BROKEN_LINK, HDF5_DATASET
from tiled.utils import BrokenLink

from ainerd.documents import FrameError, list_items, open_item
from ainerd.server.internals import readable_folders


class UnreadableFile(BrokenLink, HTTPException):  # type: ignore[misc]
    """Raised for a file that is not served; Tiled answers 410, and lists the other items of a container."""

    def __init__(self, reason: str) -> None:
        HTTPException.__init__(self, 410, reason)
        self.args = (reason,)


class CheckedHDF5:
    """An item of an HDF5 file, opened in a ``with`` statement: in place of `tiled.adapters.hdf5.h5open`."""

    def __init__(self, filename: str | Path, dataset: str | None = None, **_: Any) -> None:
        self._item = open_item(Path(filename), dataset or "/", readable_folders())

    def __enter__(self) -> Any:
        try:
            return self._item.__enter__()
        except FrameError as error:
            raise UnreadableFile(str(error)) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if not self._item.__exit__(kind, error, at) and isinstance(error, FrameError):
                raise error
        except FrameError as refused:
            raise UnreadableFile(str(refused)) from refused


def parse_tree(item: Any) -> Any:
    """Return the items of an HDF5 group: in place of `tiled.adapters.hdf5.parse_hdf5_tree`."""
    return _named(h5py.Dataset if isinstance(item, h5py.Dataset) else list_items(item, readable_folders()))


def _named(items: Any) -> Any:
    if isinstance(items, dict):
        return {name: _named(item) for name, item in items.items()}
    return HDF5_BROKEN_LINK if items is None else HDF5_DATASET
