"""Events in the two-time reducer: the rows of R D as long as few of their elements are not zero, and sums of frames.

The arithmetic is that of dense frames, element by element and in the same order, so the maps are the same bit for bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd.xpcs._counts import Sums
from ainerd.xpcs._events import Events, labels
from ainerd.xpcs._partition import Array, Normalization, Partition

SPARSE = 1 / 16  # of the elements of all rows: with more of them the rows are dense
CHUNK = 1 << 12  # frames whose sums are kept together
# the number of trailing zeros of a power of two (Leiserson, Prokop & Randall, 1998)
_DE_BRUIJN = 0x03F79D71B4CB0A89
_ZEROS = np.empty(64, np.int32)
_ZEROS[[(_DE_BRUIJN << i & (1 << 64) - 1) >> 58 for i in range(64)]] = np.arange(64)


@dataclass
class FrameSums:
    """Sums of the frames that hold a photon: their ticks, whether to keep them, and the arrays of `Sums`.

    Counts are kept in the smallest integers that hold them.
    """

    partition: Partition
    neighbours: bool
    last: Array = field(init=False)  # of the frame before, where the products with it are wanted
    _chunks: list[tuple[Array, ...]] = field(default_factory=list)
    _open: list[tuple[Array, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.last = np.zeros(len(self.partition.pixels) if self.neighbours else 0, np.int64)

    def add(self, ticks: Array, valid: Array, counts: Array, squares: Array, products: Array) -> None:
        """Add the sums of the next frames."""
        some = counts.any(1)
        more = (squares[some], products[some]) if self.neighbours else ()
        self._open.append((ticks[some], valid[some], counts[some], *more))
        if sum(len(x[0]) for x in self._open) >= CHUNK:
            numbers, keep, all_counts, *rest = (np.concatenate(x) for x in zip(*self._open, strict=True))
            self._chunks.append((numbers, keep, all_counts.astype(np.min_scalar_type(all_counts.max())), *rest))
            self._open = []

    def between(self, first: int, last: int, dtype: np.dtype[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_], Sums]:
        """Return ticks, valid and sums of the frames from `first` to `last` - 1.

        A frame without photons stands between frames that are not neighbours.
        """
        found = []
        for chunk in [*self._chunks, *self._open]:
            a, b = np.searchsorted(chunk[0], [first, last])
            found.append([x[a:b] for x in chunk])
        ticks, valid, *sums = (np.concatenate(x) for x in zip(*found, strict=True))
        jump = np.flatnonzero(np.diff(ticks) > 1) + 1
        ticks, valid = np.insert(ticks, jump, ticks[jump - 1] + 1), np.insert(valid, jump, False)
        arrays = [np.insert(x.astype(dtype), jump, 0, axis=0) for x in sums]
        none = np.zeros((0, arrays[0].shape[1]), dtype)
        counts, squares, products = arrays if self.neighbours else (arrays[0], none, none)
        return ticks, valid, Sums(counts, squares, products, np.diff(self.partition.static_edges)[None])

    def dense(self, n_frames: int, pixels: Array, dtype: np.dtype[Any]) -> tuple[Sums, NDArray[np.bool_]]:
        """Return sums and valid of all frames, with and without photons; `pixels` are those of `Sums`."""
        sums = Sums.empty(n_frames, self.partition, neighbours=self.neighbours, dtype=dtype.name)
        valid = np.ones(n_frames, bool)
        for ticks, keep, *arrays in [*self._chunks, *self._open]:
            valid[ticks] = keep
            for into, x in zip((sums.counts, sums.squares, sums.products), arrays, strict=False):
                into[ticks] = x
        return Sums(sums.counts, sums.squares, sums.products, pixels), valid

    def parts(self, most: int) -> Iterator[tuple[int, int]]:
        """Yield first and last ticks, (first, end), of at most about `most` frames each."""
        ticks = np.concatenate([[0], *(x[0] for x in [*self._chunks, *self._open])])
        edges = [*ticks[::most].tolist(), int(ticks[-1]) + 1]
        yield from zip(edges[:-1], edges[1:], strict=True)

    @property
    def n_frames(self) -> int:
        """Number of frames that hold a photon."""
        return sum(len(x[0]) for x in [*self._chunks, *self._open])


class SparseRows:
    """Rows of which only elements that are not zero are kept, row by row and sorted by pixel.

    Rows are filled in order; at most two of them, which share a frame, are being filled at a time.
    """

    def __init__(self, n_rows: int, n_pixels: int, dtype: np.dtype[Any]) -> None:
        self.n_pixels = n_pixels
        self._ends = np.zeros(n_rows + 1, np.int64)  # of the elements of each row, after a zero
        self._n_rows = 0  # filled so far
        room = int(SPARSE * n_rows * n_pixels)
        self._pixel, self._value = np.empty(room, np.int32), np.empty(room, dtype)  # takes memory as it is filled
        self._now = np.zeros((2, n_pixels), dtype)  # rows that are being filled, by their parity
        self._marks = np.zeros((2, n_pixels // 64 + 1), np.uint64)  # one bit a pixel: not zero

    @property
    def size(self) -> int:
        """Number of elements that are not zero."""
        return int(self._ends[self._n_rows])

    @property
    def is_full(self) -> bool:
        """Whether dense rows would be better."""
        return self.size > SPARSE * (len(self._ends) - 1) * self.n_pixels

    def add(self, offsets: Array, keep: Array, pixel: Array, value: Array, columns: tuple[Array, Array, Array]) -> None:
        """Add frames to the rows."""
        room = self.size + 2 * len(pixel)  # a frame is in at most two rows
        if room > len(self._pixel):
            self._pixel, self._value = (
                np.append(x[: self.size], np.empty(room - self.size, x.dtype)) for x in (self._pixel, self._value)
            )
        self._n_rows = _add_sparse(
            offsets, keep, pixel, value, *columns, self._now, self._marks, self._ends, self._n_rows, self._pixel,
            self._value, _ZEROS,
        )  # fmt: skip

    def halve(self) -> None:
        """Add each odd row to the even one before."""
        self._ends[self._n_rows + 1 :] = self.size
        self._n_rows = -(-self._n_rows // 2)
        pixels, values = np.empty(self.n_pixels, np.int32), np.empty(self.n_pixels, self._value.dtype)
        _merge(self._ends, self._n_rows, self._pixel, self._value, pixels, values)

    def bin_of(self, first: int, last: int, n_rows: int) -> Array:
        """Return pixels `first` to `last` - 1 of the first `n_rows` rows, dense."""
        out = np.zeros((n_rows, last - first), self._value.dtype)
        for r in range(min(n_rows, self._n_rows)):
            row = slice(self._ends[r], self._ends[r + 1])
            a, b = np.searchsorted(self._pixel[row], [first, last]) + row.start
            out[r, self._pixel[a:b] - first] = self._value[a:b]
        return out

    def fill(self, rows: Array) -> None:
        """Write all elements into dense rows."""
        for r in range(self._n_rows):
            row = slice(self._ends[r], self._ends[r + 1])
            rows[r, self._pixel[row]] = self._value[row]


@nb.njit(nogil=True, cache=True, fastmath={"contract"})
def add_dense(
    offsets: Array, keep: Array, pixel: Array, value: Array, indptr: Array, rows: Array, weights: Array, into: Array
) -> None:
    """Add frames to dense rows."""
    w = np.zeros(1, into.dtype)
    for b in range(keep.size):
        if keep[b]:
            for i in range(indptr[b], indptr[b + 1]):
                row = into[rows[i]]
                w[0] = weights[i]
                for e in range(offsets[b], offsets[b + 1]):
                    row[pixel[e]] += w[0] * value[e]


@nb.njit(nogil=True, cache=True, fastmath={"contract"})
def _add_sparse(
    offsets: Array, keep: Array, pixel: Array, value: Array, indptr: Array, rows: Array, weights: Array, now: Array,
    marks: Array, ends: Array, n_rows: int, pixels: Array, values: Array, zeros: Array,
) -> int:  # fmt: skip
    """Add frames to the row in `now` of their row's parity, and move rows that are filled to `pixels` and `values`."""
    w = np.zeros(1, now.dtype)
    last = n_rows - 1
    for b in range(keep.size):
        if not keep[b]:
            continue
        while n_rows > rows[indptr[b]]:  # the last row goes on
            n_rows -= 1
            row, mark = now[n_rows & 1], marks[n_rows & 1]
            for i in range(ends[n_rows], ends[n_rows + 1]):
                p = pixels[i]
                row[p] = values[i]
                mark[p >> 6] |= np.uint64(1) << np.uint64(p & 63)
        while n_rows < rows[indptr[b]]:
            ends[n_rows + 1] = _store(now[n_rows & 1], marks[n_rows & 1], ends[n_rows], pixels, values, zeros)
            n_rows += 1
        for i in range(indptr[b], indptr[b + 1]):
            last = max(last, rows[i])
            row, mark = now[rows[i] & 1], marks[rows[i] & 1]
            w[0] = weights[i]
            for e in range(offsets[b], offsets[b + 1]):
                p = pixel[e]
                row[p] += w[0] * value[e]
                mark[p >> 6] |= np.uint64(1) << np.uint64(p & 63)
    while n_rows <= last:
        ends[n_rows + 1] = _store(now[n_rows & 1], marks[n_rows & 1], ends[n_rows], pixels, values, zeros)
        n_rows += 1
    return n_rows


@nb.njit(nogil=True, cache=True)
def _store(row: Array, mark: Array, k: int, pixels: Array, values: Array, zeros: Array) -> int:
    for i in range(mark.size):
        bits = mark[i]
        while bits:
            lowest = bits & (~bits + np.uint64(1))
            p = 64 * i + zeros[(lowest * np.uint64(_DE_BRUIJN)) >> np.uint64(58)]
            pixels[k] = p
            values[k] = row[p]
            row[p] = 0
            k += 1
            bits ^= lowest
        mark[i] = 0
    return k


@nb.njit(nogil=True, cache=True)
def _merge(ends: Array, n: int, pixel: Array, value: Array, pixels: Array, values: Array) -> None:
    """Replace rows by the sums of rows 2 r and 2 r + 1, for r below `n`, with room for one row."""
    k = 0
    for r in range(n):
        first, j, end = ends[2 * r], ends[2 * r + 1], ends[min(2 * r + 2, ends.size - 1)]
        size = j - first
        pixels[:size] = pixel[first:j]
        values[:size] = value[first:j]
        i = 0
        while i < size or j < end:
            if j == end or (i < size and pixels[i] < pixel[j]):
                pixel[k], value[k] = pixels[i], values[i]
                i += 1
            elif i == size or pixel[j] < pixels[i]:
                pixel[k], value[k] = pixel[j], value[j]
                j += 1
            else:
                pixel[k], value[k] = pixels[i], values[i] + value[j]
                i += 1
                j += 1
            k += 1
        ends[r + 1] = k
    ends[n + 1 :] = k


@nb.njit(nogil=True, cache=True)
def scale_events(
    offsets: Array, pixel: Array, count: Array, sub: Array, roi: Array, n_pixels: Array, unit: bool, last: Array,
    value: Array, counts: Array, squares: Array, products: Array,
) -> None:  # fmt: skip
    """Write counts divided by the mean of their bin and frame, unless `unit`, and the sums of each frame by sub-bin.

    With room for squares, `last` is the frame before the block and is updated. No fastmath: see `add_dense`.
    """
    total = np.zeros(n_pixels.size)
    factor = np.ones(n_pixels.size, value.dtype)
    one = np.zeros(1, value.dtype)
    for b in range(offsets.size - 1):
        into = counts[b]
        for e in range(offsets[b], offsets[b + 1]):
            into[sub[pixel[e]]] += count[e]
        if not unit:
            total[:] = 0
            for j in range(roi.size):
                total[roi[j]] += into[j]
            for k in range(total.size):
                if total[k] > 0:
                    factor[k] = n_pixels[k] / total[k]
        for e in range(offsets[b], offsets[b + 1]):
            one[0] = count[e]
            value[e] = one[0] if unit else one[0] * factor[roi[sub[pixel[e]]]]
        if squares.shape[0] > 0:
            for e in range(offsets[b], offsets[b + 1]):
                p, c = pixel[e], np.int64(count[e])
                squares[b, sub[p]] += c * c
                products[b, sub[p]] += c * last[p]
            if b > 0:
                for e in range(offsets[b - 1], offsets[b]):
                    last[pixel[e]] = 0
            else:
                last[:] = 0
            for e in range(offsets[b], offsets[b + 1]):
                last[pixel[e]] = count[e]


def scaled(
    events: Events, partition: Partition, n_pixels: NDArray[np.int64], normalization: Normalization, sums: FrameSums,
    dtype: np.dtype[Any],
) -> Array:  # fmt: skip
    """Return the scaled count of each event, and add the sums of the frames."""
    n, n_sub = len(events.ticks), len(partition.static_roi)
    m = n if sums.neighbours else 0
    value = np.empty(len(events.pixel), dtype)
    counts = np.zeros((n, n_sub), np.uint32)
    squares, products = np.zeros((2, m, n_sub), np.int64)
    sub = np.repeat(labels(n_sub), np.diff(partition.static_edges))
    scale_events(
        events.offsets, events.pixel, events.count, sub, partition.static_roi, n_pixels,
        normalization == "paper", sums.last, value, counts, squares, products,
    )  # fmt: skip
    sums.add(events.ticks, events.valid, counts, squares, products)
    return value
