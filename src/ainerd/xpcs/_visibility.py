"""Speckle visibility (XSVS): the contrast within a frame over exposure times, and its relaxation time.

Frames that follow each other without a gap add nothing to g2: the contrast of sums of them is an integral of g2.
Exposures of other lengths, or with gaps between them, do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.stats import chi2

from ainerd.xpcs._relaxation import LOG_TAU_KNOWN, MISFIT, MISFIT_P, UNSURE, symmetric_error

Floats = NDArray[np.float64]
FEWEST = 3  # exposure times
TOO_FEW = "fewer than three exposure times"
STARTS = 12
SINGULAR = 1e12  # condition number of the normal equations, above which only a product is known


@dataclass(frozen=True, kw_only=True)
class Visibility:
    """Contrast of an infinitely short exposure and relaxation time; NaN where they are not known.

    Attributes
    ----------
    contrast, contrast_err, tau, tau_err : float
        Of the field correlation exp(-t / tau), in the unit of the exposure times.
    p : float
        Probability of residuals as large as these; below 1e-4 nothing is reported.
    no_tau : str
        Why there is no `tau`; "" if there is one.

    Examples
    --------
    >>> exposure = np.geomspace(0.01, 10, 8)
    >>> contrast = visibility(exposure, tau=0.5, contrast=0.2) + np.random.default_rng(0).normal(0, 0.002, 8)
    >>> fit = fit_visibility(exposure, contrast, np.full(8, 0.002))
    >>> abs(fit.tau - 0.5) < 3 * fit.tau_err < 0.1
    True
    """

    contrast: float = np.nan
    contrast_err: float = np.nan
    tau: float = np.nan
    tau_err: float = np.nan
    p: float = np.nan
    no_tau: str = ""


def visibility(exposure: ArrayLike, tau: float, contrast: float = 1.0) -> Floats:
    """Return the contrast of frames of these exposure times if g2 - 1 is contrast exp(-2 t / tau).

    The mean of g2 - 1 over all pairs of times in a frame is contrast (exp(-2x) - 1 + 2x) / (2x²) with x the exposure
    over tau (Bandyopadhyay et al., Rev. Sci. Instrum. 76, 093110, 2005).

    Examples
    --------
    >>> visibility([0.01, 1.0, 100.0], tau=1.0, contrast=0.2).round(3)
    array([0.199, 0.114, 0.002])
    """
    x = np.asarray(exposure, dtype=float) / tau
    small = x < 1e-3
    safe = np.where(small, 1.0, x)
    return np.asarray(contrast * np.where(small, 1 - 2 * x / 3, (np.expm1(-2 * safe) + 2 * safe) / (2 * safe**2)))


def fit_visibility(exposure: ArrayLike, contrast: ArrayLike, error: ArrayLike) -> Visibility:
    """Fit contrast and relaxation time to the contrast within frames of different exposure times.

    Exposures much shorter than tau give the contrast, longer ones tau. Where only one kind is there, both are not known
    together, and nothing is reported: gates are those of `fit_curves`.

    Parameters
    ----------
    exposure, contrast, error : array_like, shape (n,)
        Exposure times, contrast within a frame without shot noise (`G2.contrast0`), and its standard error. NaN is left
        out.

    Raises
    ------
    ValueError
        If shapes differ, or an exposure time or an error is not positive.

    Examples
    --------
    >>> exposure = np.geomspace(0.01, 10, 8)
    >>> fit = fit_visibility(exposure, visibility(exposure, tau=0.5, contrast=0.2), np.full(8, 0.001))
    >>> round(fit.tau, 2), round(fit.contrast, 2)
    (0.5, 0.2)
    """
    width, value, sd = (np.asarray(x, dtype=float) for x in (exposure, contrast, error))
    if not (width.ndim == 1 and width.shape == value.shape == sd.shape):
        raise ValueError(f"exposures {width.shape}, contrasts {value.shape} and errors {sd.shape} must be lists alike")
    use = np.isfinite(width) & np.isfinite(value) & np.isfinite(sd)
    width, value, sd = width[use], value[use], sd[use]
    if (width <= 0).any() or (sd <= 0).any():
        raise ValueError("exposure times and errors must be positive")
    if len(np.unique(width)) < FEWEST:
        return Visibility(no_tau=TOO_FEW)
    best: tuple[float, Floats, Floats] | None = None

    def residual(x: Floats) -> Floats:
        return np.asarray((visibility(width, float(np.exp(x[1])), float(np.exp(x[0]))) - value) / sd)

    for start in np.geomspace(width.min() / 10, width.max() * 10, STARTS):
        shape = visibility(width, float(start))
        height = max(float((shape * value / sd**2).sum() / (shape**2 / sd**2).sum()), 1e-6)
        fit = least_squares(residual, [np.log(height), np.log(start)], bounds=(-50, 50))
        if best is None or 2 * fit.cost < best[0]:
            best = 2 * float(fit.cost), fit.x, fit.jac.T @ fit.jac
    assert best is not None
    square, x, normal = best
    p = float(chi2.sf(square, max(len(width) - 2, 1)))
    if p < MISFIT_P:
        return Visibility(p=p, no_tau=MISFIT)
    if np.linalg.cond(normal) > SINGULAR:
        return Visibility(p=p, no_tau=UNSURE)
    error_of_contrast, error_of_tau = np.sqrt(np.diag(np.linalg.inv(normal)))
    if max(error_of_contrast, error_of_tau) > LOG_TAU_KNOWN:
        return Visibility(p=p, no_tau=UNSURE)
    height, tau = (float(np.exp(each)) for each in x)
    return Visibility(
        contrast=height, contrast_err=height * symmetric_error(error_of_contrast),
        tau=tau, tau_err=tau * symmetric_error(error_of_tau), p=p,
    )  # fmt: skip
