"""Clusters of trajectories: a mixture of Gaussians of diagonal covariance, its number of clusters and its stability."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.cluster import kmeans_plusplus
from sklearn.metrics import adjusted_rand_score

from ainerd_xtec._pixels import averages, blocks

Singles = NDArray[np.float32]

SAMPLE = 20_000  # trajectories used to compare starts
HALF = 3000  # trajectories of a half, used to test stability
ALIKE = 0.95  # adjusted Rand index of two sets of starts
STABLE = 0.9  # adjusted Rand index of two halves of the trajectories
REPEATED = 0.5  # share of a cluster's trajectory that must reappear at temperatures not used to choose its pixels
FEW = 4_000  # trajectories from which a start is drawn
STARTS, SHORT, BEST = 24, 15, 5  # starts; steps before they are compared; one in so many goes on
MOST_STEPS, TOLERANCE = 300, 1e-6  # in log-likelihood per trajectory
# ``xtec`` 0.1.1 makes many small steps with smoothing and stops before convergence; these values match it
SMOOTHED_STEPS, SMOOTHED_SHARE = 113, 0.1
FLOOR = 1e-6  # of variances, as a share of the data's
REACH = float(np.sqrt(np.log(100))) * (1 - 1e-9)  # in lengths: distance at which the kernel falls to a hundredth

Smooth = Callable[[Singles], Singles]


@dataclass(frozen=True)
class Mixture:
    """Weights (k,), means and variances (k, n_temperatures), log-likelihood per trajectory."""

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    score: float = -np.inf

    @property
    def k(self) -> int:
        """Number of clusters."""
        return len(self.weights)


@dataclass(frozen=True)
class Clusters:
    """A mixture, the cluster of each trajectory, and measures of their reliability.

    Attributes
    ----------
    mixture : Mixture
        Clusters by size, the largest first.
    labels : ndarray of int, shape (n,)
    significant : ndarray of bool, shape (k,)
        Whether the trajectory of a cluster is more than noise by which its pixels were chosen.
    starts, halves : float
        Adjusted Rand index between two sets of starts, and between fits to two halves of the trajectories.
    tried : mapping of int to float
        The agreement of two halves by number of clusters.
    """

    mixture: Mixture
    labels: NDArray[np.int64]
    significant: NDArray[np.bool_]
    starts: float
    halves: float
    tried: dict[int, float]

    @property
    def stable(self) -> bool:
        """Whether the two sets of starts agree, and the two halves."""
        return self.starts >= ALIKE and self.halves >= STABLE


def find_clusters(x: Singles, k: int | None, most: int, *, seed: int = 0, smooth: Smooth | None = None) -> Clusters:
    """Find `k` clusters of trajectories (n, n_temperatures); None: as many, up to `most`, as two halves agree on.

    `smooth` changes responsibilities (k, n) between expectation and maximization.
    """
    most = min(most if k is None else k, max(len(x) // 10, 1))
    numbers = range(2, most + 1) if k is None else [most] * (len(x) > 1)  # one trajectory has no halves
    tried = {n: _agreement(x, n, seed) for n in numbers} or {1: 1.0}
    k = max((n for n, halves in tried.items() if halves >= STABLE), default=max(tried, key=tried.__getitem__))
    mixture, starts = _best(_sample(x, np.random.default_rng(seed), SAMPLE), k, seed)
    mixture = mixture if len(x) <= SAMPLE else improve(x, mixture)
    if smooth is not None:
        mixture = improve(x, mixture, smooth=smooth)
    labels = responsibilities(x, mixture, smooth)[0].argmax(axis=0)
    size = np.bincount(labels, minlength=k)
    order = np.lexsort((mixture.means[:, 0], -size))
    labels = np.argsort(order)[labels]
    order = order[: np.count_nonzero(size)]
    mixture = Mixture(mixture.weights[order], mixture.means[order], mixture.variances[order], mixture.score)
    significant = _is_repeated(x, mixture, labels, smooth)
    return Clusters(mixture, labels, significant, starts, tried[k], tried)


def _best(some: Singles, k: int, seed: int) -> tuple[Mixture, float]:
    """Return the more likely mixture of two sets of starts, and the agreement of the two."""
    two = [fit(some, k, seed=2 * seed + i, starts=STARTS // 2) for i in range(2)]
    labels = [responsibilities(some, mixture)[0].argmax(axis=0) for mixture in two]
    return max(two, key=lambda m: m.score), float(adjusted_rand_score(*labels))


def _is_repeated(x: Singles, mixture: Mixture, labels: NDArray[np.int64], smooth: Smooth | None) -> NDArray[np.bool_]:
    """Return whether pixels assigned to each cluster by half of the temperatures follow it at the others.

    Pixels that are similar by chance also have a mean trajectory, but only at the temperatures by which it was chosen.
    """
    alike = []
    for this, other in ((0, 1), (1, 0)):
        half = replace(mixture, means=mixture.means[:, other::2], variances=mixture.variances[:, other::2])
        chosen = responsibilities(x[:, other::2], half, smooth)[0].argmax(axis=0)
        means = [averages(x[:, this::2], by, mixture.k)[0] for by in (labels, chosen)]
        mean, again = (m - m.mean(axis=1, keepdims=True) for m in means)
        alike.append(np.sum(mean * again, axis=1) > REPEATED * np.sum(mean**2, axis=1))
    return np.asarray(np.logical_and(*alike))


def _agreement(x: Singles, k: int, seed: int) -> float:
    """Return the adjusted Rand index of `k` clusters that are fitted to two halves of the trajectories."""
    rng = np.random.default_rng((seed, k))
    some = x[rng.permutation(len(x))[: 2 * HALF]]
    fits = [fit(half, k, seed=seed + i, starts=STARTS // 3) for i, half in enumerate(np.array_split(some, 2))]
    return float(adjusted_rand_score(*(responsibilities(some, mixture)[0].argmax(axis=0) for mixture in fits)))


def fit(x: Singles, k: int, *, seed: int = 0, starts: int = STARTS) -> Mixture:
    """Return the most likely of many mixtures of `k` clusters of trajectories (n, n_temperatures).

    Starts are drawn as in k-means++, each from some of the trajectories. The best after a few steps are completed.
    """
    rng = np.random.default_rng(seed)
    variances = np.tile(np.maximum(x.var(axis=0, dtype=np.float64), 1e-30), (k, 1))
    tried = []
    for _ in range(starts):
        means = kmeans_plusplus(_sample(x, rng, FEW), k, random_state=int(rng.integers(2**31)))[0].astype(np.float64)
        tried.append(improve(x, Mixture(np.full(k, 1 / k), means, variances), steps=SHORT))
    best = sorted(tried, key=lambda m: -m.score)[: max(starts // BEST, 2)]
    return max((improve(x, mixture) for mixture in best), key=lambda m: m.score)


def _sample(x: Singles, rng: np.random.Generator, n: int) -> Singles:
    """Return `n` of the trajectories, or all if there are fewer."""
    return x if len(x) <= n else x[np.sort(rng.choice(len(x), n, replace=False))]


def improve(x: Singles, mixture: Mixture, *, steps: int = MOST_STEPS, smooth: Smooth | None = None) -> Mixture:
    """Improve a mixture by expectation and maximization.

    `smooth` changes the responsibilities (k, n) in between, in many small steps.
    """
    share = 1.0
    if smooth is not None:
        steps, share = SMOOTHED_STEPS, SMOOTHED_SHARE
    variance = np.mean([column.var(dtype=np.float64) for column in x.T])  # of all at once would take twice the memory
    floor = FLOOR * max(float(variance), 1e-30)
    score = -np.inf
    for _ in range(steps):
        new, before = _step(x, mixture, floor, smooth), score
        parts = {n: (1 - share) * getattr(mixture, n) + share * getattr(new, n) for n in ("means", "variances")}
        mixture, score = replace(new, **parts), new.score
        if smooth is None and abs(score - before) < TOLERANCE:
            break
    return mixture


def responsibilities(
    x: Singles, mixture: Mixture, smooth: Smooth | None = None, dtype: DTypeLike = np.float64
) -> tuple[Singles, float]:
    """Return the share of each cluster in each trajectory, (k, n), and the log-likelihood per trajectory."""
    shares, total = np.empty((mixture.k, len(x)), np.float32), 0.0
    for which, share, score in _expected(x, mixture, dtype):
        shares[:, which] = share
        total += score
    return (shares if smooth is None else smooth(shares)), total / len(x)


def _step(x: Singles, mixture: Mixture, floor: float, smooth: Smooth | None) -> Mixture:
    """Make one step; the score of the result is that of the mixture before."""
    total, size = 0.0, np.zeros(mixture.k)
    sums, squares = np.zeros_like(mixture.means), np.zeros_like(mixture.means)
    expected = _expected(x, mixture)
    if smooth is not None:
        shares, score = responsibilities(x, mixture, smooth, np.float32)
        total, expected = score * len(x), ((which, shares[:, which], 0.0) for which in blocks(len(x)))
    for which, share, score in expected:
        total += score
        size += share.sum(axis=1, dtype=np.float64)
        sums += share @ x[which]
        squares += share @ np.square(x[which])
    size = np.maximum(size, 1e-9)
    means = sums / size[:, None]
    variances = np.maximum(squares / size[:, None] - means**2, floor) + floor
    return Mixture(size / size.sum(), means, variances, total / len(x))


def _expected(x: Singles, mixture: Mixture, dtype: DTypeLike = np.float32) -> Iterator[tuple[slice, Singles, float]]:
    """Yield each block of trajectories, its responsibilities (k, b), and its log-likelihood."""
    inverse = 1 / mixture.variances
    a, b = (0.5 * inverse).astype(dtype), (mixture.means * inverse).astype(dtype)
    logs = np.log(np.maximum(mixture.weights, 1e-300)) - 0.5 * np.log(2 * np.pi * mixture.variances).sum(axis=1)
    c = (logs - 0.5 * (mixture.means**2 * inverse).sum(axis=1)).astype(dtype)[:, None]
    for which in blocks(len(x)):
        block = x[which].T.astype(dtype, copy=False)
        e = b @ block
        e -= a @ np.square(block)
        e += c
        top = e.max(axis=0)
        np.exp(e - top, out=e)
        norm = e.sum(axis=0)
        e /= norm
        yield which, e, float(top.sum(dtype=np.float64)) + float(np.log(norm).sum(dtype=np.float64))


def smoothing(
    positions: ArrayLike, length: float, cell: tuple[float, float] | None = None
) -> Callable[[Singles], Singles]:
    """Return a function that averages responsibilities (k, n) over neighbours with equal weights, in place (X-TEC-s).

    It equals the matrix of `Build_Markov_Matrix` in ``xtec`` 0.1.1 with ``uniform_similarity``, at a cost linear in the
    number of pixels.

    Parameters
    ----------
    positions : array_like, shape (n, 2)
        Row and column of each pixel.
    length : float
        Neighbours are pixels with exp(-d² / length²) > 0.01, d in pixels; with a cell those with
        exp(-Σ sin²(π d / cell) / length²) > 0.01.
    cell : (float, float), optional
        Rows and columns of a Brillouin zone: the same place in all zones is one neighbourhood.
    """
    points, place = np.asarray(positions, float), None
    n = len(points)
    if cell is not None:
        angle = 2 * np.pi * points / cell
        points = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) / 2  # sin² of half an angle is a distance here
        points, place = np.unique(points.round(9), axis=0, return_inverse=True)
        place = place.ravel()
    near = _near(points, REACH * length)

    def summed(share: Singles) -> Singles:
        """Sum over the neighbours of each pixel."""
        of_places = share if place is None else np.bincount(place, share)
        of_places = of_places + near @ of_places + near.T @ of_places
        return np.asarray(of_places if place is None else of_places[place])

    size = summed(np.ones(n, np.float32))

    def smooth(shares: Singles) -> Singles:
        for share in shares:
            share[:] = summed(share) / size
        return shares

    return smooth


def _near(points: NDArray[np.float64], reach: float) -> sparse.csr_array:
    """Return a matrix (n, n) of ones where a later point is within `reach`."""
    tree, rows = cKDTree(points), []
    for which in blocks(len(points)):
        block = points[which]
        pairs = cKDTree(block).sparse_distance_matrix(tree, reach, output_type="ndarray")
        pairs = pairs[pairs["j"] > pairs["i"] + which.start]
        at = pairs["i"].astype(np.int32), pairs["j"].astype(np.int32)
        rows.append(sparse.csr_array((np.ones(len(pairs), np.float32), at), shape=(len(block), len(points))))
    return sparse.vstack(rows, format="csr")
