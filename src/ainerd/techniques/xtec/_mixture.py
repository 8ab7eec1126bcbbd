"""A mixture of Gaussians of diagonal covariance, found by expectation and maximisation from many starts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.cluster import kmeans_plusplus

from ainerd.techniques.xtec._cut import blocks

FEW = 4_000  # trajectories that a start is drawn from
STARTS, SHORT, BEST = 24, 15, 5  # starts, steps after which they are compared; one in so many goes on
MOST_STEPS, TOLERANCE = 300, 1e-6  # in log-likelihood a trajectory
# How far ``xtec`` 0.1.1 goes with smoothing, whose steps are many and small: it ends before it stands still.
SMOOTHED_STEPS, SMOOTHED_SHARE = 113, 0.1
FLOOR = 1e-6  # of variances, as a share of the data's

Smooth = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Mixture:
    """Weights (k,), means and variances (k, n_temperatures), log-likelihood a trajectory."""

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    score: float = -np.inf

    @property
    def k(self) -> int:
        """Number of clusters."""
        return len(self.weights)

    def bic(self, n: int) -> float:
        """Bayesian information criterion with `n` trajectories."""
        return (self.k * (2 * self.means.shape[1] + 1) - 1) * np.log(n) - 2 * n * self.score


def fit(x: NDArray[np.float32], k: int, *, seed: int = 0, starts: int = STARTS) -> Mixture:
    """The most likely of many mixtures of `k` clusters of trajectories (n, n_temperatures).

    Starts are drawn as k-means++ does, each from some of the trajectories. The best after a few steps go on to the end.
    """
    rng = np.random.default_rng(seed)
    variances = np.tile(np.maximum(x.var(axis=0, dtype=np.float64), 1e-30), (k, 1))
    tried = []
    for _ in range(starts):
        means = kmeans_plusplus(sample(x, rng, FEW), k, random_state=int(rng.integers(2**31)))[0].astype(np.float64)
        tried.append(improve(x, Mixture(np.full(k, 1 / k), means, variances), steps=SHORT))
    best = sorted(tried, key=lambda m: -m.score)[: max(starts // BEST, 2)]
    return max((improve(x, mixture) for mixture in best), key=lambda m: m.score)


def sample(x: NDArray[np.float32], rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    """Some of the trajectories, where there are more than `n`; else all."""
    return x if len(x) <= n else x[np.sort(rng.choice(len(x), n, replace=False))]


def improve(
    x: NDArray[np.float32], mixture: Mixture, *, steps: int = MOST_STEPS, smooth: Smooth | None = None
) -> Mixture:
    """Expectation and maximisation from a mixture on.

    `smooth` changes the responsibilities (k, n) in between, in many small steps.
    """
    share = 1.0
    if smooth is not None:
        steps, share = SMOOTHED_STEPS, SMOOTHED_SHARE
    variance = np.mean([column.var(dtype=np.float64) for column in x.T])  # of all at once would take twice their memory
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
    x: NDArray[np.float32], mixture: Mixture, smooth: Smooth | None = None, dtype: DTypeLike = np.float64
) -> tuple[NDArray[np.float32], float]:
    """Share of each cluster in each trajectory, (k, n), and log-likelihood a trajectory; computed in `dtype`."""
    shares, total = np.empty((mixture.k, len(x)), np.float32), 0.0
    for which, share, score in _expected(x, mixture, dtype):
        shares[:, which] = share
        total += score
    return (shares if smooth is None else smooth(shares)), total / len(x)


def _step(x: NDArray[np.float32], mixture: Mixture, floor: float, smooth: Smooth | None) -> Mixture:
    """One step. Its score is that of the mixture before it."""
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


def _expected(
    x: NDArray[np.float32], mixture: Mixture, dtype: DTypeLike = np.float32
) -> Iterator[tuple[slice, NDArray, float]]:
    """Each block of trajectories, its responsibilities (k, b), and its log-likelihood, computed in `dtype`."""
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
