"""Means of C2 in which frames have the weights that g2 gives them, from their mean counts a in a bin.

A weight is a / (1 + a), divided by its mean over the frames so far, of which the last 64 count the most.
"""

import numpy as np


def weights(means):
    """Return the weight of each frame, (n_roi, T), from its mean counts; frames without a photon are left out."""
    out = np.zeros(means.shape)
    for of_bin, w in zip(means, out, strict=True):
        usual = n = 0
        for t in np.flatnonzero(of_bin):
            n = min(n + 1, 64)
            a = of_bin[t]
            usual = usual * (n - 1) / n + a / (1 + a) / n
            w[t] = a / (1 + a) / usual
    return out


def means(frames, partition, valid=None):
    """Return the mean counts, (n_roi, T), 0 in frames that are not valid."""
    a = np.array([frames[:, partition.roi_map == k].mean(1) for k in range(1, partition.n_roi + 1)])
    return a if valid is None else a * valid


def mean(full, frames, partition, where, valid=None):
    """Return the mean of the finite elements of each full map at `where`, (T, T), (n_roi,)."""
    w = weights(means(frames, partition, valid))
    pairs = np.where(np.isfinite(full) & where, w[:, :, None] * w[:, None], 0)
    return np.nansum(full * pairs, (1, 2)) / pairs.sum((1, 2))


def along_diagonals(full, frames, partition, lags, valid=None):
    """Return the means along diagonals, (n_roi, n_lag)."""
    w = weights(means(frames, partition, valid))
    pairs = np.where(np.isfinite(full), w[:, :, None] * w[:, None], 0)
    of_lags = [[np.diagonal(x, lag, 1, 2) for x in (full, pairs)] for lag in lags]
    return np.stack([np.nansum(values * weight, 1) / weight.sum(1) for values, weight in of_lags], 1)


def full_map(frames, partition, valid=None):
    """Return C2 of each bin by its formula, (n_roi, T, T): counts over the profile S_q and the mean of the frame.

    S_q is the mean over the frames of each static label in the bin. The diagonal is without shot noise.
    """
    out = np.full((partition.n_roi, len(frames), len(frames)), np.nan)
    for k, c2 in enumerate(out, 1):
        inside = partition.roi_map == k
        static, counts = partition.static_map[inside], frames[:, inside]
        good = np.flatnonzero((counts.sum(1) > 0) & (True if valid is None else valid))
        profile = np.ones(static.size)
        for label in np.unique(static):
            profile[static == label] = counts[good][:, static == label].mean()
        factor = counts[good].mean() / profile / counts[good].mean(1, keepdims=True)
        d = counts[good] * factor
        c2[np.ix_(good, good)] = d @ d.T / static.size
        c2[good, good] -= (counts[good] * factor**2).mean(1)
    return out
