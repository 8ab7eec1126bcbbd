"""Regimes: groups of results whose embeddings lie together, with numbers that persist over refits."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, squareform
from sklearn.base import BaseEstimator

from ainerd.novelty._linkage import EXACT, tree_of
from ainerd.technique import Regimes
from ainerd.threads import one_thread

_FLOOR, _GAP = 2.0, 1.5
_SAMPLE = 2000  # results whose nearest neighbours set the scale
_MOST_DISTANCES = 4_000_000  # held at a time
Points = NDArray[np.float64]


class RegimeModel(BaseEstimator):
    """Average linkage of results, cut where regimes end.

    It also works for few results. More than 4,000 are represented by the means of 2,000 groups.

    Parameters
    ----------
    noise : float, optional
        Typical distance between the embeddings of two results of one regime. The tree is cut at three times that.
        Without it, the cut lies in the widest relative gap between merge heights above twice the median
        nearest-neighbour distance, and all is one regime if no gap reaches 1.5. That needs no unit, but misses more.

    Attributes
    ----------
    labels_ : ndarray of int, shape (n,)
        Regime of each result, numbered by first appearance. A lone result is a regime of its own, because an inclusion
        may be hit by a single exposure.
    n_regimes_ : int
    supported_range_ : tuple of int
        Numbers of regimes left by cuts at `HIGHEST` and `LOWEST` times `cut_`.
    cut_ : float
        Height of the cut; infinite if all is one regime.
    """

    CUT = 3.0  # times the noise: two results of one regime are rarely farther apart
    LOWEST, HIGHEST = 0.75, 1.4

    def __init__(self, *, noise: float | None = None) -> None:
        self.noise = noise

    @one_thread
    def fit(self, z: ArrayLike, y: None = None) -> Self:
        """Group the results `z`, (n, e); one result is enough."""
        z = self._z = _points(z)
        if self.noise is not None and not self.noise > 0:
            raise ValueError(f"noise must be positive, got {self.noise}")
        cut = np.inf if self.noise is None else self.CUT * self.noise
        tree = tree_of(z, _likely_cut(z) if self.noise is None and len(z) > EXACT else cut)
        heights = tree.merges[:, 2]
        if self.noise is None and len(heights):
            cut = _gap(heights, tree.distances)
        self.cut_, self.labels_ = cut, _by_appearance(tree.groups(cut))
        self.n_regimes_ = int(self.labels_.max()) + 1
        least, most = (1 + int((heights > cut * factor).sum()) for factor in (self.HIGHEST, self.LOWEST))
        self.supported_range_ = (min(least, self.n_regimes_), max(most, self.n_regimes_))
        return self

    def predict(self, z: ArrayLike) -> NDArray[np.int64]:
        """Return the regime nearest on average to each result (n, e), or -1 if it is farther than the cut."""
        mean = mean_distances(_points(z), self._z, [self.labels_ == k for k in range(self.n_regimes_)])
        return np.where(mean.min(1) <= self.cut_, mean.argmin(1), -1)


def _likely_cut(z: Points) -> float:
    """Estimate the order of magnitude of the cut from nearest-neighbour distances of a sample."""
    some = z[:: -(-len(z) // _SAMPLE)]
    nearest = cdist(some, some) + np.diag(np.full(len(some), np.inf))
    return 3 * _FLOOR * float(np.median(nearest.min(1)))


def mean_distances(z: Points, others: Points, groups: Sequence[NDArray[np.bool_] | slice]) -> NDArray[np.float64]:
    """Return the mean distance (n, k) of points (n, e) from each of k groups of `others`, block by block."""
    rows = max(_MOST_DISTANCES // len(others), 1)
    distances = (cdist(z[i : i + rows], others) for i in range(0, len(z), rows))
    return np.concatenate([np.stack([some[:, group].mean(1) for group in groups], axis=1) for some in distances])


def _gap(heights: NDArray[np.float64], distances: NDArray[np.float64]) -> float:
    """Return the middle of the widest relative gap of the merge heights, or infinity."""
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

    Regimes are matched one to one so that as many results as possible keep their number (Hungarian method). New regimes
    get numbers above all old ones and above `highest`, the highest number ever used, so that the number of a vanished
    regime is not reused. `old` are the labels of the first m <= n results; -1 is unassigned in both.
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
    """Group many results, as `ainerd.technique.Technique.regimes` must.

    `width` is the distance of `embeddings` (n, d) that two results of one regime rarely exceed; without it regimes are
    separated only by gaps. A regime that persists keeps its number in `previous` (n,), where -1 is no number yet.
    """
    model = RegimeModel(noise=None if width is None else width / RegimeModel.CUT).fit(embeddings)
    labels = model.labels_ if previous is None else match_labels(model.labels_, previous)
    number = np.full(model.n_regimes_ + 1, -1)  # the last is for -1
    number[model.labels_] = labels
    return Regimes(
        labels=labels,
        n_regimes=model.n_regimes_,
        supported_range=model.supported_range_,
        predict=lambda z: number[model.predict(z)],
    )
