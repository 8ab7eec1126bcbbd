"""Entries of the lower levels of the multi-tau correlator of events: only those that are not zero are listed."""

from dataclasses import dataclass

import numba as nb
import numpy as np

from ainerd_xpcs.numerics._entries import CHANNELS
from ainerd_xpcs.numerics._partition import Array

SUMMED = 1 << 8  # entries whose products are added in single precision


@dataclass
class Entries:
    """Frames, or means of frames, of one level: (n,) numbers since the begin of the block, sums, and weights.

    Those of number below zero are of the block before.
    """

    number: Array
    sums: Array  # (n, n_part)
    weight: Array  # (n, n_roi)


def youngest(entries: Entries, size: int) -> Entries:
    """Return the entries that those of the next block may be paired with, numbered for it."""
    some = entries.number > size - CHANNELS
    return Entries(entries.number[some] - size, entries.sums[some], entries.weight[some])


@nb.njit(nogil=True, cache=True, fastmath=True)
def halve_entries(
    number: Array, sums: Array, weight: Array, number_out: Array, sums_out: Array, weight_out: Array
) -> None:
    half, k = np.float32(0.5), -1
    for i in range(number.size):
        if i == 0 or number[i] != number[i - 1]:
            k += 1
            number_out[k] = number[i]
        s, u, w, v = sums[i], sums_out[k], weight[i], weight_out[k]
        for j in range(s.size):
            u[j] += half * s[j]
        for j in range(w.size):
            v[j] += half * w[j]


def pair_entries(
    entries: Entries, first: int, end: int, least: int, alike: list[tuple[slice, slice]], ends: Array, pairs: Array
) -> None:
    """Add w w' and w x' + w' x of all pairs of entries, the later from `first` to `end` - 1, to their channels.

    Entry t is added to channel c with the weights of the entries t - c and t + c. `alike` are bins that follow each
    other and have as many parts, and these parts: they are multiplied at once.
    """
    here = np.flatnonzero((entries.number > first - CHANNELS) & (entries.number < end))
    if not len(here):
        return
    some = slice(here[0], here[-1] + 1)
    both = np.empty((pairs.shape[1], len(here), CHANNELS), np.float32)
    _weigh_partners(entries.number[some], entries.weight[some], first, end, least, both, pairs)
    for bins, parts in alike:
        sums = entries.sums[some, parts].reshape(len(here), bins.stop - bins.start, -1).transpose(1, 0, 2)
        for begin in range(0, len(here), SUMMED):
            rows = slice(begin, begin + SUMMED)
            more = both[bins, rows, least:].transpose(0, 2, 1) @ sums[:, rows]
            ends[least:, parts] += more.transpose(1, 0, 2).reshape(CHANNELS - least, -1)


@nb.njit(nogil=True, cache=True, fastmath=True)
def _weigh_partners(number: Array, weight: Array, first: int, end: int, least: int, both: Array, pairs: Array) -> None:
    """Write w' of both partners of each entry in each channel, (n_roi, n, CHANNELS), and add w w' to `pairs`."""
    base, n_roi = first - CHANNELS, weight.shape[1]  # number of the first column; no entry before has a partner
    n = end - base + CHANNELS
    back = np.zeros((n_roi, n + CHANNELS), np.float32)  # weights, last entry first
    ahead = np.zeros((n_roi, n), np.float32)  # weights of later entries
    for i in range(number.size):
        t = number[i] - base
        for k in range(n_roi):
            back[k, n - 1 - t] = weight[i, k]
            if t >= CHANNELS:
                ahead[k, t] = weight[i, k]
    for r in range(n_roi):
        n_pairs = np.zeros(CHANNELS)
        for i in range(number.size):
            t = number[i] - base
            is_later = np.float32(1) if t >= CHANNELS else np.float32(0)
            now, column, reverse = ahead[r, t], np.uintp(t), np.uintp(n - 1 - t)
            for c in range(CHANNELS):
                w = back[r, reverse + np.uintp(c)]
                both[r, i, c] = is_later * w + ahead[r, column + np.uintp(c)]
                n_pairs[c] += now * w
        for c in range(least, CHANNELS):
            pairs[c, r] += n_pairs[c]
