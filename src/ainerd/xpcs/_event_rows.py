"""Events in the two-time reducer: the rows of R D as long as few of their elements are not zero, and sums of frames.

The arithmetic is that of dense frames, element by element and in the same order, so the maps are the same bit for bit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numba as nb
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ainerd.xpcs._counts import Sums, ratio
from ainerd.xpcs._event_tiles import SHIFT, TILE, Tiles
from ainerd.xpcs._events import Events, labels
from ainerd.xpcs._partition import Array, Floats, Partition

SPARSE = 1 / 4  # of the elements of all rows: sparse rows then take half the memory of dense ones, which follow
CHUNK = 1 << 12  # frames whose sums are kept together
MOST = 1 << 17  # sums of frames that are kept
# the number of trailing zeros of a power of two (Leiserson, Prokop & Randall, 1998)
_DE_BRUIJN = 0x03F79D71B4CB0A89
_ZEROS = np.empty(64, np.int32)
_ZEROS[[(_DE_BRUIJN << i & (1 << 64) - 1) >> 58 for i in range(64)]] = np.arange(64)


@dataclass
class FrameSums:
    """Sums of the frames that hold a photon: their ticks, whether to keep them, and the arrays of `Sums`.

    Counts are kept in the smallest integers that hold them. With `bounded` memory, of more than `MOST` frames the sums
    of 2, 4, 8 … neighbours are kept, as if all their photons were in the middle one.
    """

    partition: Partition
    neighbours: bool
    bounded: bool
    last: Array = field(init=False)  # of the frame before, where the products with it are wanted
    _chunks: list[tuple[Array, ...]] = field(default_factory=list)
    _open: list[tuple[Array, ...]] = field(default_factory=list)
    _shift: int = 0  # a tick of the chunks is 2^shift frames
    _end: int = 0

    def __post_init__(self) -> None:
        self.last = np.zeros(len(self.partition.pixels) if self.neighbours else 0, np.int64)

    def push(self, events: Events) -> None:
        """Add the sums of the next frames, which must not hold an earlier one."""
        n, n_sub = len(events.ticks), len(self.partition.static_roi)
        counts = np.zeros((n, n_sub), np.uint32)
        squares, products = np.zeros((2, n if self.neighbours else 0, n_sub), np.int64)
        sub = np.repeat(labels(n_sub), np.diff(self.partition.static_edges))
        _sum_events(events.offsets, events.pixel, events.count, sub, self.last, counts, squares, products)
        some = counts.any(1)
        more = (squares[some], products[some]) if self.neighbours else ()
        self._open.append((events.ticks[some], events.valid[some], counts[some], *more))
        self._end = max(events.stop, self._end)
        if sum(len(x[0]) for x in self._open) >= CHUNK:
            self._close()

    def _close(self) -> None:
        """Put the open frames into the last chunk, or into one of their own."""
        chunk, self._open = _summed(self._open, self._shift), []
        if self._shift and len(self._chunks[-1][0]) < CHUNK:
            chunk = _summed([self._chunks.pop(), chunk], 0)
        self._chunks.append(chunk)
        if self.bounded and sum(len(x[0]) for x in self._chunks) > MOST:
            self._shift += 1
            self._chunks = [_summed([_summed([x], 1) for x in self._chunks], 0)]

    def _records(self) -> Iterator[tuple[Array, ...]]:
        """Yield the arrays of each chunk, with the middle frame in place of the tick."""
        for ticks, *more in self._chunks:
            middle = (ticks << self._shift) + (1 << self._shift >> 1)
            yield np.minimum(middle, self._end - 1), *more
        yield from self._open

    def between(self, first: int, last: int, dtype: np.dtype[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_], Sums]:
        """Return ticks, valid and sums of the frames from `first` to `last` - 1.

        If products of neighbours are wanted, a frame without photons stands between frames that are not neighbours.
        """
        found = []
        for chunk in self._records():
            a, b = np.searchsorted(chunk[0], [first, last])
            found.append([x[a:b] for x in chunk])
        ticks, valid, *sums = (np.concatenate(x) for x in zip(*found, strict=True))
        arrays = [x.astype(dtype) for x in sums]
        if not self.neighbours:
            none = np.zeros((0, arrays[0].shape[1]), dtype)
            return ticks, valid, Sums(arrays[0], none, none, np.diff(self.partition.static_edges)[None])
        jump = np.flatnonzero(np.diff(ticks) > 1) + 1
        ticks, valid = np.insert(ticks, jump, ticks[jump - 1] + 1), np.insert(valid, jump, False)
        counts, squares, products = (np.insert(x, jump, 0, axis=0) for x in arrays)
        return ticks, valid, Sums(counts, squares, products, np.diff(self.partition.static_edges)[None])

    def dense(self, n_frames: int, pixels: Array, dtype: np.dtype[Any]) -> tuple[Sums, NDArray[np.bool_]]:
        """Return sums and valid of all frames, with and without photons; `pixels` are those of `Sums`.

        There must not be more than `MOST` frames if memory is bounded.
        """
        sums = Sums.empty(n_frames, self.partition, neighbours=self.neighbours, dtype=dtype.name)
        valid = np.ones(n_frames, bool)
        for ticks, keep, *arrays in self._records():
            valid[ticks] = keep
            for into, x in zip((sums.counts, sums.squares, sums.products), arrays, strict=False):
                into[ticks] = x
        return Sums(sums.counts, sums.squares, sums.products, pixels), valid

    def photons(self) -> Floats:
        """Return the counts of each sub-bin in the frames to keep, (n_sub,)."""
        total = np.zeros(len(self.partition.static_roi))
        for _, keep, counts, *_ in self._records():
            total += counts[keep].sum(0, dtype=float)
        return total

    def between_edges(self, edges: NDArray[np.int64]) -> Floats:
        """Return the counts of each sub-bin, (n, n_sub), in all frames from ``edges[i]`` to ``edges[i + 1] - 1``."""
        total = np.zeros((len(edges) - 1, len(self.partition.static_roi)))
        for ticks, _, counts, *_ in self._records():
            into = np.searchsorted(edges, ticks, "right") - 1
            begins = np.flatnonzero(np.diff(into, prepend=-1))
            if len(begins):
                total[into[begins]] += np.add.reduceat(counts, begins, axis=0, dtype=float)
        return total

    def take_out(
        self, pixels: Array, sub: Array, in_bin: NDArray[np.bool_], shares: Floats,
        columns_at: "Callable[[NDArray[np.int64]], tuple[Array, Array, Floats]]", dtype: np.dtype[Any],
    ) -> None:  # fmt: skip
        """Subtract the counts of `pixels`, (m,), from their sub-bins `sub`, (m,).

        The counts in each frame follow from the shares of the pixels in the rows, (n_rows, m). `in_bin`, (n_sub,),
        marks the sub-bins of their bin. The sums become floating-point numbers.
        """
        if self._open:
            self._close()
        tick, last = -2, np.zeros(len(sub))
        for i, (ticks, (_, keep, counts, *more)) in enumerate(
            zip([x[0] for x in self._records()], self._chunks, strict=True)
        ):
            indptr, rows, weights = columns_at(ticks)
            by_frame = sp.csr_array((weights, rows, indptr), (len(ticks), len(shares)))
            share = ratio(by_frame @ shares, by_frame.sum(1)[:, None]) * keep[:, None]
            out = share * counts[:, in_bin].sum(1, dtype=float)[:, None]
            arrays = [x.astype(dtype) for x in (counts, *more)]
            for j, now, before in zip(sub, out.T, np.vstack([last, out[:-1]]).T, strict=True):
                arrays[0][:, j] -= now
                if more:
                    arrays[1][:, j] -= now + now**2
                    arrays[2][:, j] -= now * before * (np.diff(ticks, prepend=tick) == 1)
            self._chunks[i] = self._chunks[i][0], keep, *arrays
            if len(ticks):
                tick, last = int(ticks[-1]), out[-1]
        if self.neighbours:
            self.last[pixels] = 0

    def parts(self, most: int) -> Iterator[tuple[int, int]]:
        """Yield first and last ticks, (first, end), of at most about `most` frames each."""
        ticks = np.concatenate([[0], *(x[0] for x in self._records())])
        edges = [*ticks[::most].tolist(), int(ticks[-1]) + 1]
        yield from zip(edges[:-1], edges[1:], strict=True)

    @property
    def n_sums(self) -> int:
        """Number of sums that are kept: frames that hold a photon, or groups of them."""
        return sum(len(x[0]) for x in [*self._chunks, *self._open])


def _summed(chunks: list[tuple[Array, ...]], shift: int) -> tuple[Array, ...]:
    """Return chunks as one, with the sums over those of 2^shift ticks which are all valid, or all not."""
    ticks, keep, *arrays = (np.concatenate(x) for x in zip(*chunks, strict=True))
    if shift:
        ticks >>= shift
        order = np.argsort(2 * ticks + keep, kind="stable")
        ticks, keep = ticks[order], keep[order]
        begins = np.flatnonzero((np.diff(ticks, prepend=-1) != 0) | np.diff(keep, prepend=keep[:1]))
        kinds = [x.dtype if x.dtype.kind == "f" else np.dtype(np.uint32) for x in arrays]
        ticks, keep = ticks[begins], keep[begins]
        arrays = [np.add.reduceat(x[order], begins, axis=0, dtype=d) for x, d in zip(arrays, kinds, strict=True)]
    smallest = (np.min_scalar_type(x.max()) if x.dtype.kind == "u" and x.size else x.dtype for x in arrays)
    return ticks, keep, *(x.astype(kind) for x, kind in zip(arrays, smallest, strict=True))


class SparseRows:
    """Rows of which only elements that are not zero are kept, row by row and sorted by pixel.

    Rows are filled in order, each tile by tile. In a tile, events are added one after the other, so that sums have the
    order of the frames. Memory is taken as they fill.
    """

    def __init__(self, n_rows: int, n_pixels: int, dtype: np.dtype[Any]) -> None:
        self.n_pixels = n_pixels
        self._ends = np.zeros(n_rows + 1, np.int64)  # of the elements of each row, after a zero
        self._n_rows = 0  # filled so far
        room = int(SPARSE * n_rows * n_pixels)
        self._pixel, self._value = np.empty(room, np.int32), np.empty(room, dtype)

    def have_room(self, tiles: Tiles) -> bool:
        """Return whether frames can be added; if not, dense rows are better."""
        size = int(self._ends[self._n_rows])
        return size + 2 * len(tiles.events) <= len(self._pixel)  # a frame is in at most two rows

    def add(self, tiles: Tiles, keep: Array, columns: tuple[Array, Array, Array]) -> None:
        """Add frames to the rows, for which there must be room."""
        self._n_rows = _add_sparse(
            tiles.begins, tiles.events, keep, *columns, self._ends, self._n_rows, self._pixel, self._value, _ZEROS
        )

    def halve(self) -> None:
        """Add each odd row to the even one before."""
        self._ends[self._n_rows + 1 :] = self._ends[self._n_rows]
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

    def put(self, first: int, rows: Array) -> None:
        """Replace the elements of pixels from `first` on by those of dense rows, which must be zero where these are."""
        for r in range(min(len(rows), self._n_rows)):
            row = slice(self._ends[r], self._ends[r + 1])
            a, b = np.searchsorted(self._pixel[row], [first, first + rows.shape[1]]) + row.start
            self._value[a:b] = rows[r, self._pixel[a:b] - first]

    def move(self, rows: Array) -> None:
        """Move all elements into dense rows of zeros, the last row first: each gives its memory back to the next."""
        for r in reversed(range(self._n_rows)):
            row = slice(self._ends[r], self._ends[r + 1])
            rows[r, self._pixel[row]] = self._value[row]
            for x in (self._pixel, self._value):
                x.resize(row.start, refcheck=False)
        self._n_rows = 0


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


@nb.njit(nogil=True, cache=True, fastmath={"contract"})
def _add_sparse(
    begins: Array, events: Array, keep: Array, indptr: Array, rows: Array, weights: Array, ends: Array, n_rows: int,
    pixels: Array, values: Array, zeros: Array,
) -> int:  # fmt: skip
    """Write the rows of these frames to `pixels` and `values`, from the last row on, which may go on; return how many.

    `begins` and `events` are those of `Tiles`.
    """
    n, first, last = keep.size, -1, n_rows - 1
    for b in range(n):
        if keep[b]:
            first = rows[indptr[b]] if first < 0 else first
            last = max(last, rows[indptr[b + 1] - 1])
    if first < 0:
        return n_rows
    now, mark = np.zeros(TILE, values.dtype), np.zeros(TILE // 64, np.uint64)
    place, weight, value = begins[:-1].copy(), np.zeros(n, values.dtype), np.zeros(1, values.dtype)
    begin = 0  # first frame of the row
    for row in range(min(n_rows, first), last + 1):
        before, until = ends[row], ends[row + 1] if row < n_rows else ends[row]
        old_pixels, old_values = pixels[before:until].copy(), values[before:until].copy()
        end = done = begin  # frames up to `done` are in no later row
        while end < n and rows[indptr[end]] <= row:
            is_here = keep[end] and rows[indptr[end + 1] - 1] >= row
            weight[end] = weights[indptr[end] + row - rows[indptr[end]]] if is_here else 0
            end += 1
            if rows[indptr[end] - 1] <= row:
                done = end
        k, j = before, 0
        for tile in range(len(place)):
            i, stop = place[tile], begins[tile + 1]
            if (i == stop or events[i, 0] >= end) and (j == old_pixels.size or old_pixels[j] >> SHIFT != tile):
                continue
            while j < old_pixels.size and old_pixels[j] >> SHIFT == tile:
                p = np.uintp(old_pixels[j] & (TILE - 1))
                now[p] = old_values[j]
                mark[p >> np.uintp(6)] |= np.uint64(1) << np.uint64(p & np.uintp(63))
                j += 1
            while i < stop and events[i, 0] < end:
                frame, p = np.uintp(events[i, 0]), np.uintp(events[i, 1] & np.uint32(TILE - 1))
                if keep[frame]:
                    value[0] = events[i, 2]
                    now[p] += weight[frame] * value[0]
                    mark[p >> np.uintp(6)] |= np.uint64(1) << np.uint64(p & np.uintp(63))
                i += 1
                if frame < done:
                    place[tile] = i
            k = _store(now, mark, k, tile << SHIFT, pixels, values, zeros)
        ends[row + 1] = k
        begin = done
    return last + 1


@nb.njit(nogil=True, cache=True)
def _store(now: Array, mark: Array, k: int, first: int, pixels: Array, values: Array, zeros: Array) -> int:
    for i in range(mark.size):
        bits = mark[i]
        while bits:
            lowest = bits & (~bits + np.uint64(1))
            p = 64 * i + zeros[(lowest * np.uint64(_DE_BRUIJN)) >> np.uint64(58)]
            pixels[k] = first + p
            values[k] = now[p]
            now[p] = 0
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
def _sum_events(
    offsets: Array, pixel: Array, count: Array, sub: Array, last: Array, counts: Array, squares: Array, products: Array
) -> None:
    """Write the sums of each frame by sub-bin; with room for squares, `last` is the frame before and is updated."""
    for b in range(offsets.size - 1):
        into = counts[b]
        for e in range(offsets[b], offsets[b + 1]):
            into[sub[pixel[e]]] += count[e]
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
