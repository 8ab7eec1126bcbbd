"""Ways to group points into a number of regimes that the points decide.

Mixtures and k-means: the Bayesian information criterion proposes, stability caps. Of the numbers of regimes whose BIC
is within 10 of the best, the smallest that is stable wins: fits to 80 % of the points agree with that to all (mean
adjusted Rand index at least 0.8). One regime is always stable.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

_MOST, _PER_REGIME = 12, 5
_SUBSAMPLES, _STABLE, _BIC_WITHIN = 10, 0.8, 10.0
Predict = Callable[[NDArray[np.float64]], NDArray[np.int64]]


@dataclass(frozen=True)
class Partition:
    """Labels (n,), -1 unassigned; the numbers of regimes the points support; the label of a new point."""

    labels: NDArray[np.int64]
    supported: tuple[int, int]
    predict: Predict


def mixture(z: NDArray[np.float64], seed: int) -> Partition:
    """Gaussians of full covariance; a point less likely than any that was fitted is unassigned."""
    spread = max(float(z.var(0).mean()), 1e-12)

    def fit(points: NDArray[np.float64], k: int) -> GaussianMixture:
        return GaussianMixture(k, reg_covar=1e-3 * spread, n_init=2, random_state=seed).fit(points)

    model, supported = _chosen(z, fit, lambda fitted: float(fitted.bic(z)), seed)
    lowest = model.score_samples(z).min()

    def predict(new: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.where(model.score_samples(new) >= lowest, model.predict(new), -1)

    return Partition(model.predict(z), supported, predict)


def k_means(z: NDArray[np.float64], seed: int) -> Partition:
    """Regions around centres; a point farther from its centre than any that was fitted is unassigned."""

    def fit(points: NDArray[np.float64], k: int) -> KMeans:
        return KMeans(k, n_init=5, random_state=seed).fit(points)

    def bic(fitted: KMeans) -> float:
        """Of round Gaussians of one width."""
        n, d = z.shape
        width = max(fitted.inertia_ / (n * d), 1e-12)
        share = np.bincount(fitted.labels_) / n
        log_likelihood = n * (share @ np.log(share)) - n * d / 2 * (np.log(2 * np.pi * width) + 1)
        return float((fitted.n_clusters * (d + 1)) * np.log(n) - 2 * log_likelihood)

    model, supported = _chosen(z, fit, bic, seed)
    farthest = model.transform(z).min(1).max()

    def predict(new: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.where(model.transform(new).min(1) <= farthest, model.predict(new), -1)

    return Partition(model.labels_.astype(np.int64), supported, predict)


def hdbscan(z: NDArray[np.float64], seed: int) -> Partition:
    """Dense groups of any shape; sparse points are unassigned. A new point takes the regime of its nearest member."""
    if len(z) < _PER_REGIME:
        labels = np.full(len(z), -1)
    else:
        labels = HDBSCAN(min_cluster_size=_PER_REGIME, allow_single_cluster=True, copy=True).fit(z).labels_
    found, members = int(labels.max()) + 1, z[labels >= 0]

    def predict(new: NDArray[np.float64]) -> NDArray[np.int64]:
        if not len(members):
            return np.full(len(new), -1)
        near = NearestNeighbors(n_neighbors=min(2, len(members))).fit(members)
        reach = near.kneighbors(members)[0][:, -1].max()
        distance, which = near.kneighbors(new, n_neighbors=1)
        return np.where(distance[:, 0] <= reach, labels[labels >= 0][which[:, 0]], -1)

    return Partition(labels.astype(np.int64), (found, found), predict)


def _chosen(z: NDArray[np.float64], fit: Callable, bic: Callable, seed: int) -> tuple:
    """The model of the smallest stable number of regimes, and the range of stable ones within reach of the best."""
    most = max(1, min(_MOST, len(z) // _PER_REGIME))
    models = [fit(z, k) for k in range(1, most + 1)]
    score = np.array([bic(model) for model in models])

    def stable(place: int) -> bool:
        return _stability(z, fit, models[place], place + 1, seed) >= _STABLE

    best = next(place for place in score.argsort().tolist() if stable(place))
    near = [
        place for place in np.flatnonzero(score <= score[best] + _BIC_WITHIN).tolist() if place == best or stable(place)
    ]
    return models[near[0]], (int(near[0]) + 1, int(near[-1]) + 1)


def _stability(z: NDArray[np.float64], fit: Callable, model, k: int, seed: int) -> float:
    if k == 1:
        return 1.0
    rng, labels = np.random.default_rng([seed, k]), model.predict(z)
    parts = (rng.choice(len(z), int(np.ceil(0.8 * len(z))), replace=False) for _ in range(_SUBSAMPLES))
    return float(np.mean([adjusted_rand_score(labels, fit(z[part], k).predict(z)) for part in parts]))
