"""Rings of means of the prototype in `_events_before`: products, and ends of pairs, of entries of weight 0 to 1."""

import numba as nb
import numpy as np

from ainerd.xpcs._entries import CHANNELS, WIDTH
from ainerd.xpcs._partition import Array


@nb.njit(nogil=True, fastmath=True, cache=True)
def add_products(
    ring: Array, first: int, n: int, least: int, edges: Array, strips: Array, whole: Array, products: Array, ends: Array
) -> None:
    """Add the products of entries of a ring with the entries c before, part by part, for c from `least` on.

    ring : (rows, n_pixels), entry i in row i modulo rows; entries `first` to `first` + `n` - 1 are added.
    edges : (n_part + 1,), first pixel of each part. strips : first part of each group of parts that is summed at once.
    whole : (n_part,), True where `add_pairs` has not added x + x'.
    products, ends : (CHANNELS, n_part), to which x x' and x + x' are added.
    """
    room = 0
    for i in range(strips.size - 1):
        room = max(room, edges[strips[i + 1]] - edges[strips[i]])
    xx = np.zeros((CHANNELS, room), np.float32)
    xs = np.zeros((CHANNELS, room), np.float32)
    for i in range(strips.size - 1):
        a, b = strips[i], strips[i + 1]
        _products(ring, first, n, least, edges[a], edges[b], xx, xs)
        _add_parts(xx, edges, a, b, whole, False, least, products)
        _add_parts(xs, edges, a, b, whole, True, least, ends)


@nb.njit(nogil=True, fastmath=True, cache=True)
def _products(ring: Array, first: int, n: int, least: int, begin: int, end: int, products: Array, ends: Array) -> None:
    """Write x x' and x + x' of `n` entries with the entries c before, summed over entries but not over pixels."""
    # unsigned, because a loop whose index may be negative does not vectorize
    one, two, three, width = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(WIDTH)
    x = np.zeros((CHANNELS + n + 3, WIDTH), np.float32)
    xx = np.empty((CHANNELS, WIDTH), np.float32)
    xs = np.empty((CHANNELS, WIDTH), np.float32)
    for begin_ in range(begin, end, WIDTH):
        p, o, some = np.uintp(begin_), np.uintp(begin_ - begin), np.uintp(min(WIDTH, end - begin_))
        for r_ in range(CHANNELS + n):
            r, row = np.uintp(r_), np.uintp((first - CHANNELS + r_) % len(ring))
            for i in range(some):
                x[r, i] = ring[row, p + i]
        xx[:] = 0
        xs[0] = 0
        for t_ in range(CHANNELS, CHANNELS + n, 4):  # x is zero after the last entry
            t = np.uintp(t_)
            for i in range(width):
                xs[0, i] += np.float32(2) * (x[t, i] + x[t + one, i] + x[t + two, i] + x[t + three, i])
        for c_ in range(1, CHANNELS):
            c = np.uintp(c_)
            came, went = np.uintp(CHANNELS - c_), np.uintp(CHANNELS + n - c_)
            for i in range(width):
                xs[c, i] = xs[c - one, i] + x[came, i] - x[went, i]
        for c_ in range(first + 1, CHANNELS):  # entries without a partner are in no pair
            c = np.uintp(c_)
            xs[c_] = 0
            for t_ in range(c_ - first, n):
                t = np.uintp(CHANNELS + t_)
                for i in range(width):
                    xs[c, i] += x[t, i] + x[t - c, i]
        for c_ in range(least // 4 * 4, CHANNELS, 4):
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
                ends[c, o + i] = xs[c, i]


@nb.njit(nogil=True, fastmath=True, cache=True)
def _add_parts(
    x: Array, edges: Array, first: int, last: int, whole: Array, only_whole: bool, least: int, into: Array
) -> None:
    """Add the sums over the pixels of each part, four channels at a time."""
    begin = edges[first]
    for c in range(least // 4 * 4, CHANNELS, 4):
        x0, x1, x2, x3 = x[c], x[c + 1], x[c + 2], x[c + 3]
        for j in range(first, last):
            if only_whole and not whole[j]:
                continue
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
def add_pairs(
    ring: Array, weight: Array, first: int, n: int, least: int, edges: Array, bins: Array, pairs: Array, ends: Array
) -> Array:
    """Add the pairs of valid entries to `pairs`, (CHANNELS, n_roi), and x + x' of bins where not all are valid.

    Arguments are as in `add_products`; `weight`, (rows, n_roi), is the valid share of each entry (x is zero where the
    share is), and `bins`, (n_roi + 1,), the first part of each bin. Return where all entries are valid, (n_roi,).
    """
    n_parts = bins[1:] - bins[:-1]
    w, sums = np.zeros(CHANNELS + n), np.zeros((CHANNELS + n, n_parts.max()))
    whole = np.ones(n_parts.size, np.bool_)
    for r in range(max(CHANNELS - first, 0), CHANNELS + n):
        row = weight[(first - CHANNELS + r) % len(ring)]
        for k in range(n_parts.size):
            whole[k] &= row[k] == 1
    for k in range(n_parts.size):
        if whole[k]:
            for c in range(least, CHANNELS):
                pairs[c, k] += n - min(max(c - first, 0), n)
            continue
        for r in range(CHANNELS + n):
            row = np.uintp((first - CHANNELS + r) % len(ring))
            w[r] = weight[row, k]
            for j in range(n_parts[k]):
                total = np.float32(0)
                for p in range(np.uintp(edges[bins[k] + j]), np.uintp(edges[bins[k] + j + 1])):
                    total += ring[row, p]
                sums[r, j] = total
        for c in range(least, CHANNELS):
            into = ends[c, bins[k] : bins[k + 1]]
            for t in range(CHANNELS, CHANNELS + n):
                now, before = np.uintp(t), np.uintp(t - c)
                if w[now] + w[before] == 0:
                    continue
                pairs[c, k] += w[now] * w[before]
                for j in range(np.uintp(into.size)):
                    into[j] += w[now] * sums[before, j] + w[before] * sums[now, j]
    return whole


@nb.njit(nogil=True, fastmath=True, cache=True)
def _middle(x: Array, y: Array, out: Array) -> None:
    for i in range(x.size):
        out[i] = np.float32(0.5) * (x[i] + y[i])


@nb.njit(nogil=True, fastmath=True, cache=True)
def halve(ring: Array, weight: Array, begin: int, end: int, into: Array, weight_into: Array) -> None:
    """Average entries 2 i and 2 i + 1 of a level to entry i of the next, for i from `begin` to `end`."""
    for i in range(begin, end):
        a, b, half = 2 * i % len(ring), (2 * i + 1) % len(ring), i % len(into)
        if weight[a].any() or weight[b].any() or weight_into[half].any():  # else all three are zero
            _middle(ring[a], ring[b], into[half])
            _middle(weight[a], weight[b], weight_into[half])
