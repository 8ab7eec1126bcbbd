"""Counts: checks, sums over static sub-bins and over frames, and the factors that turn counts into fluctuations.

The fluctuations are D = I / (S_q a(t)). Their factors and the correction of the diagonal of C2 need only the sums over
each static sub-bin and frame, so both are computed after the frames have gone by.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._partition import Array, Floats, Normalization, Partition

Diagonal = Literal["poisson", "neighbour", "raw"]
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


def check_flat(flat: ArrayLike | None, partition: Partition) -> Array | None:
    """Return a copy of the factors of a flat field, (n_pixels,), or None; raise ValueError for impossible ones."""
    if flat is None:
        return None
    factor = np.array(flat, np.float32)
    if factor.shape != partition.pixels.shape:
        raise ValueError(f"flat has shape {factor.shape}, expected a factor for each of {len(partition.pixels)} pixels")
    if not (np.isfinite(factor) & (factor > 0)).all():
        raise ValueError("flat must be above 0 and finite; mask pixels without a factor")
    return factor


def check_valid(valid: ArrayLike | None, n_frames: int) -> NDArray[np.bool_]:
    """Return a copy of `valid`, (n_frames,), all True without one; raise ValueError for another shape."""
    keep = np.ones(n_frames, bool) if valid is None else np.array(valid, dtype=bool)
    if keep.shape != (n_frames,):
        raise ValueError(f"valid has shape {keep.shape}, expected ({n_frames},)")
    return keep


@dataclass(frozen=True)
class Sums:
    """Sums over the pixels of each static sub-bin, frame by frame, (T, n_sub): ΣI, ΣI², ΣI_t I_{t-1}.

    The last two have no rows where only the counts are needed. `pixels`, (1, n_sub), are the numbers of pixels summed.
    `noise` is Σ f I, the variance of a counter, if I are counts times a flat field f; None if they are counts.
    """

    counts: NDArray[np.floating]
    squares: NDArray[np.floating]
    products: NDArray[np.floating]
    pixels: NDArray[np.int64]
    noise: NDArray[np.floating] | None = None

    @classmethod
    def empty(cls, n_frames: int, partition: Partition, *, neighbours: bool = True, dtype: str = "float64") -> "Sums":
        """Make room for `n_frames`; without `neighbours` for their counts only."""
        sizes, n_pairs = np.diff(partition.static_edges), n_frames if neighbours else 0
        counts, squares, products = (np.zeros((n, len(sizes)), dtype) for n in (n_frames, n_pairs, n_pairs))
        return cls(counts, squares, products, sizes[None])

    @classmethod
    def of(cls, counts: Array, partition: Partition) -> "Sums":
        """Sum frames in memory, gathered (T, n_pixels)."""
        sums = cls.empty(len(counts), partition)
        sum_frames(counts, partition.static_edges, sums.counts, sums.squares, sums.products)
        return sums

    def each(self, change: Callable[[Array], Array]) -> "Sums":
        """Return the sums with a function applied to each array of frames."""
        noise = None if self.noise is None else change(self.noise)
        return Sums(change(self.counts), change(self.squares), change(self.products), self.pixels, noise)


@nb.njit(nogil=True, fastmath=True, cache=True)
def sum_frames(block: Array, edges: Array, counts: Array, squares: Array, products: Array) -> None:
    """Write the sums of I, I² and I_t I_{t-1} over the pixels between `edges`, frame by frame."""
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


@nb.njit(nogil=True, cache=True)
def weights(means: Array) -> Array:
    """Return the weights in g2, (T, n_roi), of frames of these mean counts; 0 for those that are 0."""
    out = np.zeros_like(means)
    for k in range(means.shape[1]):
        usual = np.zeros(2)
        for t in range(means.shape[0]):
            if means[t, k] > 0:
                out[t, k] = means[t, k] * weigh(means[t, k], usual)
    return out


@nb.njit(nogil=True, fastmath=True, cache=True)
def _add(row: Array, factor: np.floating, x: Array) -> None:
    for i in range(x.size):
        row[i] += factor * x[i]


@nb.njit(nogil=True, fastmath=True, cache=True)
def _sum_four(now: Array, first: int, last: int, s: np.floating) -> tuple[np.floating, ...]:
    # unsigned bounds: no index can be one from the end
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
    block: Array, last: Array, t0: int, keep: Array, left_out: Array, edges: Array, indptr: Array, rows: Array,
    weights: Array, reduced: Array, counts: Array, squares: Array, products: Array,
) -> None:  # fmt: skip
    """Add the counts of frames (b, n_pixels) to the rows and to the sums.

    Pixels `left_out` are set to 0. With room for squares, `last` is the frame before the block and is updated.
    """
    n_sub = edges.size - 1
    factor = np.zeros(2, reduced.dtype)  # numbers in the dtype of the rows, so that the innermost loops stay in it
    now = np.zeros((4, last.size), last.dtype)  # four frames at a time, which stay in the cache
    for b in range(0, block.shape[0], 4):
        n = min(4, block.shape[0] - b)
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
                for p in range(x.size):  # an assignment of slices takes seconds to compile
                    last[p] = x[p]
        for a in range(n):
            if keep[b + a]:
                for i in range(indptr[b + a], indptr[b + a + 1]):
                    factor[0] = weights[i]
                    _add(reduced[rows[i]], factor[0], now[a])


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


def scales(
    sums: Sums, partition: Partition, normalization: Normalization, valid: NDArray[np.bool_] | None = None
) -> Scales:
    """Return the factors of a normalization; frames without a photon in a bin are not valid there.

    ``smoothed``: I / (S_q a(t)), S_q the time mean of a static sub-bin, a(t) = ΣI / ΣS_q over the bin. ``symmetric``:
    S_q constant over the bin (scikit-beam, pychx). ``paper``: the time mean over all pixels of a static label, in
    any bin, and no factor of the frame (Horwath et al. 2024).
    """
    seen, counts, total, good = totals(sums.counts, sums.pixels, partition, valid)
    sub = static_scale(seen, counts, sums.pixels[-1], partition, normalization)
    if normalization == "paper":
        return Scales(good.astype(float), sub, good)
    return Scales(np.where(good, per_bin(sums.pixels, partition) * _inverse(total), 0), sub, good)


def totals(
    counts: Array, pixels: NDArray[np.int64], partition: Partition, valid: NDArray[np.bool_] | None
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Return pixels and counts of each sub-bin, of all frames that are valid in it, counts by frame and bin, and valid.

    `counts` are (T, n_sub), `pixels` (1, n_sub). A frame is valid in a bin, (T, n_roi), if it has a photon there.
    """
    total = per_bin(counts, partition)
    good = total > 0
    if valid is not None:
        good = good & valid[:, None]
    kept = good[:, partition.static_roi]
    seen = np.einsum("tj,tj->j", kept, np.broadcast_to(pixels, kept.shape))
    return seen, np.einsum("tj,tj->j", kept, counts), total, good


def static_scale(
    seen: Array,
    counts: Array,
    size: NDArray[np.int64],
    partition: Partition,
    normalization: Normalization,
) -> Floats:
    """Return the factor of each sub-bin, (n_sub,), from its `totals`; `size` are its pixels."""
    roi, mean_sub = partition.static_roi, counts * _inverse(seen)
    if normalization == "paper":
        label = np.unique(partition.static_label, return_inverse=True)[1]
        mean = np.bincount(label, mean_sub * size)[label] * _inverse(np.bincount(label, size)[label])
        return _inverse(mean)
    mean_bin = np.bincount(roi, mean_sub * size, partition.n_roi) * _inverse(np.bincount(roi, size, partition.n_roi))
    return np.ones(len(roi)) if normalization == "symmetric" else mean_bin[roi] * _inverse(mean_sub)


def diagonal_correction(sums: Sums, partition: Partition, scale: Scales, diagonal: Diagonal) -> Floats:
    """Return the terms to add to the diagonal C2(t, t) of the counts, (T, n_roi).

    ``poisson``: <I(I - 1)>, or <I(I - f)> with a flat field f, which removes a counter's shot noise exactly.
    ``neighbour``: the mean of C2(t, t ± 1), as in pyXpcsViewer. ``raw``: no correction.
    """
    frame = scale.frame
    if diagonal == "raw":
        return np.zeros_like(frame)
    per_pixel = _inverse(per_bin(sums.pixels, partition))
    if diagonal == "poisson":
        noise = sums.counts if sums.noise is None else sums.noise
        return -per_bin(noise, partition, scale.sub**2) * per_pixel * frame**2
    squares, products = (per_bin(x, partition, scale.sub**2) * per_pixel for x in (sums.squares, sums.products))
    before = np.zeros_like(frame)
    before[1:] = products[1:] * frame[1:] * frame[:-1]
    after = np.vstack([before[1:], np.zeros_like(before[:1])])
    has_before = np.zeros_like(scale.valid)
    has_before[1:] = scale.valid[1:] & scale.valid[:-1]
    has_after = np.vstack([has_before[1:], np.zeros_like(has_before[:1])])
    neighbours = has_before.astype(int) + has_after
    mean = (before + after) / np.maximum(neighbours, 1)
    return np.where(neighbours > 0, mean - squares * frame**2, 0)


def ratio(x: ArrayLike, y: Array) -> Floats:
    """Return x / y, 0 where y is not positive."""
    return np.asarray(np.divide(x, y, out=np.zeros(np.broadcast_shapes(np.shape(x), y.shape)), where=y > 0))


def _inverse(x: Array) -> Floats:
    return ratio(1.0, x)
