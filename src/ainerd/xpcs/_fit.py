"""Fits of g2."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FORMULA = "g2(tau) = baseline + contrast * exp(-2 * (tau / tau0)**exponent)"
ROUNDS = 300
NOTHING = 1e-100  # a slope, or a length: the inverse of its square is a number still
LOW = np.array([0.0, -100.0, 0.1, 0.5])  # contrast, log tau, exponent, baseline
HIGH = np.array([2.0, 100.0, 3.0, 1.5])


@dataclass(frozen=True, kw_only=True)
class KwwFit:
    """Stretched-exponential fits, one for each bin: arrays (n_roi,), NaN where the fit failed.

    Attributes
    ----------
    contrast, tau, exponent, baseline : ndarray
        `tau` in the unit of the lags. With ``_err``: one standard deviation.
    chi2 : ndarray
        Reduced chi square (sum of squares per degree of freedom without errors).
    ok : ndarray of bool
        False where the fit failed.
    """

    contrast: NDArray[np.float64]
    tau: NDArray[np.float64]
    exponent: NDArray[np.float64]
    baseline: NDArray[np.float64]
    contrast_err: NDArray[np.float64]
    tau_err: NDArray[np.float64]
    exponent_err: NDArray[np.float64]
    baseline_err: NDArray[np.float64]
    chi2: NDArray[np.float64]
    ok: NDArray[np.bool_]
    formula: str = FORMULA


def fit_kww(tau: ArrayLike, g2: ArrayLike, error: ArrayLike | None = None) -> KwwFit:
    """Fit g2 = baseline + contrast exp(-2 (tau / tau0)^exponent) to each bin; failed fits are flagged, not raised.

    For curves alone: errors are those of lags that are independent, which those of a measured g2 are not. Numbers to be
    quoted come from `fit_relaxation`.

    Parameters
    ----------
    tau : array_like, shape (n,)
        Lags, in any unit.
    g2 : array_like, shape (n_roi, n) or (n,)
    error : array_like, like g2, optional
        Standard errors; zero and NaN errors are not used.
    """
    lags, values = np.asarray(tau, dtype=float), np.atleast_2d(np.asarray(g2, dtype=float))
    if lags.ndim != 1 or values.shape[1] != lags.size:
        raise ValueError(f"g2 of shape {values.shape} does not fit {lags.shape} lags")
    errors = np.full_like(values, np.nan) if error is None else np.atleast_2d(np.asarray(error, dtype=float))
    if errors.shape != values.shape:
        raise ValueError(f"errors of shape {errors.shape} do not fit g2 of shape {values.shape}")
    use = np.isfinite(values)
    weighted = (~use | (np.isfinite(errors) & (errors > 0))).all(axis=1)
    weight = np.where(use, 1 / np.where(weighted[:, None] & use, errors, 1.0), 0)
    enough = use.sum(1) >= 5
    best, spread = np.full((2, len(values), 4), np.nan)
    chi2 = np.full((len(values), 1), np.nan)
    if enough.any():
        found, settled = least_squares(lags, values[enough], weight[enough])
        best[enough] = np.where(settled[:, None], found, np.nan)
        spread[enough], chi2[enough, 0] = _spread(lags, best[enough], values[enough], weight[enough])
    spread[~weighted] *= np.sqrt(chi2[~weighted])
    ok = np.isfinite(spread).all(1)
    best[:, 1] = np.exp(best[:, 1])
    spread[:, 1] *= best[:, 1]
    for array in (best, spread, chi2):
        array[~ok] = np.nan
    names = ("contrast", "tau", "exponent", "baseline")
    return KwwFit(
        **dict(zip(names, best.T, strict=True)),
        **{f"{name}_err": s for name, s in zip(names, spread.T, strict=True)},
        chi2=chi2[:, 0],
        ok=ok,
    )


def least_squares(
    tau: NDArray, y: NDArray, weight: NDArray, low: ArrayLike = LOW, high: ArrayLike = HIGH
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Levenberg and Marquardt's way for many curves at once.

    `y` and `weight` (one over the error, 0 for what is not used) are (k, n). The parameters contrast, log tau, exponent
    and baseline, (k, 4), stay between `low` and `high`, (4,) or (k, 4), which are the same for those that are fixed.
    Also says, (k,), which have settled.
    """
    y = np.where(weight > 0, y, 0)
    x = np.array([_start(tau[w > 0], row[w > 0]) for row, w in zip(y, weight, strict=True)])
    low, high = np.broadcast_to(low, x.shape), np.broadcast_to(high, x.shape)
    x = np.clip(x, low, high)
    damping = np.full(len(x), 1e-3)
    going = np.arange(len(x))
    cost = _cost(tau, x, y, weight)
    for _ in range(ROUNDS):
        normal, gradient = _normal(tau, x[going], y[going], weight[going])
        stuck = (x[going] <= low[going]) & (gradient > 0) | (x[going] >= high[going]) & (gradient < 0)
        stuck |= low[going] == high[going]
        normal = np.where(stuck[:, :, None] | stuck[:, None, :], 0, normal)
        diagonal = np.einsum("kii->ki", normal)  # a view
        diagonal += damping[going, None] * diagonal + 1e-30 + stuck
        step = np.linalg.solve(normal, np.where(stuck, 0, -gradient)[..., None])[..., 0]
        trial = np.clip(x[going] + step, low[going], high[going])
        new = _cost(tau, trial, y[going], weight[going])
        gain = cost[going] - new
        better = gain > 0
        x[going[better]], cost[going[better]] = trial[better], new[better]
        damping[going] = np.maximum(damping[going] * np.where(better, 0.3, 4), 1e-9)
        going = going[~(better & (gain <= 1e-9 * new)) & (damping[going] < 1e9)]
        if going.size == 0:
            break
    settled = np.ones(len(x), bool)
    settled[going] = False
    return x, settled


def _spread(tau: NDArray, x: NDArray, y: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """Standard errors, as though lags were independent, and reduced chi square."""
    y = np.where(weight > 0, y, 0)
    normal, _ = _normal(tau, x, y, weight)
    scale = np.sqrt(np.einsum("kii->ki", normal))
    spread = np.full_like(x, np.nan)
    known = (scale > 0).all(1)
    scaled = normal[known] / scale[known, :, None] / scale[known, None, :]
    variance = np.einsum("kii->ki", np.linalg.pinv(scaled, rcond=1e-14, hermitian=True))
    spread[known] = np.sqrt(np.maximum(variance, 0)) / scale[known]
    return spread, _cost(tau, x, y, weight) / np.maximum((weight > 0).sum(1) - 4, 1)


def _start(tau: NDArray, y: NDArray) -> NDArray:
    tail = np.median(y[-max(3, len(y) // 10) :])
    height = max(y[0] - tail, 1e-3)
    below = np.flatnonzero(y - tail < height * np.exp(-2))
    log_tau = np.log(max(tau[below[0]] if below.size else tau[-1], 1e-300))
    return np.clip([height, log_tau, 1.0, tail], LOW, HIGH)


def model(tau: NDArray, x: NDArray) -> NDArray[np.float64]:
    """g2 of the parameters, (k, n)."""
    _, u = _relaxation(tau, x)
    return x[:, 3:] + x[:, :1] * np.exp(-2 * u)


def slopes(tau: NDArray, x: NDArray) -> NDArray[np.float64]:
    """Derivatives of `model` by the four parameters, (k, 4, n)."""
    ratio, u = _relaxation(tau, x)
    decay = np.exp(-2 * u)
    slope = 2 * x[:, :1] * u * decay
    return np.stack([decay, x[:, 2:3] * slope, -slope * ratio, np.ones_like(decay)], axis=1)


def _cost(tau: NDArray, x: NDArray, y: NDArray, weight: NDArray) -> NDArray:
    return ((weight * (model(tau, x) - y)) ** 2).sum(1)


def _normal(tau: NDArray, x: NDArray, y: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """JᵀJ and Jᵀr of the weighted residuals."""
    jacobian = slopes(tau, x) * weight[:, None]
    residual = weight * (model(tau, x) - y)
    return jacobian @ jacobian.transpose(0, 2, 1), (jacobian @ residual[..., None])[..., 0]


def _relaxation(tau: NDArray, x: NDArray) -> tuple[NDArray, NDArray]:
    """log(tau / tau0) and (tau / tau0)^exponent, kept in the range of floats; (n_roi, n)."""
    ratio = np.log(np.maximum(tau, 1e-300)) - x[:, 1:2]
    return ratio, np.exp(np.clip(x[:, 2:3] * ratio, -700, 6))  # exp(-2 e^6) is 0 already
