"""Fit relaxation time, exponent and contrast, with errors from the scatter of the parts of bins, or limits."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm
from scipy.stats import t as student

from ainerd.xpcs._fits import FORMULA, HIGH, LOW, NOTHING, least_squares, model, slopes
from ainerd.xpcs._g2 import G2
from ainerd.xpcs._scatter import Sample, covariance_of_mean, misfit, shared, student_factor

SPECKLE_P = 0.015  # probability that a flat field is reported as speckle, over all tests
MISFIT_P, MISFIT_SIZE = 1e-4, 0.15  # both must be passed: with many speckles the smallest deviation is significant
EXPONENT = (0.3, 3.0)  # range of the fit
LOG_TAU_KNOWN = 0.4  # standard error of log tau above which only limits are reported
EXPONENT_KNOWN = 0.5  # relative error of the exponent above which the shape, and so tau, is unknown
RESOLVED = 3.5  # lags within tau below which the shape of the decay is not resolved
SURE = 0.12  # standard error of log tau below which its limits need not be computed
RANGE = 6.0  # largest ratio of the limits of a tau that is reported
PLATEAU_P = 1e-3
DIFFER_P = 1e-3
LIMIT_P = 0.05
STEPS = 24  # trial relaxation times of a limit


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """Relaxations of some bins, or of all together: arrays (n,), NaN where the data do not determine a value.

    Attributes
    ----------
    tau, tau_err : ndarray
        Relaxation time and standard error, in the unit of the frame time.
    tau_above, tau_below : ndarray
        One-sided limits of 95 % where `tau` is NaN. A g2 that does not decay within the exposure has the first, one
        that decays within a frame the second.
    exponent, exponent_err : ndarray
        NaN where `tau` is.
    contrast, contrast_err : ndarray
        The error includes the finite number of speckles.
    plateau, plateau_err : ndarray
        Share of g2 - 1 that does not decay; 0 ± NaN if a model without one is preferred, NaN where `tau` is.
    speckle : ndarray of str
        "yes", "no", or "unknown" if there are too few pixels for a test.
    p_same : ndarray
        Probability that equal bins differ as much as these; NaN for a single bin. If it is below .001, the errors come
        from the scatter between bins.
    misfit_p : ndarray
        Probability of residuals as large as these if g2 has this form, with or without a plateau. If it is below 1e-4
        and the residuals are larger than .15 of the contrast, tau is not reported.
    formula : str
    """

    tau: NDArray[np.float64]
    tau_err: NDArray[np.float64]
    tau_above: NDArray[np.float64]
    tau_below: NDArray[np.float64]
    exponent: NDArray[np.float64]
    exponent_err: NDArray[np.float64]
    contrast: NDArray[np.float64]
    contrast_err: NDArray[np.float64]
    plateau: NDArray[np.float64]
    plateau_err: NDArray[np.float64]
    speckle: NDArray[np.str_]
    p_same: NDArray[np.float64]
    misfit_p: NDArray[np.float64]
    formula: str = FORMULA


def fit_relaxation(
    g2: G2,
    frame_time: float = 1.0,
    *,
    bins: ArrayLike | None = None,
    together: bool = False,
    opposite: ArrayLike | None = None,
) -> Relaxation:
    """Fit g2 = 1 + contrast exp(-2 (tau / tau0)^exponent) to bins, one by one or together.

    Lags of one g2 are correlated, because they share speckles and photons, so chi square alone gives errors that are
    several times too small. The errors come from the parts of the bins instead (`G2.parts`): the covariance is
    A⁻¹ B A⁻¹, with A = JᵀWJ of the fit and B the covariance of the mean over parts of JᵀW times their residuals (White,
    Econometrica 50, 1, 1982), widened for the degrees of freedom of the scatter. The normalization makes the baseline
    1; a part of g2 - 1 that does not decay (`Relaxation.plateau`) is always looked for.

    Parameters
    ----------
    g2 : G2
        Result of `MultiTau` or `g2`.
    frame_time : float
        Unit of tau in the result.
    bins : array_like of int, optional
        Bins to fit, from 0; all by default.
    together : bool
        Whether one relaxation describes all of them, as in a ring of an isotropic sample.
    opposite : array_like of int, shape (n_roi,), optional
        For each bin the one on the other side of the beam, -1 for none. Both see the same speckle (Friedel), so the
        error of both together is up to a root of two larger than that of two independent bins.

    Raises
    ------
    ValueError
        If the frame time is not positive, or a bin does not exist.
    """
    if not frame_time > 0:
        raise ValueError(f"frame_time must be positive, got {frame_time!r}")
    which = np.arange(len(g2.value)) if bins is None else np.asarray(bins, dtype=int)
    if which.size == 0 or which.min() < 0 or which.max() >= len(g2.value):
        raise ValueError(f"bins must be numbers from 0 to {len(g2.value) - 1}, got {bins!r}")
    groups = [which] if together else [np.array([k]) for k in which]
    across = np.full(len(g2.value), -1) if opposite is None else np.asarray(opposite, dtype=int)
    if across.shape != (len(g2.value),):
        raise ValueError(f"opposite must have one number for each of the {len(g2.value)} bins, got {across.shape}")
    fitted = [_fit_one(*_sample(g2, group), across) for group in groups]
    names = [field.name for field in fields(Relaxation) if field.name != "formula"]
    arrays = {name: np.array([one[name] for one in fitted]) for name in names}
    for name in names:
        if name.startswith("tau"):
            arrays[name] = arrays[name] * frame_time
    return Relaxation(**arrays)  # type: ignore[arg-type]


def _sample(g2: G2, group: NDArray[np.int64]) -> tuple[Sample, NDArray[np.int64]]:
    """Return the parts of a group of bins, and the bin of each part; bins without a value only if all are."""
    known = group[np.isfinite(g2.value[group]).any(1)]
    group = known if known.size else group
    mine = np.isin(g2.part_roi, group) & (g2.part_weight > 0)
    roi = g2.part_roi[mine]
    weight = g2.part_weight[mine] * g2.n_pixels[roi]
    x = g2.parts[mine] - 1 - g2.bias[roi]
    return Sample(g2.lag, weight / max(weight.sum(), 1), x, g2.parts0[mine]), roi


def _fit_one(s: Sample, roi: NDArray[np.int64], opposite: NDArray[np.int64]) -> dict[str, float | str]:
    numbers: dict[str, float | str] = {
        field.name: np.nan for field in fields(Relaxation) if field.name not in ("formula", "speckle")
    }
    numbers["speckle"] = _has_speckle(s) if len(s.w) > 1 else "unknown"
    numbers["contrast"], error = s.estimate(s.zero)
    numbers["contrast_err"] = error * np.sqrt(shared(s, s.zero[:, None], roi, opposite)[0])
    use = np.isfinite(s.mean)
    if numbers["speckle"] != "yes" or use.sum() < 5:
        return numbers
    s = Sample(s.lag[use], s.w, s.x[:, use], s.zero)
    fit, with_plateau = (_Fit(s, roi, opposite, free_baseline=free) for free in (False, True))
    constant = np.full(s.lag.size, 1 + s.mean @ (1 / s.variance) / (1 / s.variance).sum())  # outside the fitted range
    curves = (*(model(s.lag, each.x[None])[0] for each in (fit, with_plateau)), constant)
    p, size = max(misfit(s, curve) for curve in curves)
    numbers["misfit_p"] = p
    if p < MISFIT_P and size > MISFIT_SIZE:  # the parameters are meaningless
        return numbers
    if with_plateau.has_plateau(s):
        fit = with_plateau
    elif not fit.known or fit.error[1] > SURE:
        limits = _limits(s)
        if not fit.known or not limits[1] < RANGE * limits[0]:
            return numbers | _limits_alone(s, float(numbers["contrast_err"]), *limits)
    contrast, log_tau, exponent, base = fit.x
    numbers |= {"tau": np.exp(log_tau), "tau_err": np.exp(log_tau) * _symmetric_error(fit.error[1])}
    numbers |= {"exponent": exponent, "exponent_err": fit.error[2], "p_same": fit.p_same, "plateau": 0.0}
    numbers |= {"contrast": contrast, "contrast_err": contrast * _symmetric_error(fit.error[0] / contrast)}
    if fit is with_plateau:
        whole = contrast + base - 1
        slope = np.array([-(base - 1), 0, 0, contrast]) / whole**2
        total = np.array([1.0, 0, 0, 1])
        numbers |= {"plateau": (base - 1) / whole, "plateau_err": np.sqrt(max(slope @ fit.covariance @ slope, 0.0))}
        numbers |= {"contrast": whole, "contrast_err": np.sqrt(max(total @ fit.covariance @ total, 0.0))}
    return numbers


def _symmetric_error(relative: float) -> float:
    """Return half the width of an interval for a value whose error is proportional to the true value.

    For k errors the interval is x / (1 + k r) to x / (1 - k r) (Fieller, J. R. Stat. Soc. B 16, 175, 1954). Half of it,
    over k, is r / (1 - k² r²), taken here about halfway between k = 1 and 2.
    """
    return float(relative / (1 - 2 * min(relative, 0.5) ** 2))


def _limits_alone(s: Sample, contrast_err: float, above: float, below: float) -> dict[str, float | str]:
    """Return limits of tau, and the contrast with its error, for a tau that the data do not determine."""
    fast = _faster_than_a_frame(s)
    if np.isfinite(fast):
        above, below = np.nan, fast
    out: dict[str, float | str] = {"tau_above": above, "tau_below": below}
    if above > s.lag[-1] / 10:
        out["contrast"], contrast_err = _slow_contrast(s)
    return out | {"contrast_err": contrast_err * student_factor(s.dof)}


class _Fit:
    """A least-squares fit to the mean of the parts, with the covariance of the parameters from their scores.

    `known` is True if the fit determines tau; `covariance` and `error` exist only if it converged.
    """

    def __init__(self, s: Sample, roi: NDArray[np.int64], opposite: NDArray[np.int64], *, free_baseline: bool) -> None:
        low, high = LOW.copy(), HIGH.copy()
        low[2], high[2] = EXPONENT
        low[3], high[3] = (0.5, 1.5) if free_baseline else (1.0, 1.0)
        weight = 1 / np.sqrt(s.variance)
        fitted, converged = least_squares(s.lag, 1 + s.mean[None], weight[None], low, high)
        self.x = fitted[0]
        self.known, self.p_same = False, np.nan
        free = low < high
        if not converged[0]:
            return
        slope = slopes(s.lag, self.x[None])[0][free] * weight
        normal = slope @ slope.T
        scale = np.sqrt(np.diag(normal))
        if not (scale > NOTHING).all() or np.linalg.cond(normal / scale[:, None] / scale) > 1e12:
            return
        residual = np.nan_to_num(1 + s.x - model(s.lag, self.x[None])) * weight
        pull = residual @ slope.T @ np.linalg.inv(normal)  # of each part on the parameters
        self.p_same = _probability_of_same(pull, s, roi)
        factor = student_factor(s.dof)
        covariance = covariance_of_mean(pull, s.w) * factor**2
        if self.p_same < DIFFER_P:
            bins, index = np.unique(roi, return_inverse=True)
            w = np.asarray(np.bincount(index, s.w), dtype=float)
            mean = np.stack([np.bincount(index, s.w * column) / w for column in pull.T], 1)
            covariance = np.maximum(covariance_of_mean(mean, w) * student_factor(max(len(bins) - 1, 1)) ** 2, 0)
        more = np.sqrt(shared(s, pull, roi, opposite))
        covariance *= more[:, None] * more
        self.covariance = np.zeros((4, 4))
        self.covariance[np.ix_(free, free)] = covariance
        self.error = np.sqrt(np.maximum(np.diag(self.covariance), 0))
        inside = (self.x > low + 1e-6) & (self.x < high - 1e-6)
        resolved = np.exp(self.x[1]) > RESOLVED * s.lag[0]
        shape_known = self.error[1] < LOG_TAU_KNOWN and self.error[2] < EXPONENT_KNOWN * self.x[2]
        self.known = bool(inside[free].all() and shape_known and resolved)

    def has_plateau(self, s: Sample) -> bool:
        """Return whether one part of g2 - 1 significantly decays within the run and another does not."""
        if not self.known or self.x[3] <= 1 or np.exp(self.x[1]) > s.lag[-1] / 5:
            return False
        sure = student.isf(PLATEAU_P, s.dof)
        return bool(self.x[3] - 1 > sure * self.error[3] and self.x[0] > sure * self.error[0])


def _probability_of_same(pull: NDArray[np.float64], s: Sample, roi: NDArray[np.int64]) -> float:
    """Return the probability that equal bins differ as much in contrast, log tau or exponent as these do."""
    bins = np.unique(roi)
    if len(bins) < 2:
        return np.nan
    z = np.empty((len(bins), 3))
    mean = s.w @ pull[:, :3]
    for i, k in enumerate(bins):
        mine = roi == k
        w = s.w[mine] / s.w[mine].sum()
        of_bin = w @ pull[mine, :3]
        n = mine.sum()
        error = np.sqrt(w @ (pull[mine, :3] - of_bin) ** 2 / (n - 1)) if n > 1 else np.full(3, np.nan)
        p = student.cdf((of_bin - mean) / error, n - 1) if n > 1 else np.full(3, np.nan)
        z[i] = norm.ppf(np.clip(p, 1e-12, 1 - 1e-12))
    known = np.isfinite(z).sum(0)
    if (known < 2).any():
        return np.nan
    return float(min(1, 3 * chi2.sf(np.nansum(z**2, 0), known - 1).min()))


def _has_speckle(s: Sample) -> str:
    """Return "yes" or "no", or "unknown" if there are too few parts for a test.

    One-sided tests are made of the contrast at lag 0, and of the mean of g2 - 1 at the first lag, up to lag 4, up to
    lag 16, and over all lags.
    """
    if s.dof < 3:
        return "unknown"
    weight = np.where(np.isfinite(s.mean), 1 / s.variance, 0)
    tested = [s.zero]
    for last in (1, 4, 16, s.lag[-1]):
        w = weight * (s.lag <= last)
        if w.sum() > 0:
            tested.append(np.where(np.isfinite(s.x).any(1), np.nan_to_num(s.x) @ w / w.sum(), np.nan))
    limit = student.isf(SPECKLE_P / len(tested), s.dof)
    for x in tested:
        mean, error = s.estimate(x)
        if error > 0 and mean > limit * error:
            return "yes"
    return "no"


def _slow_contrast(s: Sample) -> tuple[float, float]:
    """Estimate the contrast of a g2 that hardly decays, and its error, by a line through the first quarter of lags."""
    weight = np.where(np.isfinite(s.mean) & (s.lag <= max(s.lag[-1] / 4, s.lag[min(4, len(s.lag) - 1)])), 1, 0)
    weight = weight / s.variance
    line = np.stack([np.ones_like(s.lag), s.lag / s.lag[-1]])
    to_line = np.linalg.pinv((line * weight) @ line.T) @ (line * weight)
    return s.estimate(np.nan_to_num(s.x) @ to_line[0])


def _limits(s: Sample) -> tuple[float, float]:
    """Return one-sided limits (above, below) of 95 % for tau in frames; NaN where there is none.

    For each trial tau the best contrast and exponent are fitted, and the residuals of the parts are projected on the
    difference between this curve and that of the best tau. Their mean over its error is a Student t (a score test).
    `above` is the end of the short trial times that are rejected, `below` the start of the long ones. A coarse scan is
    followed by a fine one between those.
    """
    limit = student.isf(LIMIT_P, s.dof)
    trial = np.log(np.geomspace(s.lag[0] / 20, 100 * s.lag[-1], STEPS))
    for _ in range(2):
        t = _score_tests(s, trial)
        kept = np.flatnonzero(t < limit)
        first, last = max(kept[0] - 1, 0), min(kept[-1] + 1, STEPS - 1)
        ends = [np.exp(trial[i]) if t[i] >= limit else np.nan for i in (first, last)]
        trial = np.linspace(trial[first], trial[last], STEPS)
    return float(ends[0]), float(ends[1])


def _score_tests(s: Sample, trial: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Student's t of each trial log tau against the best of them."""
    low, high = np.tile(LOW, (STEPS, 1)), np.tile(HIGH, (STEPS, 1))
    low[:, 0], high[:, 0] = 0, 1.0  # the largest contrast possible
    low[:, 1] = high[:, 1] = trial
    low[:, 2], high[:, 2] = EXPONENT
    low[:, 3] = high[:, 3] = 1
    weight = 1 / s.variance
    y, root = (np.broadcast_to(x, (STEPS, len(s.lag))) for x in (1 + s.mean, np.sqrt(weight)))
    curves = model(s.lag, least_squares(s.lag, y, root, low, high)[0])
    best = int((weight * (curves - y) ** 2).sum(1).argmin())
    t = np.zeros(STEPS)
    for i in np.flatnonzero(np.arange(STEPS) != best):
        mean, error = s.estimate(np.nan_to_num(1 + s.x - curves[i]) @ (weight * (curves[best] - curves[i])))
        t[i] = mean / error if error > 0 else 0.0
    return t


def _faster_than_a_frame(s: Sample) -> float:
    """Return a limit of 95 % for tau in frames, for contrast within a frame but not after it; NaN otherwise.

    The ratio of g2 - 1 at the first lag to the contrast within a frame bounds exp(-2 (lag / tau)^exponent), for any
    exponent from 0.5 to 2.
    """
    zero, zero_err = s.estimate(s.zero)
    limit = student.isf(LIMIT_P, s.dof)
    if not zero > student.isf(0.005, s.dof) * zero_err:
        return np.nan
    for ratio in np.linspace(0.01, 1, 100):  # the smallest that is significantly above the measured one
        left, left_err = s.estimate(s.x[:, 0] - ratio * s.zero)
        if left < -limit * left_err:
            break
    if ratio >= np.exp(-1):
        return np.nan
    decay = -np.log(ratio) / 2
    return float(s.lag[0] * max(decay ** (-1 / exponent) for exponent in (0.5, 2.0)))
