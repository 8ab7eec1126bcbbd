"""The algorithm of the first prototype, before anything was made faster: `studies.events` compares with it.

Words are read in blocks that are copied; C2 goes into dense rows, 32 frames at a time; the events of a block are sorted
by pixel together with those of the block before; frames that are not valid in all bins are paired one by one.
"""

import os
from collections.abc import Iterator
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd.xpcs import MultiTau, Partition, TwoTimeReducer
from ainerd.xpcs._entries import CHANNELS
from ainerd.xpcs._multitau import MEANS, YOUNGEST, _Age
from studies._events_rings import add_pairs, add_products, halve

Block = tuple[int, NDArray[np.int64], NDArray[np.uint64]]
CHUNK, DENSE, FRAMES = 32, 8, 2048


def words_of(path: str) -> Iterator[Block]:
    """Yield the first frame, where each frame begins, and the words of blocks of whole frames."""
    fd, buf, begin = os.open(path, os.O_RDONLY), np.empty(1 << 20, np.uint64), np.empty(1 << 20, np.int64)
    kept = first = frame = offset = 0
    while True:
        view = memoryview(buf).cast("B")[kept * 8 :]
        got = os.preadv(fd, [view], offset) // 8
        offset += got * 8
        end = got * 8 < len(view)
        words = buf[: kept + got]
        if not words.size:
            break
        n, frame = _index(words, frame, first, begin)
        whole = min(n if end else n - 1, FRAMES - first % FRAMES)
        if whole < FRAMES - first % FRAMES and not end:
            kept = words.size
            if kept == buf.size:
                buf = np.concatenate([buf, np.empty_like(buf)])
            continue
        begin[n] = words.size
        yield first, begin[: whole + 1].copy(), words[: begin[whole]].copy()
        rest = words[begin[whole] :]
        buf[: rest.size] = rest
        kept, first, frame = rest.size, first + whole, max(first + whole - 1, 0)
    os.close(fd)


@nb.njit(cache=True, nogil=True)
def _index(words, base, first, begin):
    last, frame = first - 1, base
    for e in range(words.size):
        now = np.int64(words[e] >> np.uint64(40))
        frame += (now - (frame & 0xFFFFFF) + 0x800000) % 0x1000000 - 0x800000
        while last < frame:
            last += 1
            begin[last - first] = e
    return last - first + 1, frame


@nb.njit(nogil=True, cache=True, fastmath=True)
def _select(begin, words, where, good, limit, sub, total, indptr, pixel, count, over):
    k, n_over = 0, 0
    for b in range(begin.size - 1):
        for e in range(begin[b], begin[b + 1]):
            w = words[e]
            p = where[np.int64(w >> np.uint64(16)) & 0x1FFFFF]
            if p < 0 or not good[p]:
                continue
            c = np.float32(np.int64(w) & 0xFFF)
            total[p] += c
            if c > 1 and c > limit[sub[p]]:
                over[min(n_over, over.size - 1)] = k
                n_over += 1
            pixel[k] = p
            count[k] = c
            k += 1
        indptr[b + 1] = k
    return n_over


@nb.njit(nogil=True, cache=True)
def _add_c2(indptr, pixel, count, t0, keep, sub, roi, n_pixels, cptr, rows, weights, reduced, counts, norm, seen):
    total = np.zeros(n_pixels.size, reduced.dtype)
    factor, w = np.zeros(n_pixels.size, reduced.dtype), np.zeros(1, reduced.dtype)
    one = np.zeros(1, reduced.dtype)
    for b in range(indptr.size - 1):
        t = t0 + b
        for e in range(indptr[b], indptr[b + 1]):
            counts[t, sub[pixel[e]]] += count[e]
        total[:] = 0
        for j in range(roi.size):
            total[roi[j]] += counts[t, j]
        for k in range(n_pixels.size):
            factor[k] = n_pixels[k] / np.float64(total[k]) if total[k] > 0 and keep[b] else 0.0
            seen[b, k] = total[k] if keep[b] else 0
        for e in range(indptr[b], indptr[b + 1]):
            one[0] = count[e]
            norm[e] = factor[roi[sub[pixel[e]]]] * one[0]
        if keep[b]:
            for i in range(cptr[b], cptr[b + 1]):
                row = reduced[rows[i]]
                w[0] = weights[i]
                for e in range(indptr[b], indptr[b + 1]):
                    row[pixel[e]] += w[0] * norm[e]


class ReducerBefore(TwoTimeReducer):
    """Reduces words to maps; `push_words` returns the arguments of `CorrelatorBefore.push_events`."""

    def __init__(self, partition: Partition, n_frames: int) -> None:
        super().__init__(partition, n_frames)
        self.where = np.full(1 << 21, -1, np.int32)
        self.where[partition.pixels] = np.arange(len(partition.pixels), dtype=np.int32)
        self.sub = np.repeat(np.arange(len(partition.static_roi), dtype=np.int32), np.diff(partition.static_edges))
        self.roi32, self.total = partition.static_roi.astype(np.int32), np.zeros(len(partition.pixels), np.float32)
        self.limit = np.full(len(partition.static_roi), np.inf, np.float32)

    def push_words(self, first: int, begin: NDArray[np.int64], words: NDArray[np.uint64]) -> tuple[Any, ...]:
        n, keep = len(begin) - 1, np.diff(begin) > 0
        indptr = np.zeros(n + 1, np.int64)
        pixel, count, norm = (np.empty(words.size, x) for x in (np.int32, np.float32, np.float32))
        seen, over = np.zeros((n, self.partition.n_roi), np.float32), np.empty(4096, np.int64)
        self._admit(n, first, keep)
        t0, done = self.n_pushed - n, 0
        for a in range(0, n, CHUNK):
            b = min(a + CHUNK, n)
            part = np.zeros(b - a + 1, np.int64)
            _select(
                begin[a : b + 1], words, self.where, self._good, self.limit, self.sub, self.total, part, pixel[done:],
                count[done:], over,
            )  # fmt: skip
            columns = self._rows.columns(t0 + a, t0 + b)
            _add_c2(
                part, pixel[done:], count[done:], t0 + a, keep[a:b], self.sub, self.roi32, self._n_pixels, *columns,
                self.rows, self.sums.counts, norm[done:], seen[a:b],
            )  # fmt: skip
            indptr[a + 1 : b + 1] = done + part[1:]
            done += part[-1]
        return t0, indptr, pixel[:done], count[:done], norm[:done], seen


@nb.njit(nogil=True, cache=True, fastmath=True)
def _by_pixel(indptr, pixel, value, t0, old, old_tx, oldest, shift, ptr, new, at, tx):
    n = new.size
    ptr[:] = 0
    for e in range(indptr[0], indptr[-1]):
        ptr[pixel[e] + 1] += 1
    k = 0
    for p in range(n):
        n_new = ptr[p + 1]
        ptr[p] = k
        for i in range(old[p], old[p + 1]):
            if old_tx[i, 0] >= oldest:
                tx[k, 0], tx[k, 1] = old_tx[i, 0] - shift, old_tx[i, 1]
                k += 1
        new[p] = at[p] = k
        k += n_new
    ptr[n] = k
    for b in range(indptr.size - 1):
        for e in range(indptr[b], indptr[b + 1]):
            i = at[pixel[e]]
            tx[i, 0], tx[i, 1] = t0 + b, value[e]
            at[pixel[e]] = i + 1


@nb.njit(nogil=True, cache=True, fastmath=True)
def _pairs(ptr, new, tx, base, end, edges, level, dense, ring, products):
    acc, share = np.zeros((dense + 1, 16)), np.float32(1 / 2.0**dense)
    reach = level.size
    for j in range(edges.size - 1):
        acc[:] = 0
        for p in range(edges[j], edges[j + 1]):
            for i in range(new[p], ptr[p + 1]):
                t, x = np.int64(tx[i, 0]), tx[i, 1]
                ring[((base + t) >> dense) % len(ring), p] += share * x
                k = i - 1
                while k >= ptr[p]:
                    u = np.int64(tx[k, 0])
                    d = t - u
                    if d >= reach:
                        break
                    m, v = level[d], x * tx[k, 1]
                    c = (t >> m) - (u >> m)
                    if c < 16 and t >> m < end >> m:
                        acc[m, c] += v
                    c = (t >> (m + 1)) - (u >> (m + 1))
                    if c >= 8 and t >> (m + 1) < end >> (m + 1):
                        acc[m + 1, c] += v
                    k -= 1
        for m in range(min(dense, products.shape[0])):
            for c in range(1 if m == 0 else 8, 16):
                products[m, c, j] += acc[m, c] / 4.0**m


@nb.njit(nogil=True, cache=True, fastmath=True)
def _part_sums(indptr, pixel, count, norm, part, seen, n_pixels, roi, t0, sums, weight, alone, ends, pairs):
    for b in range(indptr.size - 1):
        s, w = sums[(t0 + b) % len(sums)], weight[(t0 + b) % len(weight)]
        s[:] = 0
        for e in range(indptr[b], indptr[b + 1]):
            j = part[pixel[e]]
            s[j] += norm[e]
            if count[e] > 1 and norm[e] > 0:
                alone[j] += count[e] * (count[e] - 1)
        for k in range(n_pixels.size):
            w[k] = 1.0 if seen[b, k] > 0 else 0.0
            mean = seen[b, k] / n_pixels[k]
            pairs[k] += mean * max(mean - 1 / n_pixels[k], 0.0)
        for j in range(s.size):
            mean = seen[b, roi[j]] / n_pixels[roi[j]]
            ends[j] += 2 * max(mean - 1 / n_pixels[roi[j]], 0.0) * s[j] * mean


@nb.njit(nogil=True, cache=True, fastmath=True)
def _ends(sums, weight, roi, first, last, least, ends, pairs):
    whole = True
    for i in range(max(first - 15, 0), last):
        for k in range(weight.shape[1]):
            whole &= weight[i % len(weight), k] == 1
    if whole and first >= 16:  # each entry is an end of a pair twice, but for those near the borders
        total, n = np.zeros(sums.shape[1]), sums.shape[1]
        for i in range(first, last):
            for j in range(n):
                total[j] += sums[i % len(sums), j]
        came, went = np.zeros(n), np.zeros(n)
        for c in range(1, 16):
            came += sums[(first - c) % len(sums)]
            went += sums[(last - c) % len(sums)]
            if c >= least:
                ends[c] += 2 * total + came - went
                pairs[c] += last - first
        return
    for c in range(least, 16):
        into, n_pairs = ends[c], pairs[c]
        for i in range(max(first, c), last):
            s, u = sums[i % len(sums)], sums[(i - c) % len(sums)]
            w, v = weight[i % len(weight)], weight[(i - c) % len(weight)]
            for j in range(s.size):
                into[j] += w[roi[j]] * u[j] + v[roi[j]] * s[j]
            for k in range(n_pairs.size):
                n_pairs[k] += w[k] * v[k]


class CorrelatorBefore(MultiTau):
    """Multi-tau g2: pairs of events below level 8, rings of means from there on."""

    def __init__(self, partition: Partition, n_frames: int) -> None:
        super().__init__(partition)
        n_part, n_roi, n_pixels = len(self._parts.roi), partition.n_roi, len(partition.pixels)
        self._ring, self._sums = [], []
        self.levels = max(2, int(np.ceil(np.log2(n_frames / 16))) + 2)
        rows = [16 + max(FRAMES >> m, 1) + 2 for m in range(min(DENSE, self.levels) + 1)]
        self.sums = [np.zeros((r, n_part), np.float32) for r in rows]
        self.weights = [np.zeros((r, n_roi), np.float32) for r in rows]
        upper = range(DENSE, max(self.levels, DENSE + 1))
        self.ring = {m: np.zeros((CHANNELS + MEANS, n_pixels), np.float32) for m in upper}
        self.ring_weight = {m: np.zeros((CHANNELS + MEANS, n_roi), np.float32) for m in upper}
        self.part = np.repeat(np.arange(n_part, dtype=np.int32), self._parts.size)
        d = np.arange(16 << (DENSE - 1))
        self.level = np.maximum(np.floor(np.log2(np.maximum(d, 1))).astype(np.int8) - 3, 0).astype(np.int8)
        self.ptr, self.new, self.at = (np.zeros(n_pixels + more, np.int32) for more in (1, 0, 0))
        self.old, self.tx = np.zeros(n_pixels + 1, np.int32), np.zeros((1, 2), np.float32)
        self.base = self.zeroed = 0

    def push_events(self, t0: int, indptr: Any, pixel: Any, count: Any, norm: Any, seen: Any) -> None:
        begin, end = 0, len(indptr) - 1
        while begin < end:
            age = 0 if t0 + begin < YOUNGEST else int(np.log2((t0 + begin) // YOUNGEST)) + 1
            stop = min(end, (YOUNGEST << age) - t0)
            while len(self._ages) <= age:
                self._ages.append(_Age(self.levels, len(self._parts.roi), self.partition.n_roi))
            self._some(age, t0 + begin, indptr[begin : stop + 1], pixel, count, norm, seen[begin:stop])
            begin = stop

    def _some(self, age: int, t0: int, indptr: Any, pixel: Any, count: Any, norm: Any, seen: Any) -> None:
        a, parts, t1 = self._ages[age], self._parts, t0 + len(indptr) - 1
        base = t0 >> DENSE << DENSE
        tx = np.empty((indptr[-1] - indptr[0] + len(self.tx), 2), np.float32)
        ring = self.ring[DENSE]
        while self.zeroed <= (t1 - 1) >> DENSE:
            ring[self.zeroed % len(ring)] = 0
            self.zeroed += 1
        _by_pixel(
            indptr, pixel, norm, t0 - base, self.old, self.tx, t0 - (16 << (DENSE - 1)) - self.base, base - self.base,
            self.ptr, self.new, self.at, tx,
        )  # fmt: skip
        _pairs(self.ptr, self.new, tx, base, t1 - base, parts.edges, self.level, DENSE, ring, a.products)
        self.old, self.ptr, self.base, self.tx = self.ptr, self.old, base, tx[: self.ptr[-1]]
        _part_sums(
            indptr, pixel, count, norm, self.part, seen, self._pixels, parts.roi, t0, self.sums[0], self.weights[0],
            a.products[0, 0], a.ends[0, 0], a.pairs[0, 0],
        )  # fmt: skip
        for m in range(min(DENSE, self.levels)):
            f, g = t0 >> m, t1 >> m
            if m:
                halve(self.sums[m - 1], self.weights[m - 1], f, g, self.sums[m], self.weights[m])
            _ends(self.sums[m], self.weights[m], parts.roi, f, g, 8 if m else 1, a.ends[m], a.pairs[m])
        if self.levels <= DENSE:
            return
        f, g = t0 >> DENSE, t1 >> DENSE
        halve(self.sums[DENSE - 1], self.weights[DENSE - 1], f, g, self.sums[DENSE], self.weights[DENSE])
        for i in range(f, g):
            self.ring_weight[DENSE][i % len(ring)] = self.weights[DENSE][i % len(self.weights[DENSE])]
        for m in range(DENSE, self.levels):
            f, g = t0 >> m, t1 >> m
            if g == f:
                continue
            ring, weight = self.ring[m], self.ring_weight[m]
            if m > DENSE:
                halve(self.ring[m - 1], self.ring_weight[m - 1], f, g, ring, weight)
            whole = add_pairs(ring, weight, f, g - f, 8, parts.edges, self._bins, a.pairs[m], a.ends[m])
            add_products(ring, f, g - f, 8, parts.edges, self._strips, whole[parts.roi], a.products[m], a.ends[m])
