"""One-time correlation g2(tau), with the normalisation of the maps: the mean of C2 along its diagonals."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import fft, irfft, next_fast_len, rfft

from ainerd.threads import n_cores, one_thread
from ainerd.xpcs._counts import Sums, check_counts
from ainerd.xpcs._normalize import Normalization, check_choice, scales
from ainerd.xpcs._partition import Partition


@dataclass(frozen=True)
class G2:
    """A one-time correlation function.

    Attributes
    ----------
    lag : ndarray, shape (n,)
        In frames, from 1; multiply by the frame time for tau.
    value, error : ndarray, shape (n_roi, n)
        g2, and its standard error from the scatter of the bin's static sub-bins; NaN where a bin has only one.
    """

    lag: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]


def g2(
    frames: NDArray,
    partition: Partition,
    *,
    normalization: Normalization = "smoothed",
    valid: ArrayLike | None = None,
    dtype: str = "float32",
) -> G2:
    """g2 at every lag from 1 to T - 1, by FFT; NaN at lags that no pair of valid frames has.

    Parameters
    ----------
    frames : ndarray, shape (T, ny, nx) or (T, n_pixels)
        Counts.
    partition, normalization, valid
        As in `TwoTimeReducer`.
    dtype : {"float32", "float64"}
        Of the Fourier transforms. In float32 the error is below 1e-4 at any lag.
    """
    check_choice("normalization", normalization, Normalization)
    counts = check_counts(partition.gather(frames))
    n_frames = len(counts)
    if n_frames < 2:
        raise ValueError(f"g2 wants at least 2 frames, got {n_frames}")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    keep = None if valid is None else np.asarray(valid, dtype=bool)
    scale = scales(Sums.of(counts, partition), partition, normalization, keep)
    size = next_fast_len(2 * n_frames)
    edges, roi = partition.static_edges, partition.static_roi
    sub = np.empty((len(roi), n_frames - 1))

    def correlate(some: NDArray[np.int64]) -> None:
        # two pixels in one complex series, transformed in place: fresh memory would cost as much as the transform
        room = np.empty((-(-np.diff(edges).max() // 2), size, 2), dtype)
        for j in some:
            n, valid_now = edges[j + 1] - edges[j], scale.valid[:, roi[j]].astype(float)
            e = room[: -(-n // 2)]
            mean = _centre(counts, edges[j], n, scale.frame[:, roi[j]] * scale.sub[j], valid_now, e)
            # with d = 1 + e on valid frames, the sum of d d' over pairs is that of e e' + e + e' + 1
            window = rfft(valid_now, size)
            total = _autocorrelate(e, n_frames) / n
            total += 2 * irfft((rfft(mean, size).conj() * window).real, size)[1:n_frames]
            pairs = np.rint(irfft(np.abs(window) ** 2, size)[1:n_frames])
            with np.errstate(divide="ignore", invalid="ignore"):
                sub[j] = np.where(pairs > 0, 1 + total / pairs, np.nan)

    threads = n_cores()
    with one_thread, ThreadPoolExecutor(threads) as pool:
        list(pool.map(correlate, np.array_split(np.arange(len(roi)), threads)))
    return from_sub_bins(np.arange(1.0, n_frames), sub, partition)


def _autocorrelate(e: NDArray, n_frames: int) -> NDArray[np.float64]:
    """Σ e(t) e(t + lag) over t and both series of each of n, (n, size, 2), for lags 1 to n_frames - 1; uses `e` up."""
    few = min(64, n_frames - 1)  # lags with so few pairs are summed plainly: rounding of the transform would show there
    first, last = (x.transpose(0, 2, 1).reshape(-1, few) for x in (e[:, :few], e[:, n_frames - few : n_frames]))
    products = first.T @ last
    size = e.shape[1]
    transformed = fft(e.view(np.result_type(e, 1j))[..., 0], axis=1, overwrite_x=True).view(e.dtype)
    power = np.einsum("pf,pf->f", transformed, transformed).reshape(-1, 2).sum(1, dtype=float)
    mirrored = np.roll(power[::-1], 1)
    total = irfft((power + mirrored)[: size // 2 + 1] / 2, size)[1:n_frames]
    total[n_frames - 1 - few :] = [np.trace(products, offset, dtype=float) for offset in range(few)]
    return total


@nb.njit(nogil=True, cache=True)
def _centre(counts, first, n, factor, seen, out):
    """Write counts * factor - seen of `n` pixels, two by two, (n / 2, size, 2), and zeros after; return their mean."""
    mean = np.zeros(len(counts))
    out[:, len(counts) :] = 0
    out[-1, :, 1] = 0
    for t in range(len(counts)):
        f, s, total = factor[t], seen[t], 0.0
        for p in range(n):
            e = counts[t, first + p] * f - s
            out[p >> 1, t, p & 1] = e
            total += e
        mean[t] = total / n
    return mean


def from_sub_bins(lag: NDArray[np.float64], sub: NDArray[np.float64], partition: Partition) -> G2:
    """G2 of the bins from that of their static sub-bins, (n_sub, n)."""
    roi = partition.static_roi
    weight = np.diff(partition.static_edges) / partition.n_pixels[roi]
    value, error = np.empty((2, partition.n_roi, len(lag)))
    for k in range(partition.n_roi):
        w, x = weight[roi == k, None], sub[roi == k]
        value[k] = (w * x).sum(0)
        m = len(w)
        error[k] = np.sqrt((w * (x - value[k]) ** 2).sum(0) / (m - 1)) if m > 1 else np.nan
    return G2(lag, value, error)
