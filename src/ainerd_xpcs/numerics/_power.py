"""Fit a power law to relaxation times over q."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc

NO_LAW = 4.0  # reduced chi square above which no exponent is reported
KNOWN = 0.5  # largest error of an exponent with which it can be called 2
SAME = 1e-6  # q whose spread is at most this share of the largest are equal: they have no slope
FEW = "fewer than two relaxation times are known with their errors and q"
ONE_Q = "all relaxation times are at one q"
SCATTER = "the relaxation times scatter about a power law by more than twice their errors"


@dataclass(frozen=True, kw_only=True)
class PowerFit:
    """A power law, value ~ q**-exponent, fitted to `n` points.

    Attributes
    ----------
    exponent, exponent_err : float
        NaN if there is a `reason`.
    reason : str
        Why there is no exponent: fewer than two points can be used, all q are equal, or the points follow no power law.
    chi2 : float
        Reduced chi square, in the logarithm; NaN without a degree of freedom.
    p : float
        Probability that a power law with these errors scatters so much. Below .01 there is no power law, or the errors
        are too small. NaN without a degree of freedom.
    diffusion, diffusion_err : float
        Coefficient D of diffusion, tau = 1 / (D q²) with tau of the field, in nm² per unit of tau; NaN unless the
        exponent is 2 within two errors.

    Examples
    --------
    >>> fit = fit_power([0.01, 0.02, 0.04], [4.0, 2.0, 1.0], [0.1, 0.1, 0.1])
    >>> round(fit.exponent, 2), fit.n, fit.diffusion
    (1.0, 3, nan)
    """

    exponent: float = np.nan
    exponent_err: float = np.nan
    chi2: float = np.nan
    p: float = np.nan
    diffusion: float = np.nan
    diffusion_err: float = np.nan
    reason: str = ""
    n: int


def fit_power(q: ArrayLike, tau: ArrayLike, tau_err: ArrayLike) -> PowerFit:
    """Fit tau ~ q^-n, a straight line in the logarithms; n = 2 is diffusion, 1 ballistic motion.

    The exponent is NaN, with a reason, if the points scatter about the law by more than twice their errors: reduced chi
    square above 4.

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

    Examples
    --------
    >>> q = np.geomspace(0.01, 0.05, 8)
    >>> fit = fit_power(q, 0.002 * q**-2.0, 0.0001 * q**-2.0)
    >>> f"{fit.exponent:.2f}, D = {fit.diffusion:.0f} nm²/s"
    '2.00, D = 500 nm²/s'
    """
    x, y, error = (np.asarray(each, dtype=float) for each in (q, tau, tau_err))
    if not x.shape == y.shape == error.shape or x.ndim != 1:
        raise ValueError(f"q, tau and tau_err must be of one length, got {x.shape}, {y.shape}, {error.shape}")
    use = np.isfinite(x) & np.isfinite(y) & np.isfinite(error) & (error > 0)
    use[use] = (x[use] > 0) & (y[use] > 0)
    n = int(use.sum())
    if n < 2 or np.ptp(x[use]) <= SAME * x[use].max():
        return PowerFit(n=n, reason=FEW if n < 2 else ONE_Q)
    inverse = np.linalg.inv(np.diag((error[use] / y[use]) ** 2))
    x, y = np.log(x[use]), np.log(y[use])
    design = np.stack([-x, np.ones(n)], axis=1)
    of_fit = np.linalg.inv(design.T @ inverse @ design)
    exponent, log_amplitude = of_fit @ design.T @ inverse @ y
    off = y + exponent * x - log_amplitude
    square = float(off @ inverse @ off)
    exponent_err = float(np.sqrt(of_fit[0, 0]))
    out = PowerFit(n=n, chi2=square / (n - 2) if n > 2 else np.nan, p=float(chdtrc(n - 2, square)) if n > 2 else np.nan)
    if n > 2 and out.chi2 > NO_LAW:
        return replace(out, reason=SCATTER)
    numbers = {"exponent": exponent, "exponent_err": exponent_err}
    if abs(exponent - 2) < 2 * exponent_err < 2 * KNOWN:
        variance = 1 / inverse.sum()
        diffusion = np.exp(-variance * (inverse.sum(0) @ (y + 2 * x)))
        numbers |= {"diffusion": diffusion, "diffusion_err": diffusion * np.sqrt(variance)}
    return replace(out, **{name: float(value) for name, value in numbers.items()})  # type: ignore[arg-type]
