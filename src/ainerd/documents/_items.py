"""Items of HDF5 files that others wrote: opened only below the allowed folders, and read only up to a size.

A file of a kilobyte may hold a dataset that unpacks to gigabytes, and links that lead to any file of the machine.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ainerd.documents._storage import (
    CHUNK_BYTES,
    DAMAGED,
    FrameError,
    Roots,
    Storage,
    allowed_file,
    find_dataset,
    open_hdf5,
    require_closed,
)  # fmt: skip

MOST_TEXTS, TEXT_CHUNK = 10_000, 2**20  # values of their own lengths in a dataset; bytes of a chunk of references
MOST_ATTRIBUTE, MOST_ATTRIBUTE_TEXTS = 2**20, 32  # bytes; texts, because each may be as long as the file
MOST_ITEMS, DEEPEST = 10_000, 60  # that are listed: links may multiply them


class BoundedDataset(h5py.Dataset):  # type: ignore[misc]
    """A dataset whose sources lie below the roots; FrameError if a read would take too much memory."""

    def __init__(self, dataset: h5py.Dataset, path: Path, roots: Roots, *, most: int) -> None:
        super().__init__(dataset.id)
        self._most = most
        if self.is_virtual or self.external:
            if not self.shape:
                raise FrameError(f"{path}, {self.name!r}: a single value that is stored elsewhere")
            self._elsewhere: Storage | None = Storage(path, self, roots)
        else:
            self._elsewhere = None
        self._check(math.prod(self.chunks or ()) * self.dtype.itemsize, most, "a chunk of it")

    def __getitem__(self, args: Any, new_dtype: Any = None) -> Any:
        """Return values as `h5py.Dataset` does."""
        if self.shape is None:
            return super().__getitem__(args, new_dtype)
        selected = np.broadcast_to(np.int8(0), self.shape)[args].size
        self._check(selected * self.dtype.itemsize, self._most, "its selected part")
        if self.dtype.kind == "O":
            return self._texts(args, selected)
        first = args[0] if isinstance(args, tuple) and args else args
        start, stop, _ = first.indices(len(self)) if isinstance(first, slice) else (0, math.prod(self.shape[:1]), 1)
        if self._elsewhere is not None:
            self._elsewhere.require(start, stop)
        values = super().__getitem__(args, new_dtype)
        if self._elsewhere is not None:
            self._elsewhere.confirm(start, stop)
        return values

    def _texts(self, args: Any, selected: int) -> Any:
        """Read values of their own lengths one by one: many may refer to the same long one."""
        size = math.prod(self.chunks or ()) * self.dtype.itemsize
        if self._elsewhere is not None or self.size > MOST_TEXTS or size > TEXT_CHUNK:
            raise FrameError(f"{self.name!r} has {self.size} values of their own lengths, more than can be read")
        if not self.shape:
            return super().__getitem__(args)
        numbers = np.arange(self.size).reshape(self.shape)[args]
        values, longest = np.empty(selected, object), 0
        for i, index in enumerate(zip(*np.unravel_index(numbers.ravel(), self.shape), strict=True)):
            values[i] = super().__getitem__(tuple(map(int, index)))
            longest = max(longest, np.asarray(values[i]).nbytes)
            self._check(longest * selected, self._most, "its selected part")
        return values.reshape(numbers.shape) if numbers.shape else values[0]

    def _check(self, size: int, most: int, what: str) -> None:
        if size > most:
            raise FrameError(
                f"{self.file.filename}, {self.name!r}: {what} unpacks to {size / 1e6:,.0f} MB, "
                f"more than {most / 1e6:,.0f}"
            )


@contextmanager
def open_item(
    path: Path, name: str, roots: Roots, *, most: int = CHUNK_BYTES, is_complete: bool = False
) -> Iterator[h5py.Group | BoundedDataset | None]:
    """Open a dataset or group of an HDF5 file, after links; `most` bytes of it can be read at once.

    If the file `is_complete`, its writer must have closed it, and None stands for an item that it does not have.

    Raises
    ------
    MissingFrames
        If a file does not exist, or is being written.
    FrameError
        If the file is damaged, lies or leads outside the roots, has no such item, or needs too much memory.
    """
    try:
        where, inner = find_dataset(allowed_file(path, roots), name, roots)
        with open_hdf5(where, roots) as file:
            if is_complete:
                require_closed(file)
            item = file.get(inner) if is_complete else file[inner or "/"]
            if item is not None:
                _check_attributes(item)
            is_data = isinstance(item, h5py.Dataset)
            yield BoundedDataset(item, where, roots, most=most) if is_data else item
    except DAMAGED as error:
        if "signature not found" in str(error):
            raise FrameError(f"{path} is not an HDF5 file") from error
        raise FrameError(f"{path}, {name!r}: {error}") from error


def list_items(group: h5py.Group, roots: Roots) -> dict[str, Any]:
    """Return the items of a group: the class of h5py for a dataset, None for an unreadable one, else a dictionary.

    FrameError if there are more than `MOST_ITEMS`, as after links that multiply.
    """
    return _items(group, roots, [MOST_ITEMS], 0)


def _items(group: h5py.Group, roots: Roots, left: list[int], depth: int) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for name in group:
        left[0] -= 1
        if left[0] < 0:
            raise FrameError(f"{group.file.filename} has more than {MOST_ITEMS} items")
        items[name] = None
        try:
            if isinstance(group.get(name, getlink=True), h5py.HardLink):
                items[name] = _kind(group[name], roots, left, depth)
            else:
                with open_item(Path(group.file.filename), f"{group.name}/{name}", roots) as item:
                    items[name] = _kind(item, roots, left, depth)
        except (FrameError, *DAMAGED):
            if left[0] < 0:
                raise
    return items


def _kind(item: Any, roots: Roots, left: list[int], depth: int) -> Any:
    if isinstance(item, h5py.Group) and depth < DEEPEST:
        return _items(item, roots, left, depth + 1)
    return h5py.Dataset if isinstance(item, h5py.Dataset) else None


def _check_attributes(item: Any) -> None:
    """Raise FrameError if the attributes need much memory."""
    sizes = [(attribute := item.attrs.get_id(name), attribute.get_storage_size()) for name in item.attrs]
    texts = (math.prod(each.shape or ()) for each, _ in sizes if each.dtype.kind == "O")
    if sum(size for _, size in sizes) > MOST_ATTRIBUTE or max(texts, default=0) > MOST_ATTRIBUTE_TEXTS:
        raise FrameError(f"{item.file.filename}, {item.name!r}: its attributes need too much memory")
