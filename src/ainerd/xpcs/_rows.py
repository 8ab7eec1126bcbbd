"""The rows that frames are added up in while a run goes, and the way from them to the map."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ainerd.xpcs._operators import Reduction, overlap, reduction_operator

ROWS, OPEN_ROWS = 2, 4  # rows for each row of the map, of an announced and of an open-ended run


class Columns(NamedTuple):
    """Which rows each of some frames adds to: frame b to rows[indptr[b]:indptr[b + 1]], with these weights."""

    indptr: NDArray[np.int64]
    rows: NDArray[np.int64]
    weights: NDArray[np.float64]

    def between(self, first: int, last: int) -> "Columns":
        """Those of frames first to last - 1."""
        return Columns(self.indptr[first : last + 1], self.rows, self.weights)


class MapRows:
    """The rows of the map itself, for reductions that cannot be split into finer ones."""

    def __init__(self, operator: sp.csr_array) -> None:
        self._operator = operator
        self.n_rows, self.n_frames = operator.shape
        by_frame = operator.tocsc()
        self._columns = Columns(by_frame.indptr.astype(np.int64), by_frame.indices.astype(np.int64), by_frame.data)

    @property
    def capacity(self) -> int:
        """All that were announced."""
        return self.n_frames

    def columns(self, first: int, last: int) -> Columns:
        """Where frames first to last - 1 go."""
        return self._columns.between(first, last)

    def operators(self, n_frames: int) -> tuple[sp.csr_array, sp.csr_array]:
        """(rows to map, frames to map)."""
        if n_frames != self.n_frames:
            raise ValueError(f"{n_frames} of {self.n_frames} frames have come; only 'area' maps a part of a run")
        return sp.eye_array(self.n_rows, format="csr"), self._operator

    def by_frame(self, n_frames: int) -> sp.csr_array:
        """How much of each of the frames that have come is in which row, (n_rows, n_frames)."""
        return self._operator[:, :n_frames].tocsr()


class AreaRows:
    """Sums over rows of equal length, that double when all are full.

    A map of any number of frames is made of them: a row that lies in one cell of the map belongs to it with all its
    frames, one that a border runs through is shared in proportion. With T announced there are 2 size rows, of
    T / (2 size) frames at the end and of T / (2 size 2^k), just above one, at the beginning (and size rows for
    T < 2 size), so the map of all T is the exact area mean. Without, there are 4 size rows that begin with one frame.

    Time is counted in 1/unit of a frame, which makes all borders whole numbers.
    """

    def __init__(self, n_frames: int | None, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.n_frames, self.size = n_frames, size
        finer = OPEN_ROWS if n_frames is None else min(max(n_frames // size, 1), ROWS)
        self.n_rows = finer * size
        if n_frames is None:
            self.length = self.unit = self.n_rows
        else:
            self.length, self.unit = n_frames, self.n_rows << max((n_frames // self.n_rows).bit_length() - 1, 0)

    @property
    def capacity(self) -> int:
        """Frames that the rows hold before they double."""
        return self.n_rows * self.length // self.unit

    def columns(self, first: int, last: int) -> Columns:
        """Where frames first to last - 1 go."""
        begin = np.arange(first, last) * self.unit
        lowest = begin // self.length
        touched = (begin + self.unit - 1) // self.length - lowest + 1
        indptr = np.append(0, np.cumsum(touched))
        rows = np.arange(indptr[-1]) + np.repeat(lowest - indptr[:-1], touched)
        begin = np.repeat(begin, touched)
        shared = np.minimum(begin + self.unit, (rows + 1) * self.length) - np.maximum(begin, rows * self.length)
        return Columns(indptr, rows, shared / self.unit)

    def operators(self, n_frames: int) -> tuple[sp.csr_array, sp.csr_array]:
        """(rows to map, frames to map) when `n_frames` have come."""
        if n_frames < 2:
            raise ValueError(f"a map wants at least 2 frames, {n_frames} have come")
        end = n_frames * self.unit
        rows = np.append(np.arange(0, end, self.length), end)
        cells = np.arange(self.size + 1) * (end // self.size)
        to_map = overlap(cells, rows)
        to_map.data *= self.size / n_frames / np.diff(rows)[to_map.indices]
        return to_map, (to_map @ self.by_frame(n_frames)).tocsr()

    def by_frame(self, n_frames: int) -> sp.csr_array:
        """How much of each of the frames that have come is in which of the rows in use, (n, n_frames)."""
        end = n_frames * self.unit
        rows = np.append(np.arange(0, end, self.length), end)
        return overlap(rows, np.arange(n_frames + 1) * self.unit) / self.unit

    def double(self) -> None:
        """Make the rows twice as long, for twice as many frames."""
        self.length *= 2


def make_rows(kind: Reduction, n_frames: int | None, size: int, sigma: float | None) -> MapRows | AreaRows:
    """Rows for a reduction; ValueError if it cannot be made."""
    if n_frames is None:
        if kind != "area" or sigma is not None:
            raise ValueError(f"n_frames must be given for reduction {kind!r}: only 'area' can do without")
        return AreaRows(None, size)
    operator = reduction_operator(kind, n_frames, size, sigma)
    return AreaRows(n_frames, size) if kind == "area" else MapRows(operator)
