"""Regimes from embeddings whose noise is known, and ageing told apart from a change of regime."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, pdist

MANY = 10**6  # pairs, of which all are looked at
PAIRS = 5  # nearest in age, whose mean distance decides whether two groups are one


def regimes_at(noise: float, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
    """Group embeddings (n, e) that noise does not tell apart, (n,), numbered by first appearance.

    Average linkage, cut at `noise`: the distance that 99 in 100 pairs of exposures of one regime stay below. A cut
    at the calibrated noise finds small regimes that a cut relative to the distances at hand does not.
    """
    if len(embeddings) < 2:
        return np.zeros(len(embeddings), dtype=np.int64)
    groups = fcluster(linkage(pdist(embeddings), "average"), noise, "distance")
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]


def join_aged(
    noise: float, labels: NDArray[np.int64], embeddings: NDArray[np.float32], age_s: Sequence[float]
) -> NDArray[np.int64]:
    """Give one label to regimes that are one regime at different ages, so that ageing is not mistaken for space.

    A regime that ages leaves a trail of embeddings that is cut into several. Its pieces are alike where they meet in
    age; two regimes are not alike at any age. So the two groups are joined whose `PAIRS` exposures nearest in the
    logarithm of age lie, in the mean, within `noise` of each other, as long as there are such. The joined regime
    keeps the label of its latest exposure. Negative labels are left alone, and nothing is joined unless all ages (s)
    are known and positive.
    """
    age, labels = np.asarray(age_s, dtype=float), labels.copy()
    names = list(np.unique(labels[labels >= 0]))
    if len(names) < 2 or not (age > 0).all() or np.ptp(age) == 0:
        return labels
    fold = np.log(age)

    def apart(a: int, b: int) -> float:
        one, other = np.flatnonzero(labels == a), np.flatnonzero(labels == b)
        i, j = nearest_pairs(fold[one], fold[other])
        return float(cdist(embeddings[one[i]], embeddings[other[j]]).diagonal().mean())

    between = {(a, b): apart(a, b) for i, a in enumerate(names) for b in names[:i]}
    while between and between[nearest := min(between, key=lambda pair: between[pair])] <= noise:
        joined = np.isin(labels, nearest)
        kept = int(labels[joined][-1])
        labels[joined] = kept
        gone = nearest[0] if kept == nearest[1] else nearest[1]
        between = {pair: d for pair, d in between.items() if gone not in pair}
        between |= {pair: apart(*pair) for pair in between if kept in pair}
    return labels


def nearest_pairs(
    one: NDArray[np.float64], other: NDArray[np.float64], many: int = MANY
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices (m,) into two sets of numbers of the m <= `PAIRS` pairs nearest to each other, the nearest first.

    With more than `many` pairs only the neighbours of each number are looked at, which has the nearest pairs, too.
    """
    if one.size * other.size <= many:
        apart = np.abs(one[:, None] - other)
        i, j = np.unravel_index(np.argsort(apart, axis=None, kind="stable")[:PAIRS], apart.shape)
        return i, j
    order = np.argsort(other, kind="stable")
    beside = np.searchsorted(other[order], one)[:, None] + np.arange(-PAIRS, PAIRS)
    is_there = (beside >= 0) & (beside < other.size)
    neighbour = order[np.clip(beside, 0, other.size - 1)]
    apart = np.where(is_there, np.abs(one[:, None] - other[neighbour]), np.inf)
    nearest = np.argsort(apart, axis=None, kind="stable")[: min(PAIRS, int(is_there.sum()))]
    i, k = np.unravel_index(nearest, apart.shape)
    return i, neighbour[i, k]
