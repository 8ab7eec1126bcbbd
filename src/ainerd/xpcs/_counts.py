"""Counts, checked and summed: over the pixels of each sub-bin, frame by frame, and over frames, row by row."""

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd.xpcs._partition import Partition


def check_counts(block: NDArray) -> NDArray:
    """The block, C-ordered, if it can be counts; ValueError if it holds negative or non-finite numbers."""
    if block.dtype.kind not in "uif":
        raise ValueError(f"frames must be numbers, got {block.dtype}")
    if block.dtype.kind == "f" and not np.isfinite(block).all():
        raise ValueError("frames hold NaN or infinite counts; mask those pixels or leave those frames out")
    if block.dtype.kind != "u" and block.size and block.min() < 0:
        raise ValueError(f"frames hold negative counts (smallest {block.min()}); subtract no background before C2")
    return np.ascontiguousarray(block)


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums over the pixels of each static sub-bin, frame by frame, (T, n_sub): ΣI, ΣI², ΣI_t I_{t-1}.

    The latter two have no row where nobody wants them. `pixels`, (1, n_sub): how many each sum is over.
    """

    counts: NDArray[np.floating]
    squares: NDArray[np.floating]
    products: NDArray[np.floating]
    pixels: NDArray[np.int64]

    @classmethod
    def empty(cls, n_frames: int, partition: Partition, *, neighbours: bool = True, dtype: str = "float64") -> "Sums":
        """Room for `n_frames`; without `neighbours` for their counts alone, all but that diagonal wants."""
        sizes = np.diff(partition.static_edges)
        room = {name: n_frames if neighbours or name == "counts" else 0 for name in NAMES}
        return cls(**{name: np.zeros((n, len(sizes)), dtype) for name, n in room.items()}, pixels=sizes[None])

    @classmethod
    def of(cls, counts: NDArray, partition: Partition) -> "Sums":
        """Sums of frames in memory, gathered (T, n_pixels)."""
        sums = cls.empty(len(counts), partition)
        _sum_frames(counts, partition.static_edges, sums.counts, sums.squares, sums.products)
        return sums

    def first(self, n_frames: int) -> "Sums":
        """Those of the first frames."""
        return Sums(**{name: getattr(self, name)[:n_frames] for name in NAMES}, pixels=self.pixels)

    def doubled(self) -> "Sums":
        """The same with room for twice as many frames."""
        arrays = {name: np.concatenate([getattr(self, name), np.zeros_like(getattr(self, name))]) for name in NAMES}
        return Sums(**arrays, pixels=self.pixels)


NAMES = ("counts", "squares", "products")


@nb.njit(nogil=True, fastmath=True, cache=True)
def _sum_frames(block, edges, counts, squares, products):
    for t in range(block.shape[0]):
        for j in range(edges.size - 1):
            s = 0.0
            s2 = 0.0
            s1 = 0.0
            for p in range(edges[j], edges[j + 1]):
                v = np.float64(block[t, p])
                s += v
                s2 += v * v
                if t > 0:
                    s1 += v * np.float64(block[t - 1, p])
            counts[t, j] = s
            squares[t, j] = s2
            products[t, j] = s1


@nb.njit(nogil=True, fastmath=True, cache=True)
def add_up(x, s):  # a loop over one array from its start is one that vectorises
    for i in range(x.size):
        s += x[i]
    return s


@nb.njit(nogil=True, fastmath=True, cache=True)
def _add(row, factor, x):
    for i in range(x.size):
        row[i] += factor * x[i]


@nb.njit(nogil=True, fastmath=True, cache=True)
def _sum_four(now, first, last, s):  # unsigned bounds: no index can be one from the end
    x0, x1, x2, x3 = now[0], now[1], now[2], now[3]
    s0, s1, s2, s3 = s, s, s, s
    for p in range(np.uint32(first), np.uint32(last)):
        s0 += x0[p]
        s1 += x1[p]
        s2 += x2[p]
        s3 += x3[p]
    return s0, s1, s2, s3


@nb.njit(nogil=True, fastmath=True, cache=True)
def accumulate(
    block, last, t0, keep, unit, left_out, edges, roi, n_pixels, indptr, rows, weights, reduced, counts, squares,
    products,
):  # fmt: skip
    """Add frames (b, n_pixels) to the rows, each scaled to a mean of 1 in its bin unless `unit`, and to the sums.

    Pixels `left_out` count nothing. With room for squares, `last` is the frame before and becomes the last one.
    """
    n_sub = roi.size
    total = np.zeros((4, n_pixels.size))
    factor = np.zeros(2, reduced.dtype)  # numbers in the dtype of the rows, so that the innermost loops stay in it
    now = np.zeros((4, last.size), last.dtype)  # four frames at a time, which stay in the cache
    for b in range(0, block.shape[0], 4):
        n = min(4, block.shape[0] - b)
        total[:] = 0
        for a in range(n):
            frame, x = block[b + a], now[a]
            for p in range(x.size):
                x[p] = frame[p]
            for p in left_out:
                x[p] = 0
        for j in range(n_sub):
            s = _sum_four(now, edges[j], edges[j + 1], factor[1])
            for a in range(n):
                counts[t0 + b + a, j] = s[a]
                total[a, roi[j]] += s[a]
        if squares.shape[0] > 0:
            for a in range(n):
                x = now[a]
                for j in range(n_sub):
                    s2 = 0.0
                    s1 = 0.0
                    for p in range(edges[j], edges[j + 1]):
                        v = np.float64(x[p])
                        s2 += v * v
                        s1 += v * np.float64(last[p])
                    squares[t0 + b + a, j] = s2
                    products[t0 + b + a, j] = s1
                last[:] = x
        first = 0
        while first < n_sub and not unit:
            k, end = roi[first], first
            while end < n_sub and roi[end] == k:
                end += 1
            for a in range(n):
                if total[a, k] > 0:
                    x = now[a]
                    factor[0] = n_pixels[k] / total[a, k]
                    for p in range(np.uint32(edges[first]), np.uint32(edges[end])):
                        x[p] *= factor[0]
            first = end
        for a in range(n):
            if keep[b + a]:
                for i in range(indptr[b + a], indptr[b + a + 1]):
                    factor[0] = weights[i]
                    _add(reduced[rows[i]], factor[0], now[a])


@nb.njit(nogil=True, cache=True)
def accumulate_events(
    begin, pixel, count, last, t0, keep, unit, sub, roi, n_pixels, indptr, rows, weights, reduced, counts, squares,
    products,
):  # fmt: skip
    """Add the events begin[b]:begin[b + 1] of each frame, as `accumulate` does; leaves the last frame in `last`."""
    total = np.zeros(n_pixels.size)
    for b in range(begin.size - 1):
        t = t0 + b
        total[:] = 0
        for e in range(begin[b], begin[b + 1]):
            p = pixel[e]
            j = sub[p]
            v = np.float64(count[e])
            counts[t, j] += v
            if squares.shape[0] > 0:
                squares[t, j] += v * v
                products[t, j] += v * np.float64(last[p])
            total[roi[j]] += v
        if b == 0:
            last[:] = 0
        else:
            for e in range(begin[b - 1], begin[b]):
                last[pixel[e]] = 0
        for e in range(begin[b], begin[b + 1]):
            last[pixel[e]] = count[e]
        if not keep[b]:
            continue
        for e in range(begin[b], begin[b + 1]):
            p = pixel[e]
            k = roi[sub[p]]
            if total[k] <= 0:
                continue
            v = count[e] * (1.0 if unit else n_pixels[k] / total[k])
            for i in range(indptr[b], indptr[b + 1]):
                reduced[rows[i], p] += weights[i] * v
