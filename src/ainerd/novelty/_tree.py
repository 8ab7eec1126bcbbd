"""Average linkage of any number of points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, pdist, squareform

from ainerd.novelty._leaders import Leaders, leaders

EXACT = 4000  # points that are compared pair by pair: 64 MB of distances, and as much again while the tree is made
_RADIUS = 1 / 3  # of the cut: points so near each other may be one where there are very many


@dataclass(frozen=True)
class Tree:
    """A tree of points, or of leaders that stand for them.

    `merges` is as `scipy.cluster.hierarchy.linkage` gives it, `distances` as `pdist`; `led` (n,) says which leaf a
    point is of.
    """

    merges: NDArray[np.float64]
    distances: NDArray[np.float64]
    led: NDArray[np.int64]

    def groups(self, cut: float) -> NDArray[np.int64]:
        """Numbers (n,), from 1, of the groups that a cut at this height leaves."""
        if not len(self.merges):
            return np.ones(len(self.led), dtype=np.int64)
        return np.asarray(fcluster(self.merges, cut, "distance"), dtype=np.int64)[self.led]


def tree_of(z: NDArray[np.float64], cut: float) -> Tree:
    """Average linkage of points (n, e): of themselves up to `EXACT`, or of leaders near them, as seen from `cut`."""
    if len(z) <= EXACT:
        distances = pdist(z)
        merges = linkage(distances, "average") if len(z) > 1 else np.empty((0, 4))
        return Tree(merges, distances, np.arange(len(z)))
    found = leaders(z, _RADIUS * cut)
    apart = between(found)
    return Tree(weighted_linkage(apart, found.count), squareform(apart, checks=False), found.led)


def between(found: Leaders) -> NDArray[np.float64]:
    """Distances (m, m) of two groups of points: the root of the mean squared distance of their pairs.

    It follows from means and spreads alone [1]_, and is hardly more than the mean distance, which does not.

    References
    ----------
    .. [1] T. Zhang, R. Ramakrishnan, M. Livny, BIRCH, SIGMOD 1996, eq. 5 (D2).
    """
    apart = np.sqrt(cdist(found.points, found.points, "sqeuclidean") + found.spread[:, None] + found.spread)
    np.fill_diagonal(apart, 0)
    return apart


def weighted_linkage(apart: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average linkage of groups of `count` (m,) points with distances `apart` (m, m), in the form of SciPy's.

    The same as of all points, if those of a group are one point: their merges at height 0 are left out. By chains of
    nearest neighbours [1]_, as SciPy does it.

    References
    ----------
    .. [1] D. Müllner, Modern hierarchical, agglomerative clustering algorithms, arXiv:1109.2378, 2011, fig. 3.
    """
    far, size, first, chain, merged = apart.copy(), count.astype(float), 0, list[int](), []
    np.fill_diagonal(far, np.inf)
    for _ in range(len(far) - 1):
        if not chain:
            while not size[first]:
                first += 1
            chain = [first]
        while True:
            row = far[chain[-1]]
            nearest = int(row.argmin())
            if len(chain) > 1 and row[chain[-2]] <= row[nearest]:
                break
            chain.append(nearest)
        one, other = chain.pop(), chain.pop()
        merged.append((far[one, other], one, other))
        mean = (size[one] * far[one] + size[other] * far[other]) / (size[one] + size[other])
        mean[other] = np.inf
        far[other], far[:, other], far[one], far[:, one] = mean, mean, np.inf, np.inf
        size[other] += size[one]
        size[one] = 0
    return _ordered(sorted(merged, key=lambda merge: merge[0]), len(count))


def _ordered(merged: list[tuple[float, int, int]], n: int) -> NDArray[np.float64]:
    """Merges by height, of groups that are numbered as they come to be; with how many leaves each has."""
    number, size, out = list(range(n)), [1] * n, []
    above = list(range(n))  # another member of the same group, nearer its last one

    def last(i: int) -> int:
        while above[i] != i:
            above[i] = i = above[above[i]]
        return i

    for height, one, other in merged:
        a, b = last(one), last(other)
        size[b] += size[a]
        out.append((*sorted((number[a], number[b])), height, size[b]))
        number[b], above[a] = n + len(out) - 1, b
    return np.array(out, dtype=float).reshape(-1, 4)
