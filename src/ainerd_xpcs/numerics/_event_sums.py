"""Sums of frames that come as events, in integers as small as possible: of single frames, and of rows of frames.

Only frames that hold a photon have a sum of their own.

A row of R D, in the two-time reducer, is the sum of whole frames and of shares of the frames at its two ends. The whole
frames are counted; each frame that two rows share is kept as it is, and added when the rows are read. Sums of integers
do not depend on their order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numba as nb
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ainerd_xpcs.numerics._counts import Sums, ratio
from ainerd_xpcs.numerics._events import Events, labels
from ainerd_xpcs.numerics._partition import Array, Floats, Partition
from ainerd_xpcs.numerics._reductions import AreaRows, Columns

CHUNK = 1 << 12  # frames whose sums are kept together
MOST = 1 << 17  # sums of frames that are kept
Record = tuple[Array, Array, Array]  # of some frames: ticks, whether to keep them, and counts, (n, n_sub)
WAITING = 64  # elements of all rows for each event that waits


@dataclass
class FrameSums:
    """Sums of the frames that hold a photon: their ticks, whether to keep them, and their counts by sub-bin.

    Counts are kept in the smallest integers that hold them. Of more than `MOST` frames the sums of 2, 4, 8 … neighbours
    are kept, as if all their photons were in the middle one.
    """

    partition: Partition
    _chunks: list[Record] = field(default_factory=list)
    _open: list[Record] = field(default_factory=list)
    _shift: int = 0  # a tick of the chunks is 2^shift frames
    _end: int = 0

    def push(self, events: Events) -> None:
        """Add the sums of the next frames, which must not hold an earlier one."""
        n, n_sub = len(events.ticks), len(self.partition.static_roi)
        counts = np.zeros((n, n_sub), np.uint32)
        sub = np.repeat(labels(n_sub), np.diff(self.partition.static_edges))
        _sum_events(events.offsets, events.pixel, events.count, sub, counts)
        some = counts.any(1)
        self._open.append((events.ticks[some], events.valid[some], counts[some]))
        self._end = max(events.stop, self._end)
        if sum(len(x[0]) for x in self._open) >= CHUNK:
            self._close()

    def _close(self) -> None:
        """Put the open frames into the last chunk, or into one of their own."""
        chunk, self._open = _summed(self._open, self._shift), []
        if self._shift and len(self._chunks[-1][0]) < CHUNK:
            chunk = _summed([self._chunks.pop(), chunk], 0)
        self._chunks.append(chunk)
        if sum(len(x[0]) for x in self._chunks) > MOST:
            self._shift += 1
            self._chunks = [_summed([_summed([x], 1) for x in self._chunks], 0)]

    def _records(self) -> Iterator[Record]:
        """Yield the arrays of each chunk, with the middle frame in place of the tick."""
        for ticks, keep, counts in self._chunks:
            middle = (ticks << self._shift) + (1 << self._shift >> 1)
            yield np.minimum(middle, self._end - 1), keep, counts
        yield from self._open

    def between(self, first: int, last: int, dtype: np.dtype[Any]) -> Record:
        """Return ticks, valid and counts, (n, n_sub), of the frames from `first` to `last` - 1."""
        parts = []
        for chunk in self._records():
            a, b = np.searchsorted(chunk[0], [first, last])
            parts.append([x[a:b] for x in chunk])
        ticks, valid, counts = (np.concatenate(x) for x in zip(*parts, strict=True))
        return ticks, valid, counts.astype(dtype)

    def dense(self, n_frames: int, pixels: Array, dtype: np.dtype[Any]) -> tuple[Sums, NDArray[np.bool_]]:
        """Return sums and valid of all frames, at most `MOST`, also without photons; `pixels` are those of `Sums`."""
        sums, valid = Sums.empty(n_frames, self.partition, dtype.name), np.ones(n_frames, bool)
        for ticks, keep, counts in self._records():
            valid[ticks], sums.counts[ticks] = keep, counts
        return Sums(sums.counts, pixels), valid

    def photons(self) -> Floats:
        """Return the counts of each sub-bin in the frames to keep, (n_sub,)."""
        total = np.zeros(len(self.partition.static_roi))
        for _, keep, counts in self._records():
            total += counts[keep].sum(0, dtype=float)
        return total

    def between_edges(self, edges: NDArray[np.int64]) -> Floats:
        """Return the counts of each sub-bin, (n, n_sub), in all frames from ``edges[i]`` to ``edges[i + 1] - 1``."""
        total = np.zeros((len(edges) - 1, len(self.partition.static_roi)))
        for ticks, _, counts in self._records():
            into = np.searchsorted(edges, ticks, "right") - 1
            begins = np.flatnonzero(np.diff(into, prepend=-1))
            if len(begins):
                total[into[begins]] += np.add.reduceat(counts, begins, axis=0, dtype=float)
        return total

    def take_out(
        self, sub: Array, in_bin: NDArray[np.bool_], shares: Floats,
        columns_at: "Callable[[NDArray[np.int64]], tuple[Array, Array, Floats]]", dtype: np.dtype[Any],
    ) -> None:  # fmt: skip
        """Subtract the counts of some pixels from their sub-bins `sub`, (m,).

        The counts in each frame follow from the shares of the pixels in the rows, (n_rows, m). `in_bin`, (n_sub,),
        marks the sub-bins of their bin. The sums become floating-point numbers.
        """
        if self._open:
            self._close()
        for i, (ticks, keep, counts) in enumerate(self._records()):
            indptr, rows, weights = columns_at(ticks)
            by_frame = sp.csr_array((weights, rows, indptr), (len(ticks), len(shares)))
            share = ratio(by_frame @ shares, by_frame.sum(1)[:, None]) * keep[:, None]
            out = share * counts[:, in_bin].sum(1, dtype=float)[:, None]
            left = counts.astype(dtype)
            for j, now in zip(sub, out.T, strict=True):
                left[:, j] -= now
            self._chunks[i] = self._chunks[i][0], keep, left

    def parts(self, most: int) -> Iterator[tuple[int, int]]:
        """Yield first and last ticks, (first, end), of at most about `most` frames each."""
        ticks = np.concatenate([[0], *(x[0] for x in self._records())])
        edges = [*ticks[::most].tolist(), int(ticks[-1]) + 1]
        yield from zip(edges[:-1], edges[1:], strict=True)

    @property
    def n_sums(self) -> int:
        """Number of sums that are kept: frames that hold a photon, or groups of them."""
        return sum(len(x[0]) for x in [*self._chunks, *self._open])


def _summed(chunks: list[Record], shift: int) -> Record:
    """Return chunks as one, with the sums over those of 2^shift ticks which are all valid, or all not."""
    ticks, keep, counts = (np.concatenate(x) for x in zip(*chunks, strict=True))
    if shift:
        ticks >>= shift
        order = np.argsort(2 * ticks + keep, kind="stable")
        ticks, keep = ticks[order], keep[order]
        begins = np.flatnonzero((np.diff(ticks, prepend=-1) != 0) | np.diff(keep, prepend=keep[:1]))
        ticks, keep = ticks[begins], keep[begins]
        kind = counts.dtype if counts.dtype.kind == "f" else np.dtype(np.uint32)
        counts = np.add.reduceat(counts[order], begins, axis=0, dtype=kind)
    if counts.dtype.kind == "u" and counts.size:
        counts = counts.astype(np.min_scalar_type(counts.max()))
    return ticks, keep, counts


@nb.njit(nogil=True, cache=True)
def _sum_events(offsets: Array, pixel: Array, count: Array, sub: Array, counts: Array) -> None:
    """Write the sums of each frame by sub-bin."""
    for b in range(offsets.size - 1):
        into = counts[b]
        for e in range(offsets[b], offsets[b + 1]):
            into[sub[pixel[e]]] += count[e]


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
