"""How the rate of a sample's clock may vary: priors of its logarithm, and the evidence for each."""

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Prior = tuple[float, float, float]  # white and smooth standard deviation of the log rate, correlation time
STILL = 0.02  # white part of a rate without scatter
WIDE = 2.5**2  # variance of the log rate of an event
GRID: tuple[Prior, ...] = tuple(
    (white, smooth, length)
    for white in (STILL, 0.15, 0.35, 0.8, 1.6)
    for smooth, length in ((0, 0.2), *((each, long) for each in (0.15, 0.35, 0.8, 1.6) for long in (0.06, 0.2)))
)
SLOW: Prior = (STILL, 0.35, 0.2)
GENTLE = tuple(prior for prior in GRID if prior[0] <= 0.35 and (prior[2] > 0.1 or prior[1] < 0.5))
COARSE: tuple[Prior, ...] = tuple((w, s, 0.2) for w in (STILL, 0.35, 1.0) for s in (0.0, 0.5))
_COST = 1.2  # of each kind of scatter, in the logarithm of the evidence


def covariance(t: Floats, prior: Prior, events: list[int]) -> Floats:
    """Return the covariance of the log rates of steps at times `t`, (m, m)."""
    white, smooth, length = prior
    out = smooth**2 * np.exp(-np.abs(t[:, None] - t) / length)
    out[np.diag_indices(len(t))] += white**2
    out[events, events] += WIDE
    return out


def cost(prior: Prior) -> float:
    """Return what the evidence pays for scatter of the rate."""
    return _COST * ((prior[0] > STILL) + (prior[1] > 0))


@nb.njit(nogil=True, cache=True)
def _reduced(matrices: Floats, columns: Floats) -> tuple[Floats, Floats]:
    """Return columns' S⁻¹ columns and log det S of each positive definite S, (g, m, m)."""
    n_matrix, m = matrices.shape[0], matrices.shape[1]
    c = columns.shape[1]
    gram, log_det = np.zeros((n_matrix, c, c)), np.zeros(n_matrix)
    low, solved = np.zeros((m, m)), np.zeros((m, c))
    for a in range(n_matrix):
        for i in range(m):
            for j in range(i + 1):
                total = matrices[a, i, j]
                for k in range(j):
                    total -= low[i, k] * low[j, k]
                low[i, j] = np.sqrt(max(total, 1e-12)) if i == j else total / low[j, j]
            log_det[a] += 2 * np.log(low[i, i])
            for x in range(c):
                total = columns[i, x]
                for k in range(i):
                    total -= low[i, k] * solved[k, x]
                solved[i, x] = total / low[i, i]
        for x in range(c):
            for y in range(c):
                for i in range(m):
                    gram[a, x, y] += solved[i, x] * solved[i, y]
    return gram, log_det


@dataclass(frozen=True)
class Evidence:
    """Log evidence of priors, (g,), and the coefficients of constant and trend with their covariances."""

    log: Floats
    beta: Floats
    cov: Floats

    @property
    def share(self) -> Floats:
        """Probability of each prior."""
        p = np.exp(self.log - self.log.max())
        return np.asarray(p / p.sum())


@dataclass(frozen=True)
class RateData:
    """Information F (m, m) of a map about the log rates u of its steps at times `t`, and the score b = F u.

    The rate has the mean ``design @ beta``, with the columns constant and logarithm of the age.
    """

    information: Floats
    score: Floats
    t: Floats
    design: Floats

    def _root(self) -> tuple[Floats, Floats]:
        """Return R with F = R Rᵀ, and the data in its basis, whose noise is 1."""
        values, vectors = np.linalg.eigh(self.information)
        use = values > 1e-8 * values.max()
        root = vectors[:, use] * np.sqrt(values[use])
        return root, vectors[:, use].T @ self.score / np.sqrt(values[use])

    def evidence(self, events: list[int], grid: tuple[Prior, ...] = GRID, extra: Floats | None = None) -> Evidence:
        """Return the evidence for priors; `extra` (f, m, 2) adds two columns to the design, and f rows for a prior."""
        root, data = self._root()
        kernels = {
            length: root.T @ np.exp(-np.abs(self.t[:, None] - self.t) / length) @ root
            for length in {g[2] for g in grid}
        }
        fixed = np.eye(len(data)) + WIDE * root[events].T @ root[events]
        own = root.T @ root
        matrices = np.array([fixed + w**2 * own + s**2 * kernels[length] for w, s, length in grid])
        more = np.zeros((0, len(self.t))) if extra is None else extra.transpose(0, 2, 1).reshape(-1, len(self.t))
        columns = np.concatenate([data[:, None], root.T @ self.design, root.T @ more.T], axis=1)
        gram, log_det = _reduced(matrices, np.ascontiguousarray(columns))
        use = [[0, 1, 2]] if extra is None else [[0, 1, 2, 3 + 2 * k, 4 + 2 * k] for k in range(len(extra))]
        each = np.array([gram[:, np.ix_(k, k)[0], np.ix_(k, k)[1]] for k in use])
        normal = each[..., 1:, 1:] + 1e-9 * np.eye(len(use[0]) - 1)
        cov = np.asarray(np.linalg.inv(normal), dtype=np.float64)
        beta = (cov @ each[..., 1:, :1])[..., 0]
        fit = (beta * each[..., 1:, 0]).sum(-1)
        log = -0.5 * (log_det + np.linalg.slogdet(normal)[1] + each[..., 0, 0] - fit) - [cost(g) for g in grid]
        return Evidence(log[0], beta[0], cov[0]) if extra is None else Evidence(log, beta, cov)

    def left_out(self, prior: Prior, events: list[int]) -> Floats:
        """Return how far each step is above the others' rate, in standard errors, (m,)."""
        projected, score = self.projected(prior, events)
        return np.asarray(score / np.sqrt(np.maximum(np.diag(projected), 1e-12)))

    def projected(self, prior: Prior, events: list[int]) -> tuple[Floats, Floats]:
        """Return the information without constant and trend if the rate scatters, (m, m), and its score, (m,)."""
        both = np.linalg.solve(
            np.eye(len(self.t)) + self.information @ covariance(self.t, prior, events),
            np.column_stack([self.information, self.score]),
        )
        inner, score = both[:, :-1], both[:, -1]
        across = inner @ self.design
        beta = np.linalg.solve(
            self.design.T @ across + 1e-9 * np.eye(2), np.column_stack([across.T, self.design.T @ score])
        )
        return inner - across @ beta[:, :-1], score - across @ beta[:, -1]
