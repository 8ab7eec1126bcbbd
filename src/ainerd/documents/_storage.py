"""Where the bytes of an HDF5 dataset lie: links, virtual datasets and raw files, none of which may leave the roots.

HDF5 opens whatever a file names, as long as it may: a link, a source of a virtual dataset, a raw file. So all of them
are looked up here first, as HDF5 would, and nothing is read before each is known to lie below the allowed roots.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from ainerd.documents._growing import AbsentError, opened
from ainerd.hdf5 import check_heaps

MOST_LINKS = 16  # one behind the other
MOST_SOURCES = 100_000  # of a virtual dataset


class OutsideError(Exception):
    """Something leads out of the allowed roots, or is no file; the message says what."""


@dataclass
class Roots:
    """Folders that may be read, links followed."""

    folders: Sequence[Path]

    def __post_init__(self) -> None:
        self.folders = [Path(folder).resolve() for folder in self.folders]

    def file(self, name: str, beside: Path, what: str) -> Path:
        """A file as HDF5 finds it: by its whole name, else beside the file that names it.

        OutsideError unless it is a plain file below the roots, AbsentError if there is none.
        """
        given = Path(name)
        candidates = [given, beside / given.name] if given.is_absolute() else [beside / given]
        path = next((found for found in candidates if found.exists()), candidates[0]).resolve()
        if not any(path.is_relative_to(folder) for folder in self.folders):
            raise OutsideError(f"{what} leads to {path}, outside the allowed roots")
        if not path.exists():
            raise AbsentError(f"{what} leads to {path}, which is not there")
        if not path.is_file():
            raise OutsideError(f"{what} leads to {path}, which is no file")
        return path


def find(path: Path, dataset: str, roots: Roots, *, growing: bool = True, n_links: int = 0) -> tuple[Path, str]:
    """File and name of a dataset, every link on the way followed; files are opened as they may be `growing`.

    OutsideError if one leaves the roots, AbsentError if something is not there.
    """
    if n_links > MOST_LINKS:
        raise OutsideError(f"{path}, {dataset!r}: more than {MOST_LINKS} links one behind the other")
    parts = [part for part in dataset.split("/") if part and part != "."]
    check_heaps(path)
    with opened(path, growing=growing) as file:
        group: Any = file
        for i, part in enumerate(parts):
            try:
                link = group.get(part, getlink=True)
            except (KeyError, AttributeError, TypeError, RuntimeError):
                link = None
            rest = parts[i + 1 :]
            if isinstance(link, h5py.ExternalLink):
                there = roots.file(link.filename, path.parent, f"{path}, {dataset!r}")
                name = "/".join([link.path.strip("/"), *rest])
                return find(there, name, roots, growing=growing, n_links=n_links + 1)
            if isinstance(link, h5py.SoftLink):
                start = [] if link.path.startswith("/") else parts[:i]
                name = "/".join([*start, link.path.strip("/"), *rest])
                return find(path, name, roots, growing=growing, n_links=n_links + 1)
            if not isinstance(link, h5py.HardLink):
                if n_links:
                    raise AbsentError(f"{path}, {dataset!r}: no such dataset, and a link leads there")
                break  # whoever opens it says so
            if rest:
                try:
                    group = group[part]
                except KeyError as error:
                    raise OSError(f"{dataset!r}: {error}") from error
    return path, "/".join(parts)


@dataclass
class Storage:
    """The raw files and the sources that a dataset has beside its own file.

    Of each: the first frame and the one after the last that it holds part of, and how far it must reach for a frame.
    """

    _parts: list[tuple[int, int, Callable[[int], None]]] = field(default_factory=list)

    @classmethod
    def of(
        cls, path: Path, dataset: h5py.Dataset, roots: Roots, frame_bytes: int, *, growing: bool = True, depth: int = 0
    ) -> "Storage":
        """Of a dataset that is open, of a file that was looked up; raises as `find`, where a file is outside.

        `depth` counts the virtual datasets that this one is a source of, one behind the other.
        """
        found = cls()
        if dataset.external:
            found._add_raw(path, dataset, roots, frame_bytes)
        if dataset.is_virtual:
            found._add_sources(path, dataset, roots, growing, depth)
        return found

    @property
    def is_elsewhere(self) -> bool:
        """Whether there are any."""
        return bool(self._parts)

    def require(self, start: int, stop: int) -> None:
        """See that all that holds frames start … stop - 1 is there; AbsentError if not, OutsideError if elsewhere."""
        for first, last, reach in self._parts:
            if first < stop and start < last:
                reach(min(stop, last))

    def _add_raw(self, path: Path, dataset: h5py.Dataset, roots: Roots, frame_bytes: int) -> None:
        segments, begins = [], 0
        for name, offset, size in dataset.external:
            # HDF5 itself looks from the working directory: only what is the same from anywhere is taken
            if not os.path.isabs(name):
                raise OutsideError(f"{path}: raw data in {name!r}, which is no absolute path")
            if not Path(name).exists():
                raise AbsentError(f"{path}: raw data in {name!r}, which is not there")
            segments.append((roots.file(name, path.parent, f"{path}: raw data"), offset, begins))
            begins += size

        def reach(stop: int) -> None:
            for (file, offset, begins), (_, _, size) in zip(segments, dataset.external, strict=True):
                wanted = min(stop * frame_bytes - begins, size)
                if wanted > 0 and file.stat().st_size < offset + wanted:
                    raise AbsentError(f"{file} ends at byte {file.stat().st_size}, the frames at {offset + wanted}")

        self._parts.append((0, len(dataset), reach))

    def _add_sources(self, path: Path, dataset: h5py.Dataset, roots: Roots, growing: bool, depth: int) -> None:
        if depth > MOST_LINKS:
            raise OutsideError(f"{path}: more than {MOST_LINKS} virtual datasets one behind the other")
        for source in dataset.virtual_sources():
            try:
                low, high = source.vspace.get_select_bounds()
            except (RuntimeError, ValueError):  # without an end
                low, high = (0,), (len(dataset),)
            # a pattern stands for as many as HDF5 finds, and it looks in more places than here
            if any(pattern in name for name in (source.file_name, source.dset_name) for pattern in ("%b", "%%")):
                raise OutsideError(f"{path}: a source of a virtual dataset is a pattern, which may lead anywhere")
            if len(self._parts) > MOST_SOURCES:
                raise OutsideError(f"{path}: more than {MOST_SOURCES} sources of a virtual dataset")
            reach = _Source(path, source, int(low[0]), roots, growing, depth)
            self._parts.append((int(low[0]), int(high[0]) + 1, reach))


class _Source:
    """One source of a virtual dataset: looked up when frames of it are asked for, and again when they are more."""

    def __init__(self, path: Path, source: Any, first: int, roots: Roots, growing: bool, depth: int) -> None:
        self._path, self._file, self._name, self._roots = path, source.file_name, source.dset_name, roots
        self._first, self._known, self._growing, self._depth = first, 0, growing, depth
        try:
            low, high = source.src_space.get_select_bounds()
            self._low, self._high = int(low[0]), int(high[0]) + 1
        except (RuntimeError, ValueError):  # all of it, or without an end
            self._low, self._high = 0, sys.maxsize

    def __call__(self, stop: int) -> None:
        if stop <= self._known:
            return
        what = f"{self._path}: a source"
        there = self._path if self._file == "." else self._roots.file(self._file, self._path.parent, what)
        path, name = find(there, self._name, self._roots, growing=self._growing)
        with opened(path, growing=self._growing) as file:
            dataset = file[name]
            if not isinstance(dataset, h5py.Dataset):
                raise OutsideError(f"{path}, {name!r}: no dataset, and a source of {self._path}")
            wanted = min(self._low + stop - self._first, self._high)
            if dataset.shape and len(dataset) < wanted:
                raise AbsentError(f"{path}, {name!r} holds {len(dataset)} frames, {wanted} are wanted of it")
            if dataset.is_virtual or dataset.external:
                n = max(wanted, 1)
                size, depth = _frame_bytes(dataset), self._depth + 1
                Storage.of(path, dataset, self._roots, size, growing=self._growing, depth=depth).require(0, n)
        self._known = stop


def _frame_bytes(dataset: h5py.Dataset) -> int:
    size = dataset.dtype.itemsize
    for n in dataset.shape[1:]:
        size *= n
    return size
