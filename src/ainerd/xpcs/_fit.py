"""Fits of g2."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import curve_fit

FORMULA = "g2(tau) = baseline + contrast * exp(-2 * (tau / tau0)**exponent)"
_LOW = np.array([0.0, -np.inf, 0.1, 0.5])
_HIGH = np.array([2.0, np.inf, 3.0, 1.5])


@dataclass(frozen=True, kw_only=True)
class KwwFit:
    """Stretched-exponential fits, one for each bin.

    Attributes
    ----------
    contrast, tau, exponent, baseline : ndarray, shape (n_roi,)
        NaN where the fit failed; tau in the unit of the lags.
    contrast_err, tau_err, exponent_err, baseline_err : ndarray, shape (n_roi,)
        One standard deviation.
    chi2 : ndarray, shape (n_roi,)
        Reduced chi square (sum of squares per degree of freedom without errors).
    ok : ndarray of bool, shape (n_roi,)
        False where the fit failed.
    formula : str
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
    """Fit g2 = baseline + contrast exp(-2 (tau / tau0)^exponent) to each bin.

    Parameters
    ----------
    tau : array_like, shape (n,)
        Lags, in any unit.
    g2 : array_like, shape (n_roi, n) or (n,)
    error : array_like, like g2, optional
        Standard errors; zero and NaN errors are not used.

    Returns
    -------
    KwwFit
        Bins whose fit fails are flagged in ``ok``, not raised.
    """
    lags, values = np.asarray(tau, dtype=float), np.atleast_2d(np.asarray(g2, dtype=float))
    if lags.ndim != 1 or values.shape[1] != lags.size:
        raise ValueError(f"g2 of shape {values.shape} does not fit {lags.shape} lags")
    errors = np.full_like(values, np.nan) if error is None else np.atleast_2d(np.asarray(error, dtype=float))
    if errors.shape != values.shape:
        raise ValueError(f"errors of shape {errors.shape} do not fit g2 of shape {values.shape}")
    found = np.array([_fit_one(lags, y, e) for y, e in zip(values, errors, strict=True)])
    best, spread = found[:, :4].T, found[:, 4:8].T
    names = ("contrast", "tau", "exponent", "baseline")
    return KwwFit(
        **dict(zip(names, best, strict=True)),
        **{f"{name}_err": s for name, s in zip(names, spread, strict=True)},
        chi2=found[:, 8],
        ok=np.isfinite(found[:, 8]),
    )


def _kww(tau, contrast, log_tau, exponent, baseline):
    return baseline + contrast * np.exp(-2 * (tau / np.exp(log_tau)) ** exponent)


def _fit_one(tau: NDArray, y: NDArray, error: NDArray) -> NDArray:
    failed = np.full(9, np.nan)
    use = np.isfinite(y)
    if use.sum() < 5:
        return failed
    tau, y, error = tau[use], y[use], error[use]
    weighted = bool(np.all(np.isfinite(error) & (error > 0)))
    tail = np.median(y[-max(3, len(y) // 10) :])
    start = np.array([max(y[0] - tail, 1e-3), 0.0, 1.0, tail])
    below = np.flatnonzero(y - tail < start[0] * np.exp(-2))
    start[1] = np.log(tau[below[0]] if below.size else tau[-1])
    start = np.clip(start, _LOW, _HIGH)
    try:
        best, cov = curve_fit(
            _kww,
            tau,
            y,
            start,
            sigma=error if weighted else None,
            absolute_sigma=weighted,
            bounds=(_LOW, _HIGH),
        )
    except (RuntimeError, ValueError):
        return failed
    sd = np.sqrt(np.diag(cov))
    if not np.isfinite(sd).all():
        return failed
    residual = (y - _kww(tau, *best)) / (error if weighted else 1)
    chi2 = (residual**2).sum() / max(len(y) - 4, 1)
    tau0 = np.exp(best[1])
    return np.array([best[0], tau0, *best[2:], sd[0], sd[1] * tau0, *sd[2:], chi2])
