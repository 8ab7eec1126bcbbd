"""Regimes: groups of results by their embeddings, corrected by p-values, with numbers that persist over refits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import DisjointSet, fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, pdist, squareform

from ainerd.novelty._gaps import border
from ainerd.technique import Regimes
from ainerd.threads import one_thread

EXACT = 4000  # points compared pair by pair: 64 MB of distances, and as much again while the tree is built
MOST = 2000  # leaders
_RADIUS = 1 / 3  # of the cut: points this close may share a leader if there are very many
_BLOCK = 2000  # points compared with all leaders at a time
_WIDER = 1.5
_FLOOR, _GAP = 2.0, 1.5
_SAMPLE = 2000  # results whose nearest neighbours set the scale
_MOST_DISTANCES = 4_000_000  # held at a time
CLOSE = 2 / 3  # of the width: 19 in 20 pairs of one regime are closer
FEWEST = 2  # exposures on each side of a gap that divides a regime
LOWEST, HIGHEST = 0.75, 1.4  # cuts that bound the supported number of regimes
BETWEEN = 1.4  # widths: a lone result this close to a regime may still belong to it
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Find = Callable[[NDArray[np.float32], Ints], Regimes]


def _likely_cut(z: Floats) -> float:
    """Estimate the order of magnitude of the cut from nearest-neighbour distances of a sample."""
    some = z[:: -(-len(z) // _SAMPLE)]
    return 3 * _FLOOR * _usual_distance(cdist(some, some))


def _usual_distance(apart: Floats) -> float:
    """Return the median distance of points from the nearest at another place, from their distances (n, n)."""
    return float(np.median(np.where(apart > 0, apart, np.inf).min(1)))


def mean_distances(z: Floats, others: Floats, groups: Sequence[NDArray[np.bool_] | slice]) -> Floats:
    """Return the mean distance (n, k) of points (n, e) from each of k groups of `others`, block by block."""
    rows = max(_MOST_DISTANCES // len(others), 1)
    distances = (cdist(z[i : i + rows], others) for i in range(0, len(z), rows))
    return np.concatenate([np.stack([some[:, group].mean(1) for group in groups], axis=1) for some in distances])


def _gap(heights: Floats, distances: Floats) -> float:
    """Return the middle of the widest relative gap of the merge heights, or infinity."""
    heights = heights[heights > 0]  # those at one place are one
    first = np.searchsorted(heights, _FLOOR * _usual_distance(squareform(distances)))
    above = heights[max(first - 1, 0) :]
    if len(above) < 2:
        return np.inf
    ratio = above[1:] / above[:-1]
    widest = ratio.argmax()
    return float(above[widest : widest + 2].mean()) if ratio[widest] >= _GAP else np.inf


def checked(x: ArrayLike, name: str, least: int = 1) -> Floats:
    """Return an array of runs (n, d); raise ValueError if n or d is too small, or a value is not finite."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or not len(x) or x.shape[1] < least:
        raise ValueError(f"{name} must be (n, d) of at least one run, d at least {least}, got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} hold values that are not finite; leave failed runs out")
    return x


def match_labels(new: ArrayLike, old: ArrayLike, *, highest: int = -1) -> Ints:
    """Renumber the labels (n,) of a refit so that regimes that persist keep their numbers.

    Regimes are matched one to one so that as many results as possible keep their number (Hungarian method). New regimes
    get numbers above all old ones and above `highest`, the highest number ever used, so that the number of a vanished
    regime is not reused. `old` are the labels of the first m <= n results; -1 is unassigned in both.

    Examples
    --------
    >>> match_labels([0, 0, 1, 1, 2], [5, 5, 2]).tolist()
    [5, 5, 2, 2, 6]
    """
    new, old = np.asarray(new, dtype=np.int64), np.asarray(old, dtype=np.int64)
    if new.ndim != 1 or old.ndim != 1 or len(old) > len(new):
        raise ValueError(f"labels must be (n,) and (m,) with m <= n, got {new.shape} and {old.shape}")
    new_ids, old_ids = np.unique(new[new >= 0]), np.unique(old[old >= 0])
    shared, both = np.zeros((len(new_ids), len(old_ids)), dtype=np.int64), (new[: len(old)] >= 0) & (old >= 0)
    np.add.at(shared, (np.searchsorted(new_ids, new[: len(old)][both]), np.searchsorted(old_ids, old[both])), 1)
    name = {-1: -1}
    for i, j in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
        if shared[i, j]:
            name[int(new_ids[i])] = int(old_ids[j])
    fresh = max(int(old_ids.max(initial=-1)), highest) + 1
    for label in new[np.sort(np.unique(new, return_index=True)[1])]:
        if int(label) not in name:
            name[int(label)] = fresh
            fresh += 1
    return np.array([name[int(label)] for label in new], dtype=np.int64)


@one_thread
def find_regimes(embeddings: ArrayLike, previous: Ints | None = None, *, width: float | None = None) -> Regimes:
    """Group many results, as `ainerd.technique.Technique.regimes` must, by average linkage, cut where regimes end.

    It also works for few results. More than 4,000 are represented by the means of 2,000 groups. A lone result is a
    regime of its own, because an inclusion may be hit by a single exposure. A further result belongs to the regime
    nearest on average, or to none if it is farther than the cut.

    Parameters
    ----------
    embeddings : array_like, shape (n, d)
        One result is enough.
    previous : ndarray of int, shape (n,), optional
        Numbers so far, -1 for none yet: a regime that persists keeps its number. Without them regimes are numbered by
        first appearance.
    width : float, optional
        Distance that two results of one regime rarely exceed, at which the tree is cut. Without it, the cut lies in the
        widest relative gap between merge heights above twice the median nearest-neighbour distance, and all is one
        regime if no gap reaches 1.5. That needs no unit, but misses more.

    Returns
    -------
    Regimes
        `supported_range` has the numbers of regimes left by cuts at `HIGHEST` and `LOWEST` times this one.

    Raises
    ------
    ValueError
        If there is no result, a value is not finite, or the width is not positive.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal([[0, 0]] * 4 + [[9, 9]] * 4, 0.1).astype(np.float32)
    >>> find_regimes(z, width=1.0).labels
    array([0, 0, 0, 0, 1, 1, 1, 1])
    """
    z = checked(embeddings, "embeddings")
    if width is not None and not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    cut = np.inf if width is None else width
    tree = tree_of(z, _likely_cut(z) if width is None and len(z) > EXACT else cut)
    heights = tree.merges[:, 2]
    if width is None and len(heights):
        cut = _gap(heights, tree.distances)
    labels = match_labels(tree.groups(cut), [])
    n = int(labels.max()) + 1
    least, most = (1 + int((heights > cut * factor).sum()) for factor in (HIGHEST, LOWEST))

    def predict(further: ArrayLike) -> Ints:
        mean = mean_distances(checked(further, "embeddings"), z, [labels == k for k in range(n)])
        return np.where(mean.min(1) <= cut, mean.argmin(1), -1)

    regimes = Regimes(labels=labels, n_regimes=n, supported_range=(min(least, n), max(most, n)), predict=predict)
    return regimes if previous is None else _renamed(regimes, match_labels(labels, previous), np.asarray(embeddings))


def grouped(
    find: Find, z: NDArray[np.float32], previous: Ints, novel: Ints, *, width: float | None, highest: int = -1
) -> tuple[Regimes, NDArray[np.bool_]]:
    """Group results; return also which of them (n,) are novel but as close to known ones of their regime as these are.

    Parameters
    ----------
    find : callable
        `ainerd.technique.Technique.regimes`.
    z : ndarray, shape (n, d)
        Embeddings.
    previous, novel : ndarray of int, shape (n,)
        Current regime numbers, -1 for none; 1 for novel, 0 for not novel, -1 without a verdict.
    width : float, optional
        Distance that two results of one regime rarely exceed; without it p-values change nothing.
    highest : int
        Highest regime number ever used.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal([[0, 0]] * 6 + [[9, 9]], 0.2).astype(np.float32)
    >>> find = lambda points, earlier: find_regimes(points, earlier, width=2.0)
    >>> novel = np.array([0, 0, 0, 0, 0, 0, 1])
    >>> regimes, ambiguous = grouped(find, z, np.array([0] * 6 + [-1]), novel, width=2.0)
    >>> regimes.labels.tolist(), regimes.n_regimes
    ([0, 0, 0, 0, 0, 0, 1], 2)
    """
    regimes = find(z, previous)
    labels, ambiguous = regimes.labels, np.zeros(len(z), dtype=bool)
    if width is not None:
        points = np.asarray(z, dtype=float)
        labels, ambiguous = _corrected(points, _divided(points, labels, width), novel, width)
    return _renamed(regimes, match_labels(labels, previous, highest=highest), z), ambiguous


def _divided(z: Floats, labels: Ints, width: float) -> Ints:
    """Return the labels (n,) after each regime is divided where a gap runs through it.

    Regimes differ in spread by a factor of eight. So the cut, one for all, can hold two narrow regimes in one.
    """
    out, left = np.array(labels, dtype=np.int64), [np.flatnonzero(labels == k) for k in np.unique(labels[labels >= 0])]
    while left:
        mine = left.pop()
        if len(mine) < 2 * FEWEST:
            continue
        second = tree_of(z[mine], width).halves() == 2
        one, other = mine[~second], mine[second]
        if min(len(one), len(other)) >= FEWEST and border(z[one], z[other], width).is_gap:
            out[other] = out.max() + 1
            left += [one, other]
    return out


def _corrected(z: Floats, labels: Ints, novel: Ints, width: float) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the labels as corrected by p-values, and which novel results remain among known ones.

    A novel result does not take the label of a regime with results that are not novel, unless it lies as close to them
    as results of one regime do. Novel results that are taken out form regimes of their own. A lone result that is not
    novel, and hardly farther from a regime than its own results are, is unassigned until another exposure decides.
    """
    out, close = np.array(labels, dtype=np.int64), np.zeros(len(z), dtype=bool)
    fresh = int(out.max(initial=-1)) + 1
    for regime in np.unique(out[(novel == 1) & (out >= 0)]):
        known, new = (np.flatnonzero((out == regime) & ((novel == 1) == is_new)) for is_new in (False, True))
        if not known.size:
            continue
        apart = mean_distances(z[new], z[known], [slice(None)])[:, 0] > CLOSE * width
        close[new[~apart]] = True
        moved = new[apart]
        if moved.size:
            out[moved] = fresh + _divided(z[moved], tree_of(z[moved], width).groups(width) - 1, width)
            fresh = int(out.max()) + 1
    size = np.bincount(out[out >= 0], minlength=1)
    alone = np.flatnonzero((novel == 0) & (out >= 0) & (size[np.maximum(out, 0)] == 1))
    larger = np.flatnonzero((out >= 0) & (size[np.maximum(out, 0)] > 1))
    if alone.size and larger.size:
        mean = mean_distances(z[alone], z[larger], [out[larger] == k for k in np.unique(out[larger])])
        out[alone[mean.min(1) <= BETWEEN * width]] = -1
    return out, close


def _renamed(regimes: Regimes, labels: Ints, z: NDArray[np.float32]) -> Regimes:
    """Return the regimes under other labels (n,) of results `z`, (n, d).

    A further result of a regime that was divided takes the label of the nearest mean.
    """
    middles = {int(k): z[labels == k].mean(0) for k in np.unique(labels[labels >= 0])}
    inside = {int(old): np.unique(labels[(regimes.labels == old) & (labels >= 0)]) for old in np.unique(regimes.labels)}

    def predict(z: NDArray[np.float32]) -> Ints:
        out = np.full(len(z), -1, dtype=np.int64)
        for i, old in enumerate(regimes.predict(z).tolist()):
            numbers = inside.get(old, np.empty(0, np.int64)).tolist()
            out[i] = min(numbers, key=lambda k: float(np.linalg.norm(z[i] - middles[k])), default=-1)
        return out

    n = int(np.unique(labels[labels >= 0]).size)
    low, high = regimes.supported_range
    return Regimes(labels=labels, n_regimes=n, supported_range=(min(low, n), max(high, n)), predict=predict)


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
        return self._cut(cut, "distance")

    def halves(self) -> Ints:
        """Return 1 or 2 for each point (n,): the two groups that are merged last."""
        return self._cut(2, "maxclust")

    def _cut(self, level: float, criterion: str) -> Ints:
        if not len(self.merges):
            return np.ones(len(self.leaf), dtype=np.int64)
        return np.asarray(fcluster(self.merges, level, criterion), dtype=np.int64)[self.leaf]


def tree_of(z: Floats, cut: float) -> Tree:
    """Build the average linkage of points (n, e), or, for more than `EXACT`, of leaders close compared with `cut`.

    The distance of two groups is the root of the mean squared distance of their pairs of points. It follows from means
    and spreads alone [1]_, unlike the mean distance, and is hardly larger.

    References
    ----------
    .. [1] T. Zhang, R. Ramakrishnan, M. Livny, BIRCH, SIGMOD 1996, eq. 5 (D2).
    """
    if len(z) <= EXACT:
        distances = pdist(z)
        merges = linkage(distances, "average") if len(z) > 1 else np.empty((0, 4))
        return Tree(merges, distances, np.arange(len(z)))
    points, count, spread, leader = find_leaders(z, _RADIUS * cut)
    distances = np.sqrt(cdist(points, points, "sqeuclidean") + spread[:, None] + spread)
    np.fill_diagonal(distances, 0)
    return Tree(weighted_linkage(distances, count), squareform(distances, checks=False), leader)


def find_leaders(z: Floats, radius: float) -> tuple[Floats, Ints, Floats, Ints]:
    """Form at most `MOST` groups of the points `z`, (n, e).

    The first leaders are points taken evenly from the sequence, so that dense regions have many. Points farther than
    `radius` from all of them get leaders of their own: each joins the nearest within the radius, or becomes a leader.
    The radius grows if that makes too many. In the end each point joins the nearest leader, and each leader is replaced
    by the mean of its points. Return these means (m, e), the numbers of points (m,), the mean squared distances of the
    points from the means (m,), and the group of each point (n,).
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
    return points, count, spread, leader


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
    far, size, chain, merged = apart.copy(), count.astype(float), list[int](), []
    np.fill_diagonal(far, np.inf)
    for _ in range(len(far) - 1):
        chain = chain or [0]  # the first of a chain takes up the one that it is merged with
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
    number, out, groups = list(range(n)), [], DisjointSet(range(n))
    for height, one, other in merged:
        pair = sorted((number[groups[one]], number[groups[other]]))
        groups.merge(one, other)
        out.append((*pair, height, groups.subset_size(one)))
        number[groups[one]] = n + len(out) - 1
    return np.array(out, dtype=float).reshape(-1, 4)
