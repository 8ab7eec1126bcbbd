"""Fits of curves: stretched exponentials to g2, a power law to relaxation times, and the least squares behind them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2 as chi2_distribution

FORMULA = "g2(tau) = baseline + contrast * exp(-2 * (tau / tau0)**exponent)"
NOTHING = 1e-100  # below this a slope or length counts as zero; the inverse of its square is still finite
LOW = np.array([0.0, -100.0, 0.1, 0.5])  # contrast, log tau, exponent, baseline
HIGH = np.array([2.0, 100.0, 3.0, 1.5])
Floats = NDArray[np.float64]
Normal = tuple[Floats, Floats, Floats]  # chi square, JᵀJ, Jᵀr


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

    contrast: Floats
    tau: Floats
    exponent: Floats
    baseline: Floats
    contrast_err: Floats
    tau_err: Floats
    exponent_err: Floats
    baseline_err: Floats
    chi2: Floats
    ok: NDArray[np.bool_]
    formula: str = FORMULA


def fit_kww(tau: ArrayLike, g2: ArrayLike, error: ArrayLike | None = None) -> KwwFit:
    """Fit g2 = baseline + contrast exp(-2 (tau / tau0)^exponent) to each bin; failed fits are flagged, not raised.

    Use it for drawing curves: the errors assume independent lags, which the lags of a measured g2 are not. Use
    `fit_relaxation` for numbers to be quoted.

    Parameters
    ----------
    tau : array_like, shape (n,)
        Lags, in any unit.
    g2 : array_like, shape (n_roi, n) or (n,)
    error : array_like, like g2, optional
        Standard errors; errors of zero or NaN are ignored.
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
        fitted, converged = least_squares(lags, values[enough], weight[enough])
        best[enough] = np.where(converged[:, None], fitted, np.nan)
        spread[enough], chi2[enough, 0] = _errors(lags, best[enough], values[enough], weight[enough])
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
    tau: Floats, y: Floats, weight: Floats, low: ArrayLike = LOW, high: ArrayLike = HIGH
) -> tuple[Floats, NDArray[np.bool_]]:
    """Fit stretched exponentials to many curves at once; return parameters (k, 4) and which fits converged, (k,).

    `y` and `weight` (one over the error, 0 for unused points) are (k, n). The parameters contrast, log tau, exponent
    and baseline stay between `low` and `high`, (4,) or (k, 4), which are equal for fixed parameters.
    """
    y = np.where(weight > 0, y, 0)
    x = np.array([_start(tau[w > 0], row[w > 0]) for row, w in zip(y, weight, strict=True)])
    low, high = np.broadcast_to(low, x.shape), np.broadcast_to(high, x.shape)
    x, _, converged = levenberg_marquardt(
        np.clip(x, low, high), low, high, lambda x, which: _normal(tau, x, y[which], weight[which]),
        rounds=300, shrink=0.3, grow=4, least_damping=1e-9, most_damping=1e9, tolerance=1e-9,
    )  # fmt: skip
    return x, converged


def levenberg_marquardt(
    x: Floats,
    low: Floats,
    high: Floats,
    normal_equations: Callable[[Floats, NDArray[np.int64]], Normal],
    *,
    rounds: int,
    shrink: float,
    grow: float,
    least_damping: float = 0.0,
    most_damping: float,
    tolerance: float,
    ridge: float = 0.0,
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Minimize chi square from many starts `x`, (k, n), at once, between `low` and `high`, (k, n).

    ``normal_equations(x, which)`` returns chi square, JᵀJ and Jᵀr at `x` for the starts with the numbers `which`. A
    start is finished when a step lowers chi square by less than `tolerance`, or its damping exceeds `most_damping`.
    Return the parameters, their chi square, and which starts finished.
    """
    x, going = x.copy(), np.arange(len(x))
    damping = np.full(len(x), 1e-3)
    cost, normal, gradient = normal_equations(x, going)
    for _ in range(rounds):
        here, slope, lowest, highest = x[going], gradient[going], low[going], high[going]
        stuck = (here <= lowest) & (slope > 0) | (here >= highest) & (slope < 0) | (lowest == highest)
        damped = np.where(stuck[:, :, None] | stuck[:, None, :], 0, normal[going])
        diagonal = np.einsum("kii->ki", damped)  # a view
        # the ridge and the 1e-30 give a step of zero where chi square depends on nothing
        diagonal += damping[going, None] * diagonal + ridge * diagonal.max(1, keepdims=True) + 1e-30 + stuck
        step = np.linalg.solve(damped, np.where(stuck, 0, -slope)[..., None])[..., 0]
        trial = np.clip(here + step, lowest, highest)
        new, *equations = normal_equations(trial, going)
        gain = cost[going] - new
        better = gain > 0
        who = going[better]
        x[who], cost[who], normal[who], gradient[who] = (some[better] for some in (trial, new, *equations))
        damping[going] = np.maximum(damping[going] * np.where(better, shrink, grow), least_damping)
        going = going[~(better & (gain <= tolerance * new)) & (damping[going] < most_damping)]
        if going.size == 0:
            break
    finished = np.ones(len(x), bool)
    finished[going] = False
    return x, cost, finished


def _start(tau: Floats, y: Floats) -> Floats:
    tail = np.median(y[-max(3, len(y) // 10) :])
    height = max(y[0] - tail, 1e-3)
    below = np.flatnonzero(y - tail < height * np.exp(-2))
    log_tau = np.log(max(tau[below[0]] if below.size else tau[-1], 1e-300))
    return np.asarray(np.clip([height, log_tau, 1.0, tail], LOW, HIGH))


def _errors(tau: Floats, x: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return standard errors, assuming independent lags, and reduced chi square."""
    cost, normal, _ = _normal(tau, x, np.where(weight > 0, y, 0), weight)
    scale = np.sqrt(np.einsum("kii->ki", normal))
    errors = np.full_like(x, np.nan)
    known = (scale > 0).all(1)
    scaled = normal[known] / scale[known, :, None] / scale[known, None, :]
    variance = np.einsum("kii->ki", np.linalg.pinv(scaled, rcond=1e-14, hermitian=True))
    errors[known] = np.sqrt(np.maximum(variance, 0)) / scale[known]
    return errors, cost / np.maximum((weight > 0).sum(1) - 4, 1)


def model(tau: Floats, x: Floats) -> Floats:
    """Return g2 for parameters (k, 4), (k, n)."""
    _, u = _relaxation(tau, x)
    return np.asarray(x[:, 3:] + x[:, :1] * np.exp(-2 * u))


def slopes(tau: Floats, x: Floats) -> Floats:
    """Return the derivatives of `model` by the four parameters, (k, 4, n)."""
    ratio, u = _relaxation(tau, x)
    decay = np.exp(-2 * u)
    slope = 2 * x[:, :1] * u * decay
    return np.stack([decay, x[:, 2:3] * slope, -slope * ratio, np.ones_like(decay)], axis=1)


def _normal(tau: Floats, x: Floats, y: Floats, weight: Floats) -> Normal:
    """Return chi square, JᵀJ and Jᵀr of the weighted residuals."""
    jacobian = slopes(tau, x) * weight[:, None]
    residual = weight * (model(tau, x) - y)
    return (residual**2).sum(1), jacobian @ jacobian.transpose(0, 2, 1), (jacobian @ residual[..., None])[..., 0]


def _relaxation(tau: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Return log(tau / tau0) and (tau / tau0)^exponent, kept in the range of floats; (n_roi, n)."""
    ratio = np.log(np.maximum(tau, 1e-300)) - x[:, 1:2]
    return ratio, np.exp(np.clip(x[:, 2:3] * ratio, -700, 6))  # exp(-2 e^6) is 0 already


@dataclass(frozen=True, kw_only=True)
class PowerFit:
    """A power law, value = amplitude * q**-exponent, fitted to `n` points.

    Attributes
    ----------
    exponent, exponent_err : float
        NaN if fewer than two points can be used.
    amplitude, amplitude_err : float
        At q = 1/nm, in the unit of the values.
    chi2 : float
        Reduced chi square, in the logarithm; NaN without a degree of freedom.
    p : float
        Probability that a power law with these errors scatters so much. Below .01 there is no power law, or the errors
        are too small. NaN without a degree of freedom.
    """

    exponent: float = np.nan
    exponent_err: float = np.nan
    amplitude: float = np.nan
    amplitude_err: float = np.nan
    chi2: float = np.nan
    p: float = np.nan
    n: int


def fit_power(q: ArrayLike, tau: ArrayLike, tau_err: ArrayLike) -> PowerFit:
    """Fit tau = amplitude * q^-n, a straight line in the logarithms; n = 2 is diffusion, 1 ballistic motion.

    Parameters
    ----------
    q : array_like, shape (n,)
        q of the bins, or mean q of each ring, in 1/nm.
    tau : array_like, shape (n,)
        Relaxation times, in any unit. Points that are not finite and positive, such as failed fits, are ignored.
    tau_err : array_like, shape (n,)
        One standard deviation.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    x, y, error = (np.asarray(each, dtype=float) for each in (q, tau, tau_err))
    if not x.shape == y.shape == error.shape or x.ndim != 1:
        raise ValueError(f"q, tau and tau_err must be of one length, got {x.shape}, {y.shape}, {error.shape}")
    use = np.isfinite(x) & np.isfinite(y) & np.isfinite(error) & (error > 0)
    use[use] = (x[use] > 0) & (y[use] > 0)
    n = int(use.sum())
    if n < 2 or np.ptp(x[use]) == 0:
        return PowerFit(n=n)
    x, y, sd = np.log(x[use]), np.log(y[use]), error[use] / y[use]
    design = np.stack([-x, np.ones(n)], axis=1) / sd[:, None]
    covariance = np.linalg.inv(design.T @ design)
    exponent, log_amplitude = covariance @ design.T @ (y / sd)
    chi2 = (((y + exponent * x - log_amplitude) / sd) ** 2).sum() / (n - 2) if n > 2 else np.nan
    p = chi2_distribution.sf(chi2 * (n - 2), n - 2) if n > 2 else np.nan
    amplitude = np.exp(log_amplitude)
    spread = np.sqrt(np.diag(covariance))
    return PowerFit(
        exponent=float(exponent),
        exponent_err=float(spread[0]),
        amplitude=float(amplitude),
        amplitude_err=float(amplitude * spread[1]),
        chi2=float(chi2),
        p=float(p),
        n=n,
    )
