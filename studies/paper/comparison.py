"""How many clusters the latent vectors of a finished campaign support: three criteria, and six ways of grouping."""

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import track
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import HDBSCAN, OPTICS, Birch, KMeans, SpectralClustering
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from ainerd.threads import one_thread
from studies.paper.azimuths import by_size

_HELD, _AXES = 0.95, 10  # variance that the axes of a mixture hold, and how many at most
_FEWEST, _SHARE = 5, 50  # points of a dense group: at least, and one of so many


def evidence(points: NDArray[np.float64], *, most: int = 12, seed: int = 0) -> pd.DataFrame:
    """Return three criteria of points (n, d) for 1 to `most` clusters, which are the index.

    ``inertia`` is the sum of squared distances from the centres of k-means, ``silhouette`` the mean silhouette of
    k-means, NaN for one cluster, ``bic`` the Bayesian information criterion of Gaussian mixtures on the principal axes
    that hold 95 % of the variance, ten at most.

    Raises
    ------
    ValueError
        If there are fewer points than clusters.
    """
    axes = PCA(_HELD, random_state=seed).fit_transform(points)[:, :_AXES]
    spread, rows = float(axes.var(0).mean()), {}
    for k in track(range(1, most + 1), "how many clusters"):
        with one_thread, threadpool_limits(1, "openmp"):
            means = KMeans(k, n_init=5, random_state=seed).fit(points)
            mixture = GaussianMixture(k, reg_covar=1e-3 * spread, random_state=seed).fit(axes)
            silhouette = silhouette_score(points, means.labels_) if k > 1 else np.nan
            rows[k] = {"inertia": means.inertia_, "silhouette": silhouette, "bic": mixture.bic(axes)}
    return pd.DataFrame.from_dict(rows, orient="index")


def proposed(criteria: pd.DataFrame) -> dict[str, int]:
    """Return the number of clusters that each criterion proposes.

    The elbow is where the curve of inertia lies farthest below its chord (Satopää et al., ICDCSW 2011).
    """
    k, inertia = criteria.index, criteria["inertia"]
    fall = (inertia - inertia.iloc[-1]) / (inertia.iloc[0] - inertia.iloc[-1])
    below = 1 - fall - (k - k[0]) / (k[-1] - k[0])
    places = {"elbow": below.idxmax(), "silhouette": criteria["silhouette"].idxmax(), "BIC": criteria["bic"].idxmin()}
    return {name: int(place) for name, place in places.items()}


def groupings(points: NDArray[np.float64], k: int, *, seed: int = 0) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the name and the labels (n,) of each way of grouping: the largest cluster is 0, -1 is unassigned.

    K-means, a mixture, BIRCH and spectral clustering make `k` clusters; HDBSCAN and OPTICS choose the number.
    """
    least, spread = max(_FEWEST, len(points) // _SHARE), float(points.var(0).mean())
    fits: dict[str, Callable[[NDArray[np.float64]], NDArray[np.int64]]] = {
        "k-means": KMeans(k, n_init=5, random_state=seed).fit_predict,
        "mixture": GaussianMixture(
            k, covariance_type="diag", reg_covar=1e-3 * spread, n_init=3, random_state=seed
        ).fit_predict,
        "spectral": SpectralClustering(
            k,
            affinity="nearest_neighbors",
            n_neighbors=min(10, len(points) - 1),
            assign_labels="cluster_qr",
            random_state=seed,
        ).fit_predict,
        "BIRCH": Birch(n_clusters=k, threshold=0.5 * np.sqrt(spread)).fit_predict,
        "HDBSCAN": HDBSCAN(min_cluster_size=least, copy=True).fit_predict,
        "OPTICS": lambda z: OPTICS(min_samples=least, metric="precomputed").fit_predict(squareform(pdist(z))),
    }
    for name, fit in track(fits.items(), "six ways of grouping"):
        with one_thread, threadpool_limits(1, "openmp"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a graph in parts, fewer subclusters than asked: the labels show it
            yield name, by_size(fit(points))


def agreement(labels: dict[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the adjusted Rand index of each pair, (m, m)."""
    return np.array([[adjusted_rand_score(a, b) for b in labels.values()] for a in labels.values()])
