"""Fit the change of the relaxation time with the age of the sample."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.stats import t as t_distribution

from ainerd_xpcs.numerics._choice import SHARE_KNOWN
from ainerd_xpcs.numerics._least_squares import NOTHING
from ainerd_xpcs.numerics._relaxation import LOG_TAU_KNOWN, RESOLVED
from ainerd_xpcs.numerics._scatter import Scatter, scatter

FORMULA = (
    "g2(age, tau) = 1 + contrast * (x * g + static)**2, x = 1 - static, g = exp(-(tau / tau0(age))**exponent), "
    "tau0 ~ age**ageing_exponent"
)
Floats = NDArray[np.float64]
SURE_P = 0.01
FAR = 5.0  # largest distance, in the logarithm, of a relaxation time from the lags
STEEPEST = 10.0
_LOW = np.array([-0.5, 0.0, 0.1])  # contrast, static, exponent; then the logarithms of relaxation times
_HIGH = np.array([2.0, 0.98, 2.0])


@dataclass(frozen=True, kw_only=True)
class AgeingFit:
    """Relaxation time by age in one ring; with ``_err``, one standard deviation.

    Attributes
    ----------
    ageing_exponent, ageing_exponent_err : float
        mu of tau ~ age^mu: the sample slows down if it is positive and rejuvenates if it is negative. NaN unless
        `ageing_p` is below .01 and `ageing_bic` above zero.
    ageing_p : float
        Probability of a mu so far from zero in a sample of one relaxation time; NaN if the fit failed.
    ageing_bic : float
        Bayesian information criterion of one relaxation time minus that of the power law.
    age : ndarray, shape (n_age,)
        Mean age of the pairs of frames with short lags, in the unit of the given ages.
    tau, tau_err : ndarray, shape (n_age,)
        Relaxation time of each age, in the unit of the lags, with one contrast, static part and exponent for all ages;
        NaN outside the lags, if its relative error is above .4, or if the exponent is at the end of its range.

    Examples
    --------
    >>> tau, age = np.geomspace(0.01, 1, 30), np.array([1.0, 2.0, 4.0])
    >>> decay = 1 + 0.2 * np.exp(-2 * tau / (0.05 * age[:, None]))
    >>> bins = decay + np.random.default_rng(0).normal(0, 0.0005, (6, 3, 30))
    >>> fit_ageing(tau, age, bins).tau.round(2)
    array([0.05, 0.1 , 0.2 ])
    """

    ageing_exponent: float = np.nan
    ageing_exponent_err: float = np.nan
    ageing_p: float = np.nan
    ageing_bic: float = np.nan
    age: Floats
    tau: Floats
    tau_err: Floats
    formula: str = FORMULA


def fit_ageing(
    tau: ArrayLike,
    age: ArrayLike,
    g2: ArrayLike,
    *,
    parts: ArrayLike | None = None,
    part_roi: ArrayLike | None = None,
    part_weight: ArrayLike | None = None,
) -> AgeingFit:
    """Fit tau ~ age^mu to g2 by age; report mu only if it is significantly different from zero.

    The test is Wald's, with the error from the scatter of parts, because lags and ages share speckles.

    Parameters
    ----------
    tau : array_like, shape (n,)
        Lags, in any unit.
    age : array_like, shape (n_age,) or (n_age, n)
        Positive, in any unit, counted from the start of the power law: (t1 + t2) / 2 of the pairs of frames, as from
        `g2_by_age`; by lag, if ages are defined by the later frame (see `middle_age`).
    g2 : array_like, shape (n_roi, n_age, n)
        g2 of the bins of one ring; NaN is ignored. Bins are averaged, also if the relaxation is anisotropic.
    parts : array_like, shape (n_part, n_age, n), optional
        As in `fit_flow`. Without parts the scatter of at least three bins is used.
    part_roi : array_like of int, shape (n_part,), optional
    part_weight : array_like, shape (n_part,), optional

    Raises
    ------
    ValueError
        If the shapes do not fit, or ages are not positive.

    Examples
    --------
    >>> tau, age = np.geomspace(0.01, 1, 30), np.array([1.0, 2.0, 4.0, 8.0])
    >>> decay = 1 + 0.2 * np.exp(-2 * tau / (0.05 * age[:, None]))
    >>> bins = decay + np.random.default_rng(0).normal(0, 0.002, (6, 4, 30))
    >>> round(fit_ageing(tau, age, bins).ageing_exponent, 2)
    1.0
    """
    lags, values, ages = (np.asarray(x, dtype=float) for x in (tau, g2, age))
    ages = ages[:, None] if ages.ndim == 1 else ages
    if values.ndim != 3 or lags.shape != values.shape[2:] or len(ages) != values.shape[1]:
        raise ValueError(f"g2 of shape {values.shape} does not fit {ages.shape} ages and {lags.shape} lags")
    ages = np.broadcast_to(ages, values.shape[1:])
    n_roi, n_age, n = values.shape
    every, roi = (values, np.zeros(n_roi, int)) if parts is None else (np.asarray(parts, dtype=float), part_roi)
    flat = values.reshape(n_roi, -1)
    if parts is None:  # bins are the parts of a ring
        alive = np.isfinite(flat).any(1)
        ring = flat[alive].mean(0, keepdims=True) if alive.any() else flat[:1]
    else:
        ring = flat
    noise, bins, data = scatter(ring, every.reshape(len(every), -1), roi, part_weight)
    use = np.zeros(n_age * n, bool)
    use[data] = True
    use = use.reshape(n_age, n) & (lags > 0)
    if not (ages[use] > 0).all():
        raise ValueError("ages must be positive: count them from before the first frame")
    empty = np.full(n_age, np.nan)
    middle = np.array([row[seen][0] if seen.any() else np.nan for row, seen in zip(ages, use, strict=True)])
    enough = use.sum(1) >= 3
    use &= enough[:, None]
    if enough.sum() < 3:
        return AgeingFit(age=middle, tau=empty, tau_err=empty)
    kept = use.ravel()[data]
    noise = Scatter(noise.deviation[:, kept], noise.roi, noise.factor, noise.size)
    mean = noise.size @ ring[np.ix_(bins, data[kept])] / noise.size.sum()
    row, column = np.nonzero(use)
    lag, log_age = lags[column], np.log(ages[use])
    fit, centre = partial(_fit, lag, mean, noise), log_age.mean()
    one = fit(np.ones((len(row), 1)))
    law = fit(np.stack([np.ones(len(row)), log_age - centre], axis=1), one[0], law=True)
    kinds, where = np.unique(row, return_inverse=True)
    start = np.r_[one[0][:3], law[0][3] + law[0][4] * (np.log(middle[kinds]) - centre)]
    each = fit(np.eye(len(kinds))[where], start)
    mu, mu_err = law[0][4], law[1][4]
    p = 2 * t_distribution.sf(abs(mu) / mu_err, max(noise.freedom - 1, 1)) if mu_err > 0 else np.nan
    # lags are correlated: chi square in units of the mean squared residual of the better model
    gain = len(mean) * np.log(one[2] / law[2]) - np.log(len(mean)) if law[2] > 0 else np.nan
    out_tau, out_err = empty.copy(), empty.copy()
    inside = (each[0][3:] > np.log(RESOLVED * lag.min())) & (each[0][3:] < np.log(lag.max()))
    known = inside & (each[1][3:] < LOG_TAU_KNOWN) & _shaped(each)
    out_tau[kinds[known]] = np.exp(each[0][3:][known])
    out_err[kinds[known]] = out_tau[kinds[known]] * each[1][3:][known]
    sure = p < SURE_P and gain > 0 and known.sum() > 1 and _shaped(law) and abs(mu) < 0.99 * STEEPEST
    return AgeingFit(
        ageing_exponent=float(mu) if sure else np.nan,
        ageing_exponent_err=float(mu_err) if sure else np.nan,
        ageing_p=float(p),
        ageing_bic=float(gain),
        age=middle,
        tau=out_tau,
        tau_err=out_err,
    )


def middle_age(edges: ArrayLike, lag: ArrayLike) -> Floats:
    """Return the mean of (t1 + t2) / 2 over the pairs whose later frame has a given age, (n_age, n), in frames.

    Time starts at one half, the middle of the first frame.

    Parameters
    ----------
    edges : array_like of int, shape (n_age + 1,)
        Age a holds the pairs whose later frame, from 0, is from ``edges[a]`` to ``edges[a + 1] - 1``.
    lag : array_like, shape (n,)
        Lags in frames.

    Examples
    --------
    >>> middle_age([0, 4, 8], [1, 2])
    array([[2. , 2. ],
           [5.5, 5. ]])
    """
    ends, lags = np.asarray(edges, dtype=float), np.asarray(lag, dtype=float)
    last = ends[1:, None] - 1
    first = np.minimum(np.maximum(ends[:-1, None], lags), last)
    # averaged lags may reach before the first frame
    return np.asarray(np.maximum((first + last - lags + 1) / 2, 0.5))


def _shaped(fitted: tuple[Floats, Floats, float]) -> bool:
    """Return whether the contrast is known, and neither the static part nor the exponent at the end of its range."""
    (contrast, static, exponent), error = fitted[0][:3], fitted[1]
    inside = static < 0.99 * _HIGH[1] and 1.01 * _LOW[2] < exponent < 0.99 * _HIGH[2]
    return bool(contrast > SHARE_KNOWN * error[0] and inside)


def _fit(
    lag: Floats, value: Floats, noise: Scatter, design: Floats, start: Floats | None = None, law: bool = False
) -> tuple[Floats, Floats, float]:
    """Fit contrast, static, exponent, and coefficients of `design` for log tau; return them, errors, chi square.

    `value` is the mean g2 of a ring at all usable ages and lags, in one row, as `lag` is. For a `law` the second
    coefficient is its exponent.
    """
    weight = 1 / np.sqrt(np.maximum(np.diag(noise.covariance()), 1e-300))
    log_lag = np.log(lag)

    def model(x: Floats) -> tuple[Floats, Floats]:
        contrast, static, exponent = x[:3]
        ratio = log_lag - design @ x[3:]
        z = np.exp(np.clip(exponent * ratio, -700, 6))
        g = np.exp(-z)
        f = (1 - static) * g + static
        by_z = -2 * contrast * f * (1 - static) * g
        slopes = [f * f, 2 * contrast * f * (1 - g), by_z * z * ratio]
        return 1 + contrast * f * f, np.column_stack([*slopes, -(by_z * z * exponent)[:, None] * design])

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
    jacobian = best.jac
    scale = np.maximum(np.linalg.norm(jacobian, axis=0), NOTHING)
    bread = np.linalg.pinv(jacobian.T @ jacobian / scale / scale[:, None], rcond=1e-10, hermitian=True)
    bread /= scale * scale[:, None]
    of_ring = (noise.size / noise.size.sum())[noise.roi] * np.sqrt(noise.factor)
    score = (of_ring[:, None] * noise.deviation * weight) @ jacobian
    covariance = bread @ (score.T @ score) @ bread
    return best.x, np.sqrt(np.diag(covariance)), 2 * best.cost
