"""Virtual datasets: HDF5 returns the fill value for a source that is missing or too short, so each is checked first."""

import math
import sys
from pathlib import Path
from typing import Any, NamedTuple, Self

import h5py

from ainerd.documents._storage import FrameError, MissingFrames, Roots, find_item, linked_file, opened


class _Places(NamedTuple):
    """Places on the first axis: `n_blocks` blocks of `block` places, from `start`, `stride` apart."""

    start: int
    stride: int
    n_blocks: int
    block: int

    @classmethod
    def of(cls, space: Any) -> list[Self]:
        """Return the places of a selection; several, in order, if they are not regular."""
        if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS:  # all of a dataset, whose shape is not kept
            return [cls(0, sys.maxsize, 1, sys.maxsize)]
        if not space.is_regular_hyperslab():
            rows = sorted({(low[0], high[0]) for low, high in space.get_select_hyper_blocklist().tolist()})
            return [cls(low, sys.maxsize, 1, high - low + 1) for low, high in rows]
        start, stride, count, block = (axis[0] for axis in space.get_regular_hyperslab())
        return [cls(start, stride, count, block) if count > 1 else cls(start, sys.maxsize, 1, block)]

    def below(self, row: int) -> int:
        """Return how many places come before a row."""
        before, rest = divmod(max(row - self.start, 0), self.stride)
        return min(before, self.n_blocks) * self.block + (min(rest, self.block) if before < self.n_blocks else 0)

    def last(self, n: int) -> int:
        """Return the last of the first n places."""
        before, rest = divmod(n - 1, self.block)
        return self.start + before * self.stride + rest


class Sources:
    """The sources that hold frames of a dataset outside its own file. The dataset is open only when this is made.

    A source has a frame in each place of its first axis.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset, roots: Roots) -> None:
        self._path, self._roots, self._n_axes = path, roots, dataset.ndim
        self._parts: list[tuple[str, str, _Places, int, _Places]] = []  # with the number of frames before
        for source in dataset.virtual_sources() if dataset.is_virtual else ():
            there, *more, before = *_Places.of(source.src_space), 0
            if more:
                raise FrameError(f"{path}, {dataset.name!r}: a source in parts is not read")
            for here in _Places.of(source.vspace):
                self._parts.append((source.file_name, source.dset_name, here, before, there))
                before += here.block

    def require(self, start: int, stop: int) -> None:
        """Check the sources of frames start … stop - 1.

        Raises MissingFrames if one is missing or too short, and FrameError if one is outside the roots.
        """
        for source, name, here, before, there in self._parts:
            if (n := here.below(stop)) > here.below(start):
                self._check(source, name, there.last(before + n) + 1)

    def _check(self, source: str, name: str, n: int) -> None:
        """Check that a source has `n` frames."""
        file = self._path if source == "." else linked_file(self._path, source, self._roots)
        path, name = find_item(file, name, self._roots)
        with opened(path, name, self._roots) as dataset:
            if not isinstance(dataset, h5py.Dataset) or not dataset.shape:
                raise FrameError(f"{path}, {name!r}: no such dataset, a source of {self._path}")
            if dataset.ndim != self._n_axes and math.prod(dataset.shape[1:-2]) != 1:
                axes = f"{dataset.ndim} axes, {self._path} has {self._n_axes}"
                raise FrameError(f"{path}, {name!r} has {axes}: a source with several frames at one index is not read")
            if len(dataset) < n:
                raise MissingFrames(f"{path}, {name!r} holds {len(dataset)} frames, {n} are needed")
            sources = Sources(path, dataset, self._roots)
        sources.require(0, n)
