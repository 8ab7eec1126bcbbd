"""Average linkage of any number of points: exact up to a limit, above it of groups of points near each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, pdist, squareform

EXACT = 4000  # points compared pair by pair: 64 MB of distances, and as much again while the tree is built
MOST = 2000  # leaders
_RADIUS = 1 / 3  # of the cut: points this close may share a leader if there are very many
_BLOCK = 2000  # points compared with all leaders at a time
_WIDER = 1.5
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """A linkage tree of points, or of leaders that represent them.

    `merges` has the form of `scipy.cluster.hierarchy.linkage`, `distances` that of `pdist`; `leaf` (n,) is the leaf of
    each point.
    """

    merges: Floats
    distances: Floats
    leaf: Ints

    def groups(self, cut: float) -> Ints:
        """Return the numbers (n,), from 1, of the groups left by a cut at this height."""
        if not len(self.merges):
            return np.ones(len(self.leaf), dtype=np.int64)
        return np.asarray(fcluster(self.merges, cut, "distance"), dtype=np.int64)[self.leaf]


def tree_of(z: Floats, cut: float) -> Tree:
    """Build the average linkage of points (n, e), or, for more than `EXACT`, of leaders close compared with `cut`."""
    if len(z) <= EXACT:
        distances = pdist(z)
        merges = linkage(distances, "average") if len(z) > 1 else np.empty((0, 4))
        return Tree(merges, distances, np.arange(len(z)))
    leaders = find_leaders(z, _RADIUS * cut)
    distances = leaders.distances()
    merges = weighted_linkage(distances, leaders.count)
    return Tree(merges, squareform(distances, checks=False), leaders.leader)


@dataclass(frozen=True)
class Leaders:
    """Groups of points, represented by their means (m, e).

    `count` (m,) is the number of points of a group, `spread` (m,) their mean squared distance from the mean, and
    `leader` (n,) the group of each point.
    """

    points: Floats
    count: Ints
    spread: Floats
    leader: Ints

    def distances(self) -> Floats:
        """Return distances (m, m) of groups: the root of the mean squared distance of their pairs of points.

        It follows from means and spreads alone [1]_, unlike the mean distance, and is hardly larger.

        References
        ----------
        .. [1] T. Zhang, R. Ramakrishnan, M. Livny, BIRCH, SIGMOD 1996, eq. 5 (D2).
        """
        apart = np.sqrt(cdist(self.points, self.points, "sqeuclidean") + self.spread[:, None] + self.spread)
        np.fill_diagonal(apart, 0)
        return apart


def find_leaders(z: Floats, radius: float) -> Leaders:
    """Form at most `MOST` groups of the points `z`, (n, e).

    The first leaders are points taken evenly from the sequence, so that dense regions have many. Points farther than
    `radius` from all of them get leaders of their own: each joins the nearest within the radius, or becomes a leader.
    The radius grows if that makes too many. In the end each point joins the nearest leader, and each leader is replaced
    by the mean of its points.
    """
    leaders = z[:: -(-2 * len(z) // MOST)]
    leader, apart = _nearest(z, leaders)
    far = z[apart > radius]
    if len(far):
        while (of_far := _follow(far, radius, MOST - len(leaders))) is None:
            radius *= _WIDER
        leaders = np.concatenate([leaders, _means(far, of_far)])
        leader, _ = _nearest(z, leaders)
    _, leader = np.unique(leader, return_inverse=True)
    points, count = _means(z, leader), np.bincount(leader)
    spread = np.bincount(leader, weights=((z - points[leader]) ** 2).sum(1)) / count
    return Leaders(points, count, spread, leader)


def _means(z: Floats, group: Ints) -> Floats:
    count = np.bincount(group)
    return np.stack([np.bincount(group, weights=column) / count for column in z.T], axis=1)


def _nearest(z: Floats, leaders: Floats) -> tuple[Ints, Floats]:
    """Return the number of the nearest leader of each point, and its distance, (n,) each."""
    middle, near, apart = leaders.mean(0), np.empty(len(z), dtype=np.int64), np.empty(len(z))
    centered = leaders - middle
    half = (centered**2).sum(1) / 2
    for first in range(0, len(z), _BLOCK):
        some = slice(first, first + _BLOCK)
        near[some] = (half - (z[some] - middle) @ centered.T).argmin(1)  # faster than computing distances
        apart[some] = np.linalg.norm(z[some] - leaders[near[some]], axis=1)
    return near, apart


def _follow(z: Floats, radius: float, most: int) -> Ints | None:
    """Return the group of each point, (n,), with leaders chosen in sequence; None if there are more than `most`."""
    leader, leaders, n = np.empty(len(z), dtype=np.int64), np.empty((most, z.shape[1])), 1
    leaders[0] = z[0]
    for first in range(0, len(z), _BLOCK):
        some = z[first : first + _BLOCK]
        distance = cdist(some, leaders[:n])
        near, apart = distance.argmin(1), distance.min(1)
        for i in np.flatnonzero(apart > radius):
            if apart[i] <= radius:  # a newer leader is near
                continue
            if n == most:
                return None
            leaders[n] = some[i]
            new = np.linalg.norm(some - some[i], axis=1)
            closer = new < apart
            near[closer], apart[closer] = n, new[closer]
            n += 1
        leader[first : first + _BLOCK] = near
    return np.unique(leader, return_inverse=True)[1]


def weighted_linkage(apart: Floats, count: Ints) -> Floats:
    """Build the average linkage of groups of `count` (m,) points at distances `apart` (m, m), in SciPy's form.

    The result is that of all points if those of a group coincide, without their merges at height 0. It follows chains
    of nearest neighbours [1]_, as SciPy does.

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


def _ordered(merged: list[tuple[float, int, int]], n: int) -> Floats:
    """Return merges by height in SciPy's form: two group numbers, height, number of leaves."""
    number, size, out = list(range(n)), [1] * n, []
    parent = list(range(n))  # union-find

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for height, one, other in merged:
        a, b = root(one), root(other)
        size[b] += size[a]
        out.append((*sorted((number[a], number[b])), height, size[b]))
        number[b], parent[a] = n + len(out) - 1, b
    return np.array(out, dtype=float).reshape(-1, 4)
