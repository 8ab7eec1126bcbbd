"""Screen events for bad pixels and frames, at a cost in proportion to the events.

Pixels are judged as those of dense frames are. A frame with few photons shows neither darkness nor a pattern, so frames
are judged in groups that hold `PHOTONS` photons. Copies of a frame have its events. Areas are summed over the frames
between two samples, so that no photon is wasted.
"""

from collections.abc import Iterator

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._events import Events, joined, labels
from ainerd_xpcs.numerics._partition import Array, Floats, Partition
from ainerd_xpcs.numerics._screen import WINDOW, Screen
from ainerd_xpcs.numerics._screen_areas import HIGHEST
from ainerd_xpcs.numerics._screen_frames import ACCEPTED, DISPLACED, EVERY, GOOD, LAG, NO_LIGHT
from ainerd_xpcs.numerics._screen_pixels import most_contrast
from ainerd_xpcs.numerics._screened import LeftOut, Screened

PHOTONS = 300  # of a group of frames
SOME = 1 << 10  # frames from which the contrast is estimated
KEPT = 1 << 12  # groups that are kept to be compared with later ones
SAMPLE = 8  # pixels for each photon of a sample, at most
_NO_FRAMES = np.empty(0, np.int64)


class EventScreen(Screen):
    """Find bad pixels and frames of events as they arrive, before they are correlated.

    It differs from `Screen` in three ways. Frames are judged, and left out, in groups that hold 300 photons together;
    brighter frames are judged one by one. Frames that are not listed are not reported as missing, because a detector of
    events does not tell them from empty ones. An area flickers if its share varies from block to block. The first 92
    groups are held back and examined together, later the last 28 groups and their block.

    Parameters
    ----------
    partition : Partition
    n_frames : int, optional
        Number of frames to come; None for an open-ended run.

    Examples
    --------
    >>> frames = np.random.default_rng(0).poisson(0.05, (500, 20, 20))
    >>> frames[:, 3, 7] = 1  # a pixel that counts in each frame
    >>> screen = EventScreen(Partition.from_roi_map(np.ones((20, 20), int)), 500)
    >>> blocks = screen.push(Events.of(frames)) + screen.flush()
    >>> screen.left_out.pixels["hot"]  # 3 × 20 + 7
    array([67])
    """

    def __init__(self, partition: Partition, n_frames: int | None = None) -> None:
        super().__init__(partition, n_frames)
        self._top = np.inf  # integers of events hold any count
        self._blocks: list[Events] = []  # held
        self._sub = np.repeat(labels(len(self._limit)), np.diff(partition.static_edges))
        self._size = 0  # listed frames of a group; 0 until the first frames have been examined
        self._photons = 0
        self._usual = np.inf  # photons of a frame
        self._n_listed = self._n_given = 0  # frames that have been grouped, and those that have been returned
        self._n_forgotten = 0  # groups
        self._sampled, self._photons_sampled = np.zeros_like(self._pixels.total), 0  # at the last sample
        self._counted = np.zeros(HIGHEST, np.int64)  # of counts of good pixels; zeros are added in the end
        self._moved: list[NDArray[np.int64]] = []
        self._open = np.zeros(len(self._limit)), False  # counts of the last group, and whether any of it is valid
        self._spoilt |= {"dark": [], "displaced": []}

    @property
    def left_out(self) -> LeftOut:
        """Pixels and frames left out so far; frames that are still held are not reported."""
        return LeftOut(*self._by_reason(), np.empty((0, 2), np.int64), np.concatenate([_NO_FRAMES, *self._moved]))

    def push(
        self, frames: Array | Events, *, first: int | None = None, valid: ArrayLike | None = None
    ) -> list[Screened]:
        """Take the next frames, and return those that are ready to be correlated.

        Parameters
        ----------
        frames : Events
            They have their own `first` and `valid`.
        first, valid
            Must be None.

        Raises
        ------
        SpoiltRunError
            If more than 15 % of the pixels are bad, or more than half of the frames overflow. `flush` also raises it
            if more than 60 % of the frames are copies.
        ValueError
            If the frames are not events, do not fit, or repeat earlier ones.
        """
        if not isinstance(frames, Events) or first is not None or valid is not None:
            raise ValueError("an EventScreen takes only Events, which have their own first frame and valid")
        events = frames.gathered(self.partition)
        if len(events.ticks) and events.ticks[0] < self._n_received:
            raise ValueError(f"frame {events.ticks[0]} was pushed before: the next is {self._n_received}")
        self._n_received = max(events.stop, self._n_received)
        self._spoilt["invalid"].append(events.ticks[~events.valid])
        self._photons += int(events.count.sum(dtype=np.int64))
        if self._begun:
            events = self._without_copies(self._caught(events))
            counts, keep = self._grouped(events)
            self._frames.add(counts, keep)
            self._neighbours.add_events(events, self._pixels.good)
            self._sample()
            if self._pixels.n_seen >= self._next:
                self._look()
        self._blocks.append(events)
        n_listed = sum(len(x.ticks) for x in self._blocks)
        if not self._begun and n_listed >= WINDOW + LAG and self._photons >= (WINDOW + LAG) * PHOTONS:
            self._begin()
        n_groups = self._n_listed // self._size if self._begun else 0
        return list(self._ready(max(n_groups - LAG, 0) * self._size)) if self._begun else []

    def flush(self) -> list[Screened]:
        """Return the frames still held at the end of the run, and the pixels that only the whole run shows bad."""
        if not self._blocks and not self._begun:
            return []
        if not self._begun:
            self._begin()
        self._look_at_run(self._n_listed)
        n_invalid = sum(map(len, self._spoilt["invalid"]))
        # with the pixels of frames that are not listed: they are empty
        n_zero = self._pixels.good.sum() * (self._n_received - n_invalid) - self._counted[1:].sum()
        self._counted[0] = max(n_zero, 0)
        return list(self._ready(self._n_listed))

    @property
    def _histogram(self) -> NDArray[np.int64]:
        return self._counted

    def _begin(self) -> None:
        """Examine the first frames together."""
        events = joined(self._blocks)
        frame = np.repeat(np.arange(len(events.ticks)), np.diff(events.offsets))
        photons = np.bincount(frame, events.count, len(events.ticks))
        # the mean over photons, not over frames, because many frames may have no light
        self._usual = max(float((photons**2).sum() / max(photons.sum(), 1)), 1.0)
        self._begun, self._size = True, int(np.ceil(PHOTONS / self._usual))
        self._limit = np.full(len(self._limit), np.nextafter(self._top, 0))
        n_good = -1
        # counts that are too high raise their own limits, so repeat without them
        for turn in range(10):
            events = self._caught(events)
            n_good, before = self._pixels.good.sum() + events.valid.sum(), n_good
            if turn > 1 and n_good == before:
                break
            kept = events.valid[frame]
            self._pixels.total[:] = np.bincount(events.pixel[kept], events.count[kept], len(self._pixels.total))
            self._pixels.n_seen = int(events.valid.sum())
            self._pixels.fit()
            self._limit = self._limits()
        self._look()
        events = self._without_copies(events)
        self._blocks = [events]
        contrast = self._contrast(events, frame)
        self._pixels.total[:], self._pixels.n_seen = 0, 0
        counts, valid = self._grouped(events)
        self._frames.begin(counts[valid], contrast)
        self._frames.add(counts, valid)
        self._neighbours.add_events(events, self._pixels.good)
        self._sample()
        self._refuse_overflow()

    def _caught(self, events: Events) -> Events:
        """Find counts above the limits: bad pixels, or overflowing frames, which are left out."""
        high = np.flatnonzero(events.count > self._limit.min())
        if not high.size:
            return events
        frame, pixel, count = np.searchsorted(events.offsets, high, "right") - 1, events.pixel[high], events.count[high]
        photons = np.diff(np.append(0, np.cumsum(events.count, dtype=np.int64))[events.offsets])
        brightness = np.maximum(photons[frame] / self._usual, 1)  # a brighter frame may hold more
        bad = (count > self._limit[self._sub[pixel]] * brightness) & self._pixels.good[pixel] & events.valid[frame]
        overflow = np.bincount(frame[bad], minlength=len(events.ticks)) > self._few
        self._spoilt["overflow"].append(events.ticks[overflow])
        bad &= ~overflow[frame]
        self._drop("impossible", np.unique(pixel[bad]).astype(np.int64))
        return events.with_valid(events.valid & ~overflow) if overflow.any() else events

    def _without_copies(self, events: Events) -> Events:
        """Leave out copies of earlier frames, and add the counts of the good pixels to the histogram."""
        good, n = self._pixels.good, len(events.ticks)
        keys, counted, photons = np.zeros(n, np.uint64), np.zeros(n), np.zeros(n)
        _examine(events.offsets, events.pixel, events.count, events.valid, good, keys, counted, photons, self._counted)
        copies = self._copies.repeated_events(keys, counted, np.maximum(photons, 1) / len(good)) & events.valid
        self._spoilt["copy"].append(events.ticks[copies])
        return events.with_valid(events.valid & ~copies) if copies.any() else events

    def _sample(self) -> None:
        """Add the counts since the last sample to those of areas and of windows of time, if they are worth the time."""
        if SAMPLE * (self._photons - self._photons_sampled) >= len(self._pixels.total):
            counts = self._pixels.total - self._sampled
            self._areas.add_counts(counts, self._pixels.good)
            self._neighbours.add_counts(counts)
            self._sampled[:], self._photons_sampled = self._pixels.total, self._photons

    def _contrast(self, events: Events, frame: Array) -> float:
        """Return an upper limit of the speckle contrast in single frames, from the first of them."""
        some = (frame < SOME) & events.valid[frame] & self._pixels.good[events.pixel]
        count, sub, size = events.count[some].astype(float), self._sub[events.pixel[some]], self._pixels.size
        pairs = float((count * (count - 1)).sum())
        counts = np.bincount(frame[some] * len(size) + sub, count, SOME * len(size))
        return most_contrast(pairs, counts.reshape(SOME, -1), size)

    def _grouped(self, events: Events) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the counts of the groups that are complete now, (n, n_sub), and whether any of their frames is valid.

        The counts of the pixels are added to those of the run.
        """
        n, size, begin = len(events.ticks), self._size, self._n_listed % self._size
        n_complete = (begin + n) // size
        counts, valid = np.zeros((n_complete + 1, len(self._limit))), np.zeros(n_complete + 1, bool)
        group = (begin + np.arange(n)) // size
        valid[group[events.valid]] = True
        _sum(events.tiles.events, events.valid, group, self._sub, self._pixels.good, self._pixels.total, counts)
        counts[0] += self._open[0]
        valid[0] |= self._open[1]
        self._open = counts[-1], bool(valid[-1])
        self._n_listed += n
        self._pixels.n_seen += int(events.valid.sum())
        return counts[:-1], valid[:-1]

    def _ready(self, end: int) -> Iterator[Screened]:
        """Yield the blocks whose listed frames lie entirely before number `end`, and forget most of their groups."""
        state, size = self._frames.states, self._size
        while self._blocks and self._n_given + len(self._blocks[0].ticks) <= end:
            events = self._blocks.pop(0)
            listed = self._n_given + np.arange(len(events.ticks))
            number = listed // size - self._n_forgotten
            # the last group may be incomplete, and is not judged
            mine = state[np.minimum(number, len(state) - 1)] if len(state) else np.full(len(number), GOOD)
            for reason, bad in (("dark", mine == NO_LIGHT), ("displaced", mine >= DISPLACED)):
                self._spoilt[reason].append(events.ticks[events.valid & bad])
            begins = np.flatnonzero((listed % size == 0) & (number > 0) & (number <= len(state)))
            self._moved.append(events.ticks[begins[state[number[begins] - 1] > ACCEPTED]])
            self._n_given += len(events.ticks)
            valid = events.valid & (mine == GOOD)
            yield Screened(events.with_valid(valid), valid, self._unreported())
        old = (self._n_given // size - self._n_forgotten - KEPT) // EVERY * EVERY
        if old >= KEPT:
            self._frames.forget(old)
            self._n_forgotten += old
        if self._new and not self._blocks:
            yield Screened(np.zeros((0, len(self.partition.pixels))), np.ones(0, bool), self._unreported())


@nb.njit(nogil=True, cache=True)
def _sum(events: Array, valid: Array, group: Array, sub: Array, good: Array, total: Floats, counts: Floats) -> None:
    """Add the counts of valid frames to those of the pixels, and without bad pixels to those of sub-bins by group."""
    for i in range(events.shape[0]):
        b, p, c = np.uintp(events[i, 0]), np.uintp(events[i, 1]), events[i, 2]
        if valid[b]:
            total[p] += c
            if good[p]:
                counts[group[b], sub[p]] += c


@nb.njit(nogil=True, cache=True)
def _examine(
    offsets: Array, pixel: Array, count: Array, valid: Array, good: Array, keys: Array, counted: Floats,
    photons: Floats, histogram: Array,
) -> None:  # fmt: skip
    """Write hash, pixels that counted and photons of valid frames without bad pixels; add their counts, except zero.

    The hash of a frame is a sum over its events.
    """
    n_single = 0
    for b in range(valid.size):
        if not valid[b]:
            continue
        key, n, total = np.uint64(0), 0, np.int64(0)
        for e in range(offsets[b], offsets[b + 1]):
            p, c = np.uintp(pixel[e]), np.uint64(count[e])
            if not good[p]:
                continue
            x = (np.uint64(p) ^ c << np.uint64(32)) * np.uint64(0x9E3779B97F4A7C15)
            key += (x ^ x >> np.uint64(29)) * np.uint64(0xBF58476D1CE4E5B9)
            n += 1
            total += np.int64(c)
            if c == 1:
                n_single += 1
            else:
                histogram[np.uintp(min(c, np.uint64(histogram.size - 1)))] += 1
        keys[b], counted[b], photons[b] = key, n, total
    histogram[1] += n_single
