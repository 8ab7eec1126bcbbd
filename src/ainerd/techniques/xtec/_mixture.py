"""A mixture of Gaussians of diagonal covariance, found by expectation and maximisation from many starts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus

from ainerd.techniques.xtec._cut import BLOCK
from ainerd.threads import one_thread

SAMPLE = 20_000  # trajectories that starts are tried on
STARTS, SHORT, BEST = 24, 15, 5  # starts, steps after which they are compared; one in so many goes on
MOST_STEPS, TOLERANCE = 300, 1e-6  # in log-likelihood a trajectory
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

    def log_densities(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logarithm of weight times density, (k, n), in double precision."""
        x = x.astype(np.float64)
        constant = np.log(self.weights) - 0.5 * np.log(2 * np.pi * self.variances).sum(axis=1)
        squares = [np.square(x - m) @ (1 / v) for m, v in zip(self.means, self.variances, strict=True)]
        return constant[:, None] - 0.5 * np.stack(squares)


@one_thread
def fit(x: NDArray[np.float32], k: int, *, seed: int = 0, starts: int = STARTS) -> Mixture:
    """The most likely of many mixtures.

    Starts are drawn as k-means++ does, on a sample where there are many trajectories. The best after a few steps go on
    to the end, and the best of these on all trajectories.

    Parameters
    ----------
    x : ndarray of float32, shape (n, n_temperatures)
    k : int
    seed : int
    starts : int
    """
    rng = np.random.default_rng(seed)
    some = sample(x, rng)
    tried = [improve(some, _start(some, k, rng), steps=SHORT) for _ in range(starts)]
    best = sorted(tried, key=lambda m: -m.score)[: max(starts // BEST, 2)]
    found = max((improve(some, mixture) for mixture in best), key=lambda m: m.score)
    return found if some is x else improve(x, found)


def sample(x: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Some of the trajectories, where there are many; else all."""
    return x if len(x) <= SAMPLE else x[np.sort(rng.choice(len(x), SAMPLE, replace=False))]


@one_thread
def improve(
    x: NDArray[np.float32],
    mixture: Mixture,
    *,
    steps: int = MOST_STEPS,
    tolerance: float = TOLERANCE,
    share: float = 1.0,
    smooth: Smooth | None = None,
) -> Mixture:
    """Expectation and maximisation from a mixture on, `share` of each step.

    `smooth` changes the responsibilities (k, n) in between.
    """
    floor = FLOOR * max(float(x.var(axis=0, dtype=np.float64).mean()), 1e-30)
    score = -np.inf
    for _ in range(steps):
        new, before = _step(x, mixture, floor, smooth), score
        means, variances = ((1 - share) * getattr(mixture, n) + share * getattr(new, n) for n in ("means", "variances"))
        mixture, score = Mixture(new.weights, means, variances, new.score), new.score
        if abs(score - before) < tolerance:
            break
    return mixture


@one_thread
def responsibilities(
    x: NDArray[np.float32], mixture: Mixture, smooth: Smooth | None = None
) -> tuple[NDArray[np.float32], float]:
    """Share of each cluster in each trajectory, (k, n), and log-likelihood a trajectory; in double precision."""
    shares, total = np.empty((mixture.k, len(x)), np.float32), 0.0
    for first in range(0, len(x), BLOCK):
        logs = mixture.log_densities(x[first : first + BLOCK])
        all_of_it = np.logaddexp.reduce(logs, axis=0)
        total += float(all_of_it.sum())
        shares[:, first : first + BLOCK] = np.exp(logs - all_of_it)
    return (shares if smooth is None else smooth(shares)), total / len(x)


def _start(x: NDArray[np.float32], k: int, rng: np.random.Generator) -> Mixture:
    means = kmeans_plusplus(x, k, random_state=int(rng.integers(2**31)))[0].astype(np.float64)
    variances = np.tile(np.maximum(x.var(axis=0, dtype=np.float64), 1e-30), (k, 1))
    return Mixture(np.full(k, 1 / k), means, variances)


def _step(x: NDArray[np.float32], mixture: Mixture, floor: float, smooth: Smooth | None) -> Mixture:
    """One step. Its score is that of the mixture before it."""
    inverse = 1 / mixture.variances
    a, b = (0.5 * inverse).astype(np.float32), (mixture.means * inverse).astype(np.float32)
    logs = np.log(np.maximum(mixture.weights, 1e-300)) - 0.5 * np.log(2 * np.pi * mixture.variances).sum(axis=1)
    c = (logs - 0.5 * (mixture.means**2 * inverse).sum(axis=1)).astype(np.float32)[:, None]
    total, size = 0.0, np.zeros(mixture.k)
    sums, squares = np.zeros_like(mixture.means), np.zeros_like(mixture.means)
    kept = None if smooth is None else np.empty((mixture.k, len(x)), np.float32)
    for first in range(0, len(x), BLOCK):
        block = x[first : first + BLOCK]
        square = np.square(block)
        e = b @ block.T
        e -= a @ square.T
        e += c
        top = e.max(axis=0)
        e -= top
        np.exp(e, out=e)
        norm = e.sum(axis=0)
        total += float(top.sum(dtype=np.float64)) + float(np.log(norm).sum(dtype=np.float64))
        e /= norm
        if kept is None:
            size += e.sum(axis=1, dtype=np.float64)
            sums += e @ block
            squares += e @ square
        else:
            kept[:, first : first + BLOCK] = e
    if kept is not None and smooth is not None:
        kept = smooth(kept)
        for first in range(0, len(x), BLOCK):
            block, e = x[first : first + BLOCK], kept[:, first : first + BLOCK]
            size += e.sum(axis=1, dtype=np.float64)
            sums += e @ block
            squares += e @ np.square(block)
    size = np.maximum(size, 1e-9)
    means = sums / size[:, None]
    variances = np.maximum(squares / size[:, None] - means**2, floor) + floor
    return Mixture(size / size.sum(), means, variances, total / len(x))
