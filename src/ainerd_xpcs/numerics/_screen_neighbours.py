"""Find faults that show only between neighbouring frames.

Pixels that flicker or blink. The counts of a pixel vary more within its run than those of the other pixels of its bin:
either more within a frame than from one frame to the next, x (x - 1) against x y, or more from one window to the next,
(x - y)² / 2. Both are in units of the pixel's squared mean. A step at which the speckle of all pixels changes more than
usual counts less, so that a sample that rearranges at once does not flicker. Speckle of any contrast gives a variation
far above the usual one, five or six times the distance from the median to the 90 % quantile, to less than .3 % of the
pixels.

Swapped frames. If neighbouring frames are exchanged, every second pair of neighbours is more alike than the others.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._events import Events
from ainerd_xpcs.numerics._partition import Array, Floats, Partition
from ainerd_xpcs.numerics._screen_areas import Windows

EVERY, LATER, EARLY = 4, 32, 512  # one frame in so many is compared: in the first frames, and later
WINDOWS, LENGTH = 16, 12  # an even number; frames of a window at first
FEWEST_COUNTS, FEWEST_PIXELS = 8, 64
# times the distance from the median to the 90 % quantile, plus times the deviation of a Poisson distribution
OF_FRAMES, OF_WINDOWS = (6.0, 6.0), (5.0, 3.0)
SHARE, FEW = 0.003, 6  # of the pixels that flicker: fewer change no number of the run
STRIP = 1 << 16  # pixels that are compared at a time
PAIRS, SIGMAS = 24, 6.0  # of neighbours, to tell whether frames are swapped


class NeighbourScreen:
    """Sum the counts of pixels in windows of time, and their products with those of the frames before and after."""

    def __init__(self, partition: Partition) -> None:
        self._roi = np.repeat(partition.static_roi, np.diff(partition.static_edges))
        n = len(partition.pixels)
        self._counts, self._excess, self._n = np.zeros(n), np.zeros(n), 0
        self._windows = Windows(WINDOWS, n, "float32")
        # number, sum and sum of squares of the differences of the correlation with the frame after and with that before
        self._differences = np.zeros(3)

    def add(self, block: Array, valid: NDArray[np.bool_], good: NDArray[np.bool_], first: int, sums: Array) -> None:
        """Add frames (b, n_pixels) from number `first` on; `sums` are over those of them that are counted for good."""
        early = first < EARLY
        step, every = EVERY if early else LATER, valid.all()
        for b in range(-first % step, len(block) - 1, step):
            if b and (every or valid[b - 1 : b + 2].all()):
                before, now, after, with_before, with_after = _compare(
                    block[b - 1], block[b], block[b + 1], good, self._counts, self._excess
                )
                self._n += 1
                if before * now * after > 0:
                    x = with_after / now / after - with_before / now / before
                    self._differences += 1, x, x**2
        if not early:
            _add(sums, self._windows.newest())
            return
        for a in range(0, len(block), LENGTH):
            sums = np.zeros(len(good), np.float32)
            _sum(block[a : a + LENGTH], valid[a : a + LENGTH], sums)
            _add(sums, self._windows.newest())

    def add_events(self, events: Events, good: NDArray[np.bool_]) -> None:
        """Compare some frames of events with the frames before and after them, if these are listed and valid."""
        ticks, valid = events.ticks, events.valid
        if len(ticks) < 3:
            return
        is_one = ticks[1:-1] % (EVERY if ticks[0] < EARLY else LATER) == 0
        is_one &= (ticks[2:] - ticks[:-2] == 2) & valid[:-2] & valid[1:-1] & valid[2:]
        some = 1 + np.flatnonzero(is_one)
        sums = np.zeros((len(some), 5))
        _compare_events(events.offsets, events.pixel, events.count, some, good, self._counts, self._excess, sums)
        self._n += len(some)
        before, now, after, with_before, with_after = sums[(sums[:, :3] > 0).all(1)].T
        x = with_after / now / after - with_before / now / before
        self._differences += len(x), x.sum(), (x**2).sum()

    def add_counts(self, counts: Floats) -> None:
        """Add the counts of pixels (n_pixels,) in some frames together."""
        _add(counts, self._windows.newest())

    def swapped(self) -> str | None:
        """Return why neighbouring frames are not in their order; None if they can be."""
        n, total, squares = self._differences
        if n < PAIRS or abs(total) < SIGMAS * np.sqrt(max(squares - total**2 / n, 0.0) * n / (n - 1)):
            return None
        return "every second pair of neighbouring frames is more alike than the others: frames are swapped"

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


@nb.njit(nogil=True, cache=True)
def _add(sums: Array, out: Array) -> None:
    """Add sums (n_pixels,) to `out`; one pass is faster than that of numpy, which converts them first."""
    for p in range(out.size):
        out[p] = np.float32(np.float64(out[p]) + np.float64(sums[p]))


@nb.njit(nogil=True, cache=True)
def _sum(block: Array, valid: Array, out: Array) -> None:
    """Add the valid frames (b, n_pixels) to `out`, (n_pixels,)."""
    for b in range(block.shape[0]):
        if valid[b]:
            for p in range(out.size):
                out[p] += np.float32(block[b, p])


@nb.njit(nogil=True, fastmath=True, cache=True)
def _compare(before: Array, now: Array, after: Array, good: Array, counts: Floats, excess: Floats) -> tuple[float, ...]:
    """Add a frame (n_pixels,) to counts and excess of its pixels; sum three frames, and the products of neighbours."""
    of_before = of_now = of_after = with_before = with_after = 0.0
    for p in range(now.size):  # without branches, so that it vectorizes
        w, x, y = np.float64(before[p]), np.float64(now[p]), np.float64(after[p])
        counts[p] += x
        excess[p] += x * (x - 1 - 0.5 * (w + y))
        used = np.float64(good[p])
        of_before += used * w
        of_now += used * x
        of_after += used * y
        with_before += used * w * x
        with_after += used * x * y
    return of_before, of_now, of_after, with_before, with_after


@nb.njit(nogil=True, cache=True)
def _compare_events(
    offsets: Array, pixel: Array, count: Array, some: Array, good: Array, counts: Floats, excess: Floats, sums: Floats
) -> None:
    """Compare some frames of events as `_compare` does, and write the sums, (n, 5)."""
    before, after = np.zeros(good.size, np.float32), np.zeros(good.size, np.float32)
    for i in range(some.size):
        b = some[i]
        for e in range(offsets[b - 1], offsets[b]):
            before[pixel[e]] = count[e]
            sums[i, 0] += count[e] * good[pixel[e]]
        for e in range(offsets[b + 1], offsets[b + 2]):
            after[pixel[e]] = count[e]
            sums[i, 2] += count[e] * good[pixel[e]]
        for e in range(offsets[b], offsets[b + 1]):
            p, x = pixel[e], np.float64(count[e])
            counts[p] += x
            excess[p] += x * (x - 1 - 0.5 * (before[p] + after[p]))
            x *= good[p]
            sums[i, 1] += x
            sums[i, 3] += before[p] * x
            sums[i, 4] += after[p] * x
        for e in range(offsets[b - 1], offsets[b]):
            before[pixel[e]] = 0
        for e in range(offsets[b + 1], offsets[b + 2]):
            after[pixel[e]] = 0
