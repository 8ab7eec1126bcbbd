"""Regimes: groups of runs whose embeddings lie together, with numbers that outlive a refit."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, squareform
from sklearn.base import BaseEstimator

from ainerd.novelty._partitions import hdbscan, k_means, mixture
from ainerd.novelty._tree import EXACT, tree_of
from ainerd.technique import Regimes
from ainerd.threads import one_thread

_FLOOR, _GAP = 2.0, 1.5
_SAMPLE = 2000  # runs whose nearest neighbours say how far apart runs are
_AT_ONCE = 4_000_000  # distances
Points = NDArray[np.float64]
_PARTITIONS = {"gmm": mixture, "kmeans": k_means, "hdbscan": hdbscan}


class RegimeModel(BaseEstimator):
    """Runs grouped into regimes.

    Parameters
    ----------
    method : str
        "linkage" (the default): average linkage of runs, cut where regimes end; right for few runs too. More than
        4,000 runs are represented by the means of 2,000 groups of them. For many runs there are also:
        "gmm" and "kmeans", whose number of regimes BIC proposes and stability caps, and "hdbscan", which leaves
        sparse runs unassigned.
    noise : float, optional
        For linkage: typical distance between two runs of one regime; of embeddings. The tree is cut at three times
        that. Without it, the cut lies in the widest relative gap between merge heights above twice the median
        nearest-neighbour distance, and without a gap of 1.5 all is one regime: safe in any units, but blinder.
    random_state : int
        Seed of mixtures and k-means.

    Attributes
    ----------
    labels_ : ndarray of int, shape (n,)
        Regime of each run, numbered by first appearance. A lone run is a regime of its own: one exposure may
        be all that hit an inclusion.
    n_regimes_ : int
    supported_range_ : tuple of int
        Linkage: how many regimes cuts between `LOWEST` and `HIGHEST` times `cut_` leave. Mixture and k-means: least
        and most regimes that are stable and whose BIC is within 10 of the best.
    cut_ : float
        Linkage: height of the cut; infinite if all is one regime.
    """

    CUT = 3.0  # of the noise: two runs of one regime seldom lie farther apart
    LOWEST, HIGHEST = 0.75, 1.4

    def __init__(self, *, method: str = "linkage", noise: float | None = None, random_state: int = 0) -> None:
        self.method = method
        self.noise = noise
        self.random_state = random_state

    @one_thread  # mixtures of few points: more would only wait for each other
    def fit(self, z: ArrayLike, y: None = None) -> Self:
        """Group the runs `z`, (n, e); one run is enough."""
        z = _points(z)
        if self.noise is not None and not self.noise > 0:
            raise ValueError(f"noise must be positive, got {self.noise}")
        if self.method != "linkage":
            return self._fit_partition(z)
        self._z = z
        self.cut_, heights, self.labels_ = self._cut(z)
        self.n_regimes_ = int(self.labels_.max()) + 1
        least, most = (1 + int((heights > self.cut_ * factor).sum()) for factor in (self.HIGHEST, self.LOWEST))
        self.supported_range_ = (min(least, self.n_regimes_), max(most, self.n_regimes_))
        return self

    def predict(self, z: ArrayLike) -> NDArray[np.int64]:
        """Regime of each run (n, e), -1 where it is like none.

        Linkage: the one nearest on average, unless even that is farther than the cut.
        """
        z = _points(z)
        if self.method != "linkage":
            labels = self._partition.predict(z)
            return np.where(labels >= 0, self._order[labels], -1)
        mean = mean_by(z, self._z, [self.labels_ == k for k in range(self.n_regimes_)])
        return np.where(mean.min(1) <= self.cut_, mean.argmin(1), -1)

    def _fit_partition(self, z: NDArray[np.float64]) -> Self:
        if self.method not in _PARTITIONS:
            raise ValueError(f"method must be linkage, {', '.join(_PARTITIONS)}, got {self.method!r}")
        self._partition = _PARTITIONS[self.method](z, self.random_state)
        labels = self._partition.labels
        self.labels_ = labels.copy()
        self.labels_[labels >= 0] = _by_appearance(labels[labels >= 0])
        self.n_regimes_ = int(self.labels_.max()) + 1
        # Number by which the partition knows each regime, to that of its first appearance.
        self._order = np.zeros(labels.max(initial=-1) + 2, dtype=np.int64)
        self._order[labels[labels >= 0]] = self.labels_[labels >= 0]
        self.supported_range_ = self._partition.supported
        return self

    def _cut(self, z: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.int64]]:
        """Height of the cut, all merge heights, and labels."""
        cut = np.inf if self.noise is None else self.CUT * self.noise
        tree = tree_of(z, _width(z) if self.noise is None and len(z) > EXACT else cut)
        heights = tree.merges[:, 2]
        if self.noise is None and len(heights):
            cut = _gap(heights, tree.distances)
        return cut, heights, _by_appearance(tree.groups(cut))


def _width(z: Points) -> float:
    """What the cut can be about, by distances to nearest neighbours of some."""
    some = z[:: -(-len(z) // _SAMPLE)]
    nearest = cdist(some, some) + np.diag(np.full(len(some), np.inf))
    return 3 * _FLOOR * float(np.median(nearest.min(1)))


def mean_by(z: Points, others: Points, groups: Sequence[NDArray[np.bool_] | slice]) -> NDArray[np.float64]:
    """Mean distance (n, k) of points (n, e) from each of k groups of `others`; not all distances are held at once."""
    rows = max(_AT_ONCE // len(others), 1)
    distances = (cdist(z[i : i + rows], others) for i in range(0, len(z), rows))
    return np.concatenate([np.stack([some[:, group].mean(1) for group in groups], axis=1) for some in distances])


def _gap(heights: NDArray[np.float64], distances: NDArray[np.float64]) -> float:
    """Where the widest relative gap of the merge heights is, or infinity."""
    nearest = squareform(distances) + np.diag(np.full(len(heights) + 1, np.inf))
    first = np.searchsorted(heights, _FLOOR * np.median(nearest.min(1)))
    above = heights[max(first - 1, 0) :]
    if len(above) < 2:
        return np.inf
    ratio = above[1:] / np.maximum(above[:-1], np.finfo(float).tiny)
    widest = ratio.argmax()
    return float(above[widest : widest + 2].mean()) if ratio[widest] >= _GAP else np.inf


def _by_appearance(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]


def _points(z: ArrayLike) -> NDArray[np.float64]:
    z = np.asarray(z, dtype=np.float64)
    if z.ndim != 2 or not z.size:
        raise ValueError(f"runs must be (n, e) with n and e at least 1, got {z.shape}")
    if not np.isfinite(z).all():
        raise ValueError("run embeddings hold values that are not finite; leave failed runs out")
    return z


def match_labels(new: ArrayLike, old: ArrayLike, *, highest: int = -1) -> NDArray[np.int64]:
    """Renumber the labels (n,) of a refit so that regimes that persist keep their numbers.

    Regimes are matched one to one so that most runs keep their number (Hungarian method). What is new gets
    numbers above all old ones, and above `highest`, which was given once: the number of a regime that is gone is not
    given again. `old` are labels that the first m <= n runs had; -1 is unassigned, in both.
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


def find_regimes(
    embeddings: NDArray[np.float32], previous: NDArray[np.int64] | None = None, *, width: float | None = None
) -> Regimes:
    """Regimes of many results, as `ainerd.technique.Technique.regimes` gives them.

    `width` is the distance of `embeddings` (n, d) that two results of one regime seldom exceed; without it regimes are
    told apart by gaps alone. A regime that persists keeps its number in `previous` (n,), where -1 is none yet.
    """
    noise = None if width is None else width / RegimeModel.CUT
    model = RegimeModel(noise=noise, random_state=0).fit(embeddings)
    labels = model.labels_ if previous is None else match_labels(model.labels_, previous)
    number = np.full(model.n_regimes_ + 1, -1)  # the last is for -1
    number[model.labels_] = labels
    return Regimes(
        labels=labels,
        n_regimes=model.n_regimes_,
        supported_range=model.supported_range_,
        predict=lambda z: number[model.predict(z)],
    )
