"""One-time correlation g2(tau) while frames come, by lag and by age."""

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs._counts import check_counts
from ainerd.xpcs._g2 import G2, from_parts
from ainerd.xpcs._lagged import CHANNELS, add_pairs, add_products
from ainerd.xpcs._partition import Partition
from ainerd.xpcs._parts import Parts

YOUNGEST = 2 * CHANNELS  # frames of the first age; each later age is as long as all before it
FRAMES, MEANS = 64, 32  # correlated at a time, of the first level and of the others: they share what small parts cost
STRIP = 1024  # pixels, about, whose sums over pairs are added up part by part at a time


@dataclass(frozen=True, kw_only=True)
class G2ByAge:
    """g2 by the age of the sample and the lag, both on logarithmic scales.

    Attributes
    ----------
    edges : ndarray, shape (n_age + 1,)
        A pair of frames is of age a if the later one has a number (from 0) from ``edges[a]`` to ``edges[a + 1] - 1``.
    lag : ndarray, shape (n,)
        In frames.
    value, error : ndarray, shape (n_roi, n_age, n)
        g2 and its standard error; NaN where no pair is.
    parts : ndarray, shape (n_part, n_age, n)
        Of the parts that `part_roi` and `part_weight` of `G2` tell of.
    """

    edges: NDArray[np.int64]
    lag: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    parts: NDArray[np.float64]


class _Age:
    """Sums over the pairs whose later frame is of one age: (levels, CHANNELS, n_part), or n_roi for `pairs`.

    Channel 0 of level 0 is a frame with itself, less shot noise. `lost` is what of `pairs` a part has no products of.
    """

    def __init__(self, levels: int, n_part: int, n_roi: int) -> None:
        self.products, self.ends, self.lost = np.zeros((3, levels, CHANNELS, n_part))
        self.pairs = np.zeros((levels, CHANNELS, n_roi))


class MultiTau:
    """g2 at quasi-logarithmic lags while frames come.

    Sixteen channels a level, frames averaged in pairs from level to level (Schätzel, Drewel & Stimac, J. Mod. Opt. 35,
    711, 1988). Each frame is divided by its mean count in the bin when it arrives, and by the static profile S_q when
    g2 is asked for. The sums are kept apart by the age of the later frame, in octaves (as in MT-2TC, J. Synchrotron
    Rad. 33, 698, 2026): together they are g2. Memory grows with the squared logarithm of the number of frames.

    Frames are correlated 64 at a time, and their means 32 at a time: pixel by pixel, and then part by part, so that
    many small bins cost little more than few large ones.

    Parameters
    ----------
    partition : Partition
    n_frames : int or None
        Frames that will come, which `lag` then tells of; None for an open-ended run.
    """

    def __init__(self, partition: Partition, n_frames: int | None) -> None:
        self.partition, self._n_frames = partition, n_frames
        self._parts = parts = Parts.of(partition)
        n_part, n_pixels = len(parts.roi), len(partition.pixels)
        self._good = np.ones(n_pixels, np.float32)
        # of each level, entries: frames, averaged in pairs from level to level; and how much of each is of valid frames
        self._ring = [np.zeros((CHANNELS + FRAMES, n_pixels), np.float32)]
        self._weight = [np.zeros((CHANNELS + FRAMES, partition.n_roi), np.float32)]
        self._seen, self._done = [0], [0]  # entries of each level that have come, and that have been correlated
        self._ages: list[_Age] = []
        self._alone = np.zeros((3, n_pixels), np.float32)  # counts, products and ends of waiting frames with themselves
        self._counts = np.zeros(n_pixels)
        self._pixels, self._size = partition.n_pixels.astype(np.int64), parts.size
        self._bins = np.searchsorted(parts.roi, np.arange(partition.n_roi + 1))  # first part of each
        self._begins = parts.edges[self._bins].astype(np.uintp)
        strip = parts.edges[:-1] // STRIP
        self._strips = np.append(np.flatnonzero(np.diff(strip, prepend=-1)), n_part)  # first part of each

    @property
    def lag(self) -> NDArray[np.float64]:
        """Lags in frames that `result` will have when all frames have come, (n_lag,)."""
        return _lags(self._seen[0] if self._n_frames is None else self._n_frames)

    def push(self, frames: NDArray, valid: ArrayLike | None = None) -> None:
        """Add the next frames.

        Parameters
        ----------
        frames : ndarray, shape (b, ny, nx) or (b, n_pixels)
            Counts, whole frames or gathered.
        valid : array_like of bool, shape (b,), optional
            False for frames to leave out. Frames without a photon in a bin are left out of that bin in any case.
        """
        block = check_counts(self.partition.gather(frames))
        keep = np.ones(len(block), bool) if valid is None else np.asarray(valid, dtype=bool)
        if keep.shape != (len(block),):
            raise ValueError(f"valid has shape {keep.shape}, wanted ({len(block)},)")
        begin = 0
        while begin < len(block):
            end = YOUNGEST << len(self._ages) >> 1 if self._ages else 0  # where the age begins that is next
            if self._seen[0] == end:
                self._settle()
                self._grow()
                continue
            if self._seen[0] - self._done[0] == FRAMES:
                self._correlate(0)
            room = min(self._done[0] + FRAMES, end) - self._seen[0]
            some = slice(begin, min(len(block), begin + room))
            _take(
                block[some], keep[some], self._good, self._begins, self._pixels, self._seen[0], self._ring[0],
                self._weight[0], self._alone, self._ages[-1].pairs[0, 0],
            )  # fmt: skip
            self._seen[0] += some.stop - begin
            begin = some.stop

    def _settle(self) -> None:
        """Correlate what waits."""
        for level in range(len(self._seen)):
            self._correlate(level)

    def _correlate(self, level: int) -> None:
        """Correlate what waits of a level, and hand its means in pairs to the next."""
        done, seen = self._done[level], self._seen[level]
        if done == seen:
            return
        age, ring, weight, edges = self._ages[-1], self._ring[level], self._weight[level], self._parts.edges
        window = done, seen - done, CHANNELS // 2 if level else 1
        products, ends, pairs = (x[level] for x in (age.products, age.ends, age.pairs))
        whole = add_pairs(ring, weight, *window, edges, self._bins, pairs, ends)
        add_products(ring, *window, edges, self._strips, whole[self._parts.roi], products, ends)
        if level == 0:
            counts, products, ends = self._alone
            self._counts += counts
            age.products[0, 0] += np.add.reduceat(products, edges[:-1])
            age.ends[0, 0] += np.add.reduceat(ends, edges[:-1])
            self._alone[:] = 0
        if level + 1 < len(self._seen):
            if seen // 2 - self._done[level + 1] > MEANS:
                self._correlate(level + 1)
            _halve(ring, weight, done // 2, seen // 2, self._ring[level + 1], self._weight[level + 1])
            self._seen[level + 1] = seen // 2
        self._done[level] = seen

    def _grow(self) -> None:
        """Begin an age and with it a level, whose first entries are still in the ring of the one before."""
        for rows in (self._ring, self._weight):
            rows.append(np.zeros((CHANNELS + MEANS, rows[0].shape[1]), np.float32))
        first = self._seen[-1] // 2
        _halve(self._ring[-2], self._weight[-2], 0, first, self._ring[-1], self._weight[-1])
        self._seen.append(first)
        self._done.append(first)
        self._ages.append(_Age(len(self._seen), len(self._parts.roi), self.partition.n_roi))

    def leave_out(self, pixels: ArrayLike) -> None:
        """Leave pixels out from the next frame on, as though they were masked, and what they did to g2 before.

        Parameters
        ----------
        pixels : array_like of int
            Positions in the order of ``partition.pixels``.

        Notes
        -----
        The parts that hold one of them begin anew. In the others the brightness of the frames before is set right: of
        the last sixteen of each level exactly, of those that have been added up on average over the run.
        """
        out = np.unique(np.asarray(pixels, dtype=np.int64))
        out = out[self._good[out] > 0]
        if out.size == 0:
            return
        self._settle()
        parts, roi = self._parts, self._parts.roi
        before, n_before = self._bin_counts(), self._pixels
        self._good[out], self._counts[out] = 0, 0
        of_part = np.searchsorted(parts.edges, out, side="right") - 1
        self._size = self._size - np.bincount(of_part, minlength=len(roi))
        self._pixels = np.bincount(roi, self._size, self.partition.n_roi).astype(np.int64)
        for k in np.unique(roi[of_part]):
            bin_ = slice(parts.edges[self._bins[k]], parts.edges[self._bins[k + 1]])
            for ring, weight in zip(self._ring, self._weight, strict=True):
                entries = ring[:, bin_]
                entries *= self._good[bin_]
                total, wanted = entries.sum(-1), weight[:, k] * self._pixels[k]
                entries *= np.divide(wanted, total, out=np.zeros_like(total), where=total > 0)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.nan_to_num(self._bin_counts() / self._pixels / (before / n_before), nan=1, posinf=1)[roi]
        mean[mean == 0] = 1
        for age in self._ages:
            age.products /= mean**2
            age.ends /= mean
            age.products[..., of_part] = age.ends[..., of_part] = 0
            age.lost[..., of_part] = age.pairs[..., roi[of_part]]

    def _bin_counts(self) -> NDArray[np.float64]:
        return np.bincount(self._parts.roi, weights=self._photons).astype(float)

    def result(self) -> G2:
        """g2 of the frames that have come; ValueError if fewer than two have."""
        n_frames, levels = self._enough(), len(self._seen)
        products, ends, lost, pairs = (
            np.sum([np.pad(x, ((0, levels - len(x)), (0, 0), (0, 0))) for x in of_ages], axis=0)
            for of_ages in zip(*((a.products, a.ends, a.lost, a.pairs) for a in self._ages), strict=True)
        )
        lag, plain, centred = self._per_part(products, ends, lost, pairs)
        return from_parts(lag, plain, centred, self._photons, self._size, self._parts, n_frames)

    def by_age(self) -> G2ByAge:
        """g2 of the frames that have come, by the age of the later one in octaves; ValueError for fewer than two."""
        n_frames = self._enough()
        lags, found = _lags(n_frames), []
        for age in self._ages:
            lag, *sums = self._per_part(age.products, age.ends, age.lost, age.pairs)
            more = ((0, 0), (0, len(lags) - len(lag)))
            plain, centred = (np.pad(x, more, constant_values=np.nan) for x in sums)
            found.append(from_parts(lags, plain, centred, self._photons, self._size, self._parts, n_frames))
        edges = [0, *(YOUNGEST << a for a in range(len(found) - 1)), n_frames]
        arrays = {name: np.stack([getattr(x, name) for x in found], 1) for name in ("value", "error", "parts")}
        return G2ByAge(edges=np.array(edges), lag=lags, **arrays)

    def _enough(self) -> int:
        """Frames that have come, if they are enough; all are correlated then."""
        n_frames = int(self._seen[0])
        if n_frames < 2:
            raise ValueError(f"g2 wants at least 2 frames, {n_frames} have come")
        self._settle()
        return n_frames

    @property
    def _photons(self) -> NDArray[np.float64]:
        """In the pixels of each part that are in use, (n_part,)."""
        return np.add.reduceat(self._counts, self._parts.edges[:-1])

    def _per_part(
        self, products: NDArray, ends: NDArray, lost: NDArray, pairs: NDArray
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Lags; mean of d d' - 1 and of e e' with e = d - 1, (n_part, 1 + n_lag), first without a lag."""
        n_frames, parts, size = self._seen[0], self._parts, self._size
        with np.errstate(divide="ignore", invalid="ignore"):
            photons = self._photons
            of_sub = np.bincount(parts.sub, photons) / np.bincount(parts.sub, size)
            mean = np.bincount(parts.roi, photons) / self._pixels
            profile = of_sub[parts.sub] / mean[parts.roi]
            area = (pairs[..., parts.roi] - lost) * size
            plain = np.where(area > 0, products / (area * profile**2), np.nan) - 1
            centred = plain - np.where(area > 0, ends / (area * profile), np.nan) + 2
        levels = range(len(pairs))
        where = [(level, c) for level in levels for c in _channels(level) if c < n_frames >> level]
        level, channel = np.array([(0, 0), *where]).T
        return (channel * 2.0**level)[1:], plain[level, channel].T, centred[level, channel].T


def _channels(level: int) -> range:
    return range(1 if level == 0 else CHANNELS // 2, CHANNELS)


def _lags(n_frames: int) -> NDArray[np.float64]:
    levels = range(max(1, int(np.ceil(np.log2(max(n_frames, 2) / CHANNELS))) + 1))
    return np.array([c * 2.0**level for level in levels for c in _channels(level) if c < n_frames >> level])


@nb.njit(nogil=True, fastmath=True, cache=True)
def _middle(x, y, out):
    for i in range(x.size):
        out[i] = np.float32(0.5) * (x[i] + y[i])


@nb.njit(nogil=True, fastmath=True, cache=True)
def _count(frame, good, now, counts):
    for p in range(now.size):
        now[p] = np.float32(frame[p]) * good[p]
        counts[p] += now[p]


@nb.njit(nogil=True, fastmath=True, cache=True)
def _square(now, squares):
    for p in range(now.size):
        squares[p] += now[p] * (now[p] - np.float32(1))


@nb.njit(nogil=True, fastmath=True, cache=True)
def _take(block, keep, good, bins, n_pixels, seen, ring, weight, alone, pairs):
    """Put frames into the ring, and add up what a frame gives with itself: of N photons there are N (N - 1) pairs."""
    now = np.empty(good.size, np.float32)
    counts, squares, ends = alone[0], alone[1], alone[2]
    for b in range(block.shape[0]):
        row, row_weight = ring[(seen + b) % len(ring)], weight[(seen + b) % len(ring)]
        if not keep[b]:
            row[:] = 0
            row_weight[:] = 0
            continue
        _count(block[b], good, now, counts)
        _square(now, squares)
        for k in range(n_pixels.size):
            total = np.float32(0)
            for p in range(bins[k], bins[k + 1]):
                total += now[p]
            mean = np.float64(total) / n_pixels[k] if total > 0 else 0.0
            others = max(mean - 1 / n_pixels[k], 0.0) if total > 0 else 0.0
            scale, twice = np.float32(1 / mean if total > 0 else 0.0), np.float32(2 * others)
            for p in range(bins[k], bins[k + 1]):
                row[p] = scale * now[p]
                ends[p] += twice * now[p]
            row_weight[k] = 1.0 if total > 0 else 0.0
            pairs[k] += mean * others


@nb.njit(nogil=True, fastmath=True, cache=True)
def _halve(ring, weight, begin, end, into, weight_into):
    """Average entries 2 i and 2 i + 1 of a level to entry i of the next, for i from `begin` to `end`."""
    for i in range(begin, end):
        a, b, half = 2 * i % len(ring), (2 * i + 1) % len(ring), i % len(into)
        _middle(ring[a], ring[b], into[half])
        _middle(weight[a], weight[b], weight_into[half])
