"""Virtual datasets: HDF5 returns the fill value for a source that is missing or too short, so each is checked first."""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd.documents._storage import FrameError, MissingFrames, Roots, find_item, linked_file, opened


class Sources:
    """The sources that hold frames of a dataset outside its own file. The dataset is open only when this is made.

    A source has a frame in each place of its first axis.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset, roots: Roots) -> None:
        self._path, self._roots, self._n_axes = path, roots, dataset.ndim
        self._parts: list[tuple[str, str, NDArray[np.int64], NDArray[np.int64]]] = []  # places here, and there
        for source in dataset.virtual_sources() if dataset.is_virtual else ():
            here = _places(source.vspace, len(dataset))
            self._parts.append((source.file_name, source.dset_name, here, _places(source.src_space, len(here))))

    def require(self, start: int, stop: int) -> None:
        """Check the sources of frames start … stop - 1.

        Raises MissingFrames if one is missing or too short, and FrameError if one is outside the roots.
        """
        for source, name, here, there in self._parts:
            first, last = np.searchsorted(here, (start, stop))
            if first < last:
                self._check(source, name, int(there[last - 1]) + 1)

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


def _places(space: Any, most: int) -> NDArray[np.int64]:
    """Return the places of a selection on the first axis, in order, of which there are at most `most`."""
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS:  # all of a dataset, whose shape is not kept
        return np.arange(most)
    if not space.is_regular_hyperslab():
        return np.unique([x for low, high in space.get_select_hyper_blocklist() for x in range(low[0], high[0] + 1)])
    start, stride, count, block = (axis[0] for axis in space.get_regular_hyperslab())
    in_block = np.arange(min(block, most))
    begins = start + stride * np.arange(min(count, -(-most // in_block.size))) if count > 1 else np.array([start])
    return np.asarray((begins[:, None] + in_block).ravel()[:most])
