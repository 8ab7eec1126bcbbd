"""One-time correlation g2(tau) while frames come."""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd.xpcs._counts import add_up, check_counts
from ainerd.xpcs._g2 import G2, from_sub_bins
from ainerd.xpcs._partition import Partition

CHANNELS = 16


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
        self.partition, self._n_frames = partition, n_frames
        levels = max(1, int(np.ceil(np.log2(max(n_frames, 2) / CHANNELS))) + 1)
        n_sub = len(partition.static_roi)
        self._ring = np.zeros((levels, CHANNELS, len(partition.pixels)), np.float32)
        self._half = np.zeros((levels, len(partition.pixels)), np.float32)
        self._seen = np.zeros(levels, np.int64)
        self._products = np.zeros((levels, CHANNELS, n_sub))
        self._pairs = np.zeros((levels, CHANNELS), np.int64)
        self._counts = np.zeros(n_sub)

    @property
    def lag(self) -> NDArray[np.float64]:
        """Lags in frames that `result` will have when all frames have come, (n_lag,)."""
        levels = range(len(self._seen))
        return np.array([c * 2.0**level for level in levels for c in _channels(level) if c < self._n_frames >> level])

    def push(self, frames: NDArray) -> None:
        """Add the next frames, (b, ny, nx) or gathered (b, n_pixels)."""
        p = self.partition
        block = check_counts(p.gather(frames))
        _correlate(
            block, p.static_edges, p.static_roi, p.n_pixels,
            self._ring, self._half, self._seen, self._products, self._pairs, self._counts,
        )  # fmt: skip

    def result(self) -> G2:
        """g2 of the frames that have come; ValueError if fewer than two have."""
        if self._seen[0] < 2:
            raise ValueError(f"g2 wants at least 2 frames, {self._seen[0]} have come")
        p, size = self.partition, np.diff(self.partition.static_edges)
        lag, sub = [], []
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.bincount(p.static_roi, self._counts, p.n_roi) / p.n_pixels
            profile = self._counts / size / mean[p.static_roi]
            for level in range(len(self._seen)):
                for channel in _channels(level):
                    if self._pairs[level, channel]:
                        lag.append(channel * 2.0**level)
                        sub.append(self._products[level, channel] / (self._pairs[level, channel] * size * profile**2))
        return from_sub_bins(np.array(lag), np.array(sub).T, self.partition)


def _channels(level: int) -> range:
    return range(1 if level == 0 else CHANNELS // 2, CHANNELS)


@nb.njit(nogil=True, fastmath=True, cache=True)
def _dot(a, b):
    s = np.float32(0)
    for i in range(a.size):
        s += a[i] * b[i]
    return s


@nb.njit(nogil=True, fastmath=True, cache=True)
def _correlate(block, edges, roi, n_pixels, ring, half, seen, products, pairs, counts):
    levels, channels, n = ring.shape
    n_sub = roi.size
    total = np.zeros(n_pixels.size)
    now = np.empty(n, np.float32)
    for b in range(block.shape[0]):
        total[:] = 0
        frame = block[b]
        for p in range(n):
            now[p] = frame[p]
        for j in range(n_sub):
            s = add_up(now[edges[j] : edges[j + 1]], np.float32(0))
            counts[j] += s
            total[roi[j]] += s
        for j in range(n_sub):
            scale = np.float32(n_pixels[roi[j]] / total[roi[j]] if total[roi[j]] > 0 else 0.0)
            mine = now[edges[j] : edges[j + 1]]
            for p in range(mine.size):
                mine[p] *= scale
        for level in range(levels):
            slot = seen[level] % channels
            ring[level, slot] = now
            first = 1 if level == 0 else channels // 2
            for channel in range(first, min(channels, seen[level] + 1)):
                pairs[level, channel] += 1
                before = ring[level, (seen[level] - channel) % channels]
                for j in range(n_sub):
                    products[level, channel, j] += _dot(now[edges[j] : edges[j + 1]], before[edges[j] : edges[j + 1]])
            seen[level] += 1
            if level + 1 == levels:
                break
            if seen[level] % 2:
                half[level] = now
                break
            for p in range(n):
                now[p] = np.float32(0.5) * (now[p] + half[level, p])
