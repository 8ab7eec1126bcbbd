"""From the counts of the ring's pixels to whole frames, compressed."""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from sim_devices._bslz4 import BLOCK, ROOM, compress, header, shuffle
from sim_devices._counting import DEAD_TIME_S, poisson, seen
from sim_devices._geometry import Geometry

WHOLE = 2**32
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
NOTICED = 1e-3  # counts lost in a pixel, below which background is not gone through for losses


class FrameMaker:
    """Turns intensities of the ring's pixels into whole frames, each a bitshuffle-LZ4 chunk.

    In the ring there is speckle, elsewhere photons without any: every pixel of every frame is drawn anew. A lost frame
    is a frame of zeros.

    Parameters
    ----------
    geometry : Geometry
    dark_hz : float
        What every pixel counts without a photon, per second, if it is neither dead nor in a gap.

    Attributes
    ----------
    ring : ndarray of int, shape (P,)
        Flat indices of the pixels whose intensities are given to `count`.
    """

    def __init__(self, geometry: Geometry, dark_hz: float = 0.0) -> None:
        self.ring, self._dark_hz = geometry.ring, dark_hz
        mean, hot = geometry.profile.ravel(), geometry.hot_hz.ravel()
        self._mean, self._n_pixels = mean[self.ring].astype(np.float32), mean.size
        n_blocks = -(-mean.size // BLOCK)
        elsewhere = np.zeros(n_blocks * BLOCK)
        elsewhere[: mean.size] = mean
        elsewhere[self.ring] = 0
        elsewhere = elsewhere.reshape(n_blocks, BLOCK)
        self._background = elsewhere.sum(1)
        self._chance, self._other = np.zeros(elsewhere.shape, np.uint32), np.zeros(elsewhere.shape, np.uint16)
        for block in np.flatnonzero(self._background):
            _alias(elsewhere[block], self._chance[block], self._other[block])
        alive = np.zeros(n_blocks * BLOCK, bool)
        alive[: mean.size] = mean > 0
        alive[self.ring] = False
        self._alive = alive.reshape(n_blocks, BLOCK)
        hot_pixels = np.flatnonzero(hot)
        self._hot, self._hot_hz = _by_block(hot_pixels, n_blocks), hot[hot_pixels]
        self._speckled = _by_block(self.ring, n_blocks)
        self._header = header(mean.size)

    def count(
        self,
        intensity: NDArray[np.float32],
        level: NDArray[np.float64],
        exposure_s: float,
        rng: np.random.Generator,
    ) -> NDArray[np.uint16]:
        """Counts of the ring's pixels, (b, P).

        Parameters
        ----------
        intensity : ndarray, shape (b, P)
            Of the speckle, 1 in the mean.
        level : ndarray, shape (b,)
            Photons per pixel in the ring, in each frame; 0 where the frame is lost.
        exposure_s : float
        rng : numpy.random.Generator
        """
        counts = np.empty(intensity.shape, np.uint16)
        _count(intensity, self._mean, level, self._dark_hz * exposure_s, DEAD_TIME_S / exposure_s, rng, counts)
        return counts

    def encode(
        self,
        counts: NDArray[np.uint16],
        level: NDArray[np.float64],
        exposure_s: float,
        rng: np.random.Generator,
        *,
        lost: NDArray[np.bool_] | None = None,
    ) -> list[bytes]:
        """One chunk per frame, from the counts (b, P) of the ring's pixels.

        Parameters
        ----------
        counts, level, exposure_s, rng
            As for `count`.
        lost : ndarray of bool, shape (b,), optional
            Frames that are zeros whatever the counts.
        """
        n = len(counts)
        out, ends = np.empty(n * self._background.size * ROOM, np.uint8), np.empty(n, np.int64)
        _encode(
            counts, np.zeros(n, bool) if lost is None else lost, self._n_pixels, *self._speckled, self._background,
            level, self._chance, self._other, self._alive, self._dark_hz * exposure_s, *self._hot,
            self._hot_hz * exposure_s, DEAD_TIME_S / exposure_s, rng,
            rng.integers(2**64, size=n, dtype=np.uint64), out, ends,
        )  # fmt: skip
        starts = np.r_[0, ends[:-1]].tolist()
        return [self._header + out[a:b].tobytes() for a, b in zip(starts, ends.tolist(), strict=True)]


def _by_block(pixels: NDArray[np.int64], n_blocks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the pixels of each block begin, and the places of all in their blocks."""
    return np.searchsorted(pixels, np.arange(n_blocks + 1) * BLOCK), pixels % BLOCK


@nb.njit(nogil=True, cache=True)
def _count(intensity, mean, level, dark, loss, rng, out):  # pragma: no cover - compiled
    for t in range(intensity.shape[0]):
        for p in range(intensity.shape[1]):
            out[t, p] = seen(poisson(level[t] * mean[p] * intensity[t, p] + dark, rng), loss, rng)


@nb.njit(nogil=True, cache=True)
def _alias(weight, chance, other):  # pragma: no cover - compiled
    """Tables to draw from `weight` (BLOCK,) with one number (Vose, IEEE Trans. Softw. Eng. 17, 972, 1991).

    A pixel is kept if a random number below `WHOLE` is below its `chance`, and otherwise is the `other` one.
    """
    share = weight * (weight.size / weight.sum())
    poor, rich = np.flatnonzero(share < 1), np.flatnonzero(share >= 1)
    n_poor, n_rich = poor.size, rich.size
    stack = np.empty(weight.size, np.int64)
    stack[:n_poor] = poor
    chance[:] = WHOLE - 1
    while n_poor and n_rich:
        n_poor -= 1
        takes, gives = stack[n_poor], rich[n_rich - 1]
        chance[takes], other[takes] = np.uint32(share[takes] * (WHOLE - 1)), gives
        share[gives] -= 1 - share[takes]
        if share[gives] < 1:
            n_rich -= 1
            stack[n_poor] = gives
            n_poor += 1


@nb.njit(nogil=True, cache=True)
def _mixed(state):  # pragma: no cover - compiled
    """A random word from one that grows by `GOLDEN` (Steele, Lea and Flood, SIGPLAN Not. 49, 453, 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@nb.njit(nogil=True, cache=True)
def _encode(
    counts, lost, n_pixels, edge, place, background, level, chance, other, alive, dark, hot_edge, hot_place, hot, loss,
    rng, seed, out, ends,
):  # fmt: skip  # pragma: no cover - compiled
    words, scratch = np.empty(BLOCK // 4, np.uint64), np.empty(BLOCK // 8, np.uint64)
    pixels, shuffled, at = words.view(np.uint16), np.empty(2 * BLOCK, np.uint8), 0
    for t in range(counts.shape[0]):
        state = seed[t]
        for block in range(background.size):
            size = min(BLOCK, n_pixels - block * BLOCK)
            words[:] = 0
            if not lost[t]:
                kept, instead = chance[block], other[block]
                for _ in range(rng.poisson(background[block] * level[t])):
                    state += GOLDEN
                    drawn = _mixed(state)
                    pixel = drawn % np.uint64(BLOCK)
                    fallback = np.uint64(instead[pixel])
                    pixels[pixel if drawn >> np.uint64(32) < kept[pixel] else fallback] += np.uint16(1)
                if dark:
                    for pixel in range(size):
                        if alive[block, pixel]:
                            pixels[pixel] += np.uint16(poisson(dark, rng))
                most = np.int64(0)
                for pixel in range(BLOCK):
                    most = max(most, np.int64(pixels[pixel]))
                if most * most * loss > NOTICED:
                    for pixel in range(size):
                        pixels[pixel] = seen(np.int64(pixels[pixel]), loss, rng)
                for k in range(hot_edge[block], hot_edge[block + 1]):
                    pixels[hot_place[k]] = seen(poisson(hot[k], rng), loss, rng)
                for k in range(edge[block], edge[block + 1]):
                    pixels[place[k]] = counts[t, k]
            whole = size // 8 * 8
            if whole:
                used = shuffle(words[: whole // 4], shuffled, scratch[: whole // 8])
                at = compress(shuffled[: 2 * whole], used, out, at)
            for pixel in range(whole, size):
                out[at], out[at + 1] = pixels[pixel] & 255, pixels[pixel] >> 8
                at += 2
        ends[t] = at
