"""Virtual datasets: HDF5 returns the fill value for a source that is missing or too short, so each is checked first."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ainerd.documents._storage import FrameError, MissingFrames, Roots, find_item, linked_file, opened


class _Rows:
    """The places on the first axis that a selection holds, in order: `first`, and these again after each `stride`."""

    def __init__(self, space: Any) -> None:
        self._first, self._stride, self._count = np.zeros(1, int), 1, sys.maxsize
        self.sides: list[int] | None = None  # needed of a row; None for all of a dataset, whose shape is not kept
        if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS:
            return
        try:
            (start, stride, count, block), *others = zip(*space.get_regular_hyperslab(), strict=True)
            self.sides = [first + step * (n - 1) + size for first, step, n, size in others]
        except ValueError:  # several
            self.sides = space.get_select_bounds()[1][1:]
            runs = [np.arange(low[0], high[0] + 1) for low, high in space.get_select_hyper_blocklist()]
            self._first, self._stride, self._count = np.unique(np.concatenate(runs)), sys.maxsize, 1
            return
        if count == 1:  # the block may be unlimited
            stride, count, block = 1, block, 1
        self._first, self._stride, self._count = start + np.arange(block), stride, count

    @property
    def size(self) -> int:
        """Number of places in a block."""
        return len(self._first)

    @property
    def total(self) -> int:
        """Number of all places; at least sys.maxsize if it has no limit."""
        return self.size * self._count

    def below(self, row: int) -> int:
        """Return how many places come before a row."""
        block = min(max(row - int(self._first[0]), 0) // self._stride, self._count - 1)
        return block * self.size + int(np.searchsorted(self._first, row - block * self._stride))

    def last(self, n: int) -> int:
        """Return the last of the first n places."""
        block, place = divmod(min(n, self.total) - 1, self.size)
        return int(self._first[place]) + block * self._stride


@dataclass
class _Source:
    """A part of a virtual dataset: its frames `here` are those `there` in another dataset; a pattern names several."""

    file: str
    dataset: str
    here: _Rows
    there: _Rows
    n_known: int = 0  # frames of the part that were checked

    def needed(self, before: int, n: int) -> Iterator[tuple[str, str, int]]:
        """Yield the datasets that hold frames before … n - 1 of the part, and how many each needs to have."""
        if "%b" in self.file + self.dataset:  # the number of the block
            for block in range(before // self.here.size, -(-n // self.here.size)):
                file, name = (x.replace("%b", str(block)).replace("%%", "%") for x in (self.file, self.dataset))
                yield file, name, self.there.last(min(n - block * self.here.size, self.here.size)) + 1
            return
        if max(self.here.total, self.there.total) < sys.maxsize:  # each of its rows may hold several frames
            n = -(-n * self.there.total // self.here.total)
        yield self.file, self.dataset, self.there.last(n) + 1


class Sources:
    """The sources that hold frames of a dataset outside its own file. The dataset is open only when this is made."""

    def __init__(self, path: Path, dataset: h5py.Dataset, roots: Roots) -> None:
        self._path, self._roots = path, roots
        self._parts: list[_Source] = []
        if dataset.external:
            raise FrameError(f"{path}, {dataset.name!r}: its values are raw data outside the file, which are not read")
        for source in dataset.virtual_sources() if dataset.is_virtual else ():
            here, there = _Rows(source.vspace), _Rows(source.src_space)
            self._parts.append(_Source(source.file_name, source.dset_name, here, there))

    def require(self, start: int, stop: int) -> None:
        """Check the sources of frames start … stop - 1.

        Raises MissingFrames if one is missing or too short, and FrameError if one is outside the roots.
        """
        for part in self._parts:
            before, n = part.here.below(start), part.here.below(stop)
            if n > max(before, part.n_known):
                for needed in part.needed(before, n):
                    self._check(*needed, part.there.sides)
                part.n_known = n

    def _check(self, source: str, dataset_name: str, n: int, sides: list[int] | None) -> None:
        """Check that a source has `n` rows as large as `sides`; without them, rows with `n` frames."""
        file = self._path if source == "." else linked_file(self._path, source, self._roots)
        path, name = find_item(file, dataset_name, self._roots)
        with opened(path, name, self._roots) as dataset:
            if not isinstance(dataset, h5py.Dataset):
                raise FrameError(f"{path}, {name!r}: no such dataset, a source of {self._path}")
            if sides is None:
                n, sides = -(-n // max(math.prod(dataset.shape[1:-2]), 1)), []
            if dataset.shape and len(dataset) < n:
                raise MissingFrames(f"{path}, {name!r} holds {len(dataset)} frames, {n} are needed")
            if any(has < needed for has, needed in zip(dataset.shape[1:], sides, strict=False)):
                raise MissingFrames(f"{path}, {name!r} has the shape {dataset.shape}, {(n, *sides)} is needed")
            sources = Sources(path, dataset, self._roots)
        sources.require(0, max(n, 1))
