"""Training: how the decay of echoes slows down from the first cycles to later ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.stats import t as student

from ainerd_xpcs.numerics import LOG_TAU_KNOWN, g2_by_age

Floats = NDArray[np.float64]
FEWEST_BINS, FEWEST_STRIPS, FEWEST_LAGS = 8, 5, 3
STRIPS = 4  # an octave of the number: in wider ones tau ~ number^.6 gives an exponent of .55
SURE_P = 0.01
CONTRAST_KNOWN = 3.0  # errors by which the contrast differs from zero
RESOLVED = 2.0  # first lags within tau below which the shape of the decay is not resolved
FAR = 5.0  # largest distance, in the logarithm, of a relaxation time from the lags
STEEPEST = 10.0
_LOW = np.array([-0.5, 0.0, 0.1])  # contrast, static, exponent; then the logarithms of relaxation times
_HIGH = np.array([2.0, 0.98, 2.0])


@dataclass(frozen=True, kw_only=True)
class Training:
    """Relaxation time of echoes by the number of the cycle; with ``_err``, one standard deviation.

    The model is 1 + contrast ((1 - static) g + static)² with g = exp(-(lag / tau)^shape), of one contrast, static part
    and shape for all numbers.

    Attributes
    ----------
    exponent, exponent_err : float
        mu of tau ~ number^mu: fewer rearrangements come with each cycle. NaN unless it is positive, `p` is below .01,
        the Bayesian information criterion prefers the power law, and two relaxation times are known.
    p : float
        Probability of a mu so far from zero in a sample of one relaxation time (Wald's test); NaN if the fit failed.
    number : ndarray, shape (n_strip,)
        Number of the cycle in the middle of a pair of cycles, 1 for the first cycle of shear.
    tau, tau_err : ndarray, shape (n_strip,)
        Relaxation time in cycles at each number; NaN outside the lags, if its relative error is above .4, or if static
        part or shape are at the end of their range.

    Examples
    --------
    >>> echo = 1 + 0.2 * np.exp(-np.abs(np.subtract.outer(np.arange(64), np.arange(64))) / 5)  # the same in all cycles
    >>> steady = fit_training(echo + np.random.default_rng(0).normal(0, 0.004, (8, 64, 64)))
    >>> steady.exponent, np.nanmean(steady.tau).round()
    (nan, np.float64(10.0))
    """

    exponent: float = np.nan
    exponent_err: float = np.nan
    p: float = np.nan
    number: Floats
    tau: Floats
    tau_err: Floats


def fit_training(c2: ArrayLike, *, cycles_a_row: float = 1.0, cycles_before: float = 0.0) -> Training:
    """Fit tau ~ number^mu to a map of cycles with cycles, and tau of the first cycles and of later ones.

    The echoes are cut at quarters of octaves, or narrower, of the number of the cycle. Pairs further apart than this
    number are left out, because tau changes in between. Errors come from the scatter of the bins. They are widened for
    few bins: the weights of the fit come from the same scatter, so that they are too small by the root of m / (m - 4)
    for m degrees of freedom.

    Parameters
    ----------
    c2 : array_like, shape (n_roi, k, k)
        Maps of the bins of one ring, `EchoCurves.c2`: at least eight.
    cycles_a_row : float
        `EchoCurves.cycles_a_row`.
    cycles_before : float
        Cycles of shear before the first one of the map.

    Raises
    ------
    ValueError
        If there are fewer than eight bins, or a number is impossible.

    Examples
    --------
    >>> number = 1 + np.arange(64)
    >>> worn = 2 * np.sqrt(number)  # 1 / tau falls as 1 / sqrt(number)
    >>> echo = 1 + 0.2 * np.exp(-0.2 * np.abs(np.subtract.outer(worn, worn)))
    >>> training = fit_training(echo + np.random.default_rng(0).normal(0, 0.004, (8, 64, 64)))
    >>> round(training.exponent, 1)
    0.5
    """
    maps = np.asarray(c2, dtype=float)
    maps = maps[np.isfinite(maps).any((1, 2))] if maps.ndim == 3 else maps  # those with light
    if maps.ndim != 3 or len(maps) < FEWEST_BINS:
        raise ValueError(f"training needs maps of {FEWEST_BINS} bins of one ring, got {maps.shape}")
    if not (cycles_a_row > 0 and cycles_before >= 0):
        raise ValueError(f"cycles_a_row and cycles_before must be positive, got {cycles_a_row}, {cycles_before}")
    first = (cycles_before + 0.5) / cycles_a_row  # rows from number 0 to the map's begin
    n = maps.shape[-1]
    begin, end = max(first, 1.0), first + n
    strips = max(FEWEST_STRIPS, int(np.ceil(STRIPS * np.log2(end / begin))))
    rows, value = g2_by_age(maps, np.geomspace(begin, end, strips + 1) - first)
    lags, number = np.arange(1, n) * cycles_a_row, (rows + first) * cycles_a_row
    use = np.isfinite(value).all(0) & (lags <= number[:, None])
    use &= use.sum(1, keepdims=True) >= FEWEST_LAGS
    tau, tau_err = np.full((2, strips), np.nan)
    seen = np.flatnonzero(use.any(1))
    if len(seen) < 3:
        return Training(number=number, tau=tau, tau_err=tau_err)
    strip, column = np.nonzero(use)
    lag, log_number, bins = lags[column], np.log(number[strip]), value[:, use]
    centre = log_number.mean()
    one = _fit(lag, bins, np.ones((len(lag), 1)))
    law = _fit(lag, bins, np.stack([np.ones(len(lag)), log_number - centre], axis=1), one[0], law=True)
    (log_tau, mu), mu_err = law[0][3:], law[1][4]
    start = np.r_[one[0][:3], log_tau + mu * (np.log(number[seen]) - centre)]
    each = _fit(lag, bins, np.asarray(strip[:, None] == seen, dtype=float), start)
    wider = np.sqrt((len(maps) - 1) / (len(maps) - 5))
    p = 2 * student.sf(abs(mu) / (wider * mu_err), len(maps) - 2) if mu_err > 0 else np.nan
    # lags are correlated: chi square in units of the mean squared residual of the better model
    gain = len(lag) * np.log(one[2] / law[2]) - np.log(len(lag)) if law[2] > 0 else np.nan
    log_taus, errors = each[0][3:], each[1][3:]
    known = (log_taus > np.log(RESOLVED * lag.min())) & (log_taus < np.log(lag.max()))
    known &= (errors < LOG_TAU_KNOWN) & _shaped(each)
    tau[seen[known]] = np.exp(log_taus[known])
    tau_err[seen[known]] = wider * (np.exp(log_taus) * errors)[known]
    sure = p < SURE_P and gain > 0 and known.sum() > 1 and _shaped(law) and 0 < mu < 0.99 * STEEPEST
    known_law = {"exponent": float(mu), "exponent_err": float(wider * mu_err)} if sure else {}
    return Training(p=float(p), number=number, tau=tau, tau_err=tau_err, **known_law)


def _shaped(fitted: tuple[Floats, Floats, float]) -> bool:
    """Return whether the contrast is known, and neither the static part nor the shape at the end of its range."""
    (contrast, static, shape), error = fitted[0][:3], fitted[1]
    inside = static < 0.99 * _HIGH[1] and 1.01 * _LOW[2] < shape < 0.99 * _HIGH[2]
    return bool(contrast > CONTRAST_KNOWN * error[0] and inside)


def _fit(
    lag: Floats, bins: Floats, design: Floats, start: Floats | None = None, law: bool = False
) -> tuple[Floats, Floats, float]:
    """Fit contrast, static, shape, and coefficients of `design` for log tau; return them, errors, chi square.

    `bins`, (n_roi, m), are g2 at all usable numbers and lags in one row, as `lag` is. For a `law` the second
    coefficient is its exponent.
    """
    value, log_lag = bins.mean(0), np.log(lag)
    noise = (bins - value) / np.sqrt(len(bins) * (len(bins) - 1))  # the sum of squares is the variance of the mean
    weight = 1 / np.sqrt(np.maximum((noise**2).sum(0), 1e-300))

    def model(x: Floats) -> tuple[Floats, Floats]:
        contrast, static, shape = x[:3]
        ratio = log_lag - design @ x[3:]
        z = np.exp(np.clip(shape * ratio, -700, 6))
        g = np.exp(-z)
        f = (1 - static) * g + static
        by_z = -2 * contrast * f * (1 - static) * g
        slopes = [f * f, 2 * contrast * f * (1 - g), by_z * z * ratio]
        return 1 + contrast * f * f, np.column_stack([*slopes, -(by_z * z * shape)[:, None] * design])

    n = design.shape[1]
    low, high = np.r_[_LOW, n * [log_lag.min() - FAR]], np.r_[_HIGH, n * [log_lag.max() + FAR]]
    if law:
        low[4], high[4] = -STEEPEST, STEEPEST
    if start is None:
        height = max(float(value[lag == lag.min()].mean() - 1), 1e-3)
        below = lag[value - 1 < height * np.exp(-2)]
        log_tau = np.log(below.min() if below.size else lag.max())
        starts = [np.r_[height, static, 1.0, n * [log_tau]] for static in (0.05, 0.4)]
    else:
        starts = [np.r_[start, np.zeros(3 + n - len(start))]]
    fits = [
        least_squares(
            lambda x: weight * (model(x)[0] - value),
            np.clip(x, low + 1e-6, high - 1e-6),
            jac=lambda x: weight[:, None] * model(x)[1],
            bounds=(low, high),
            x_scale="jac",
            max_nfev=60,
        )
        for x in starts
    ]
    best = min(fits, key=lambda fitted: fitted.cost)
    scale = np.maximum(np.linalg.norm(best.jac, axis=0), 1e-100)
    by_value = np.linalg.pinv(best.jac / scale, rcond=1e-5) / scale[:, None]  # slopes of the parameters
    return best.x, np.linalg.norm(by_value @ (weight * noise).T, axis=1), 2 * best.cost
