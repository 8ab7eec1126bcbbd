"""Virtual datasets: HDF5 returns the fill value for a source that is missing or too short, so each is checked first."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from ainerd.documents._storage import FrameError, MissingFrames, Roots, find_item, linked_file, opened


@dataclass
class _Source:
    """A part of a virtual dataset: frames first … end - 1 come from `origin` of another dataset; `last` is its last."""

    file: str
    dataset: str
    first: int
    end: int
    origin: int
    last: int
    n_known: int = 0  # frames of the virtual dataset before which it was checked


class Sources:
    """The sources that hold frames of a dataset outside its own file. The dataset is open only when this is made."""

    def __init__(self, path: Path, dataset: h5py.Dataset, roots: Roots) -> None:
        self._path, self._roots = path, roots
        self._parts: list[_Source] = []
        if dataset.external:
            raise FrameError(f"{path}, {dataset.name!r}: its values are raw data outside the file, which are not read")
        for source in dataset.virtual_sources() if dataset.is_virtual else ():
            if any(sign in f"{source.file_name} {source.dset_name}" for sign in ("%b", "%%")):
                raise FrameError(f"{path}: a source of a virtual dataset is a pattern, which is not resolved")
            (first, end), (origin, last) = (
                _bounds(source.vspace, len(dataset)),
                _bounds(source.src_space, sys.maxsize - 1),
            )
            self._parts.append(_Source(source.file_name, source.dset_name, first, end + 1, origin, last))

    def require(self, start: int, stop: int) -> None:
        """Check the sources of frames start … stop - 1.

        Raises MissingFrames if one is missing or too short, and FrameError if one is outside the roots.
        """
        for part in self._parts:
            until = min(stop, part.end)
            if start < part.end and part.first < until and part.n_known < until:
                self._check(part, min(part.origin + until - part.first, part.last + 1))
                part.n_known = until

    def _check(self, part: _Source, n: int) -> None:
        """Check that the source of a part has `n` frames."""
        file = self._path if part.file == "." else linked_file(self._path, part.file, self._roots)
        path, name = find_item(file, part.dataset, self._roots)
        with opened(path, name, self._roots) as dataset:
            if not isinstance(dataset, h5py.Dataset):
                raise FrameError(f"{path}, {name!r}: no such dataset, a source of {self._path}")
            if dataset.shape and len(dataset) < n:
                raise MissingFrames(f"{path}, {name!r} holds {len(dataset)} frames, {n} are needed")
            sources = Sources(path, dataset, self._roots)
        sources.require(0, max(n, 1))


def _bounds(space: Any, otherwise: int) -> tuple[int, int]:
    """Return the first and last frame of a selection; 0 and `otherwise` for an unlimited one."""
    try:
        low, high = space.get_select_bounds()
    except (RuntimeError, ValueError):
        return 0, otherwise
    return int(low[0]), int(high[0])
