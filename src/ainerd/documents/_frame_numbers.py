"""The number or time that a detector stores for each frame: beside the frames, or in events."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from event_model.documents import DataKey
from numpy.typing import NDArray

from ainerd.documents._classic import HDF5, FrameFile
from ainerd.documents._storage import Array, FrameError, MissingFrames, Roots, local_path, open_item
from ainerd.documents._virtual import Sources


@dataclass(frozen=True)
class Unnumbered:
    """Announced frames whose numbers have not been read.

    Attributes
    ----------
    pieces : list of (str, int, int)
        Resource, index of the first frame, and number of frames.
    row : int
        Row of the first frame in the stream.
    event : int or None
        Number of the event that holds the frames.
    values : ndarray or None
        Numbers or times in the event.
    """

    pieces: list[tuple[str, int, int]]
    row: int
    event: int | None = None
    values: Array | None = None

    @property
    def n(self) -> int:
        """Number of frames."""
        return sum(n for *_, n in self.pieces)


class StoredNumbers:
    """Finds the numbers of the frames of one run.

    Parameters
    ----------
    key : str
        Data key, or the name of a dataset in the files of the frames, which begins with a slash.
    resources : mapping of str to FrameFile
        Files by uid, to which files may be added.
    roots : iterable of Path
        Folders from which files may be read.
    """

    def __init__(self, key: str, resources: Mapping[str, FrameFile], roots: Iterable[Path]) -> None:
        self._key, self._resources = key, resources
        self._roots = [root.resolve() for root in roots]
        self._announced: list[tuple[int, str, int, int]] = []  # row in the stream, resource, first index, number

    def announce(self, resource: str, start: int, n: int) -> None:
        """Add the next rows of a stream of numbers."""
        row = self._announced[-1][0] + self._announced[-1][3] if self._announced else 0
        self._announced.append((row, resource, start, n))

    def values(self, frames: Unnumbered, data_keys: Mapping[str, DataKey]) -> Array:
        """Return the numbers or times of frames, (n,). `data_keys` are those of the stream.

        Raises
        ------
        MissingFrames
            If the numbers are not there (yet).
        FrameError
            If they cannot be read.
        """
        if frames.values is not None:
            if frames.values.dtype.kind not in "iuf" or len(frames.values) != frames.n:
                what = f"{self._key!r} of event {frames.event}"
                raise FrameError(f"{what} is not a number for each of its frames, of which it has {frames.n}")
            return frames.values
        if self._key.startswith("/"):
            parts = []
            for resource, start, n in frames.pieces:
                doc = self._resources[resource]
                parts.append(self._in_file(doc, self._key, start + doc.before, n))
            return np.concatenate(parts)
        if self._key not in data_keys or "external" not in data_keys[self._key]:
            raise FrameError(f"the stream of the frames has no number for each frame in {self._key!r}")
        parts, row, end = [], frames.row, frames.row + frames.n
        for first, resource, start, n in self._announced:
            if first <= row < min(first + n, end):
                stop = min(first + n, end)
                doc = self._resources[resource]
                parts.append(self._in_file(doc, doc.parameters.get("dataset", ""), row + start - first, stop - row))
                row = stop
        if row < end:
            raise MissingFrames(f"{self._key!r} of frames {row}-{end - 1} is not announced")
        return np.concatenate(parts)

    def _in_file(self, doc: FrameFile, dataset: str, start: int, n: int) -> Array:
        if doc.mimetype != HDF5:
            raise MissingFrames(f"{dataset!r} in a file of type {doc.mimetype!r} is not read")
        return numbers_in_file(local_path(doc.uri, self._roots), dataset, self._roots, start, start + n)


def numbers_in_file(path: Path, dataset: str, roots: Roots, start: int, stop: int) -> Array:
    """Return the numbers of frames start … stop - 1 from an HDF5 file, also while it is being written.

    Raises FrameError if there is no such dataset of numbers, and MissingFrames if they are not in the file yet.
    """
    what = f"{path}, {dataset!r}"
    with open_item(path, dataset, roots) as numbers:
        if not isinstance(numbers, h5py.Dataset) or numbers.dtype.kind not in "iuf" or not numbers.shape:
            raise FrameError(f"{what}: expected a dataset with a number for each frame")
        per_row = math.prod(numbers.shape[1:])
        Sources(Path(numbers.file.filename), numbers, roots).require(start // per_row, -(-stop // per_row))
        if (n := math.prod(numbers.shape)) < stop:
            raise MissingFrames(f"{what} holds the numbers of {n} frames, {stop} were announced")
        first = start // per_row
        return np.asarray(numbers[first : -(-stop // per_row)]).ravel()[start - first * per_row :][: stop - start]


def whole_numbers(values: Array, what: str) -> NDArray[np.int64]:
    """Return numbers of frames as int64; raise FrameError if they are not whole."""
    numbers = values.astype(np.int64) if np.isfinite(values).all() else np.zeros(1, np.int64)
    if numbers.shape != values.shape or (numbers != values).any():
        raise FrameError(f"{what!r} holds numbers of frames that are not whole")
    return numbers
