"""Average repeats of a measurement of g2: weights, rejection by median and MAD, errors, and trends over dose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau, t, theilslopes

from ainerd_xpcs.numerics import Relaxation

Floats = NDArray[np.float64]
BANDS = 4  # of neighbouring lags, whose means are compared
FEWEST = 5  # repeats, below which nothing tells which one is wrong
LIMIT = 4.5  # distance from the median, in scatters, beyond which a repeat is left out
BY_CHANCE = 0.01  # share of good repeats that may be left out, if few repeats determine the scatter badly
NORMAL = 1.4826  # standard deviation of normal numbers over their MAD
EFFICIENCY = 0.37  # of the MAD, as an estimate of a standard deviation
WIDTH = 11  # lags over which the scatter between repeats is smoothed
SURE = 0.01  # probability by chance below which there is a trend


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """The mean of repeats of g2, and how they differ.

    Attributes
    ----------
    g2, error : ndarray, shape (k, n)
        Mean of the repeats that are kept, and its standard error: that of the repeats' own errors, or of the scatter
        between repeats if it is larger. NaN where nothing is known.
    kept : ndarray of bool, shape (m,)
    reasons : tuple of str
        Why a repeat is left out; "" if it is kept.
    chi2 : ndarray, shape (k,)
        Mean square of the differences between repeats over that expected from their own errors, 1 if these are right;
        NaN without errors, or for one repeat.
    errors : str
        Source of `error`, as in "errors of the scatter between repeats".

    Examples
    --------
    >>> lag = np.geomspace(0.01, 1, 20)
    >>> curves = 1 + 0.2 * np.exp(-2 * lag / 0.1) + np.random.default_rng(0).normal(0, 0.001, (16, 1, 20))
    >>> repeats = average_repeats(lag, curves)
    >>> np.median(repeats.error / np.std(curves, axis=0, ddof=1)).round(2)  # 1 / sqrt(16)
    np.float64(0.25)
    """

    g2: Floats
    error: Floats
    kept: NDArray[np.bool_]
    reasons: tuple[str, ...]
    chi2: Floats
    errors: str


def average_repeats(
    lag: ArrayLike,
    g2: ArrayLike,
    error: ArrayLike | None = None,
    *,
    weight: ArrayLike | None = None,
    numbers: Sequence[int] | None = None,
    unit: str = "",
) -> Repeats:
    """Average repeats of g2, without those that lie far from the median.

    Means of g2 over four bands of lags, in each bin and over all bins, are compared with their median over the repeats.
    A repeat is left out if one of them is further away than 4.5 times the scatter, 1.48 MAD, or further still if so few
    repeats determine the scatter that one in a hundred good ones would be left out. Fewer than five
    repeats are all kept.

    Parameters
    ----------
    lag : array_like, shape (n,)
        In any unit.
    g2 : array_like, shape (m, k, n)
        Of m repeats and k bins; NaN where there is no value.
    error : array_like, shape (m, k, n), optional
        Standard errors; NaN or 0 where unknown.
    weight : array_like, shape (m, k, n), optional
        Pairs of photons behind each value, or numbers proportional to them; equal by default. The mean with these
        weights is the g2 of all pairs together.
    numbers : sequence of int, optional
        Numbers of the bins, for the reasons; by default from 1.
    unit : str, optional
        Unit of the lags, for the reasons.

    Raises
    ------
    ValueError
        If there are fewer than two repeats, or shapes do not fit.

    Examples
    --------
    >>> lag = np.geomspace(0.01, 1, 20)
    >>> repeats = 1 + 0.2 * np.exp(-2 * lag / 0.1) + np.random.default_rng(0).normal(0, 0.001, (5, 1, 20))
    >>> repeats[3] += 0.1  # a beam that was lost
    >>> average_repeats(lag, repeats).kept
    array([ True,  True,  True, False,  True])
    """
    lags, values = np.asarray(lag, dtype=float), np.asarray(g2, dtype=float)
    if values.ndim != 3 or values.shape[2] != lags.size or len(values) < 2:
        raise ValueError(f"an average needs g2 of two repeats or more, (m, bins, {lags.size}), not {values.shape}")
    errors = np.full_like(values, np.nan) if error is None else np.asarray(error, dtype=float)
    weights = np.ones_like(values) if weight is None else np.asarray(weight, dtype=float)
    if not values.shape == errors.shape == weights.shape:
        raise ValueError(f"errors {errors.shape} and weights {weights.shape} do not fit g2 of shape {values.shape}")
    weights = np.where(np.isfinite(values) & (weights > 0), weights, 0.0)
    errors = np.where(errors > 0, errors, np.nan)
    names = [f" of bin {number}" for number in (numbers or range(1, values.shape[1] + 1))]
    reasons = _reasons(lags, values, errors, weights, names, f" {unit}".rstrip())
    kept = np.array([not reason for reason in reasons])
    return _mean(values[kept], errors[kept], weights[kept], kept, reasons)


def _mean(v: Floats, e: Floats, w: Floats, kept: NDArray[np.bool_], reasons: tuple[str, ...]) -> Repeats:
    """Average the repeats `v` (m, k, n) with errors `e` and weights `w`."""
    used, total = w > 0, w.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(used, v, 0.0)
        mean = (w * mean).sum(0) / total
        own = np.where(used, w * e, 0.0)
        theory = (own**2).sum(0) / total**2  # NaN where an error is unknown
        off = np.where(used, v - mean, 0.0)
        n = used.sum(0)
        of_scatter = np.where(n > 1, (w * off**2).sum(0) / total / np.maximum(n - 1, 1), np.nan)
        # (v - mean)² is expected to be e² (1 - 2 w / W) + theory
        expected = np.where(used, e**2 * (1 - 2 * w / total) + theory, 0.0).sum(0)
        known = np.isfinite(expected) & (expected > 0)
        square = (off**2).sum(0)
        chi2 = np.where(known, square, 0).sum(1) / np.where(known, expected, 0).sum(1)
        is_theory = np.isfinite(theory).sum(1) > np.isfinite(mean).sum(1) / 2
        shape = np.where(is_theory[:, None], theory, 1 / total)
        ratio = np.array([_smoothed(row) for row in of_scatter / shape])
        ratio = np.where(is_theory[:, None], np.fmax(ratio, 1.0), ratio)
        error = np.sqrt(ratio * shape)
    text = "of the repeats, at least of the scatter between them"
    return Repeats(
        g2=mean, error=error, kept=kept, reasons=reasons, chi2=chi2,
        errors=text if is_theory.any() else "of the scatter between repeats",
    )  # fmt: skip


def _smoothed(row: Floats) -> Floats:
    """Return means over neighbouring lags without NaN, (n,)."""
    width = min(WIDTH, len(row) | 1)
    known, ones = np.isfinite(row), np.ones(width)
    total = np.convolve(np.pad(np.where(known, row, 0.0), width // 2), ones, "valid")[: len(row)]
    number = np.convolve(np.pad(known.astype(float), width // 2), ones, "valid")[: len(row)]
    return np.asarray(total / np.where(number > 0.5, number, np.nan))


def _reasons(lag: Floats, v: Floats, e: Floats, w: Floats, names: Sequence[str], unit: str) -> tuple[str, ...]:
    """Return why each repeat is left out; `names` are those of the bins."""
    m = len(v)
    share = np.isfinite(v).sum((1, 2)) / max(int(np.isfinite(v).any(0).sum()), 1)
    reasons = np.array(["" if some >= 0.5 else "it has no g2 at most lags" for some in share], dtype=object)
    good = np.flatnonzero(share >= 0.5)
    if len(good) < FEWEST:
        return tuple(reasons)
    v, e, w = v[good], e[good], w[good]
    precision = _median(1 / e**2)
    if not precision.any():
        precision = _median(w)
    off = v - _median(v)
    bands = np.array_split(np.arange(len(lag)), min(BANDS, len(lag)))
    n_feature, most = len(bands) * (v.shape[1] + 1), np.zeros(len(good))
    for band in bands:
        for scores, dof, name in _scores(off[..., band], precision[:, band], names):
            limit = max(LIMIT, float(t.isf(BY_CHANCE / 2 / n_feature, dof)))
            over = np.abs(scores) / limit
            for i in np.flatnonzero(over > np.maximum(most, 1)):
                side, ends = "above" if scores[i] > 0 else "below", lag[band[[0, -1]]]
                reasons[good[i]] = (
                    f"g2{name} at lags of {ends[0]:.3g} to {ends[1]:.3g}{unit} is {abs(scores[i]):.1f} times the "
                    f"scatter {side} the median of {m} repeats; the limit is {limit:.1f}"
                )
            most = np.fmax(most, over)
    return tuple(map(str, reasons))


def _scores(off: Floats, precision: Floats, names: Sequence[str]) -> list[tuple[Floats, float, str]]:
    """Return, over all bins and in each, how far repeats are from the median in a band of lags.

    `off` (m, k, lags) are distances from the median at each lag, with weights `precision` (k, lags). Returned are
    distances of the means in scatters, (m,), their degrees of freedom, and the name of the bin. The scatter of a bin is
    its own or that of all bins together, whichever is larger.
    """
    m, known = len(off), np.where(np.isfinite(off), precision, 0.0)
    off, precision = np.where(known > 0, off, 0.0), precision.sum(1)
    if not precision.any():
        return []
    root, dof = np.sqrt(precision), EFFICIENCY * (m - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_bins, of_all = (known * off).sum(2) / known.sum(2), (known * off).sum((1, 2)) / known.sum((1, 2))
        together = _scatter((of_bins * root).ravel()[:, None], m)[0]
        bins = np.flatnonzero(np.isfinite(of_bins).any(0) & (root > 0))
        out = [(of_all, dof, ""), *((of_bins[:, k], dof * len(bins), names[int(k)]) for k in bins)]
        least = [together / np.sqrt(precision.sum()), *(together / root[bins])]
        scores = []
        for (x, freedom, name), floor in zip(out, least, strict=True):
            scale = max(float(_scatter(x[:, None], m)[0]), float(floor))
            scores.append((np.nan_to_num((x - np.nanmedian(x)) / scale), freedom, name if len(bins) > 1 else ""))
    return scores


def _median(x: Floats) -> Floats:
    """Return the median over the repeats without NaN, 0 where all are NaN."""
    return np.asarray(np.nanmedian(np.where(np.isfinite(x).any(0), x, 0.0), 0))


def _scatter(x: Floats, m: int) -> Floats:
    """Return the standard deviation over the rows of `x` (·, k) from its MAD, corrected for m repeats, (k,)."""
    return np.asarray(NORMAL * m / (m - 0.8) * np.nanmedian(np.abs(x - np.nanmedian(x, 0)), 0))


@dataclass(frozen=True, kw_only=True)
class Trend:
    """A trend of a number over dose, by Theil's slope and Kendall's test, which outliers do not disturb.

    Attributes
    ----------
    change, low, high : float
        From the smallest to the largest dose, with its interval of 95 %; NaN with fewer than five numbers.
    p : float
        Probability of such an order by chance; NaN with fewer than five numbers.

    Examples
    --------
    >>> dose = np.arange(12.0)
    >>> tau = 0.1 * np.exp(0.03 * dose) + np.random.default_rng(0).normal(0, 0.002, 12)  # slower from dose to dose
    >>> trend = Trend.of(dose, np.log(tau))
    >>> round(trend.change, 1), trend.is_sure()  # 0.03 × 11
    (0.3, True)
    """

    change: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan

    def is_sure(self, n_tests: int = 1) -> bool:
        """Return whether chance alone gives such a trend in fewer than one of a hundred series of `n_tests` tests."""
        return bool(self.p * n_tests < SURE)

    @classmethod
    def of(cls, dose: ArrayLike, x: ArrayLike) -> Self:
        """Estimate the trend of numbers `x` (m,) over the dose, (m,); NaN is left out."""
        doses, values = np.asarray(dose, dtype=float), np.asarray(x, dtype=float)
        known = np.isfinite(doses) & np.isfinite(values)
        doses, values = doses[known], values[known]
        if known.sum() < FEWEST or np.ptp(doses) == 0:
            return cls()
        slope, _, low, high = theilslopes(values, doses)
        change, low, high = (float(each * np.ptp(doses)) for each in (slope, low, high))
        if np.ptp(values) == 0:
            return cls(change=change, low=low, high=high, p=1.0)
        return cls(change=change, low=low, high=high, p=float(kendalltau(doses, values).pvalue))


def log_tau_shifts(lag: ArrayLike, g2: ArrayLike, fit: Relaxation, weight: ArrayLike | None = None) -> Floats:
    """Return log(tau / tau of the mean) of each repeat, (m,), the mean over bins.

    The model of the mean is moved along the logarithm of the lag, and its height is free: two parameters a curve, which
    single repeats determine when they do not determine a model.

    Parameters
    ----------
    lag : array_like, shape (n,)
        In the unit of `fit`.
    g2 : array_like, shape (m, k, n)
    fit : Relaxation
        Of the mean, k curves. Bins without a tau do not count.
    weight : array_like, shape (m, k, n), optional
        Inverse variances, or numbers proportional to them.

    Examples
    --------
    >>> lag = np.geomspace(0.01, 1, 20)
    >>> slower = np.array([0.1, 0.1, 0.11])[:, None, None]
    >>> curves = 1 + 0.2 * np.exp(-2 * lag / slower)
    >>> from ainerd_xpcs import fit_curves
    >>> log_tau_shifts(lag, curves, fit_curves(lag, curves.mean(axis=0))).round(2)
    array([-0.03, -0.03,  0.06])
    """
    lags, values = np.asarray(lag, dtype=float), np.asarray(g2, dtype=float)
    weights = np.ones_like(values) if weight is None else np.asarray(weight, dtype=float)
    weights = np.where(np.isfinite(values) & (weights > 0), weights, 0.0)
    total, sums = np.zeros(len(values)), np.zeros(len(values))
    for k in np.flatnonzero(np.isfinite(fit.tau)):
        shift, precision = _shift(lags, np.nan_to_num(values[:, k] - 1), weights[:, k], fit, int(k))
        total, sums = total + precision, sums + precision * shift
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / np.where(total > 0, total, np.nan))


def _shift(lag: Floats, y: Floats, w: Floats, fit: Relaxation, k: int) -> tuple[Floats, Floats]:
    """Fit the shift of one bin of each repeat by Gauss and Newton's method; return it and 1 / variance, (m,)."""
    shift, height, step = np.zeros(len(y)), np.ones(len(y)), 0.01

    def model(moved: Floats) -> Floats:
        curve = fit.curve(k, lag * np.exp(-moved[:, None]))
        assert curve is not None
        return curve - 1

    for _ in range(25):
        here = model(shift)
        by_shift = height[:, None] * (model(shift + step) - model(shift - step)) / (2 * step)
        residual = y - height[:, None] * here
        a, b, c = ((w * x).sum(1) for x in (by_shift**2, by_shift * here, here**2))
        p, q = ((w * x * residual).sum(1) for x in (by_shift, here))
        determinant = np.maximum(a * c - b**2, 1e-300)
        shift = np.clip(shift + np.clip((c * p - b * q) / determinant, -0.7, 0.7), -5, 5)
        height = np.clip(height + (a * q - b * p) / determinant, 0.05, 20)
    return shift, np.where(c > 0, determinant / np.maximum(c, 1e-300), 0.0)
