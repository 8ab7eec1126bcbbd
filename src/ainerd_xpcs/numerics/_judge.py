"""Report a curve with its chosen model: its numbers, limits of tau, or a reason, and numbers that need no model."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from ainerd_xpcs.numerics._choice import Chosen, limits_of_tau
from ainerd_xpcs.numerics._family import Bounds, Curves, curve
from ainerd_xpcs.numerics._relaxation import (
    LOG_TAU_KNOWN,
    MISFIT,
    MISFIT_P,
    NO_SPECKLE,
    RANGE,
    SHAPED,
    SLOW,
    SURE,
    TOO_FEW_LAGS,
    UNSURE,
    Report,
    determined,
    empty,
    heights,
    is_determined,
    shares_are_known,
    symmetric_error,
    why_not,
)
from ainerd_xpcs.numerics._statements import HALF_CONTRADICTED, fall_of

Floats = NDArray[np.float64]
# of the numbers that need no model
ENDS = 3  # lags at either end whose mean counts as the value there
HEIGHT_KNOWN = 3.0  # errors by which the value at the first lags exceeds zero
SHARE_KNOWN = 0.25  # standard error of a share above which it is not given
ONE_SIDED = 1.645  # errors to a one-sided limit of 95 %
LENGTHS = (0.7, 1.4, 2.8, 5.6)  # of the smooth curve, in the logarithm of the lag
HEIGHTS = (0.1, 0.3, 1.0)  # of its changes, in its largest value
CONSTANT = 9.0  # variance of the constant about which it changes, in the square of its largest value
ROUNDING = 1e-6  # least error of a value, in the largest one
_GRID, _LEAST = 64, 0.02  # times at which it is computed; weight below which a length and height do not count


class Judged:
    """A curve of g2, or several bins that are fitted together, and its report.

    Subclasses know where the noise comes from. A curve that has a reason at once (`refuse`) is not fitted.

    Attributes
    ----------
    lag, value : ndarray, shape (n,)
        In frames, and g2.
    covariance : ndarray, shape (n, n)
        NaN at lags that are not used.
    report : dict
    slowest : float
        Longest tau, in the last lag, that is reported.
    limit_at : float
        Increase of chi square at a limit of 95 %.
    """

    slowest, limit_at = 1.0, np.nan

    def __init__(self, lag: Floats, value: Floats, errors: str) -> None:
        self.lag, self.value = lag, value
        self.covariance = np.full((len(lag), len(lag)), np.nan)
        self.report: Report = empty(errors)
        self._numbers: Report | None = None
        self.refused = self.wants_limits = False

    def refuse(self, why: str) -> None:
        """Do not fit this curve."""
        self.report["no_tau"], self.refused = why, True

    def misfit(self, model: Floats) -> float:
        """Return the probability of such residuals if the curve `model` (n,) is right."""
        raise NotImplementedError

    def covariance_of(self, chosen: Chosen) -> Floats:
        """Return the covariance of the parameters of the chosen model, (8, 8)."""
        raise NotImplementedError

    def allowed(self, why: str) -> str:
        """Return a reason why there is no tau, or a weaker one if the curve contradicts it."""
        raise NotImplementedError

    def noise(self) -> Floats:
        """Return the covariance of the values with all that they share, (n, n)."""
        return self.covariance

    def judge(self, chosen: Chosen) -> None:
        """Report the numbers of a model, or find that limits are wanted."""
        self.report |= {"model": chosen.model, "either": chosen.either.model if chosen.either else ""}
        if not chosen.model:
            self.report["no_tau"] = TOO_FEW_LAGS
            return
        self.report["misfit_p"] = p = self.misfit(curve(self.lag, chosen.x[None])[0])
        if p < MISFIT_P:
            self.report["no_tau"] = MISFIT
            return
        covariance = self.covariance_of(chosen)
        error = np.sqrt(np.maximum(np.diag(covariance), 0))
        first, last = self.lag[np.isfinite(np.diag(self.covariance))][[0, -1]]
        known = is_determined(chosen, error, first, self.slowest * last)
        self._numbers = determined(chosen, covariance, first, last) if known else None
        why = "" if known else self.allowed(why_not(chosen, first, last))
        if self.report["speckle"] == "yes" and why == NO_SPECKLE:  # there is some, but it decays within the first lag
            why = UNSURE
        self.report |= {"speckle": "no" if why == NO_SPECKLE else "yes", "no_tau": why}
        if chosen.shared and not known and shares_are_known(chosen, error):
            self.report |= heights(chosen, covariance, last)
        self.wants_limits = why != NO_SPECKLE and not chosen.shared and (not known or error[1] > SURE)
        if self._numbers is not None and not self.wants_limits:
            self.report |= self._numbers

    def limit(self, above: float, below: float) -> None:
        """Report tau if its limits are near to each other, and otherwise the limits."""
        if self._numbers is not None and below < RANGE * above:
            self.report |= self._numbers | {"no_tau": ""}
        else:
            above, below = (
                above if above > SHAPED * self.lag[0] else np.nan,
                below if below < self.lag[-1] else np.nan,
            )
            self.refuse_with_limits(self.report["no_tau"] or UNSURE, above, below)

    def refuse_with_limits(self, why: float | str, above: float, below: float) -> None:
        """Report limits of tau in place of tau."""
        self.report |= {"no_tau": why, "tau_above": above, "tau_below": below}

    def describe(self) -> None:
        """Report numbers that need no model if there is no tau."""
        if self.report["no_tau"] and self.report["speckle"] != "no":
            free = without_model(self.lag, self.value - 1, self.noise())
            is_below = free.pop("below_half", 0.0) > HALF_CONTRADICTED
            self.report |= free | ({"no_tau": UNSURE} if is_below and self.report["no_tau"] == SLOW else {})


def whitened(judged: Sequence[Judged]) -> Curves:
    """Return curves of the same lags with their noise."""
    return Curves.of(judged[0].lag, np.stack([x.value for x in judged]), np.stack([x.covariance for x in judged]))


def judge(
    judged: Sequence[Judged], curves: Curves, chosen: Sequence[Chosen], bounds: Bounds, limits_by: str | None = None
) -> None:
    """Write the reports of curves with their chosen models, and limits of tau by the model `limits_by`.

    By default they allow one stretched exponential, and a part that does not decay where the chosen model has one.
    """
    for each, of_curve in zip(judged, chosen, strict=True):
        each.judge(of_curve)
    by = [limits_by or ("stretched + baseline" if "+" in each.model else "stretched") for each in chosen]
    for model in dict.fromkeys(by):
        unsure = [i for i, each in enumerate(judged) if each.wants_limits and by[i] == model]
        if not unsure:
            continue
        at = float(np.median([judged[i].limit_at for i in unsure]))
        ends_of = limits_of_tau(curves[np.array(unsure)], at, bounds, model)
        for i, *ends in zip(unsure, *ends_of, strict=True):
            judged[i].limit(*ends)
    for each in judged:
        each.describe()


def without_model(lag: Floats, value: Floats, covariance: Floats) -> dict[str, float]:
    """Return when g2 - 1 has first fallen to a half of its value at the first lags, and how much of that is left.

    The value at the first lags is the mean of a smooth curve at three of them, so its error is part of all others. The
    limits of a time are where the smooth curve differs from the level by 1 or by 1.645 errors (Fieller, J. R. Stat.
    Soc. B 16, 175, 1954).

    Parameters
    ----------
    lag : ndarray, shape (n,)
        Positive and increasing.
    value : ndarray, shape (n,)
        g2 - 1.
    covariance : ndarray, shape (n, n)
        Of the values; NaN on the diagonal at lags that are not used.

    Returns
    -------
    dict of str to float
        `tau_half` in the unit of the lags with its error (``_err``), or its one-sided limits of 95 % (``_above``,
        ``_below``); `below_half`, the errors by which the curve falls below the half; `first`, the smooth curve at the
        first lag; and `left`, the share of the value at the first lags that is left at the last three. Those that are
        not known are missing, and all but `first` if the value at the first lags is not three errors above zero.
    """
    least = (ROUNDING * np.nanmax(np.abs(value))) ** 2
    curves = Curves.of(lag, value[None], (covariance + least * np.eye(len(lag)))[None])
    use = curves.whitening[0].any(0)
    if use.sum() < 2 * ENDS:
        return {}
    x, variances = np.log(lag[use]), np.diag(covariance)[use]
    grid = np.linspace(x[0], x[-1], _GRID)
    at = np.concatenate([x[:ENDS], x[-ENDS:], grid])
    mean, noise = _smooth(x, value[use], variances, curves.whitening[0][np.ix_(use, use)], at)
    first, last = np.zeros((2, len(mean)))
    first[:ENDS], last[ENDS : 2 * ENDS] = 1 / ENDS, 1 / ENDS
    height, out = first @ mean, {"first": float(mean[0]), "first_err": float(np.sqrt(noise[0, 0]))}
    if not height > HEIGHT_KNOWN * np.sqrt(first @ noise @ first):
        return out
    left = float(last @ mean / height)
    off = last - left * first
    error = float(np.sqrt(off @ noise @ off) / height)
    out |= {"left": left, "left_err": error} if error < SHARE_KNOWN else {}
    above_half = np.eye(len(mean))[2 * ENDS :] - first / 2
    sigmas = above_half @ mean / np.sqrt((above_half @ noise * above_half).sum(1))
    below_half = max(float(-sigmas.min()), fall_of(value, covariance).below_half)
    return out | {"below_half": below_half} | _half(grid, sigmas)


def _half(grid: Floats, sigmas: Floats) -> dict[str, float]:
    """Return the time to a half with its error, or its limits; `sigmas` are the errors by which a curve is above it."""
    before, at, after = (_passage(grid, sigmas, k) for k in (1.0, 0.0, -1.0))
    error = (after - before) / 2
    if np.isfinite(error) and error < LOG_TAU_KNOWN:
        return {"tau_half": float(np.exp(at)), "tau_half_err": float(np.exp(at) * symmetric_error(error))}
    above, below = _passage(grid, sigmas, ONE_SIDED), _passage(grid, sigmas, -ONE_SIDED)
    limits = {"above": min(above, grid[-1]), "below": max(below, grid[0])}
    return {f"tau_half_{side}": float(np.exp(limit)) for side, limit in limits.items() if np.isfinite(limit)}


def _passage(grid: Floats, sigmas: Floats, level: float) -> float:
    """Return where a curve first falls below a level, -inf if it begins there, inf if it does not."""
    below = np.flatnonzero(sigmas < level)
    if not below.size or not below[0]:
        return -np.inf if below.size else np.inf
    i = below[0]
    return float(np.interp(level, sigmas[[i, i - 1]], grid[[i, i - 1]]))


def _smooth(x: Floats, y: Floats, variances: Floats, whitening: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Return the values (m,) of the smooth curve through `y` (n,) at other places, and their covariance (m, m).

    It is a Gaussian process about an unknown constant, with the Matérn correlation of once differentiable curves,
    averaged over its lengths and heights with the evidence for them (Rasmussen and Williams, Gaussian Processes for
    Machine Learning, MIT Press 2006, sections 2.2, 4.2 and 5.2). The errors of such curves cover the truth (Wahba, J.
    R. Stat. Soc. B 45, 133, 1983).
    """
    largest = max((y**2 - 4 * variances).max(), variances.min())  # square of the largest value that is seen

    def prior(a: Floats, b: Floats, length: float, height: float) -> Floats:
        ratio = np.sqrt(3) * np.abs(a[:, None] - b) / length
        return np.asarray(largest * (height**2 * (1 + ratio) * np.exp(-ratio) + CONSTANT))

    shapes, fits, evidence = [*product(LENGTHS, HEIGHTS)], [], []
    for shape in shapes:
        root = cholesky(whitening @ prior(x, x, *shape) @ whitening.T + np.eye(len(x)), lower=True)
        white = solve_triangular(root, whitening @ y, lower=True)
        fits.append((white, root))
        evidence.append(-white @ white / 2 - np.log(np.diag(root)).sum())
    weight = np.exp(np.array(evidence) - max(evidence))
    weight = np.where(weight < _LEAST, 0, weight / weight[weight >= _LEAST].sum())
    means, covariance = np.zeros((len(fits), len(at))), np.zeros((len(at), len(at)))
    for i in np.flatnonzero(weight):
        white, root = fits[i]
        to = solve_triangular(root, whitening @ prior(x, at, *shapes[i]), lower=True)
        means[i] = white @ to
        covariance += weight[i] * (prior(at, at, *shapes[i]) - to.T @ to)
    mean = weight @ means
    return mean, covariance + (weight[:, None] * (means - mean)).T @ (means - mean)
