"""The reduction of two-time maps: which rows a frame is added to while it arrives, and how rows become a map.

Rows of events are integers as small as possible: the whole frames of a row are counted, and each frame that two rows
share is kept as it is, and added when the rows are read. Sums of integers do not depend on their order.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numba as nb
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ainerd_xpcs.numerics._counts import ratio
from ainerd_xpcs.numerics._events import Events
from ainerd_xpcs.numerics._partition import Array, Floats, check_choice

Reduction = Literal["area"]
# (indptr, rows, weights): frame b is added to rows[indptr[b]:indptr[b + 1]], with these weights
Columns = tuple[NDArray[np.int64], NDArray[np.int64], Floats]
WAITING = 64  # elements of all rows for each event that waits
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

    def weights_at(self, frames: NDArray[np.int64]) -> sp.csr_array:
        """Return the weight of each of these frames in each row, (n, n_rows)."""
        indptr, rows, weights = self.columns_at(frames)
        return sp.csr_array((weights, rows, indptr), (len(frames), self.n_rows))

    def operator_at(self, to_map: sp.csr_array, frames: NDArray[np.int64]) -> sp.csr_array:
        """Return the operator from these frames to the rows of the map that `to_map`, (n, n_rows), makes."""
        indptr, rows, weights = self.columns_at(frames)
        return (to_map @ sp.csc_array((weights, rows, indptr), (to_map.shape[1], len(frames))).tocsr()).tocsr()

    def to_map(self, n_frames: int) -> sp.csr_array:
        """Return the operator from rows to the map, after `n_frames`."""
        if n_frames < 2:
            raise ValueError(f"a map needs at least 2 frames, got {n_frames}")
        end = n_frames * self.unit
        rows = np.append(np.arange(0, end, self.length), end)
        cells = np.arange(self.size + 1) * (end // self.size)
        to_map = _overlap(cells, rows)
        to_map.data *= self.size / n_frames / np.diff(rows)[to_map.indices]
        return to_map

    def in_rows(self, n_rows: int, n_frames: int) -> sp.csr_array:
        """Return the operator from rows to the sums of `n_frames` each, whose length is a multiple of theirs."""
        step = n_frames * self.unit
        return _overlap(np.arange(n_rows + 1) * step, np.arange(0, n_rows * step + 1, self.length)) / self.length

    def frames_of(self, first: int, last: int) -> tuple[int, int]:
        """Return the frames, first and end, that are in rows `first` to `last` - 1."""
        return first * self.length // self.unit, -(-last * self.length // self.unit)


def in_frames(of_rows: Floats, weights: sp.csr_array) -> Floats:
    """Return the means of numbers of rows, (n_rows, m), over the rows that each frame is in, (n, m)."""
    return ratio(weights @ of_rows, weights.sum(1)[:, None])


@dataclass
class _Shared:
    """A frame that ends a row and begins the next: its share in both, pixels and counts."""

    before: float
    after: float
    pixel: NDArray[np.int32]
    count: NDArray[np.uint32]


class CountRows:
    """Rows of which each frame is in one, or in two that follow each other.

    Parameters
    ----------
    rows : AreaRows
        Which rows a frame is in.
    n_pixels : int

    Attributes
    ----------
    counts : ndarray of uint8, uint16 or uint32, shape (n_rows, n_pixels)
        Photons of the frames that are in one row.
    """

    def __init__(self, rows: AreaRows, n_pixels: int) -> None:
        self.counts: Array = np.zeros((rows.n_rows, n_pixels), np.uint8)
        self._rows = rows
        self._waiting: list[Events] = []
        self._shared: dict[int, _Shared] = {}  # by the second row
        self._filled = 0  # rows that may hold photons

    def add(self, events: Events) -> None:
        """Add frames: when there are many, because rows that are short are soon added to each other."""
        self._waiting.append(events)
        if WAITING * sum(len(x.pixel) for x in self._waiting) > self.counts.size:
            self._settle()

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        for events in waiting:
            self._add(events, self._rows.columns_at(events.ticks))

    def _add(self, events: Events, columns: Columns) -> None:
        indptr, rows, weights = columns
        n_rows, row = np.diff(indptr), np.full(len(events.ticks), -1)
        whole = (n_rows == 1) & events.valid
        row[whole] = rows[indptr[:-1][whole]]
        done, of_tiles = 0, events.tiles.events
        while (done := _add_counts(of_tiles, done, row, self.counts)) < len(of_tiles):
            self._widen()
        for b in np.flatnonzero((n_rows == 2) & events.valid):
            i, some = indptr[b], slice(events.offsets[b], events.offsets[b + 1])
            order = np.argsort(events.pixel[some])
            pixel, count = events.pixel[some][order], events.count[some][order]
            self._shared[int(rows[i + 1])] = _Shared(weights[i], weights[i + 1], pixel, count)
        self._filled = max(self._filled, int(rows[-1]) + 1 if len(rows) else 0)

    def _widen(self) -> None:
        self.counts = self.counts.astype(f"u{2 * self.counts.itemsize}")

    def halve(self) -> None:
        """Add each odd row to the even one before."""
        if not self._filled:
            return
        filled, self._filled = self._filled, -(-self._filled // 2)
        for r in range(self._filled):
            total = self.counts[2 * r] + self.counts[2 * r + 1]
            if (total < self.counts[2 * r]).any():  # more than the integers hold
                self._widen()
                total = self.counts[2 * r] + self.counts[2 * r + 1]
            self.counts[r] = total
        self.counts[self._filled : filled] = 0
        shared, self._shared = self._shared, {}
        for row, frame in shared.items():
            if row % 2 == 0:
                self._shared[row // 2] = frame
                continue
            total = self.counts[row // 2, frame.pixel] + frame.count
            while total.max(initial=0) > np.iinfo(self.counts.dtype).max:
                self._widen()
            self.counts[row // 2, frame.pixel] = total

    def rows_of(self, first: int, last: int, n_rows: int | None, dtype: np.dtype[Any]) -> Array:
        """Return pixels `first` to `last` - 1 of the first `n_rows` rows, or of all."""
        self._settle()
        out = self.counts[:n_rows, first:last].astype(dtype)
        for row, frame in self._shared.items():
            a, b = np.searchsorted(frame.pixel, [first, last])
            for at, share in ((row - 1, frame.before), (row, frame.after)):
                if at < len(out):
                    out[at, frame.pixel[a:b] - first] += np.multiply(share, frame.count[a:b], dtype=dtype)
        return out

    def leave_out(self, pixels: NDArray[np.int64]) -> None:
        """Make all counts of some pixels zero."""
        self._settle()
        self.counts[:, pixels] = 0
        for frame in self._shared.values():
            frame.count[np.isin(frame.pixel, pixels)] = 0


@nb.njit(nogil=True, cache=True, fastmath={"contract"})
def add_dense(events: Array, keep: Array, indptr: Array, rows: Array, weights: Array, into: Array) -> None:
    """Add frames to dense rows; `events` are those of `Tiles`."""
    w, value = np.zeros(1, into.dtype), np.zeros(1, into.dtype)
    for e in range(events.shape[0]):
        b, p = np.uintp(events[e, 0]), np.uintp(events[e, 1])
        if keep[b]:
            value[0] = events[e, 2]
            for i in range(np.uintp(indptr[b]), np.uintp(indptr[b + np.uintp(1)])):
                w[0] = weights[i]
                into[np.uintp(rows[i]), p] += w[0] * value[0]


@nb.njit(nogil=True, cache=True)
def _add_counts(events: Array, first: int, row: Array, into: Array) -> int:
    """Add events of `Tiles`, from `first` on, to the row of their frame, if it has one; return the next event.

    That is one whose sum would not fit the integers, or the number of events.
    """
    size = 8 * into.itemsize
    for e in range(first, events.shape[0]):
        b, p = np.uintp(events[e, 0]), np.uintp(events[e, 1])
        if row[b] >= 0:
            x = np.uint64(into[np.uintp(row[b]), p]) + np.uint64(events[e, 2])
            if x >> np.uint64(size):
                return e
            into[np.uintp(row[b]), p] = x
    return int(events.shape[0])
