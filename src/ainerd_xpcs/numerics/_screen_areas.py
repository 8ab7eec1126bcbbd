"""Find areas of a detector that die or flicker, and count the counts of its pixels.

Rows, columns and tiles are summed in some of the frames. An area has died if it counts nothing, always or for some
time. It flickers if its share in the counts changes more from one of these frames to the next than photons and speckle
allow. The other areas of its kind show how much these allow.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._partition import Array, Floats, Partition

CHANCE = 1e-6  # of finding a dead area in a run without one
SAMPLED, LATER = 4, 32  # one in so many frames is summed by areas: in the first frames, and later
EARLY = 512  # frames
WINDOWS = 64  # spans of time in which areas are compared; an even number
TILE = 8  # pixels
FEWEST = 12  # pixels of an area
SEEN = 25.0  # expected counts of an area, in each of two windows in which it is dead
DIM = 0.1  # brightness of an area, in units of the usual one, below which it may be empty
FLICKER = 0.03  # relative variance of the share of an area, from frame to frame, that is too large
TIMES = 10.0  # the variance of other areas of its kind, with the same number of pixels
HIGHEST = 4096  # counts in the histogram
QUARTILES = 1.0986  # standard deviations between the quartiles of exponential speckle; other speckle has more
SLIGHT = 0.005  # relative variance of areas allowed on any detector


class Windows:
    """Sums in spans of time, a row each. When all rows are full, each two become one, and the spans double."""

    def __init__(self, n_windows: int, n: int, dtype: str = "float64") -> None:
        self._rows = np.zeros((n_windows, n), dtype)
        self._span, self._at, self._added = 1, 0, 0  # additions to a row, the newest row, and additions to it

    @property
    def sums(self) -> Array:
        """The rows so far, (at most n_windows, n)."""
        return self._rows[: self._at + 1]

    def newest(self) -> Array:
        """Return the row to add to next, (n,)."""
        if self._added == self._span:
            self._at, self._added = self._at + 1, 0
            if self._at == len(self._rows):
                half = self._at // 2
                self._rows[:half] = self._rows[0::2] + self._rows[1::2]
                self._rows[half:] = 0
                self._at, self._span = half, 2 * self._span
        self._added += 1
        return np.asarray(self._rows[self._at])


class AreaScreen:
    """Sum areas of the detector in some frames, and the histogram of their counts."""

    def __init__(self, partition: Partition) -> None:
        row, column = np.divmod(partition.pixels, partition.shape[1])
        tile = row // TILE * (partition.shape[1] // TILE + 1) + column // TILE
        areas = [(np.cumsum(np.bincount(x) > 0) - 1)[x] for x in (row, column, tile)]  # without those of no pixel
        sizes = [int(x.max()) + 1 for x in areas]
        self._kind = np.repeat(np.arange(3), sizes)
        self._area = np.stack([x + sum(sizes[:i]) for i, x in enumerate(areas)]).astype(np.int32)
        self._n_rows, n = sizes[0], sum(sizes)
        self._windows, self._photons = Windows(WINDOWS, n), Windows(WINDOWS, 1)  # of areas, and of all
        self._before, self._total_before = np.zeros(n), 0.0  # shares and photons of the sample before
        self._changes, self._weight, self._n = np.zeros(n), np.zeros(2), 0
        self._histograms = np.zeros((4, HIGHEST), np.int64)  # of a quarter of the pixels each
        self.whole = True  # whether all counts were whole numbers

    def add(self, block: Array, valid: NDArray[np.bool_], good: NDArray[np.bool_], first: int) -> None:
        """Add some of the valid frames (b, n_pixels); `first` is the number of the first frame."""
        step = SAMPLED if first < EARLY else LATER
        for b in range(-first % step, len(block), step):
            if not valid[b]:
                continue
            sums = np.zeros(len(self._kind))
            total = _add_areas(block[b], good, self._area, self._n_rows, sums, self._histograms)
            if block.dtype.kind == "f":
                self.whole &= not np.any(block[b] % 1, where=good)
            self._add(sums, total)

    def add_counts(self, counts: Floats, good: NDArray[np.bool_]) -> None:
        """Add the counts of pixels (n_pixels,) in some frames together."""
        sums = np.zeros(len(self._kind))
        _sum_areas(counts, good, self._area, sums)
        self._add(sums, float(sums[: self._n_rows].sum()))

    def _add(self, sums: Floats, total: float) -> None:
        if total <= 0:
            return
        for windows, counts in ((self._windows, sums), (self._photons, total)):
            newest = windows.newest()
            newest += counts
        # photons alone then add one share to the changes, on average
        weight = 1 / (1 / total + 1 / self._total_before) if self._total_before else 0.0
        self._changes += weight * (sums / total - self._before) ** 2
        self._before = sums / total
        if weight:
            self._weight += weight, 1 / weight
            self._n += 1
        self._total_before = total

    def died(self, good: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the positions of good pixels in areas that count nothing, always or at some time.

        Slow speckle may leave an area dark for some time: as likely as the gamma distribution of the relative variance
        of the areas of its kind tells.
        """
        windows, photons = self._windows.sums, self._photons.sums
        size, dead = self._size(good), np.zeros(len(self._kind), bool)
        large = size >= FEWEST
        level = np.log(len(size) * WINDOWS / CHANCE)
        for together in (1, 4, 16):  # windows; the longer ones see areas of fewer counts
            starts = np.arange(0, len(windows), together)
            sums, total = (np.add.reduceat(x, starts, axis=0) for x in (windows, photons))
            if len(starts) < 4 or not total.all():
                continue
            # the largest share that is certain
            expected = (np.maximum(sums - 4 * np.sqrt(sums), 0) / total).max(0) * total
            modes = self._modes(sums / total, total, large)
            unlikely = modes * np.log1p(expected / modes) > level
            dead |= ((expected > SEEN) & (sums < 0.01 * expected) & unlikely).sum(0) > 1
        counts = windows.sum(0)
        modes = self._modes(counts[None], np.ones((1, 1)), large)
        for kind in range(3):  # or it counts nothing at all
            some = large & (self._kind == kind)
            usual = DIM * (np.median(counts[some] / size[some]) if some.any() else 0.0) * size
            dead |= some & (counts == 0) & (usual > SEEN) & (modes * np.log1p(usual / modes) > level)
        return self._pixels(dead & large, good)

    def _modes(self, share: Floats, total: Floats, large: NDArray[np.bool_]) -> Floats:
        """Return a lower limit of the number of speckles in each area, (n,), from the quartiles of those of its kind.

        `share`, (n_windows, n), is compared with its mean over windows, or with the median of the kind if there is one
        window.
        """
        out = np.ones(len(large))
        for kind in range(3):
            some = large & (self._kind == kind) & (share.sum(0) > 0)
            if some.sum() < 8:
                continue
            mine = share[:, some]
            size = mine.mean(0) if len(mine) > 1 else np.median(mine)
            relative = mine / size
            # dead areas raise the shares of all others in the same window
            relative /= np.maximum(np.median(relative, axis=1, keepdims=True), 1e-9)
            low, high = np.quantile(relative, [0.25, 0.75])
            variance = float((high - low) / QUARTILES) ** 2
            noise = float(np.median(1 / np.maximum(size * total, 1e-9)))
            out[self._kind == kind] = 1 / np.clip(1.2 * (variance - noise) + 0.1 * variance, SLIGHT, 1)
        return out

    def flickering(self, good: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the positions of good pixels in areas whose share flickers from frame to frame."""
        if self._n < 16:
            return np.empty(0, np.int64)
        size = self._size(good)
        share = self._windows.sums.sum(0) / self._photons.sums.sum()
        large = (size >= FEWEST) & (share > 0)
        share = np.where(large, share, 1)
        size = np.maximum(size, 1)
        photons = 2 * self._weight[0] * share**2
        excess = (self._changes - self._n * share) / photons
        error = np.sqrt(2 * self._n * share**2 + share * self._weight[1]) / photons
        wrong = np.zeros(len(share), bool)
        for kind in range(3):
            some = large & (self._kind == kind)
            if some.sum() < 8:
                continue
            # some areas may relax faster than the others; more than 15 % could not be left out anyway
            usual = max(float(np.quantile((excess * size)[some], 0.85)), 0.0)
            wrong |= some & (excess > np.maximum(TIMES * usual / size, FLICKER)) & (excess > 6 * error)
        return self._pixels(wrong, good)

    def _size(self, good: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(self._area.ravel(), np.tile(good, 3), len(self._kind)).astype(float)

    def _pixels(self, areas: NDArray[np.bool_], good: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.flatnonzero(areas[self._area].any(0) & good)

    @property
    def histogram(self) -> NDArray[np.int64]:
        """Number of pixels by their counts, (HIGHEST,); zeros if some counts are no whole numbers."""
        return np.asarray(self._histograms.sum(0) * self.whole)


@nb.njit(nogil=True, cache=True, inline="always")
def _add_pixel(frame: Array, good: Array, area: Array, p: np.uintp, sums: Floats, histogram: Array) -> None:
    """Add one pixel, without branches: which pixels count is not to be predicted."""
    x = np.float64(frame[p]) * good[p]
    histogram[np.uintp(min(x, HIGHEST - 1))] += good[p]
    for i in range(3):
        sums[np.uintp(area[i, p])] += x


@nb.njit(nogil=True, cache=True)
def _add_areas(frame: Array, good: Array, area: Array, n_rows: int, sums: Floats, histograms: Array) -> float:
    """Add a frame (n_pixels,) to the sums of its areas, `n_rows` rows first, and to histograms; return its counts."""
    quarter, total = frame.size // 4, 0.0
    for i in range(quarter):
        for k in range(4):  # far from each other: the next pixel is often in the same row, whose sum is not ready
            _add_pixel(frame, good, area, np.uintp(i + k * quarter), sums, histograms[k])
    for p in range(4 * quarter, frame.size):
        _add_pixel(frame, good, area, np.uintp(p), sums, histograms[0])
    for i in range(n_rows):
        total += sums[i]
    return total


@nb.njit(nogil=True, cache=True)
def _sum_areas(counts: Floats, good: Array, area: Array, sums: Floats) -> None:
    for p in range(np.uintp(counts.size)):
        x = counts[p] * good[p]
        if x != 0:
            for i in range(3):
                sums[np.uintp(area[i, p])] += x
