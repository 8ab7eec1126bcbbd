"""Events in the multi-tau correlator: pairs of events of a pixel, in place of the products of all its counts.

Below a level L, at which a pixel has counted about once, most entries are zero. There the products are summed over
pairs of events: a pair at distance d is in the level whose channels reach d, or in the next. From level L on entries
are dense, and `MultiTau` correlates them as it does those of dense frames.

A block has 2^(L + 3) frames, which is as far as the channels below level L reach back: only the block before is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._counts import dimmed, weigh
from ainerd_xpcs.numerics._entries import CHANNELS, PairSums
from ainerd_xpcs.numerics._event_entries import Entries, halve_entries, pair_entries, youngest
from ainerd_xpcs.numerics._events import SHIFT, TILE, Events, labels
from ainerd_xpcs.numerics._partition import Array, Parts

LEAST_LEVEL, MOST_LEVEL = 4, 12
ROOM = 1 << 23  # numbers that the sums of a block's frames may take
LISTED = 1 << 11  # pairs that are added at once
HALF = CHANNELS // 2


@dataclass
class Sorted:
    """Events of a block by pixel and then by tick."""

    ptr: Array  # (n_pixels + 1,), begin of each pixel
    events: Array  # (m, 2) of float32: tick since the begin of the block, and count times the factor of bin and frame


class PairsOfEvents:
    """Products below level `dense` of blocks of events, and the entries of that level.

    Parameters
    ----------
    parts : Parts
    n_pixels : ndarray of int, shape (n_roi,)
        Pixels in use in each bin.
    dense : int
        The level L from which on entries are dense.
    """

    def __init__(self, parts: Parts, n_pixels: NDArray[np.int64], dense: int) -> None:
        self.dense, self.size = dense, HALF << dense
        self._parts, self._n_pixels = parts, n_pixels
        self._bins = np.searchsorted(parts.roi, np.arange(len(n_pixels) + 1))  # first part of each
        of_bin = np.diff(self._bins)
        edges = [0, *(np.flatnonzero(np.diff(of_bin)) + 1).tolist(), len(n_pixels)]
        self._alike = [(slice(a, b), slice(int(self._bins[a]), int(self._bins[b]))) for a, b in pairwise(edges)]
        self._part = np.repeat(labels(len(parts.roi)), parts.size)
        self._roi = np.repeat(labels(len(n_pixels))[parts.roi], parts.size)
        d = np.maximum(np.arange(self.size), 1)
        self._level = np.maximum(np.floor(np.log2(d)).astype(np.int8) - 3, 0).astype(np.int8)
        self._old = Sorted(np.zeros(len(self._part) + 1, np.int32), np.zeros((0, 2), np.float32))
        none = (np.zeros((0, n), np.float32) for n in (len(parts.roi), len(n_pixels)))
        self._history = [Entries(np.zeros(0, np.int64), *none)] * dense
        self._is_idle = True
        self._usual = np.zeros((len(n_pixels), 2))  # at the begin of the block; see `weigh`

    @staticmethod
    def best(events: Events, n_part: int) -> int:
        """Return the level L that takes the least time for frames like these."""
        ticks = max(events.stop - int(events.ticks[0]), 1) if len(events.ticks) else 1
        per_tick = max(len(events.pixel) / events.shape[0] / ticks, 1e-9)
        level = round(np.log2(0.3 / per_tick))
        room = np.log2(ROOM * ticks / max(len(events.ticks), 1) / n_part / HALF)
        return int(np.clip(min(level, room), LEAST_LEVEL, MOST_LEVEL))

    def add(
        self, events: Events, begin: int, fresh: int, end: int, totals: Sequence[PairSums], entries: Array,
        of_parts: Array, photons: Array,
    ) -> None:  # fmt: skip
        """Add the pairs whose later frame is from `fresh` to `end` - 1.

        Parameters
        ----------
        events : Events
            Frames of the block so far; gathered.
        begin : int
            First frame of the block, a multiple of its size.
        totals : list of PairSums
            Of each level so far, to which it adds.
        entries, of_parts : ndarray, shape (8, n_pixels) and (8, n_part)
            Entries of level L of the block and their sums over parts, to which it adds those that are whole by `end`
            and not by `fresh`. At the beginning of a block the entries may hold anything.
        photons : ndarray, shape (n_pixels,)
            Photons of each pixel, to which it adds those of the later frames.
        """
        if not len(events.ticks) and self._is_idle:
            if fresh == begin and of_parts.any():
                entries[:], of_parts[:] = 0, 0
            return
        if fresh == begin:
            of_parts[:] = 0
        last = end - begin
        ticks = events.ticks - begin
        scale, both = np.zeros((len(ticks), len(self._n_pixels)), np.float32), self._entries(0, len(ticks))
        new, usual = len(self._history[0].number), self._usual.copy()
        both.number[new:] = ticks
        photons_of = both.sums[new:]
        later, alone = (ticks >= fresh - begin) & (ticks < last), totals[0]
        _count(
            events.offsets, events.pixel, events.count, events.valid, later, self._part, photons_of, alone.products[0]
        )
        _add_ends_alone(photons_of, later, self._bins, self._n_pixels, alone.ends[0], alone.pairs[0])
        _scale(photons_of, self._bins, self._n_pixels, usual, scale, both.weight[new:])
        block = self._sort(ticks, events, scale, fresh - begin, last, photons)
        products = np.zeros((self.dense, CHANNELS, len(self._parts.roi)))
        _pairs(
            block.ptr, block.events, self._old.ptr, self._old.events, self._parts.edges, self._level, self.dense,
            self.size, fresh - begin, last, entries, products,
        )  # fmt: skip
        for level in range(self.dense):
            window, least = ((fresh - begin) >> level, last >> level), HALF if level else 1
            if level < len(totals):
                total = totals[level]
                total.products[:] += products[level]
                pair_entries(both, *window, least, self._alike, total.ends, total.pairs)
            if last == self.size:
                self._history[level] = youngest(both, self.size >> level)
            both, new = self._halved(both, new, level + 1)
        if last == self.size:
            self._old, self._is_idle, self._usual = block, not len(ticks), usual
        whole = both.number >= (fresh - begin) >> self.dense
        whole &= both.number < last >> self.dense
        of_parts[both.number[whole]] += both.sums[whole]

    def leave_out(self, good: Array, n_pixels: NDArray[np.int64], share: Array) -> None:
        """Take pixels out of the block before, as if they were masked; `good`, (n_pixels,), is 0 at these pixels.

        Of the counts of each bin a `share` is left, (n_roi,), by which its events are divided; the entries are summed
        again.
        """
        dimmed(self._usual, share)
        self._n_pixels, old = n_pixels, self._old
        pixel, n_part = np.repeat(np.arange(len(good)), np.diff(old.ptr)), len(self._parts.roi)
        part = self._part[pixel]
        tick, value = old.events[:, 0].astype(np.int64), old.events[:, 1]
        value *= good[pixel] / share[self._parts.roi[part]].astype(np.float32)
        for level, entries in enumerate(self._history):
            number = np.searchsorted(entries.number, (tick >> level) - (self.size >> level))
            inside = np.flatnonzero(number < len(entries.number))
            inside = inside[entries.number[number[inside]] == (tick[inside] >> level) - (self.size >> level)]
            sums = np.bincount(number[inside] * n_part + part[inside], value[inside], len(entries.number) * n_part)
            entries.sums[:] = sums.reshape(-1, n_part) / 2**level
            entries.weight[:] = np.add.reduceat(entries.sums, self._bins[:-1], axis=1) / np.maximum(n_pixels, 1)

    def _entries(self, level: int, n: int) -> Entries:
        """Return `n` entries to be filled, behind those of the blocks before."""
        n_part, n_roi = len(self._parts.roi), len(self._n_pixels)
        old = self._history[level] if level < self.dense else None
        k = 0 if old is None else len(old.number)
        out = Entries(
            np.empty(k + n, np.int64), np.zeros((k + n, n_part), np.float32), np.zeros((k + n, n_roi), np.float32)
        )
        if old is not None:
            out.number[:k], out.sums[:k], out.weight[:k] = old.number, old.sums, old.weight
        return out

    def _halved(self, entries: Entries, new: int, level: int) -> tuple[Entries, int]:
        """Return the entries of the next level, made of those from number `new` on, and where the new ones begin."""
        number = entries.number[new:] >> 1
        out = self._entries(level, int(np.count_nonzero(np.diff(number, prepend=-1))))
        first = len(self._history[level].number) if level < self.dense else 0
        halve_entries(
            number, entries.sums[new:], entries.weight[new:], out.number[first:], out.sums[first:], out.weight[first:]
        )
        return out, first

    def _sort(
        self, ticks: NDArray[np.int64], events: Events, scale: NDArray[np.float32], fresh: int, end: int, photons: Array
    ) -> Sorted:
        ptr = np.empty(len(self._part) + 1, np.int32)
        out = np.empty((len(events.pixel), 2), np.float32)
        counted = events.valid & (ticks >= fresh) & (ticks < end)
        tiles = events.tiles
        _by_pixel(tiles.begins, tiles.events, ticks, counted, scale, self._roi, ptr, out, photons)
        return Sorted(ptr, out)


@nb.njit(nogil=True, cache=True)
def _count(
    offsets: Array, pixel: Array, count: Array, valid: Array, later: Array, part: Array, photons: Array, alone: Array
) -> None:
    """Add the photons of valid frames to their parts, and the pairs of each of the `later` frames with itself.

    N photons in a pixel make N (N - 1) pairs.
    """
    for b in range(valid.size):
        if valid[b]:
            for e in range(offsets[b], offsets[b + 1]):
                j, c = part[np.uintp(pixel[e])], np.float64(count[e])
                photons[b, j] += np.float32(c)
                if c > 1 and later[b]:
                    alone[j] += c * (c - 1)


@nb.njit(nogil=True, cache=True)
def _add_ends_alone(photons: Array, later: Array, bins: Array, n_pixels: Array, ends: Array, pairs: Array) -> None:
    """Add the ends of pairs of each of the `later` frames with itself, and their number."""
    for b in range(later.size):
        if not later[b]:
            continue
        for k in range(np.uintp(n_pixels.size)):
            first, last, total = np.uintp(bins[k]), np.uintp(bins[k + np.uintp(1)]), 0.0
            for j in range(first, last):
                total += photons[b, j]
            if total == 0:
                continue
            mean = total / n_pixels[k]
            others = max(mean - 1 / n_pixels[k], 0.0)
            pairs[k] += mean * others
            for j in range(first, last):
                ends[j] += 2 * others * photons[b, j]


@nb.njit(nogil=True, cache=True)
def _scale(photons: Array, bins: Array, n_pixels: Array, usual: Array, scale: Array, weight: Array) -> None:
    """Write factor and weight of each bin and frame, and scale the photons of the parts."""
    for b in range(len(photons)):
        for k in range(np.uintp(n_pixels.size)):
            first, last, total = np.uintp(bins[k]), np.uintp(bins[k + np.uintp(1)]), 0.0
            for j in range(first, last):
                total += photons[b, j]
            if total == 0:
                continue
            mean = total / n_pixels[k]
            scale[b, k] = weigh(mean, usual[k])
            weight[b, k] = mean * scale[b, k]
            for j in range(first, last):
                photons[b, j] = np.float64(scale[b, k]) * np.float64(photons[b, j])


@nb.njit(nogil=True, cache=True)
def _by_pixel(
    begins: Array, events: Array, ticks: Array, counted: Array, scale: Array, roi: Array, ptr: Array, out: Array,
    photons: Array,
) -> None:  # fmt: skip
    """Sort the events of `Tiles` by pixel, and by tick as they come; add the photons of the frames that are counted.

    `scale`, (n, n_roi), is the factor of bin and frame, and `roi`, (n_pixels,), the bin of each pixel.
    """
    place = np.zeros(TILE, np.int32)
    ptr[photons.size] = begins[-1]
    for tile in range(begins.size - 1):
        first = tile << SHIFT
        n = min(TILE, photons.size - first)
        place[:] = 0
        for e in range(begins[tile], begins[tile + 1]):
            place[np.uintp(events[e, 1]) & np.uintp(TILE - 1)] += 1
        k = begins[tile]
        for at in range(n):
            ptr[first + at], k = k, k + place[at]
            place[at] = ptr[first + at]
        for e in range(begins[tile], begins[tile + 1]):
            b, p, c = np.uintp(events[e, 0]), np.uintp(events[e, 1]), events[e, 2]
            i = np.uintp(place[p & np.uintp(TILE - 1)])
            place[p & np.uintp(TILE - 1)] += 1
            out[i, 0] = ticks[b]
            out[i, 1] = scale[b, roi[p]] * np.float32(c)
            if counted[b]:
                photons[p] += c


@nb.njit(nogil=True, cache=True, fastmath=True)
def _pairs(
    ptr: Array, events: Array, old_ptr: Array, old: Array, edges: Array, level: Array, dense: int, size: int,
    fresh: int, end: int, entries: Array, products: Array,
) -> None:  # fmt: skip
    """Add x x' of the pairs of events of each pixel to their levels and channels, and x to the entries of `dense`.

    Entries are made zero at the beginning of the block. Pairs are listed first and added later: processors mispredict
    the loops over the events of a pixel, and add meanwhile.
    """
    acc = np.zeros((dense + 1, 2 * CHANNELS))  # only channels in use are added to `products`
    share, one = np.float32(1 / 2.0**dense), np.uintp(1)
    stop = end >> np.arange(dense + 1)
    room = LISTED + 2 * size
    later, earlier, xx = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.float32)
    for j in range(edges.size - 1):
        acc[:] = 0
        if fresh == 0:  # here, where the cache has them
            entries[:, edges[j] : edges[j + 1]] = 0
        n = np.uintp(0)
        for p in range(np.uintp(edges[j]), np.uintp(edges[j + 1])):
            for e in range(np.uintp(ptr[p]), np.uintp(ptr[p + one])):
                t, x = np.int64(events[e, 0]), events[e, 1]
                if t < fresh or t >= end:
                    continue
                if t >> dense < stop[dense]:
                    entries[np.uintp(t >> dense), p] += share * x
                for k in range(np.uintp(ptr[p]), e):
                    later[n], earlier[n], xx[n] = t, events[k, 0], x * events[k, 1]
                    n += one
                for k in range(np.uintp(old_ptr[p]), np.uintp(old_ptr[p + one])):
                    later[n], earlier[n], xx[n] = t, np.int64(old[k, 0]) - size, x * old[k, 1]
                    n += np.uintp(old[k, 0] > t)  # those within `size`
                if n >= LISTED:
                    _add_listed(later, earlier, xx, n, level, stop, acc)
                    n = np.uintp(0)
        _add_listed(later, earlier, xx, n, level, stop, acc)
        for i in range(dense):
            for c in range(1 if i == 0 else HALF, CHANNELS):
                products[i, c, j] += acc[i, c] / 4.0**i


@nb.njit(nogil=True, cache=True, fastmath=True)
def _add_listed(
    later: Array, earlier: Array, products: Array, n: np.uintp, level: Array, stop: Array, into: Array
) -> None:
    """Add to the channel of the level that reaches this far, and to that of the next: often to one that is not used."""
    whole = stop[0] >> (len(stop) - 1) << (len(stop) - 1) == stop[0]  # no entry is cut
    for q in range(n):
        t, u, xx = np.int64(later[q]), np.int64(earlier[q]), products[q]
        i = np.uintp(level[np.uintp(t - u)])
        s = np.int64(i)
        if whole or t >> s < stop[i]:
            into[i, np.uintp((t >> s) - (u >> s))] += xx
        i, s = i + np.uintp(1), s + 1
        if whole or t >> s < stop[i]:
            into[i, np.uintp((t >> s) - (u >> s))] += xx
