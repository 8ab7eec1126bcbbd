"""One-time correlation g2(tau), with the normalisation of the maps: the mean of C2 along its diagonals."""

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft

from ainerd.xpcs._normalize import Normalization, Sums, check_choice, scales
from ainerd.xpcs._partition import Partition
from ainerd.xpcs._reducer import check_counts

CHANNELS = 16


@dataclass(frozen=True)
class G2:
    """A one-time correlation function.

    Attributes
    ----------
    lag : ndarray, shape (n,)
        In frames, from 1; multiply by the frame time for tau.
    value : ndarray, shape (n_roi, n)
    error : ndarray, shape (n_roi, n)
        Standard error from the scatter of the bin's static sub-bins; NaN where a bin has only one.
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
) -> G2:
    """g2 at every lag from 1 to T - 1, by FFT.

    Parameters
    ----------
    frames : ndarray, shape (T, ny, nx) or (T, n_pixels)
        Counts.
    partition : Partition
    normalization, valid
        As in `TwoTimeReducer`.

    Returns
    -------
    G2
        NaN at lags that no pair of valid frames has.
    """
    check_choice("normalization", normalization, Normalization)
    counts = check_counts(partition.gather(frames))
    n_frames = len(counts)
    if n_frames < 2:
        raise ValueError(f"g2 wants at least 2 frames, got {n_frames}")
    keep = None if valid is None else np.asarray(valid, dtype=bool)
    scale = scales(Sums.of(counts, partition).counts, partition, normalization, keep)
    size = next_fast_len(2 * n_frames, real=True)
    edges, roi = partition.static_edges, partition.static_roi
    sub = np.empty((len(roi), n_frames - 1))
    for j, k in enumerate(roi):
        d = counts[:, edges[j] : edges[j + 1]] * (scale.frame[:, k, None] * scale.sub[j])
        ok = scale.valid[:, k]
        # about 1, so that float rounding does not grow with T; the mean's part is added back exactly
        centred = np.where(ok[:, None], d - 1, 0)
        mean = centred.mean(1)
        power = np.sum([_autocorrelate(centred[:, i : i + 64], size) for i in range(0, centred.shape[1], 64)], axis=0)
        pairs = np.rint(_autocorrelate(ok[:, None].astype(float), size))[1:n_frames]
        cross = _cross(mean, ok.astype(float), size)[1:n_frames] + _cross(ok.astype(float), mean, size)[1:n_frames]
        with np.errstate(divide="ignore", invalid="ignore"):
            sub[j] = np.where(pairs > 0, 1 + (power[1:n_frames] / centred.shape[1] + cross) / pairs, np.nan)
    return _from_sub_bins(np.arange(1.0, n_frames), sub, partition)


def _autocorrelate(x: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    f = rfft(x, size, axis=0)
    return irfft((f.real**2 + f.imag**2).sum(1), size)


def _cross(x: NDArray[np.float64], y: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return irfft(rfft(x, size).conj() * rfft(y, size), size)


def _from_sub_bins(lag: NDArray[np.float64], sub: NDArray[np.float64], partition: Partition) -> G2:
    roi = partition.static_roi
    weight = np.diff(partition.static_edges) / partition.n_pixels[roi]
    value, error = np.empty((2, partition.n_roi, len(lag)))
    for k in range(partition.n_roi):
        w, x = weight[roi == k, None], sub[roi == k]
        value[k] = (w * x).sum(0)
        m = len(w)
        error[k] = np.sqrt((w * (x - value[k]) ** 2).sum(0) / (m - 1)) if m > 1 else np.nan
    return G2(lag, value, error)


class MultiTau:
    """g2 at quasi-logarithmic lags while frames come.

    Sixteen channels a level, frames averaged in pairs from level to level (Schätzel, Drewel & Stimac, J. Mod. Opt. 35,
    711, 1988). Each frame is divided by its mean count in the bin when it arrives, and by the static profile S_q when
    g2 is asked for.

    Parameters
    ----------
    partition : Partition
    n_frames : int
        Frames that will come; sets the number of levels.
    """

    def __init__(self, partition: Partition, n_frames: int) -> None:
        self.partition = partition
        levels = max(1, int(np.ceil(np.log2(max(n_frames, 2) / CHANNELS))) + 1)
        n_sub = len(partition.static_roi)
        self._ring = np.zeros((levels, CHANNELS, len(partition.pixels)), np.float32)
        self._half = np.zeros((levels, len(partition.pixels)), np.float32)
        self._seen = np.zeros(levels, np.int64)
        self._products = np.zeros((levels, CHANNELS, n_sub))
        self._pairs = np.zeros((levels, CHANNELS), np.int64)
        self._counts = np.zeros(n_sub)

    def push(self, frames: NDArray) -> None:
        """Add the next frames, (b, ny, nx) or gathered (b, n_pixels)."""
        p = self.partition
        block = check_counts(p.gather(frames)).astype(np.float32)
        _correlate(
            block, p.static_edges, p.static_roi, p.n_pixels,
            self._ring, self._half, self._seen, self._products, self._pairs, self._counts,
        )  # fmt: skip

    def result(self) -> G2:
        """g2 of the frames that have come.

        Raises
        ------
        ValueError
            If fewer than two have.
        """
        if self._seen[0] < 2:
            raise ValueError(f"g2 wants at least 2 frames, {self._seen[0]} have come")
        p, size = self.partition, np.diff(self.partition.static_edges)
        lag, sub = [], []
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.bincount(p.static_roi, self._counts, p.n_roi) / p.n_pixels
            profile = self._counts / size / mean[p.static_roi]
            for level in range(len(self._seen)):
                for channel in range(1 if level == 0 else CHANNELS // 2, CHANNELS):
                    if self._pairs[level, channel]:
                        lag.append(channel * 2.0**level)
                        sub.append(self._products[level, channel] / (self._pairs[level, channel] * size * profile**2))
        return _from_sub_bins(np.array(lag), np.array(sub).T, self.partition)


@nb.njit(nogil=True, fastmath=True, cache=True)
def _correlate(block, edges, roi, n_pixels, ring, half, seen, products, pairs, counts):
    levels, channels, n = ring.shape
    n_sub = roi.size
    total = np.zeros(n_pixels.size)
    now = np.empty(n, np.float32)
    one = np.empty(1, np.float32)
    for b in range(block.shape[0]):
        total[:] = 0
        for j in range(n_sub):
            s = 0.0
            for p in range(edges[j], edges[j + 1]):
                s += block[b, p]
            counts[j] += s
            total[roi[j]] += s
        for j in range(n_sub):
            one[0] = n_pixels[roi[j]] / total[roi[j]] if total[roi[j]] > 0 else 0.0
            scale = one[0]
            for p in range(edges[j], edges[j + 1]):
                now[p] = block[b, p] * scale
        for level in range(levels):
            slot = seen[level] % channels
            ring[level, slot] = now
            first = 1 if level == 0 else channels // 2
            for channel in range(first, min(channels, seen[level] + 1)):
                other = (seen[level] - channel) % channels
                pairs[level, channel] += 1
                for j in range(n_sub):
                    one[0] = 0
                    acc = one[0]
                    for p in range(edges[j], edges[j + 1]):
                        acc += now[p] * ring[level, other, p]
                    products[level, channel, j] += acc
            seen[level] += 1
            if level + 1 == levels:
                break
            if seen[level] % 2:
                half[level] = now
                break
            for p in range(n):
                now[p] = np.float32(0.5) * (now[p] + half[level, p])
