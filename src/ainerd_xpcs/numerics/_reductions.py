"""The reduction of two-time maps: which rows a frame is added to while it arrives, and how rows become a map."""

from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ainerd_xpcs.numerics._partition import Floats, check_choice

Reduction = Literal["area"]
# (indptr, rows, weights): frame b is added to rows[indptr[b]:indptr[b + 1]], with these weights
Columns = tuple[NDArray[np.int64], NDArray[np.int64], Floats]
ROWS, OPEN_ROWS = 2, 4  # rows for each row of the map, in an announced and in an open-ended run


def reduction_operator(kind: Reduction, n_frames: int, size: int) -> sp.csr_array:
    """Return R, (size, n_frames), whose rows sum to 1.

    "area" is the mean over the frames that each map pixel covers.

    Raises
    ------
    ValueError
        If there are fewer than two frames, no row, or another kind is asked for.

    Examples
    --------
    >>> reduction_operator("area", 5, 2).toarray()  # the third frame belongs to both halves
    array([[0.4, 0.4, 0.2, 0. , 0. ],
           [0. , 0. , 0.2, 0.4, 0.4]])
    """
    check_choice("reduction", kind, Reduction)
    if n_frames < 2 or size < 1:
        raise ValueError(f"a reduction needs at least 2 frames and a size of at least 1, got {n_frames} and {size}")
    return _overlap(np.arange(size + 1) * n_frames, np.arange(n_frames + 1) * size) / n_frames  # in 1/size of a frame


def _overlap(cells: NDArray[np.int64], bins: NDArray[np.int64]) -> sp.csr_array:
    """Return the overlap of each interval between two `cells` with each between two `bins`, (n_cells, n_bins).

    Both hold increasing borders with the same first and last value; they are whole numbers, so nothing is rounded.
    """
    edges = np.union1d(cells, bins)
    rows = np.searchsorted(cells, edges[:-1], "right") - 1
    cols = np.searchsorted(bins, edges[:-1], "right") - 1
    return sp.csr_array((np.diff(edges).astype(float), (rows, cols)), (len(cells) - 1, len(bins) - 1))


class AreaRows:
    """Sums over rows of equal length, which double in length when all are full.

    A map of any number of frames can be made of them: a row inside one cell of the map belongs to it with all its
    frames, a row crossed by a border is shared in proportion. With T announced there are 2 size rows, of
    T / (2 size) frames at the end and of T / (2 size 2^k), just above one, at the beginning (and size rows for
    T < 2 size), so the map of all T is the exact area mean. Without T, there are 4 size rows that begin with one frame.

    Time is counted in 1/unit of a frame, which makes all borders whole numbers.
    """

    def __init__(self, n_frames: int | None, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size
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

    def columns_at(self, frames: NDArray[np.int64]) -> Columns:
        """Return the rows of these frames."""
        begin = frames * self.unit
        lowest = begin // self.length
        touched = (begin + self.unit - 1) // self.length - lowest + 1
        indptr = np.append(0, np.cumsum(touched))
        rows = np.arange(indptr[-1]) + np.repeat(lowest - indptr[:-1], touched)
        begin = np.repeat(begin, touched)
        shared = np.minimum(begin + self.unit, (rows + 1) * self.length) - np.maximum(begin, rows * self.length)
        return indptr, rows, shared / self.unit

    def operator_at(self, to_map: sp.csr_array, frames: NDArray[np.int64]) -> sp.csr_array:
        """Return the operator from these frames to the rows of the map that `to_map`, (n, n_rows), makes."""
        indptr, rows, weights = self.columns_at(frames)
        return (to_map @ sp.csc_array((weights, rows, indptr), (to_map.shape[1], len(frames))).tocsr()).tocsr()

    def to_map(self, n_frames: int) -> sp.csr_array:
        """Return the operator from rows to the map, after `n_frames`."""
        if n_frames < 2:
            raise ValueError(f"a map needs at least 2 frames, got {n_frames}")
        end, rows = self._borders(n_frames)
        cells = np.arange(self.size + 1) * (end // self.size)
        to_map = _overlap(cells, rows)
        to_map.data *= self.size / n_frames / np.diff(rows)[to_map.indices]
        return to_map

    def in_rows(self, n_rows: int, n_frames: int) -> sp.csr_array:
        """Return the operator from rows to the sums of `n_frames` each, whose length is a multiple of theirs."""
        step = n_frames * self.unit
        return _overlap(np.arange(n_rows + 1) * step, np.arange(0, n_rows * step + 1, self.length)) / self.length

    def by_frame(self, n_frames: int) -> sp.csr_array:
        """Return the weight of each frame so far in each row in use, (n, n_frames)."""
        _, rows = self._borders(n_frames)
        return _overlap(rows, np.arange(n_frames + 1) * self.unit) / self.unit

    def frames_of(self, first: int, last: int) -> tuple[int, int]:
        """Return the frames, first and end, that are in rows `first` to `last` - 1."""
        return first * self.length // self.unit, -(-last * self.length // self.unit)

    def _borders(self, n_frames: int) -> tuple[int, NDArray[np.int64]]:
        end = n_frames * self.unit
        return end, np.append(np.arange(0, end, self.length), end)
