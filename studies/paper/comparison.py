"""How many clusters the latent vectors of a finished campaign support: three criteria, and six ways of grouping."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import HDBSCAN, OPTICS, Birch, KMeans, SpectralClustering
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from ainerd.threads import one_thread

MOST, AT_MOST = 12, 5000  # clusters; points
_HELD, _AXES = 0.95, 10  # variance that the axes of a mixture hold, and how many at most
_FEWEST, _SHARE = 5, 50  # points of a dense group: at least, and one of so many


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Three criteria for each number of clusters.

    Attributes
    ----------
    k : ndarray of int, shape (m,)
        From 1.
    inertia : ndarray, shape (m,)
        Sum of squared distances from the centres of k-means.
    silhouette : ndarray, shape (m,)
        Mean silhouette of k-means; NaN for one cluster.
    bic : ndarray, shape (m,)
        Bayesian information criterion of Gaussian mixtures, on the principal axes that hold 95 % of the variance, ten
        at most.
    """

    k: NDArray[np.int64]
    inertia: NDArray[np.float64]
    silhouette: NDArray[np.float64]
    bic: NDArray[np.float64]

    @property
    def proposed(self) -> dict[str, int]:
        """Number of clusters that each criterion proposes.

        The elbow is where the curve of inertia lies farthest below its chord (Satopää et al., ICDCSW 2011).
        """
        fall = (self.inertia - self.inertia[-1]) / max(self.inertia[0] - self.inertia[-1], np.finfo(float).tiny)
        below = 1 - fall - (self.k - self.k[0]) / max(self.k[-1] - self.k[0], 1)
        return {
            "elbow": int(self.k[below.argmax()]),
            "silhouette": int(self.k[np.nanargmax(self.silhouette)]) if len(self.k) > 1 else 1,
            "BIC": int(self.k[self.bic.argmin()]),
        }


def evidence(
    points: ArrayLike, *, most: int = MOST, seed: int = 0, advance: Callable[[], object] = lambda: None
) -> Evidence:
    """Compute the criteria of points (n, d) for 1 to `most` clusters; `advance` is called after each.

    Raises
    ------
    ValueError
        If there are fewer than two different points for each cluster, or a value is not finite.
    """
    z = _checked(points)
    if len(np.unique(z, axis=0)) < 2 * most:
        raise ValueError(f"{len(z)} points are too few for up to {most} clusters: {2 * most} different ones at least")
    axes = PCA(_HELD, random_state=seed).fit(z).transform(z)[:, :_AXES]
    spread, rows = float(axes.var(0).mean()), []
    for k in range(1, most + 1):
        with one_thread, threadpool_limits(1, "openmp"):
            means = KMeans(k, n_init=5, random_state=seed).fit(z)
            mixture = GaussianMixture(k, reg_covar=1e-3 * spread, random_state=seed).fit(axes)
            rows.append((means.inertia_, silhouette_score(z, means.labels_) if k > 1 else np.nan, mixture.bic(axes)))
        advance()
    inertia, silhouette, bic = np.array(rows, dtype=float).T
    return Evidence(k=np.arange(1, most + 1), inertia=inertia, silhouette=silhouette, bic=bic)


def groupings(points: ArrayLike, k: int, *, seed: int = 0) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the name and the labels (n,) of each way of grouping: the largest cluster is 0, -1 is unassigned.

    K-means, a mixture, BIRCH and spectral clustering make `k` clusters; HDBSCAN and OPTICS choose the number.
    """
    z = _checked(points)
    near = min(10, len(z) - 1)
    least = max(_FEWEST, len(z) // _SHARE)
    spread = float(z.var(0).mean())
    ways: dict[str, Callable[[], NDArray[np.int64]]] = {
        "k-means": lambda: KMeans(k, n_init=5, random_state=seed).fit(z).labels_,
        "mixture": lambda: GaussianMixture(
            k, covariance_type="diag", reg_covar=1e-3 * spread, n_init=3, random_state=seed
        ).fit_predict(z),
        "spectral": lambda: SpectralClustering(
            k, affinity="nearest_neighbors", n_neighbors=near, assign_labels="cluster_qr", random_state=seed
        ).fit_predict(z),
        "BIRCH": lambda: Birch(n_clusters=k, threshold=0.5 * np.sqrt(spread)).fit_predict(z),
        "HDBSCAN": lambda: HDBSCAN(min_cluster_size=least, copy=True).fit(z).labels_,
        "OPTICS": lambda: OPTICS(min_samples=least, metric="precomputed").fit(squareform(pdist(z))).labels_,
    }
    for name, way in ways.items():
        with one_thread, threadpool_limits(1, "openmp"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a graph in parts, fewer subclusters than asked: the labels show it
            yield name, _by_size(way())


def agreement(labels: dict[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the adjusted Rand index of each pair, (m, m)."""
    return np.array([[adjusted_rand_score(a, b) for b in labels.values()] for a in labels.values()])


def _checked(points: ArrayLike) -> NDArray[np.float64]:
    """Return finite points (n, d); ValueError if they are not."""
    z = np.asarray(points, dtype=np.float64)
    if z.ndim != 2 or len(z) < 2:
        raise ValueError(f"points must be (n, d) with n at least 2, got {z.shape}")
    if not np.isfinite(z).all():
        raise ValueError(f"{int((~np.isfinite(z)).any(1).sum())} of {len(z)} points hold values that are not finite")
    return z


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    there = labels >= 0
    _, place, sizes = np.unique(labels[there], return_inverse=True, return_counts=True)
    out = np.full(len(labels), -1)
    out[there] = np.argsort(-sizes, kind="stable").argsort()[place]
    return out
