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
