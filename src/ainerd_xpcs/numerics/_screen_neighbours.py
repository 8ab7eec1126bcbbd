"""Find faults that show only between neighbouring frames.

Pixels that flicker or blink. The counts of a pixel vary more within its run than those of the other pixels of its bin:
either more within a frame than from one frame to the next, x (x - 1) against x y, or more from one window to the next,
(x - y)² / 2. Both are in units of the pixel's squared mean. A step at which the speckle of all pixels changes more than
usual counts less, so that a sample that rearranges at once does not flicker. Speckle of any contrast gives a variation
far above the usual one, five or six times the distance from the median to the 90 % quantile, to less than .3 % of the
pixels.

Swapped frames. Pairs of frames with one middle, 1, 3 and 5 frames apart, are compared. In order, the inner pair is the
most alike around each middle, also if the sample is sheared to and fro with 2, 4 or more frames a cycle. If frames are
exchanged, it is not around every second middle. With other numbers of frames a cycle all middles are alike in order,
and frames that are exchanged exchange the distances 1, 3 and 5.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ainerd_xpcs.numerics._events import Events
from ainerd_xpcs.numerics._partition import Array, Floats, Partition
from ainerd_xpcs.numerics._screen_areas import Windows

FIRST, EARLY = 128, 512  # frames of which all are compared, and up to which one in three is; later it is one in 33
WINDOWS, LENGTH = 16, 12  # an even number; frames of a window at first
FEWEST_COUNTS, FEWEST_PIXELS = 8, 64
# times the distance from the median to the 90 % quantile, plus times the deviation of a Poisson distribution
OF_FRAMES, OF_WINDOWS = (6.0, 6.0), (5.0, 3.0)
SHARE, FEW = 0.003, 6  # of the pixels that flicker: fewer change no number of the run
STRIP = 1 << 16  # pixels that are compared at a time
PAIRS = 24  # of neighbours, to tell whether frames are swapped
SIGMAS, EXCHANGED = 6.0, 4.0  # errors of one difference, and of one of which all others look exchanged
REACH = 3  # frames
NEAR = np.array([(0, 1), (-1, 2), (-2, 3), (-1, 0), (-2, 1), (-3, 2)]) + REACH  # after a frame, and before it
# of correlations of `NEAR`: both inner ones, and inner less outer ones, together and alone
ORDERS = np.array([(1, 0, 0, -1, 0, 0), (1, -1, 0, -1, 1, 0), (1, -1, 0, 0, 0, 0), (0, 0, 0, -1, 1, 0)])


class NeighbourScreen:
    """Sum the counts of pixels in windows of time, and their products with those of the frames before and after."""

    def __init__(self, partition: Partition) -> None:
        self._roi = np.repeat(partition.static_roi, np.diff(partition.static_edges))
        n = len(partition.pixels)
        self._counts, self._excess, self._n = np.zeros(n), np.zeros(n), 0
        self._windows = Windows(WINDOWS, n, "float32")
        self._moments = np.zeros((7, 7))  # of 1 and the correlations of pairs: around even middles, and around odd ones

    def add(self, block: Array, valid: NDArray[np.bool_], good: NDArray[np.bool_], first: int, sums: Array) -> None:
        """Add frames (b, n_pixels) from number `first` on; `sums` are over those of them that are counted for good."""
        early = first < EARLY
        step, every = _step(first), valid.all()
        for b in range(-first % step, len(block) - 1, step):
            if b and (every or valid[b - 1 : b + 2].all()):
                _compare(block[b - 1], block[b], block[b + 1], self._counts, self._excess)
                self._n += 1
            if b >= REACH and valid[b - REACH : b + REACH + 1].sum() == 2 * REACH + 1:
                counts, products = _pairs(block[b - REACH : b + REACH + 1], good)
                self._note(counts[NEAR][None], products[None], np.array([first + b]))
        if not early:
            self.add_counts(sums)
            return
        for a in range(0, len(block), LENGTH):
            sums = np.zeros(len(good), np.float32)
            _sum(block[a : a + LENGTH], valid[a : a + LENGTH], sums)
            self.add_counts(sums)

    def add_events(self, events: Events, good: NDArray[np.bool_]) -> None:
        """Compare some frames of events with the frames before and after them, if these are listed and valid."""
        ticks, valid = events.ticks, events.valid
        if len(ticks) < 3:
            return
        is_one = ticks[1:-1] % _step(ticks[0]) == 0
        is_one &= (ticks[2:] - ticks[:-2] == 2) & valid[:-2] & valid[1:-1] & valid[2:]
        some = 1 + np.flatnonzero(is_one)
        _compare_events(events.offsets, events.pixel, events.count, some, self._counts, self._excess)
        self._n += len(some)
        some = some[(some >= REACH) & (some < len(ticks) - REACH)]
        some = some[ticks[some + REACH] - ticks[some - REACH] == 2 * REACH]
        rows = some[:, None, None] - REACH + NEAR
        rows = rows[valid[rows].all((1, 2))]
        counts = events.count * good[events.pixel].astype(float)
        frames = csr_array((counts, events.pixel, events.offsets), (len(ticks), len(good)))
        one, other = (frames[rows[..., k].ravel()] for k in (0, 1))
        self._note(frames.sum(1)[rows], one.multiply(other).sum(1).reshape(-1, len(NEAR)), ticks[rows[:, 0, 0]])

    def add_counts(self, counts: Floats) -> None:
        """Add the counts of pixels (n_pixels,) in some frames together."""
        newest = self._windows.newest()
        newest += counts

    def _note(self, counts: Array, products: Array, number: NDArray[np.int64]) -> None:
        """Add pairs `NEAR` some frames of these numbers: counts (k, 6, 2) of both, and products (k, 6)."""
        lit = (counts > 0).all((1, 2))
        c = products[lit] / counts[lit].prod(2, dtype=float)
        c = np.where(number[lit, None] % 2, np.roll(c, len(NEAR) // 2, axis=1), c)
        c = np.column_stack([np.ones(len(c)), c])
        self._moments += c.T @ c

    def swapped(self) -> str | None:
        """Return why neighbouring frames are not in their order; None if they can be."""
        n = self._moments[0, 0]
        if n < PAIRS:
            return None
        mean = self._moments[0, 1:] / n
        covariance = (self._moments[1:, 1:] / n - np.outer(mean, mean)) / (n - 1)
        for exchanged in (0, 3):  # the inner pairs around even middles, or around odd ones
            w = np.roll(ORDERS, exchanged, axis=1)
            sure = w @ mean / np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", w, covariance, w), 1e-300))  # in errors
            a, b = np.split(np.roll(mean, exchanged), 2)
            is_permuted = np.abs([a[0] - b[1], a[2] - b[0]]).max() < abs(a[0] - b[0]) / 2
            is_permuted &= max(sure[1], abs(sure[0])) > EXCHANGED
            if is_permuted or (sure[1] > SIGMAS and sure[2:].min() > SIGMAS / 2):
                return "every second pair of neighbouring frames is more alike than the others: frames are swapped"
        return None

    def flickering(self, good: NDArray[np.bool_]) -> str | None:
        """Return that pixels flicker or blink, with their number; None if they are too few to matter."""
        counts, n = self._windows.sums, len(good)
        share = counts @ good.astype(np.float32)
        lit = np.flatnonzero(share > 0.2 * share.mean())
        wrong = np.zeros(n, bool)
        if len(lit) >= WINDOWS // 4:
            light = (share[lit] / share[lit].mean())[:, None]
            strips = [slice(p, p + STRIP) for p in range(0, n, STRIP)]  # a whole detector takes much memory at once
            change = np.zeros(len(lit) - 1)
            for some in strips:
                change += (np.diff(counts[lit, some] / light, axis=0) ** 2)[:, good[some]].sum(1, dtype=float)
            weight = np.minimum(1.0, np.median(change) / np.maximum(change, 1e-9))
            excess, total = np.zeros((2, n))
            for some in strips:
                x, noise = counts[lit, some] / light, counts[lit, some] / light**2
                excess[some] = weight @ (np.diff(x, axis=0) ** 2 - noise[1:] - noise[:-1]) / 2
                total[some] = counts[lit, some].sum(0, dtype=float)
            wrong |= self._far(excess * len(lit), total, 2 * np.sqrt(len(lit)), good, OF_WINDOWS)
        if self._n >= PAIRS:
            wrong |= self._far(self._excess * self._n, self._counts, 2 * np.sqrt(self._n), good, OF_FRAMES)
        if wrong.sum() < max(SHARE * good.sum(), FEW):
            return None
        return f"{wrong.sum()} pixels flicker or blink: mask them"

    def _far(
        self, excess: Floats, counts: Floats, noise: float, good: NDArray[np.bool_], times: tuple[float, float]
    ) -> NDArray[np.bool_]:
        """Return which pixels vary far more than the others of their bin; `noise` is the deviation for one count."""
        use = good & (counts >= FEWEST_COUNTS)
        counts = np.maximum(counts, 1)
        away, wrong = excess / counts**2, np.zeros(len(good), bool)
        for k in np.unique(self._roi[use]):
            some = np.flatnonzero(use & (self._roi == k))
            if len(some) < FEWEST_PIXELS:
                continue
            middle, most = np.quantile(away[some], [0.5, 0.9])
            wrong[some] = away[some] > middle + times[0] * (most - middle) + times[1] * noise / counts[some]
        return wrong


def _step(first: int) -> int:
    """Return an odd number, for all phases of a cycle of 2, 4, 8 … frames."""
    return 1 if first < FIRST else 3 if first < EARLY else 33


@nb.njit(nogil=True, cache=True)
def _sum(block: Array, valid: Array, out: Array) -> None:
    """Add the valid frames (b, n_pixels) to `out`, (n_pixels,)."""
    for b in range(block.shape[0]):
        if valid[b]:
            for p in range(out.size):
                out[p] += np.float32(block[b, p])


@nb.njit(nogil=True, fastmath=True, cache=True)
def _compare(before: Array, now: Array, after: Array, counts: Floats, excess: Floats) -> None:
    """Add a frame (n_pixels,) to counts and excess of its pixels."""
    for p in range(now.size):  # without branches, so that it vectorizes
        w, x, y = np.float64(before[p]), np.float64(now[p]), np.float64(after[p])
        counts[p] += x
        excess[p] += x * (x - 1 - 0.5 * (w + y))


@nb.njit(nogil=True, fastmath=True, cache=True)
def _pairs(near: Array, good: Array) -> tuple[Floats, Floats]:
    """Return the counts of frames (7, n_pixels) in good pixels, (7,), and the products of the pairs `NEAR`, (6,)."""
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = p0 = p1 = p2 = p3 = p4 = p5 = 0.0
    for p in range(good.size):  # without arrays, so that it vectorizes
        g = np.float64(good[p])
        x0, x1, x2, x3 = g * near[0, p], g * near[1, p], g * near[2, p], g * near[3, p]
        x4, x5, x6 = g * near[4, p], g * near[5, p], g * near[6, p]
        a0, a1, a2, a3 = a0 + x0, a1 + x1, a2 + x2, a3 + x3
        a4, a5, a6 = a4 + x4, a5 + x5, a6 + x6
        p0, p1, p2 = p0 + x3 * x4, p1 + x2 * x5, p2 + x1 * x6
        p3, p4, p5 = p3 + x2 * x3, p4 + x1 * x4, p5 + x0 * x5
    return np.array([a0, a1, a2, a3, a4, a5, a6]), np.array([p0, p1, p2, p3, p4, p5])


@nb.njit(nogil=True, cache=True)
def _compare_events(offsets: Array, pixel: Array, count: Array, some: Array, counts: Floats, excess: Floats) -> None:
    """Compare some frames of events as `_compare` does."""
    beside = np.zeros(counts.size, np.float32)
    for b in some:
        for k in (b - 1, b + 1):
            for e in range(offsets[k], offsets[k + 1]):
                beside[pixel[e]] += count[e]
        for e in range(offsets[b], offsets[b + 1]):
            p, x = pixel[e], np.float64(count[e])
            counts[p] += x
            excess[p] += x * (x - 1 - 0.5 * beside[p])
        for k in (b - 1, b + 1):
            for e in range(offsets[k], offsets[k + 1]):
                beside[pixel[e]] = 0
