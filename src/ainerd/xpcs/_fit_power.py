"""How relaxation times depend on q."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2 as chi2_distribution


@dataclass(frozen=True)
class PowerFit:
    """A power law, value = amplitude * q**-exponent, fitted to `n` points.

    Attributes
    ----------
    exponent, exponent_err : float
        NaN where fewer than two points can be used; the error also with two points that have no errors.
    amplitude, amplitude_err : float
        At q = 1/nm, in the unit of the values.
    chi2 : float
        Reduced chi square, in the logarithm; NaN without a degree of freedom.
    p : float
        Chance that a power law with these errors scatters so much: below .01 there is none, or the errors are too
        small. NaN without errors or a degree of freedom.
    """

    exponent: float
    exponent_err: float
    amplitude: float
    amplitude_err: float
    chi2: float
    p: float
    n: int


def fit_power(q: ArrayLike, tau: ArrayLike, tau_err: ArrayLike | None = None) -> PowerFit:
    """Fit tau = amplitude * q^-n, a straight line in the logarithms: n = 2 is diffusion, 1 ballistic motion.

    Parameters
    ----------
    q : array_like, shape (n,)
        In 1/nm: of the bins, or the mean of each ring.
    tau : array_like, shape (n,)
        Relaxation times, in any unit. Points that are not finite and positive are left out, as those of failed fits.
    tau_err : array_like, shape (n,), optional
        One standard deviation. Without it the errors come from the scatter.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    x, y = np.asarray(q, dtype=float), np.asarray(tau, dtype=float)
    error = np.ones_like(y) if tau_err is None else np.asarray(tau_err, dtype=float)
    if not x.shape == y.shape == error.shape or x.ndim != 1:
        raise ValueError(f"q, tau and tau_err must be of one length, got {x.shape}, {y.shape}, {error.shape}")
    use = np.isfinite(x) & np.isfinite(y) & np.isfinite(error) & (error > 0)
    use[use] = (x[use] > 0) & (y[use] > 0)
    n = int(use.sum())
    if n < 2 or np.ptp(x[use]) == 0:
        return PowerFit(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, n)
    x, y, sd = np.log(x[use]), np.log(y[use]), np.ones(n) if tau_err is None else error[use] / y[use]
    design = np.stack([-x, np.ones(n)], axis=1) / sd[:, None]
    covariance = np.linalg.inv(design.T @ design)
    exponent, log_amplitude = covariance @ design.T @ (y / sd)
    chi2 = (((y + exponent * x - log_amplitude) / sd) ** 2).sum() / (n - 2) if n > 2 else np.nan
    if tau_err is None:
        covariance = covariance * chi2
    p = chi2_distribution.sf(chi2 * (n - 2), n - 2) if n > 2 and tau_err is not None else np.nan
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
