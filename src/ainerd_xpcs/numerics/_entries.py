"""Sums over pairs of entries of one level of the multi-tau correlator: rings of frames, or of their means.

Entry i is in row i modulo the number of rows.
"""

from typing import NamedTuple, Self

import numba as nb
import numpy as np

from ainerd_xpcs.numerics._counts import weigh
from ainerd_xpcs.numerics._partition import Array

CHANNELS = 16
WIDTH = 64  # pixels correlated at a time: with all their entries they fit the first cache


class PairSums(NamedTuple):
    """Sums over the pairs of entries of one level: (CHANNELS, n_part), or (CHANNELS, n_roi) for `pairs`.

    Channel 0 of level 0 is a frame with itself, without shot noise. `pairs` are sums of w w', and `lost` those of them
    that a part has no products of, because it was restarted.
    """

    products: Array
    ends: Array
    lost: Array
    pairs: Array

    @classmethod
    def zeros(cls, n_part: int, n_roi: int) -> Self:
        products, ends, lost = np.zeros((3, CHANNELS, n_part))
        return cls(products, ends, lost, np.zeros((CHANNELS, n_roi)))


@nb.njit(nogil=True, fastmath=True, cache=True)
def add_products(ring: Array, first: int, n: int, least: int, edges: Array, strips: Array, products: Array) -> None:
    """Add the products of entries of a ring with the entries c before, part by part, for c from `least` on.

    ring : (rows, n_pixels), entry i in row i modulo rows; entries `first` to `first` + `n` - 1 are added.
    edges : (n_part + 1,), first pixel of each part. strips : first part of each group of parts that is summed at once.
    products : (CHANNELS, n_part), to which x x' is added.
    """
    room = 0
    for i in range(strips.size - 1):
        room = max(room, edges[strips[i + 1]] - edges[strips[i]])
    xx = np.zeros((CHANNELS, room), np.float32)
    for i in range(strips.size - 1):
        a, b = strips[i], strips[i + 1]
        _products(ring, first, n, least, edges[a], edges[b], xx)
        _add_parts(xx, edges, a, b, least, products)


@nb.njit(nogil=True, fastmath=True, cache=True)
def _products(ring: Array, first: int, n: int, least: int, begin: int, end: int, products: Array) -> None:
    """Write x x' of `n` entries with the entries c before, summed over entries but not over pixels."""
    # unsigned, because a loop whose index may be negative does not vectorize
    one, two, three, width = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(WIDTH)
    x = np.zeros((CHANNELS + n + 3, WIDTH), np.float32)
    xx = np.empty((CHANNELS, WIDTH), np.float32)
    for begin_ in range(begin, end, WIDTH):
        p, o, some = np.uintp(begin_), np.uintp(begin_ - begin), np.uintp(min(WIDTH, end - begin_))
        for r_ in range(CHANNELS + n):
            r, row = np.uintp(r_), np.uintp((first - CHANNELS + r_) % len(ring))
            for i in range(some):
                x[r, i] = ring[row, p + i]
        xx[:] = 0
        for c_ in range(least // 4 * 4, CHANNELS, 4):  # x is zero after the last entry
            for t_ in range(CHANNELS, CHANNELS + n, 4):
                c, t = np.uintp(c_), np.uintp(t_)
                u = t - c
                for i in range(width):
                    t0, t1, t2, t3 = x[t, i], x[t + one, i], x[t + two, i], x[t + three, i]
                    u0, u1, u2, u3 = x[u, i], x[u + one, i], x[u + two, i], x[u + three, i]
                    v1, v2, v3 = x[u - one, i], x[u - two, i], x[u - three, i]
                    xx[c, i] += t0 * u0 + t1 * u1 + t2 * u2 + t3 * u3
                    xx[c + one, i] += t0 * v1 + t1 * u0 + t2 * u1 + t3 * u2
                    xx[c + two, i] += t0 * v2 + t1 * v1 + t2 * u0 + t3 * u1
                    xx[c + three, i] += t0 * v3 + t1 * v2 + t2 * v1 + t3 * u0
        for c_ in range(least, CHANNELS):
            c = np.uintp(c_)
            for i in range(some):
                products[c, o + i] = xx[c, i]


@nb.njit(nogil=True, fastmath=True, cache=True)
def _add_parts(x: Array, edges: Array, first: int, last: int, least: int, into: Array) -> None:
    """Add the sums over the pixels of each part, four channels at a time."""
    begin = edges[first]
    for c in range(least // 4 * 4, CHANNELS, 4):
        x0, x1, x2, x3 = x[c], x[c + 1], x[c + 2], x[c + 3]
        for j in range(first, last):
            s0 = s1 = s2 = s3 = np.float32(0)
            for i in range(np.uintp(edges[j] - begin), np.uintp(edges[j + 1] - begin)):
                s0 += x0[i]
                s1 += x1[i]
                s2 += x2[i]
                s3 += x3[i]
            into[c, j] += s0
            into[c + 1, j] += s1
            into[c + 2, j] += s2
            into[c + 3, j] += s3


@nb.njit(nogil=True, fastmath=True, cache=True)
def add_ends(
    sums: Array, first: int, n: int, least: int, bins: Array, n_pixels: Array, ends: Array, pairs: Array
) -> None:
    """Add w x' + w' x of the same pairs of entries to `ends`, (CHANNELS, n_part), and w w' to `pairs`.

    `sums`, (rows, n_part), are those of the entries over parts, and w the mean over the pixels of a bin. `bins`,
    (n_roi + 1,), is the first part of each bin, and `pairs` is (CHANNELS, n_roi).
    """
    n_rows = CHANNELS + n
    x = np.zeros((sums.shape[1], n_rows), np.float32)
    for r in range(max(CHANNELS - first, 0), n_rows):  # no entry before has a partner
        row = sums[(first - CHANNELS + r) % len(sums)]
        for j in range(row.size):
            x[j, r] = row[j]
    w, both = np.zeros(n_rows + CHANNELS), np.empty(n_rows, np.float32)  # of partners that come before and after
    for k in range(bins.size - 1):
        if n_pixels[k] == 0:
            continue
        w[:] = 0
        for y in x[bins[k] : bins[k + 1]]:
            for r in range(np.uintp(n_rows)):
                w[r] += y[r]
        w /= n_pixels[k]
        for c in range(least, CHANNELS):
            total = 0.0
            for r in range(CHANNELS):
                both[r] = w[r + c] if r + c >= CHANNELS else 0.0
            for r in range(CHANNELS, n_rows):
                both[r] = w[r + c] + w[r - c]
                total += w[r] * w[r - c]
            pairs[c, k] += total
            for j in range(bins[k], bins[k + 1]):
                of_part, y = np.float32(0), x[j]
                for r in range(n_rows):
                    of_part += both[r] * y[r]
                ends[c, j] += of_part


@nb.njit(nogil=True, fastmath=True, cache=True)
def _middle(x: Array, y: Array, out: Array) -> None:
    for i in range(x.size):
        out[i] = np.float32(0.5) * (x[i] + y[i])


@nb.njit(nogil=True, fastmath=True, cache=True)
def _count(frame: Array, factor: Array, now: Array, counts: Array) -> None:
    for p in range(now.size):
        now[p] = np.float32(frame[p]) * factor[p]
        counts[p] += now[p]


@nb.njit(nogil=True, fastmath=True, cache=True)
def _square(now: Array, squares: Array) -> None:
    for p in range(now.size):
        squares[p] += now[p] * (now[p] - np.float32(1))


@nb.njit(nogil=True, fastmath=True, cache=True)
def take(
    block: Array, keep: Array, factor: Array, edges: Array, bins: Array, n_pixels: Array, seen: int,
    ring: Array, sums: Array, usual: Array, alone: Array, pairs: Array,
) -> None:  # fmt: skip
    """Put frames into the ring, and add the pairs of each frame with itself: N photons make N (N - 1) pairs.

    `factor` is 0 for pixels that are left out, and 1 for the others.
    """
    now = np.empty(factor.size, np.float32)
    counts, squares, ends = alone[0], alone[1], alone[2]
    for b in range(block.shape[0]):
        row, of_parts = ring[(seen + b) % len(ring)], sums[(seen + b) % len(ring)]
        if not keep[b]:
            row[:] = 0
            of_parts[:] = 0
            continue
        _count(block[b], factor, now, counts)
        _square(now, squares)
        for k in range(n_pixels.size):
            total = np.float32(0)
            for j in range(bins[k], bins[k + 1]):
                of_part = np.float32(0)
                for p in range(np.uintp(edges[j]), np.uintp(edges[j + 1])):
                    of_part += now[p]
                of_parts[j] = of_part
                total += of_part
            mean = np.float64(total) / n_pixels[k] if total > 0 else 0.0
            others = max(mean - 1 / n_pixels[k], 0.0) if total > 0 else 0.0
            scale, twice = np.float32(weigh(mean, usual[k]) if total > 0 else 0.0), np.float32(2 * others)
            for p in range(np.uintp(edges[bins[k]]), np.uintp(edges[bins[k + 1]])):
                row[p] = scale * now[p]
                ends[p] += twice * now[p]
            for j in range(bins[k], bins[k + 1]):
                of_parts[j] *= scale
            pairs[k] += mean * others


@nb.njit(nogil=True, fastmath=True, cache=True)
def halve(ring: Array, sums: Array, begin: int, end: int, into: Array, sums_into: Array) -> None:
    """Average entries 2 i and 2 i + 1 of a level to entry i of the next, for i from `begin` to `end`."""
    for i in range(begin, end):
        a, b, half = 2 * i % len(ring), (2 * i + 1) % len(ring), i % len(into)
        if sums[a].any() or sums[b].any() or sums_into[half].any():  # else all three are zero
            _middle(ring[a], ring[b], into[half])
            _middle(sums[a], sums[b], sums_into[half])
