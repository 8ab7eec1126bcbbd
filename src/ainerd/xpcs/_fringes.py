"""g2 of a ring's bins across azimuth: the formula, its derivatives, and least squares for many starts at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAMES = ("log_tau", "exponent", "static", "u1", "u2", "w1", "w2", "a1", "a2")
N = len(NAMES)
_LOW = np.array([-100.0, 0.1, 0.0, *6 * [-np.inf]])
_HIGH = np.array([100.0, 2.0, 1.0, *6 * [np.inf]])
CONTRAST = (-0.5, 2.0)
ROUNDS = 60


@dataclass(frozen=True)
class Ring:
    """Lags and azimuths that a model is seen at, with data and what whitens their noise.

    Attributes
    ----------
    lag : ndarray, shape (n_lag,)
    angle : ndarray, shape (n_roi,)
        In radians.
    reach : ndarray, shape (2, n_roi, n_lag)
        q of the bin over the ring's mean, along the columns and the rows, times the lag.
    value : ndarray, shape (n_roi, n_lag)
    weight : ndarray, shape (n_roi, n_lag)
        Zero where there is no datum.
    mix : ndarray, shape (n_lag, n_lag), or None
        Applied to a bin's weighted residuals, where lags vary together.
    """

    lag: NDArray[np.float64]
    angle: NDArray[np.float64]
    reach: NDArray[np.float64]
    value: NDArray[np.float64]
    weight: NDArray[np.float64]
    mix: NDArray[np.float64] | None

    def whiten(self, x: NDArray) -> NDArray:
        """Of arrays (..., n_roi, n_lag)."""
        x = x * self.weight.astype(x.dtype)
        return x if self.mix is None else x @ self.mix.T.astype(x.dtype)


def model(x: NDArray, ring: Ring, free: list[int]) -> tuple[NDArray, NDArray]:
    """g2 (k, n_roi, n_lag) for parameters (k, 9 + n_roi), and its derivatives (k, n, n_roi, n_lag) by those `free`.

    Parameters are those of `NAMES`, then each bin's contrast. Vectors are in radians per lag: u the phase of the fringes,
    w the spread; a is the second harmonic of log tau, and relaxation is quickest along it.
    """
    log_tau, exponent, static, u1, u2, w1, w2, a1, a2 = x[:, :N].T[..., None, None]
    contrast = x[:, N:, None]
    c2, s2 = np.cos(2 * ring.angle)[:, None], np.sin(2 * ring.angle)[:, None]
    r1, r2 = ring.reach
    ratio = np.log(ring.lag) - log_tau + a1 * c2 + a2 * s2
    z = np.exp(np.clip(exponent * ratio, -700, 6))
    k = w1 * r1 + w2 * r2
    g = np.exp(-z - k * k / 2)
    phase = u1 * r1 + u2 * r2
    fringe, moving = np.cos(phase), 1 - static
    shape = moving**2 * g * g + static**2 + 2 * moving * static * g * fringe
    by_g = contrast * 2 * moving * (moving * g + static * fringe) * g  # times g: of the logarithm
    out = []
    for i in free:
        if i >= N:
            out.append(np.zeros_like(shape))
            out[-1][:, i - N] = shape[:, i - N]
        elif i == 0:
            out.append(by_g * exponent * z)
        elif i == 1:
            out.append(-by_g * z * ratio)
        elif i == 2:
            out.append(contrast * 2 * (static - moving * g * g + (1 - 2 * static) * g * fringe))
        elif i < 5:
            out.append(-2 * contrast * moving * static * g * np.sin(phase) * (r1, r2)[i - 3])
        elif i < 7:
            out.append(-by_g * k * (r1, r2)[i - 5])
        else:
            out.append(-by_g * exponent * z * (c2, s2)[i - 7])
    return 1 + contrast * shape, np.stack(out, axis=1)


def fit(start: NDArray, ring: Ring, free: list[int]) -> tuple[NDArray, float, NDArray]:
    """Levenberg and Marquardt's way from several starts (k, 9 + n_roi): the best, its chi square, its derivatives.

    The derivatives are whitened, (len(free), n_roi, n_lag).
    """
    n_roi = len(ring.angle)
    low = np.r_[_LOW, n_roi * [CONTRAST[0]]][free]
    high = np.r_[_HIGH, n_roi * [CONTRAST[1]]][free]
    x = start.copy()
    x[:, free] = np.clip(x[:, free], low, high)
    y, jacobian = _whitened(x, ring, free)
    cost, damping = (y * y).sum(1), np.full(len(x), 1e-3)
    going = np.arange(len(x))
    for _ in range(ROUNDS):
        here, slope = x[going][:, free], jacobian[going]
        normal, gradient = slope @ slope.transpose(0, 2, 1), (slope @ y[going, :, None])[..., 0]
        stuck = (here <= low) & (gradient > 0) | (here >= high) & (gradient < 0)
        normal = np.where(stuck[:, :, None] | stuck[:, None, :], 0, normal)
        diagonal = np.einsum("kii->ki", normal)  # a view
        diagonal += damping[going, None] * diagonal + 1e-9 * diagonal.max(1, keepdims=True) + stuck
        step = np.linalg.solve(normal, np.where(stuck, 0, -gradient)[..., None])[..., 0]
        trial = x[going]
        trial[:, free] = np.clip(here + step, low, high)
        y_new, jacobian_new = _whitened(trial, ring, free)
        new = (y_new * y_new).sum(1)
        gain = cost[going] - new
        better = gain > 0
        who = going[better]
        x[who], cost[who], y[who], jacobian[who] = trial[better], new[better], y_new[better], jacobian_new[better]
        damping[going] *= np.where(better, 0.2, 5)
        going = going[~(better & (gain <= 1e-6 * new)) & (damping[going] < 1e7)]
        if going.size == 0:
            break
    best = int(cost.argmin())
    return x[best], float(cost[best]), jacobian[best].reshape(len(free), *ring.value.shape)


def _whitened(x: NDArray, ring: Ring, free: list[int]) -> tuple[NDArray, NDArray]:
    y, jacobian = model(x, ring, free)
    residual = ring.whiten(y - ring.value)
    return residual.reshape(len(x), -1), ring.whiten(jacobian).reshape(len(x), len(free), -1)
