"""Counts: checks, sums over static sub-bins and over frames, and the factors that turn counts into fluctuations.

The fluctuations are D = I / (S_q a(t)). Their factors and the correction of the diagonal of C2 need only the sums over
each static sub-bin and frame, so both are computed after the frames have gone by.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._partition import Array, Floats, Partition

LARGEST = 2**53  # whole numbers up to it are exact as floats
SLOW = 64  # frames, about, over which the beam is taken for constant


def check_counts(block: Array) -> Array:
    """Return the block in C order; raise ValueError for values that are no counts: negative, NaN, infinite, too large.

    Examples
    --------
    >>> check_counts(np.array([[3, -1]]))
    Traceback (most recent call last):
        ...
    ValueError: frames hold -1: -1 and -2 mark gaps and bad pixels, mask them
    """
    if block.dtype.kind not in "uif":
        raise ValueError(f"frames must be numbers, got {block.dtype}")
    if block.dtype.kind == "f" and not np.isfinite(block).all():
        raise ValueError("frames hold NaN or infinite counts; mask those pixels or leave those frames out")
    if block.dtype.kind != "u" and block.size and block.min() < 0:
        below = np.unique(block[block < 0])
        if set(below.tolist()) <= {-1, -2}:
            values = " and ".join(f"{value:g}" for value in below[::-1])
            raise ValueError(f"frames hold {values}: -1 and -2 mark gaps and bad pixels, mask them")
        raise ValueError(f"frames hold negative counts (smallest {below[0]}); subtract no background before C2")
    if block.dtype.itemsize > 4 and block.size and block.max() > LARGEST:
        raise ValueError(f"frames hold a count of {block.max():.3g}, and none above 2^53 is exact; mask those pixels")
    return np.ascontiguousarray(block)


def check_valid(valid: ArrayLike | None, n_frames: int) -> NDArray[np.bool_]:
    """Return a copy of `valid`, (n_frames,), all True without one; raise ValueError for another shape."""
    keep = np.ones(n_frames, bool) if valid is None else np.array(valid, dtype=bool)
    if keep.shape != (n_frames,):
        raise ValueError(f"valid has shape {keep.shape}, expected ({n_frames},)")
    return keep


@dataclass(frozen=True)
class Sums:
    """Sums over the pixels of each static sub-bin, frame by frame.

    `counts` are (T, n_sub); `pixels`, (1, n_sub), are the numbers of pixels summed.
    """

    counts: NDArray[np.floating]
    pixels: NDArray[np.int64]

    @classmethod
    def empty(cls, n_frames: int, partition: Partition, dtype: str) -> "Sums":
        """Make room for `n_frames`."""
        sizes = np.diff(partition.static_edges)
        return cls(np.zeros((n_frames, len(sizes)), dtype), sizes[None])


@nb.njit(nogil=True, cache=True)
def weigh(mean: float, usual: Array) -> float:
    """Return the factor of a frame in g2; times its mean count per pixel, a > 0, it is the weight of the frame.

    The weight is a / (1 + a) over its running mean: in proportion to the photons if they are few, 1 if they are many,
    and 1 in the mean over some frames. `usual`, (2,), is that mean and the number of frames in it, and is updated.
    """
    usual[1] = min(usual[1] + 1, SLOW)
    usual[0] += (mean / (1 + mean) - usual[0]) / usual[1]
    return float(1 / ((1 + mean) * usual[0]))


def dimmed(usual: Array, share: Array) -> None:
    """Change the running means of `weigh`, (n_roi, 2), to those of counts of which a `share`, (n_roi,), is left."""
    mean = share * usual[:, 0] / (1 - usual[:, 0])
    usual[:, 0] = mean / (1 + mean)


@nb.njit(nogil=True, fastmath=True, cache=True)
def _add(frame: Array, edges: Array, weight: float, row: Array, counts: Array) -> None:
    """Add a frame with a weight to a row, and its sums to `counts`."""
    number = row.dtype.type  # so that the innermost loop stays in the dtype of the row
    w = number(weight)
    for j in range(edges.size - 1):
        x, r, s = frame[edges[j] : edges[j + 1]], row[edges[j] : edges[j + 1]], number(0)
        for p in range(x.size):
            a = number(x[p])
            s += a
            r[p] += w * a
        counts[j] = s


@nb.njit(nogil=True, fastmath=True, cache=True)
def accumulate(
    block: Array, t0: int, keep: Array, left_out: Array, edges: Array, indptr: Array, rows: Array, weights: Array,
    reduced: Array, counts: Array,
) -> None:  # fmt: skip
    """Add the counts of frames (b, n_pixels) to the rows and to the sums, in one pass.

    Pixels `left_out` are set to 0.
    """
    good = np.empty(block.shape[1] if left_out.size else 0, reduced.dtype)
    for b in range(block.shape[0]):
        for p in range(good.size):
            good[p] = block[b, p]
        for p in left_out:
            good[p] = 0
        for i in range(indptr[b], indptr[b + 1]):
            weight = weights[i] if keep[b] else 0.0
            if left_out.size:
                _add(good, edges, weight, reduced[rows[i]], counts[t0 + b])
            else:
                _add(block[b], edges, weight, reduced[rows[i]], counts[t0 + b])


def _kernel(number: Any) -> Callable[..., None]:
    @nb.njit(nogil=True, fastmath=True, cache=True)
    def add(block: Array, edges: Array, limit: Array, step: int, counts: Array, over: Array, column: Array) -> None:
        n_frames, n_pixels = block.shape
        whole = n_frames - n_frames % 4
        for b in range(0, whole, 4):  # four at once, to spread the cost of incomplete vectors
            for j in range(edges.size - 1):
                first, last = edges[j], edges[j + 1]
                x0, x1 = block[b, first:last], block[b + 1, first:last]
                x2, x3 = block[b + 2, first:last], block[b + 3, first:last]
                s0, s1, s2, s3, highest = number(0), number(0), number(0), number(0), x0[0]
                for p in range(x0.size):
                    s0, s1 = number(s0 + x0[p]), number(s1 + x1[p])
                    s2, s3 = number(s2 + x2[p]), number(s3 + x3[p])
                    highest = max(highest, max(max(x0[p], x1[p]), max(x2[p], x3[p])))
                counts[b, j], counts[b + 1, j], counts[b + 2, j], counts[b + 3, j] = s0, s1, s2, s3
                over[b : b + 4, j] = highest > limit[j]
            if step and b % (4 * step) == 0:
                x0, x1, x2, x3 = block[b], block[b + 1], block[b + 2], block[b + 3]
                for p in range(n_pixels):
                    column[p] = number(column[p] + x0[p] + x1[p] + x2[p] + x3[p])
        for b in range(whole, n_frames):
            for j in range(edges.size - 1):
                x = block[b, edges[j] : edges[j + 1]]
                s, highest = number(0), x[0]
                for p in range(x.size):
                    s, highest = number(s + x[p]), max(highest, x[p])
                counts[b, j], over[b, j] = s, highest > limit[j]
            if step == 1:
                for p in range(n_pixels):
                    column[p] = number(column[p] + block[b, p])

    return add


_sum_short, _sum = _kernel(np.uint32), _kernel(np.float64)


def add_block(
    block: Array, edges: NDArray[np.int64], limit: Floats, step: int = 0
) -> tuple[Floats, NDArray[np.bool_], Array]:
    """Return sums over sub-bins, (b, n_sub), whether a pixel of theirs is above `limit`, and sums over frames.

    The last, (n_pixels,), are over the frames that `is_summed` marks for this step.
    """
    # sums of 16-bit counts fit into 32 bits for blocks and sub-bins of this size
    short = block.dtype.kind == "u" and block.dtype.itemsize <= 2 and max(len(block), edges[-1]) < 1 << 16
    counts = np.empty((len(block), len(edges) - 1))
    over = np.empty(counts.shape, bool)
    column = np.zeros(block.shape[1], np.uint32 if short else np.float64)
    (_sum_short if short else _sum)(block, edges, limit, step, counts, over, column)
    return counts, over, column


@lru_cache(16)
def is_summed(n_frames: int, step: int) -> NDArray[np.bool_]:
    """Return which frames of a block `add_block` sums over: all, or every `step`-th group of four."""
    group = np.arange(n_frames) // 4
    return np.asarray((group % step == 0) & ((step == 1) | (group < n_frames // 4)))


@dataclass(frozen=True)
class Scales:
    """Factors that turn counts of one bin into fluctuations: D[t, p] = frame[t] * sub[j(p)] * I[t, p].

    `frame`, (T, n_roi), is 0 where the frame is not `valid` in that bin; `sub` is (n_sub,).
    """

    frame: Floats
    sub: Floats
    valid: NDArray[np.bool_]

    @property
    def weight(self) -> Floats:
        """Weight of each frame in the rows of a reduced map, (T, n_roi): its mean count, where that divides it."""
        return _inverse(self.frame)


def per_bin(values: Array, partition: Partition, weights: ArrayLike = 1.0) -> Array:
    """Return weighted sums over each bin, (T, n_roi), of values of the static sub-bins, (T, n_sub).

    Examples
    --------
    >>> partition = Partition.from_roi_map([[1, 1], [2, 2]])
    >>> per_bin(np.array([[3.0, 4.0]]), partition)  # bins without sub-bins
    array([[3., 4.]])
    """
    member = partition.static_roi[:, None] == np.arange(partition.n_roi)
    # one product, because a (T, n_sub) copy would be large
    return np.asarray(values @ (member * np.reshape(weights, (-1, 1))))


def scales(sums: Sums, partition: Partition, valid: NDArray[np.bool_]) -> Scales:
    """Return the factors of I / (S_q a(t)); frames without a photon in a bin are not valid there.

    S_q is the time mean of a static sub-bin, and a(t) = ΣI / ΣS_q over the bin.
    """
    seen, counts, total, good = totals(sums.counts, sums.pixels, partition, valid)
    sub = static_scale(seen, counts, sums.pixels[-1], partition)
    return Scales(np.where(good, per_bin(sums.pixels, partition) * _inverse(total), 0), sub, good)


def totals(
    counts: Array, pixels: NDArray[np.int64], partition: Partition, valid: NDArray[np.bool_]
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Return pixels and counts of each sub-bin, of all frames that are valid in it, counts by frame and bin, and valid.

    `counts` are (T, n_sub), `pixels` (1, n_sub). A frame is valid in a bin, (T, n_roi), if it has a photon there.
    """
    total = per_bin(counts, partition)
    good = (total > 0) & valid[:, None]
    kept = good[:, partition.static_roi]
    seen = np.einsum("tj,tj->j", kept, np.broadcast_to(pixels, kept.shape))
    return seen, np.einsum("tj,tj->j", kept, counts), total, good


def static_scale(seen: Array, counts: Array, size: NDArray[np.int64], partition: Partition) -> Floats:
    """Return the factor of each sub-bin, (n_sub,), from its `totals`; `size` are its pixels."""
    roi, mean_sub = partition.static_roi, counts * _inverse(seen)
    mean_bin = np.bincount(roi, mean_sub * size, partition.n_roi) * _inverse(np.bincount(roi, size, partition.n_roi))
    return np.asarray(mean_bin[roi] * _inverse(mean_sub))


def shot_noise(sums: Sums, partition: Partition, scale: Scales) -> Floats:
    """Return by how much shot noise raises the diagonal C2(t, t) of a counter in the mean, (T, n_roi).

    Without it the diagonal is <I(I - 1)>.
    """
    per_pixel = _inverse(per_bin(sums.pixels, partition))
    return np.asarray(per_bin(sums.counts, partition, scale.sub**2) * per_pixel * scale.frame**2)


def ratio(x: ArrayLike, y: Array) -> Floats:
    """Return x / y, 0 where y is not positive."""
    return np.asarray(np.divide(x, y, out=np.zeros(np.broadcast_shapes(np.shape(x), y.shape)), where=y > 0))


def _inverse(x: Array) -> Floats:
    return ratio(1.0, x)
