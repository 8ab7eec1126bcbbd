"""Events in the two-time reducer: the rows of R D as whole counts, in integers as small as possible.

A row is the sum of whole frames and of shares of the frames at its two ends. The whole frames are counted; each frame
that two rows share is kept as it is, and added when the rows are read. Sums of integers do not depend on their order.
"""

from dataclasses import dataclass, replace
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._events import Events
from ainerd_xpcs.numerics._partition import Array
from ainerd_xpcs.numerics._reductions import AreaRows, Columns
from ainerd_xpcs.numerics._team import Team

WAITING = 64  # elements of all rows for each event that waits


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

    def collect(self, team: Team, owns: list[NDArray[np.int64]], n_pixels: int) -> None:
        """Take the pixels of all processes of a team, which are at `owns`, into the first of them.

        Others of the `n_pixels`, in gaps between modules, count nothing.
        """
        self._settle()
        sizes = np.zeros(9, np.int64)
        sizes[self.counts.itemsize] = 1
        while self.counts.itemsize < np.flatnonzero(team.total(sizes))[-1]:
            self._widen()
        mine = self.counts
        self.counts = np.zeros((len(mine), n_pixels if owns else 0), mine.dtype)
        for row in range(self._filled):
            for own, counts in zip(owns, team.collected(mine[row]), strict=True):
                _put(counts, own, self.counts[row])
        for row, frame in sorted(self._shared.items()):
            pixels, of_pixels = team.collected(frame.pixel), team.collected(frame.count)
            if owns:
                pixel = np.concatenate([own[x] for own, x in zip(owns, pixels, strict=True)]).astype(np.int32)
                order = np.argsort(pixel)
                self._shared[row] = replace(frame, pixel=pixel[order], count=np.concatenate(of_pixels)[order])

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
def _put(values: Array, at: Array, into: Array) -> None:
    for i in range(np.uintp(at.size)):
        into[np.uintp(at[i])] = values[i]


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
