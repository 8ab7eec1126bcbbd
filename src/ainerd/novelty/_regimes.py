"""Regimes: groups of results by their embeddings, corrected by p-values, with numbers that persist over refits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ainerd.novelty._gaps import border
from ainerd.technique import Regimes
from ainerd.threads import one_thread

EXACT = 4000  # points compared pair by pair: 64 MB of distances, and as much again while the tree is built
MOST = 2000  # leaders
_RADIUS = 2 / 3  # of the cut: points this close may share a leader if there are very many
_BLOCK = 2000  # points compared with all leaders at a time
_MOST_DISTANCES = 4_000_000  # held at a time
CLOSE = 2 / 3  # of the width: 19 in 20 pairs of one regime are closer
FEWEST = 2  # exposures on each side of a gap that divides a regime
LOWEST, HIGHEST = 0.75, 1.4  # cuts that bound the supported number of regimes
BETWEEN = 1.4  # widths: a lone result this close to a regime may still belong to it
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Find = Callable[[NDArray[np.float32], Ints], Regimes]


def mean_distances(z: Floats, others: Floats, groups: Sequence[NDArray[np.bool_] | slice]) -> Floats:
    """Return the mean distance (n, k) of points (n, e) from each of k groups of `others`, block by block."""
    rows = max(_MOST_DISTANCES // len(others), 1)
    distances = (cdist(z[i : i + rows], others) for i in range(0, len(z), rows))
    return np.concatenate([np.stack([some[:, group].mean(1) for group in groups], axis=1) for some in distances])


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
def find_regimes(embeddings: ArrayLike, previous: Ints | None = None, *, width: float) -> Regimes:
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
    width : float
        Distance that two results of one regime rarely exceed, at which the tree is cut.

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
    if not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    tree = tree_of(z, width)
    labels = match_labels(tree.groups(width), [])
    n = int(labels.max()) + 1
    least, most = (1 + int((tree.merges[:, 2] > width * factor).sum()) for factor in (HIGHEST, LOWEST))

    def predict(further: ArrayLike) -> Ints:
        mean = mean_distances(checked(further, "embeddings"), z, [labels == k for k in range(n)])
        return np.where(mean.min(1) <= width, mean.argmin(1), -1)

    regimes = Regimes(labels=labels, n_regimes=n, supported_range=(min(least, n), max(most, n)), predict=predict)
    return regimes if previous is None else _renamed(regimes, match_labels(labels, previous), np.asarray(embeddings))


def grouped(
    find: Find, z: NDArray[np.float32], previous: Ints, novel: Ints, *, width: float, highest: int = -1
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
    width : float
        Distance that two results of one regime rarely exceed.
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
    regimes, points = find(z, previous), np.asarray(z, dtype=float)
    labels, ambiguous = _corrected(points, _divided(points, regimes.labels, width), novel, width)
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

    `merges` has the form of `scipy.cluster.hierarchy.linkage`; `leaf` (n,) is the leaf of each point.
    """

    merges: Floats
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
    """Build the average linkage of points (n, e); for more than `EXACT`, that of leaders, which are some of them.

    The first leaders are taken evenly from the sequence, so that dense regions have many. Then the point farthest from
    all leaders becomes one, until none is far compared with `cut`, or there are `MOST`. So a rare regime has its own.
    Each point has the place of its nearest leader.
    """
    leaders, leaf = z, np.arange(len(z))
    if len(z) > EXACT:
        leaders = z[:: -(-2 * len(z) // MOST)]
        _, apart = _nearest(z, leaders)
        leaders = np.concatenate([leaders, _farthest(z[apart > _RADIUS * cut], apart[apart > _RADIUS * cut], cut)])
        leaf, _ = _nearest(z, leaders)
    return Tree(linkage(leaders, "average") if len(z) > 1 else np.empty((0, 4)), leaf)


def _farthest(z: Floats, apart: Floats, cut: float) -> Floats:
    """Return points (m, e) of `z`, (n, e), that leave none farther than the radius, but at most half of `MOST`.

    `apart` (n,) are their distances from the leaders so far.
    """
    chosen = list[Floats]()
    while len(z) and len(chosen) < MOST // 2:
        chosen.append(z[apart.argmax()])
        apart = np.minimum(apart, np.linalg.norm(z - chosen[-1], axis=1))
        z, apart = z[apart > _RADIUS * cut], apart[apart > _RADIUS * cut]
    return np.array(chosen).reshape(-1, z.shape[1])


def _nearest(z: Floats, leaders: Floats) -> tuple[Ints, Floats]:
    """Return the number of the nearest leader of each point, and its distance, (n,) each."""
    blocks = (cdist(z[first : first + _BLOCK], leaders) for first in range(0, len(z), _BLOCK))
    near = [(some.argmin(1), some.min(1)) for some in blocks]
    return np.concatenate([which for which, _ in near]), np.concatenate([apart for _, apart in near])
