"""Items of HDF5 files that other programs wrote: opened only below the allowed folders, and bounded in size."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from ainerd.documents._storage import (
    CHUNK_BYTES,
    DAMAGED,
    FrameError,
    Roots,
    allowed_file,
    find_dataset,
    open_hdf5,
    require_closed,
)  # fmt: skip


@contextmanager
def open_item(path: Path, name: str, roots: Roots, *, is_complete: bool = False) -> Iterator[Any]:
    """Open a dataset or group of an HDF5 file, after links.

    If the file `is_complete`, its writer must have closed it, and None stands for an item that it does not have.

    Raises
    ------
    MissingFrames
        If a file does not exist, or is being written.
    FrameError
        If the file is damaged, lies or leads outside the roots, has no such item, or a chunk of it is too large.
    """
    try:
        where, inner = find_dataset(allowed_file(path, roots), name, roots)
        with open_hdf5(where) as file:
            if is_complete:
                require_closed(file)
            item = file.get(inner) if is_complete else file[inner or "/"]
            if isinstance(item, h5py.Dataset):
                check_size(item, math.prod(item.chunks or ()), CHUNK_BYTES, "a chunk of it")
            yield item
    except DAMAGED as error:
        if "signature not found" in str(error):
            raise FrameError(f"{path} is not an HDF5 file") from error
        raise FrameError(f"{path}, {name!r}: {error}") from error


def check_size(dataset: h5py.Dataset, n: int, most: int, what: str) -> None:
    """Raise FrameError if `n` values of a dataset have more than `most` bytes."""
    if (size := n * dataset.dtype.itemsize) > most:
        name = f"{dataset.file.filename}, {dataset.name!r}"
        raise FrameError(f"{name}: {what} unpacks to {size / 1e6:,.0f} MB, more than {most / 1e6:,.0f}")
