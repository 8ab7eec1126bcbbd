"""Find frames that are copies of earlier ones.

Photon counting hardly ever gives two equal frames. At any intensity, a pixel that counted k photons counts k again with
a probability of at most k^k exp(-k) / k!. This bounds the chance of an equal frame without a model. Nearly empty frames
are often equal by chance, and are kept. Neighbours are compared pixel by pixel, up to the first difference. Frames
farther apart are compared by the sums of their sub-bins, to which the same bound applies.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._partition import Array, Floats

CHANCE = 1e-6  # of finding a copy in a run without one
LOOK_BACK = 50_000  # frames with which each is compared, or up to twice as many
BRIGHT = 6.0  # mean intensity of pixels that have just counted, in units of the mean: an upper bound


class CopyScreen:
    """Find frames that are copies of earlier ones; `n_frames` are to come, None if unknown."""

    def __init__(self, n_frames: int | None) -> None:
        self._n_frames = n_frames or 100_000
        self._last: Array | None = None
        self._seen, self._earlier = set[int](), set[int]()  # hashes of the sums or of the events, and earlier ones

    def neighbours(self, block: Array, good: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which frames (b, n_pixels) are equal to the one before in their good pixels, except by chance."""
        if len(block) == 0:
            return np.zeros(0, bool)
        last = block[0] if self._last is None else self._last.astype(block.dtype, copy=False)
        chance = _equal_before(block, last, good)
        if self._last is None:
            chance[0] = 0
        self._last = block[-1].copy()
        return np.asarray(chance < np.log(CHANCE / self._n_frames))

    def repeated(self, counts: Floats) -> NDArray[np.bool_]:
        """Return which frames have the sums over sub-bins (b, n_sub) of an earlier frame, except by chance."""
        return self._again(*_keys(counts, counts.view(np.uint64), self._limit))

    def repeated_events(self, keys: NDArray[np.uint64], counted: Floats, share: Floats) -> NDArray[np.bool_]:
        """Return which frames are equal to an earlier one, except by chance.

        Each has a hash of its events, and so many pixels that `counted`; `share` is the mean count of a pixel.
        """
        chance = counted * np.minimum(np.log(BRIGHT * share), -0.5 * np.log(2 * np.pi))
        return self._again(chance < self._limit, keys)

    @property
    def _limit(self) -> float:
        """Logarithm of the chance that two of the frames that are compared may be equal."""
        return float(np.log(CHANCE / self._n_frames / min(self._n_frames, 2 * LOOK_BACK)))

    def _again(self, sure: NDArray[np.bool_], keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which of the sure frames have the key of an earlier one."""
        out = np.zeros(len(keys), bool)
        for t, key in zip(np.flatnonzero(sure), keys[sure].tolist(), strict=True):
            out[t] = key in self._seen or key in self._earlier
            self._seen.add(key)
        if len(self._seen) > LOOK_BACK:
            self._seen, self._earlier = set(), self._seen
        return out


@nb.njit(nogil=True, cache=True)
def _equal_before(block: Array, last: Array, good: Array) -> Floats:
    """Return the logarithm of the chance that a frame equals the one before, (b,); 0 if it does not."""
    out = np.zeros(block.shape[0])
    for b in range(block.shape[0]):
        x, y, p = block[b], last if b == 0 else block[b - 1], 0
        while p < x.size and (x[p] == y[p] or not good[p]):
            p += 1
        if p < x.size:
            continue
        total = 0.0
        for p in range(x.size):
            if good[p]:
                total += x[p]
        least = np.log(BRIGHT * total / x.size) if total > 0 else 0.0
        for p in range(x.size):
            if good[p] and x[p] > 0:
                k = max(np.float64(x[p]), 1.0)
                # Stirling's lower bound of k!
                out[b] += min(-0.5 * np.log(2 * np.pi * k), least)
    return out


@nb.njit(nogil=True, cache=True)
def _keys(counts: Floats, bits: Array, limit: float) -> tuple[Array, Array]:
    """Return in which frames, (b, n_sub), equal counts by chance are less likely than exp(limit), and hashes, (b,).

    `bits` are those of the counts.
    """
    sure, keys = np.zeros(counts.shape[0], np.bool_), np.empty(counts.shape[0], np.uint64)
    for t in range(counts.shape[0]):
        chance, key = 0.0, np.uint64(0)
        for j in range(counts.shape[1]):
            if chance >= limit and counts[t, j] > 0:  # zero counts prove nothing; Stirling's lower bound of k!
                chance -= 0.5 * np.log(2 * np.pi * max(counts[t, j], 1.0))
            key = (key ^ bits[t, j]) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(32)
        sure[t], keys[t] = chance < limit, key
    return sure, keys
