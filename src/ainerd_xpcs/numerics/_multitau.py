"""The one-time correlation g2(tau) while frames arrive."""

from copy import deepcopy

import numpy as np
from numpy.typing import ArrayLike

from ainerd_xpcs.numerics._counts import check_counts, check_valid, dimmed
from ainerd_xpcs.numerics._entries import CHANNELS, PairSums, add_ends, add_products, halve, take
from ainerd_xpcs.numerics._event_pairs import PairsOfEvents
from ainerd_xpcs.numerics._events import Events, joined
from ainerd_xpcs.numerics._g2 import G2, from_parts
from ainerd_xpcs.numerics._partition import Array, Floats, Partition, Parts

FRAMES, MEANS = 64, 32  # entries correlated at a time, of the first level and of the others
UPPER = 8  # the same of events, of all levels but the lowest: they come from whole detectors, and rings take memory
LOWEST = 2 * UPPER  # of the lowest level, whose means must have room in the next one
STRIP = 1024  # pixels, about, whose sums over pairs are added part by part at a time


class MultiTau:
    """g2 at quasi-logarithmic lags while frames arrive.

    There are sixteen channels a level, and frames are averaged in pairs from level to level (Schätzel, Drewel & Stimac,
    J. Mod. Opt. 35, 711, 1988). Each frame is divided by its mean count a in the bin and multiplied with a weight w
    when it arrives, and divided by the static profile S_q when g2 is computed. The sum of the products of a lag is
    divided by the sum of w w', so the beam cancels. The weight is a / (1 + a), divided by the mean of that over some
    64 frames: in proportion to the photons if they are few, which wastes none, and 1 if they are many. Memory grows
    with the logarithm of the number of frames.

    Frames are correlated 64 at a time, and their means 32 at a time: first pixel by pixel, then part by part, so that
    many small bins cost little more than few large ones.

    Parameters
    ----------
    partition : Partition

    Examples
    --------
    >>> correlator = MultiTau(Partition.from_roi_map(np.ones((40, 40), int)))
    >>> for first in range(0, 256, 32):  # as they arrive
    ...     correlator.push(movie[first : first + 32])
    >>> curve = correlator.result()
    >>> curve.lag[:20:6], curve.value[0, :20:6].round(1)
    (array([ 1.,  7., 13., 22.]), array([1.8, 1.2, 1.1, 1. ]))
    """

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self._parts = parts = Parts.of(partition)
        n_part, n_pixels = len(parts.roi), len(partition.pixels)
        self._factor = np.ones(n_pixels, np.float32)  # 0 for pixels that are left out
        # for each level: entries (frames, averaged in pairs from level to level), their sums over parts, and over pairs
        self._ring = [np.zeros((CHANNELS + FRAMES, n_pixels), np.float32)]
        self._sums = [np.zeros((CHANNELS + FRAMES, n_part), np.float32)]
        self._totals = [PairSums.zeros(n_part, partition.n_roi)]
        self._seen, self._done = [0], [0]  # entries of each level so far, and those already correlated
        self._alone = np.zeros((3, n_pixels), np.float32)  # counts, products and ends of waiting frames
        self._counts = np.zeros(n_pixels)
        self._usual = np.zeros((partition.n_roi, 2))  # see `weigh`
        self._pixels, self._size = partition.n_pixels.astype(np.int64), parts.size
        self._bins = np.searchsorted(parts.roi, np.arange(partition.n_roi + 1))  # first part of each
        strip = parts.edges[:-1] // STRIP
        self._strips = np.append(np.flatnonzero(np.diff(strip, prepend=-1)), n_part)  # first part of each
        self._pairs: PairsOfEvents | None = None  # in place of the lower levels, if the frames come as events
        self._lowest, self._room = 0, MEANS  # the lowest level with a ring, and entries that wait in the others
        self._waiting: list[Events] = []  # of the block that begins at frame `_begin`, correlated up to `_taken`
        self._first: tuple[Array, Array] | None = None  # entries of the first block, until their level has a ring
        self._begin = self._taken = 0
        self._waiting_counts = np.zeros(n_pixels)  # of waiting events, in the frames after `_taken`
        self._out = np.zeros(n_pixels, bool)  # of all pixels

    def push(self, frames: Array | Events, valid: ArrayLike | None = None, *, first: int | None = None) -> None:
        """Add the next frames.

        Parameters
        ----------
        frames : ndarray, shape (b, ny, nx) or (b, n_pixels), or Events
            Counts, whole frames or gathered. All frames of a run come in the same form; events have their own `first`
            and `valid`.
        valid : array_like of bool, shape (b,), optional
            False for frames to leave out. A frame without a photon in a bin is always left out of that bin.
        first : int, optional
            Index of the first of them in the run, from 0. Skipped frames are missing and left out; a gap of any length
            takes milliseconds.

        Raises
        ------
        ValueError
            If the frames do not fit, repeat earlier ones, or hold negative or non-finite numbers.
        """
        if isinstance(frames, Events) or self._pairs is not None:
            self._push_events(frames)
            return
        block = check_counts(self.partition.gather(frames))
        keep, begin = check_valid(valid, len(block)), 0
        if first is not None:
            self._pass(int(first))
        while begin < len(block):
            some = slice(begin, min(len(block), begin + self._room_until() - self._seen[0]))
            take(
                block[some], keep[some], self._factor, self._parts.edges, self._bins, self._pixels,
                self._seen[0], self._ring[0], self._sums[0], self._usual, self._alone, self._totals[0].pairs[0],
            )  # fmt: skip
            self._seen[0] += some.stop - begin
            begin = some.stop

    def _next_level(self) -> int:
        """Return the number of frames with which the next level starts."""
        return CHANNELS << len(self._seen) - 1 if len(self._seen) > 1 else 0

    def _room_until(self) -> int:
        """Make room in the first ring, and start a level if it is time; return the frame before which both hold."""
        if self._seen[0] == self._next_level():
            self._settle()
            self._grow()
        if self._seen[0] - self._done[0] == FRAMES:
            self._correlate(0)
        return min(self._done[0] + FRAMES, self._next_level())

    def _pass(self, first: int) -> None:
        """Pass missing frames before frame `first`."""
        if first < self._seen[0]:
            raise ValueError(f"frame {first} was pushed before: the next is {self._seen[0]}")
        while self._seen[0] < first:
            room, end = self._room_until(), min(self._next_level(), first)
            if end - self._seen[0] > FRAMES:
                self._jump(end)
                continue
            end = min(end, room)
            self._empty(0, self._seen[0], end)
            self._seen[0] = end

    def _jump(self, end: int) -> None:
        """Pass missing frames before frame `end` of these levels: complete entries that have begun, add empty ones."""
        self._settle()
        begun = list(self._seen)
        for level, entry in enumerate(begun):
            if end >> level == entry:
                break
            ring, sums = self._ring[level], self._sums[level]
            self._empty(level, entry, entry + 2)
            if level:
                halve(self._ring[level - 1], self._sums[level - 1], entry, entry + 1, ring, sums)
                self._add(level, entry, 1)
        for level, entry in enumerate(begun):
            last = end >> level
            self._empty(level, max(entry + 1, last - len(self._ring[level])), last)
            self._seen[level] = self._done[level] = last

    def _empty(self, level: int, first: int, end: int) -> None:
        """Make entries `first` to `end` - 1 of a level empty; most of those in a long gap are empty already."""
        ring, sums = self._ring[level], self._sums[level]
        rows = np.arange(first, end) % len(ring)
        rows = rows[sums[rows].any(1)]
        ring[rows], sums[rows] = 0, 0

    def _push_events(self, frames: Array | Events) -> None:
        if not isinstance(frames, Events) or (self._pairs is None and self._seen[0]):
            raise ValueError("the frames of one run are either all dense or all events")
        events = frames.gathered(self.partition)
        if len(events.ticks) and events.ticks[0] < self._seen[0]:
            raise ValueError(f"frame {events.ticks[0]} was pushed before: the next is {self._seen[0]}")
        if self._pairs is None:
            self._lowest = PairsOfEvents.best(events, len(self._parts.roi))
            self._pairs, self._room = PairsOfEvents(self._parts, self._pixels, self._lowest), UPPER
        if not self._factor.all():
            events = events.without(np.flatnonzero(self._factor == 0))
        while events.stop >= self._begin + self._pairs.size:
            end = self._begin + self._pairs.size
            self._waiting.append(events.between(self._begin, end))
            self._grow_until(end)
            self._add_events(end)
            self._begin, self._waiting, events = end, [], events.between(end, events.stop)
        self._waiting.append(events)
        self._seen[0] = max(events.stop, self._seen[0])

    def _grow_until(self, n_frames: int) -> None:
        """Start the levels that so many frames have."""
        while n_frames > self._next_level():
            level, n_pixels = len(self._seen), len(self._factor)
            self._settle()
            if level > self._lowest:
                self._grow()
                continue
            rows = CHANNELS + LOWEST if level == self._lowest else 0
            self._ring.append(np.zeros((rows, n_pixels), np.float32))
            self._sums.append(np.zeros((rows, len(self._parts.roi)), np.float32))
            if rows and self._first is not None:
                n = len(self._first[0])
                self._ring[-1][:n], self._sums[-1][:n], self._first = *self._first, None
            self._seen.append(self._begin >> level)
            self._done.append(self._begin >> level)
            self._totals.append(PairSums.zeros(len(self._parts.roi), self.partition.n_roi))

    def _add_events(self, end: int, totals: list[PairSums] | None = None) -> None:
        """Add the pairs of events whose later frame is below `end`: to `totals`, copies for one result, or for good."""
        assert self._pairs is not None
        pairs, begin, level = self._pairs, self._begin, self._lowest
        n, keep = pairs.size >> level, totals is None
        if begin and keep:  # in their places in the ring
            first = (begin >> level) % len(self._ring[level])
            entries, of_parts = (x[level][first : first + n] for x in (self._ring, self._sums))
        else:
            entries, of_parts = (np.zeros((n, m), np.float32) for m in (len(self._factor), len(self._parts.roi)))
        block = joined(self._waiting)
        photons = self._counts if keep else self._waiting_counts
        pairs.add(block, begin, self._taken, end, totals or self._totals, entries, of_parts, photons)
        if not keep:
            return
        self._taken = end
        if begin == 0:
            self._first = entries, of_parts
            return
        self._seen[level] = end >> level
        if self._seen[level] + n - self._done[level] > LOWEST:  # no room for the next block
            self._correlate(level)

    def _settle(self) -> None:
        """Correlate the waiting entries of all levels."""
        for level in range(self._lowest, len(self._seen)):
            self._correlate(level)

    def _correlate(self, level: int) -> None:
        """Correlate the waiting entries of a level, and pass their means in pairs to the next level."""
        done, seen = self._done[level], self._seen[level]
        if done == seen:
            return
        total, ring, sums, edges = self._totals[level], self._ring[level], self._sums[level], self._parts.edges
        self._add(level, done, seen - done)
        if level == 0:
            counts, products, ends = self._alone
            self._counts += counts
            total.products[0] += np.add.reduceat(products, edges[:-1])
            total.ends[0] += np.add.reduceat(ends, edges[:-1])
            self._alone[:] = 0
        if level + 1 < len(self._seen):
            if seen // 2 - self._done[level + 1] > self._room:
                self._correlate(level + 1)
            halve(ring, sums, done // 2, seen // 2, self._ring[level + 1], self._sums[level + 1])
            self._seen[level + 1] = seen // 2
        self._done[level] = seen

    def _add(self, level: int, first: int, n: int) -> None:
        """Add the products of `n` entries of a level with those before them."""
        total, ring, sums, edges = self._totals[level], self._ring[level], self._sums[level], self._parts.edges
        if not sums[np.arange(first, first + n) % len(sums)].any():
            return  # all these entries are zero
        window = first, n, CHANNELS // 2 if level else 1
        add_ends(sums, *window, self._bins, self._pixels, total.ends, total.pairs)
        add_products(ring, *window, edges, self._strips, total.products)

    def _grow(self) -> None:
        """Start a level, whose first entries are still in the ring of the level before."""
        for rows in (self._ring, self._sums):
            rows.append(np.zeros((CHANNELS + self._room, rows[0].shape[1]), np.float32))
        first = self._seen[-1] // 2
        halve(self._ring[-2], self._sums[-2], 0, first, self._ring[-1], self._sums[-1])
        self._seen.append(first)
        self._done.append(first)
        self._totals.append(PairSums.zeros(len(self._parts.roi), self.partition.n_roi))

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
        out = out[~self._out[out]]
        if out.size == 0:
            return
        self._settle()
        parts, roi, self._out[out] = self._parts, self._parts.roi, True
        self._waiting_counts[:] = 0
        before, n_before = self._bin_counts(), self._pixels
        of_part = np.searchsorted(parts.edges, out, side="right") - 1
        restarted = np.unique(of_part[self._counts[out] > 0])  # a pixel without a count is in no product
        self._factor[out], self._counts[out] = 0, 0
        good = (self._factor > 0).astype(np.float32)
        self._size = self._size - np.bincount(of_part, minlength=len(roi))
        self._pixels = np.bincount(roi, self._size, self.partition.n_roi).astype(np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.nan_to_num(self._bin_counts() / self._pixels / (before / n_before), nan=1, posinf=1)
        mean[mean == 0] = 1
        dimmed(self._usual, mean)
        rings = list(zip(self._ring, self._sums, strict=True))
        again = np.flatnonzero(np.isin(roi, roi[of_part]))
        for ring, sums in [*rings, self._first] if self._first else rings:
            for j in again:
                entries = ring[:, parts.edges[j] : parts.edges[j + 1]]
                entries *= good[parts.edges[j] : parts.edges[j + 1]] / np.float32(mean[roi[j]])
                sums[:, j] = entries.sum(-1)
        if self._pairs is not None:
            self._pairs.leave_out(good, self._pixels, mean)
            self._waiting = [x.without(out) for x in self._waiting]
        for total in self._totals:
            total.products[:] /= mean[roi] ** 2
            total.ends[:] /= mean[roi]
            total.products[:, restarted] = total.ends[:, restarted] = 0
            total.lost[:, restarted] = total.pairs[:, roi[restarted]]

    def _bin_counts(self) -> Floats:
        return np.bincount(self._parts.roi, weights=self._photons()).astype(float)

    def result(self) -> G2:
        """Return g2 of the frames so far; raise ValueError for fewer than two."""
        n_frames, totals = int(self._seen[0]), self._totals
        if n_frames < 2:
            raise ValueError(f"g2 needs at least 2 frames, got {n_frames}")
        if self._pairs is None:
            self._settle()
        else:
            self._grow_until(n_frames)
            whole = n_frames >> self._lowest << self._lowest
            if self._begin and whole > self._taken:
                self._add_events(whole)
            self._settle()
            totals = deepcopy(self._totals)
            self._waiting_counts[:] = 0
            if n_frames > self._taken:
                self._add_events(n_frames, totals)
        lag, plain, centred = self._per_part(totals)
        return from_parts(lag, plain, centred, self._photons(), self._size, self._parts, n_frames)

    def _photons(self) -> Floats:
        """Return the photons in the used pixels of each part, (n_part,)."""
        counts = self._counts + self._waiting_counts
        return np.asarray(np.add.reduceat(counts, self._parts.edges[:-1]))

    def _per_part(self, totals: list[PairSums]) -> tuple[Floats, Floats, Floats]:
        """Return the lags, and means of d d' - 1 and of e e' with e = d - 1, (n_part, 1 + n_lag), first at lag 0."""
        n_frames, parts, size = self._seen[0], self._parts, self._size
        products, ends, lost, pairs = (np.stack(of_levels) for of_levels in zip(*totals, strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            photons = self._photons()
            of_sub = np.bincount(parts.sub, photons) / np.bincount(parts.sub, size)
            mean = np.bincount(parts.roi, photons) / self._pixels
            profile = of_sub[parts.sub] / mean[parts.roi]
            area = (pairs[..., parts.roi] - lost) * size
            plain = np.where(area > 0, products / (area * profile**2), np.nan) - 1
            centred = plain - np.where(area > 0, ends / (area * profile), np.nan) + 2
        lags = [(0, 0)]
        for level in range(len(pairs)):
            lags += [(level, c) for c in range(CHANNELS // 2 if level else 1, min(CHANNELS, n_frames >> level))]
        level, channel = np.array(lags).T
        return (channel * 2.0**level)[1:], plain[level, channel].T, centred[level, channel].T
