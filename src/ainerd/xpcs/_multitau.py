"""The one-time correlation g2(tau) while frames arrive, by lag and by age."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs._counts import check_counts, check_valid
from ainerd.xpcs._g2 import G2, from_parts
from ainerd.xpcs._multitau_kernels import CHANNELS, add_pairs, add_products, halve, take
from ainerd.xpcs._partition import Partition, Parts

YOUNGEST = 2 * CHANNELS  # frames of the first age; each later age is as long as all before it
FRAMES, MEANS = 64, 32  # entries correlated at a time, of the first level and of the others
STRIP = 1024  # pixels, about, whose sums over pairs are added part by part at a time


@dataclass(frozen=True, kw_only=True)
class G2ByAge:
    """g2 by the age of the sample and the lag, both on logarithmic scales.

    Attributes
    ----------
    edges : ndarray, shape (n_age + 1,)
        A pair of frames has age a if the number (from 0) of the later one is from ``edges[a]`` to
        ``edges[a + 1] - 1``.
    lag : ndarray, shape (n,)
        In frames.
    value, error : ndarray, shape (n_roi, n_age, n)
        g2 and its standard error; NaN where there is no pair.
    parts : ndarray, shape (n_part, n_age, n)
        g2 of the parts that `part_roi` and `part_weight` of `G2` describe.
    """

    edges: NDArray[np.int64]
    lag: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    parts: NDArray[np.float64]


class _Age:
    """Sums over the pairs whose later frame has one age: (levels, CHANNELS, n_part), or n_roi for `pairs`.

    Channel 0 of level 0 is a frame with itself, without shot noise. `lost` counts the `pairs` that a part has no
    products of, because it was restarted.
    """

    def __init__(self, levels: int, n_part: int, n_roi: int) -> None:
        self.products, self.ends, self.lost = np.zeros((3, levels, CHANNELS, n_part))
        self.pairs = np.zeros((levels, CHANNELS, n_roi))


class MultiTau:
    """g2 at quasi-logarithmic lags while frames arrive.

    There are sixteen channels a level, and frames are averaged in pairs from level to level (Schätzel, Drewel & Stimac,
    J. Mod. Opt. 35, 711, 1988). Each frame is divided by its mean count in the bin when it arrives, and by the static
    profile S_q when g2 is computed. The sums are kept separately by the age of the later frame, in octaves (as in
    MT-2TC, J. Synchrotron Rad. 33, 698, 2026); added together they give g2. Memory grows with the squared logarithm of
    the number of frames.

    Frames are correlated 64 at a time, and their means 32 at a time: first pixel by pixel, then part by part, so that
    many small bins cost little more than few large ones.

    Parameters
    ----------
    partition : Partition
    n_frames : int or None
        Number of frames to come, from which `lag` is computed; None for an open-ended run.
    """

    def __init__(self, partition: Partition, n_frames: int | None) -> None:
        self.partition, self._n_frames = partition, n_frames
        self._parts = parts = Parts.of(partition)
        n_part, n_pixels = len(parts.roi), len(partition.pixels)
        self._good = np.ones(n_pixels, np.float32)
        # for each level: entries (frames, averaged in pairs from level to level), and the valid share of each
        self._ring = [np.zeros((CHANNELS + FRAMES, n_pixels), np.float32)]
        self._weight = [np.zeros((CHANNELS + FRAMES, partition.n_roi), np.float32)]
        self._seen, self._done = [0], [0]  # entries of each level so far, and those already correlated
        self._ages: list[_Age] = []
        self._alone = np.zeros((3, n_pixels), np.float32)  # counts, products and ends of waiting frames
        self._counts = np.zeros(n_pixels)
        self._pixels, self._size = partition.n_pixels.astype(np.int64), parts.size
        self._bins = np.searchsorted(parts.roi, np.arange(partition.n_roi + 1))  # first part of each
        self._begins = parts.edges[self._bins].astype(np.uintp)
        strip = parts.edges[:-1] // STRIP
        self._strips = np.append(np.flatnonzero(np.diff(strip, prepend=-1)), n_part)  # first part of each

    @property
    def lag(self) -> NDArray[np.float64]:
        """Lags in frames, (n_lag,), that `result` will have after the last frame."""
        return _lags(self._seen[0] if self._n_frames is None else self._n_frames)

    def push(self, frames: NDArray, valid: ArrayLike | None = None) -> None:
        """Add the next frames.

        Parameters
        ----------
        frames : ndarray, shape (b, ny, nx) or (b, n_pixels)
            Counts, whole frames or gathered.
        valid : array_like of bool, shape (b,), optional
            False for frames to leave out. A frame without a photon in a bin is always left out of that bin.
        """
        block = check_counts(self.partition.gather(frames))
        keep, begin = check_valid(valid, len(block)), 0
        while begin < len(block):
            end = YOUNGEST << len(self._ages) >> 1 if self._ages else 0  # first frame of the next age
            if self._seen[0] == end:
                self._settle()
                self._grow()
                continue
            if self._seen[0] - self._done[0] == FRAMES:
                self._correlate(0)
            room = min(self._done[0] + FRAMES, end) - self._seen[0]
            some = slice(begin, min(len(block), begin + room))
            take(
                block[some], keep[some], self._good, self._begins, self._pixels, self._seen[0], self._ring[0],
                self._weight[0], self._alone, self._ages[-1].pairs[0, 0],
            )  # fmt: skip
            self._seen[0] += some.stop - begin
            begin = some.stop

    def _settle(self) -> None:
        """Correlate the waiting entries of all levels."""
        for level in range(len(self._seen)):
            self._correlate(level)

    def _correlate(self, level: int) -> None:
        """Correlate the waiting entries of a level, and pass their means in pairs to the next level."""
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
            halve(ring, weight, done // 2, seen // 2, self._ring[level + 1], self._weight[level + 1])
            self._seen[level + 1] = seen // 2
        self._done[level] = seen

    def _grow(self) -> None:
        """Start an age and with it a level, whose first entries are still in the ring of the level before."""
        for rows in (self._ring, self._weight):
            rows.append(np.zeros((CHANNELS + MEANS, rows[0].shape[1]), np.float32))
        first = self._seen[-1] // 2
        halve(self._ring[-2], self._weight[-2], 0, first, self._ring[-1], self._weight[-1])
        self._seen.append(first)
        self._done.append(first)
        self._ages.append(_Age(len(self._seen), len(self._parts.roi), self.partition.n_roi))

    def leave_out(self, pixels: ArrayLike) -> None:
        """Leave pixels out from the next frame on, as if masked, and correct g2 for their effect so far.

        Parameters
        ----------
        pixels : array_like of int
            Positions in the order of ``partition.pixels``.

        Notes
        -----
        The parts that hold one of these pixels start again. In the others the brightness of earlier frames is
        corrected: exactly for the last sixteen entries of each level, on average over the run for the sums.
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
        """Return g2 of the frames so far; raise ValueError for fewer than two."""
        n_frames, levels = self._settled_frames(), len(self._seen)
        products, ends, lost, pairs = (
            np.sum([np.pad(x, ((0, levels - len(x)), (0, 0), (0, 0))) for x in of_ages], axis=0)
            for of_ages in zip(*((a.products, a.ends, a.lost, a.pairs) for a in self._ages), strict=True)
        )
        lag, plain, centred = self._per_part(products, ends, lost, pairs)
        return from_parts(lag, plain, centred, self._photons, self._size, self._parts, n_frames)

    def by_age(self) -> G2ByAge:
        """Return g2 of the frames so far by age of the later one, in octaves; raise ValueError for fewer than two."""
        n_frames = self._settled_frames()
        lags, found = _lags(n_frames), []
        for age in self._ages:
            lag, *sums = self._per_part(age.products, age.ends, age.lost, age.pairs)
            more = ((0, 0), (0, len(lags) - len(lag)))
            plain, centred = (np.pad(x, more, constant_values=np.nan) for x in sums)
            found.append(from_parts(lags, plain, centred, self._photons, self._size, self._parts, n_frames))
        edges = [0, *(YOUNGEST << a for a in range(len(found) - 1)), n_frames]
        arrays = {name: np.stack([getattr(x, name) for x in found], 1) for name in ("value", "error", "parts")}
        return G2ByAge(edges=np.array(edges), lag=lags, **arrays)

    def _settled_frames(self) -> int:
        """Correlate all frames and return their number; raise ValueError for fewer than two."""
        n_frames = int(self._seen[0])
        if n_frames < 2:
            raise ValueError(f"g2 needs at least 2 frames, got {n_frames}")
        self._settle()
        return n_frames

    @property
    def _photons(self) -> NDArray[np.float64]:
        """Photons in the used pixels of each part, (n_part,)."""
        return np.add.reduceat(self._counts, self._parts.edges[:-1])

    def _per_part(
        self, products: NDArray, ends: NDArray, lost: NDArray, pairs: NDArray
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the lags, and means of d d' - 1 and of e e' with e = d - 1, (n_part, 1 + n_lag), first at lag 0."""
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
