"""What a multi-tau correlator adds up, frame by frame."""

import numba as nb
import numpy as np

from ainerd.xpcs._counts import add_up


@nb.njit(nogil=True, fastmath=True, cache=True)
def _dots(now, b0, b1, b2, b3, edges, products):
    """Add what a frame gives with four others, part by part: each pixel of it is read once."""
    for j in range(edges.size - 1):
        part = slice(edges[j], edges[j + 1])
        a, c0, c1, c2, c3 = now[part], b0[part], b1[part], b2[part], b3[part]
        s0 = s1 = s2 = s3 = np.float32(0)
        for i in range(a.size):
            v = a[i]
            s0 += v * c0[i]
            s1 += v * c1[i]
            s2 += v * c2[i]
            s3 += v * c3[i]
        products[0, j] += s0
        products[1, j] += s1
        products[2, j] += s2
        products[3, j] += s3


@nb.njit(nogil=True, fastmath=True, cache=True)
def _scaled(x, factor, out):
    for i in range(x.size):
        out[i] = factor * x[i]


@nb.njit(nogil=True, fastmath=True, cache=True)
def _middle(x, y, out):
    for i in range(x.size):
        out[i] = np.float32(0.5) * (x[i] + y[i])


@nb.njit(nogil=True, fastmath=True, cache=True)
def _take(frame, good, now, counts):
    for p in range(now.size):
        now[p] = np.float32(frame[p]) * good[p]
        counts[p] += now[p]


@nb.njit(nogil=True, fastmath=True, cache=True)
def _ends(weight, weight_before, sums, sums_before, ends):
    for j in range(sums.size):
        ends[j] += weight[j] * sums_before[j] + weight_before[j] * sums[j]


@nb.njit(nogil=True, fastmath=True, cache=True)
def correlate(
    block, keep, good, edges, roi, n_pixels, ring, sums, weight, seen, products, ends, pairs, counts
):  # fmt: skip
    """Add frames, (b, n_pixels), to the rings of the levels and their products.

    Of a frame and one `channel` before it on a level, `products` get the sum of d d' over each part's pixels, `ends`
    that of w' d + w d' with w the weights, and `pairs` w w' of each bin; d is 0 where w is. Channel 0 of level 0 is a
    frame with itself: I (I - 1) of the counts, with the bin's pairs of photons, N (N - 1), over its pixels squared.
    """
    levels, channels, n = ring.shape
    n_part, n_roi = roi.size, n_pixels.size
    total, mean, share = np.zeros((3, n_roi))
    now, counted = np.zeros((2, n), np.float32)
    few = np.empty((4, n_part))
    first_part = np.searchsorted(roi, np.arange(n_roi))
    for b in range(block.shape[0]):
        slot = seen[0] % channels
        row, row_sums, row_weight = ring[0, slot], sums[0, slot], weight[0, slot]
        now[:] = 0
        total[:] = 0
        if keep[b]:
            _take(block[b], good, now, counted)
        for j in range(n_part):
            row_sums[j] = add_up(now[edges[j] : edges[j + 1]], np.float32(0))
            total[roi[j]] += row_sums[j]
        for k in range(n_roi):
            mean[k] = total[k] / n_pixels[k] if total[k] > 0 else 0.0
            share[k] = mean[k] * max(mean[k] - 1 / n_pixels[k], 0.0)  # of N photons there are N (N - 1) pairs
            pairs[0, 0, k] += share[k]
        for j in range(n_part):
            k = roi[j]
            scale = np.float32(1 / mean[k] if total[k] > 0 else 0.0)
            row_weight[j] = 1.0 if total[k] > 0 else 0.0
            part = slice(edges[j], edges[j + 1])
            _scaled(now[part], scale, row[part])
            row_sums[j] *= scale
        for level in range(levels):
            at = seen[level]
            slot = at % channels
            for channel in range(0 if level == 0 else channels // 2, channels, 4):
                s1, s2, s3 = (at - channel - 1) % channels, (at - channel - 2) % channels, (at - channel - 3) % channels
                into = products[level, channel : channel + 4]
                if channel == 0:
                    few[:] = 0
                    into = few
                here = ring[level]
                _dots(here[slot], here[(at - channel) % channels], here[s1], here[s2], here[s3], edges, into)
                for c in range(max(channel, 1), channel + 4):
                    before = (at - c) % channels
                    w, w_before = weight[level, slot], weight[level, before]
                    _ends(w, w_before, sums[level, slot], sums[level, before], ends[level, c])
                    for k in range(n_roi):
                        pairs[level, c, k] += w[first_part[k]] * w_before[first_part[k]]
            if level == 0:
                products[0, 1:4] += few[1:]
                for j in range(n_part):
                    k = roi[j]
                    products[0, 0, j] += few[0, j] * mean[k] ** 2 - row_sums[j] * mean[k]
                    ends[0, 0, j] += 2 * share[k] * row_sums[j]
            last = (at - 1) % channels
            seen[level] += 1
            if level + 1 == levels or seen[level] % 2:
                break
            up = seen[level + 1] % channels
            _middle(ring[level, slot], ring[level, last], ring[level + 1, up])
            _middle(sums[level, slot], sums[level, last], sums[level + 1, up])
            _middle(weight[level, slot], weight[level, last], weight[level + 1, up])
        if b % 64 == 63 or b + 1 == block.shape[0]:
            for p in range(n):
                counts[p] += counted[p]
                counted[p] = 0
