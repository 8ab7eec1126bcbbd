"""Relaxation time, exponent and contrast with honest errors: fits of g2 to the parts of bins."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm
from scipy.stats import t as student

from ainerd.xpcs._bounds import EXPONENT, bounds, faster_than_a_frame
from ainerd.xpcs._fit import FORMULA, HIGH, LOW, NOTHING, least_squares, model, slopes
from ainerd.xpcs._g2 import G2
from ainerd.xpcs._misfit import SIZE, P, misfit
from ainerd.xpcs._speckle import Sample, has_speckle, shared, slow_contrast, student_factor

LOG_TAU_KNOWN = 0.4  # standard error of log tau above which a bound is all there is to say
EXPONENT_KNOWN = 0.5  # relative error of the exponent above which its shape, and so tau, is not known
RESOLVED = 3.5  # lags within tau: of a faster decay the shape is not seen
SURE = 0.12  # standard error of log tau below which its limits need not be looked at
RANGE = 6.0  # between the limits of a tau that is determined
PLATEAU_P = 1e-3
DIFFER_P = 1e-3


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """Relaxations of some bins, or of all together: arrays (n,), NaN where nothing can be said.

    Attributes
    ----------
    tau, tau_err : ndarray
        Relaxation time and standard error, in the unit of the frame time; NaN where the data do not determine it.
    tau_above, tau_below : ndarray
        One-sided limits of 95 % where `tau` is NaN: "does not decay within the exposure" has the first, "faster than a
        frame" the second.
    exponent, exponent_err : ndarray
        NaN where `tau` is.
    contrast, contrast_err : ndarray
        With the ensemble of speckles in mind: the finite number of them is in the error.
    plateau, plateau_err : ndarray
        Part of g2 - 1 that does not decay; 0 ± NaN where a model without one is preferred, NaN where `tau` is.
    speckle : ndarray of str
        "yes", "no", or "unknown" where too few pixels tell how sure that is.
    p_same : ndarray
        Chance of bins that differ as much as these if all were the same; NaN for a single bin. Errors of bins that
        differ (below .001) are those of numbers that scatter from bin to bin.
    misfit_p : ndarray
        Chance of residuals as large if g2 were of this form, with a plateau if need be. Where it is below 1e-4, and the
        residuals are larger than .15 of the contrast, nothing is said of tau.
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
    baseline: str = "one",
    opposite: ArrayLike | None = None,
) -> Relaxation:
    """Fit g2 = 1 + contrast exp(-2 (tau / tau0)^exponent) to bins, one by one or together.

    Lags of one g2 are correlated, because they share speckles and photons: chi square alone makes errors several
    times too small. They come from the parts of the bins instead (`G2.parts`), each of which pulls the parameters a
    little: the covariance is A⁻¹ B A⁻¹, with A = JᵀWJ of the fit and B that of the mean over parts of JᵀW times their
    residuals (White, Econometrica 50, 1, 1982), widened for the degrees of freedom of the scatter.

    Parameters
    ----------
    g2 : G2
        Of `MultiTau` or `g2`.
    frame_time : float
        Unit of tau in the answer.
    bins : array_like of int, optional
        Which, from 0; all by default.
    together : bool
        Whether one relaxation describes them all, as in a ring of an isotropic sample.
    baseline : {"one", "free"}
        Value at long lags. The normalisation makes it 1; a part that does not decay (`Relaxation.plateau`) is looked
        for in any case.
    opposite : array_like of int, shape (n_roi,), optional
        Of each bin the one at the other side of the beam, -1 for none. They see the same speckle (Friedel), so that the
        error of both together is up to a root of two larger than that of as many bins which do not.

    Raises
    ------
    ValueError
        If the frame time is not positive, or a bin or baseline unknown.
    """
    if not frame_time > 0:
        raise ValueError(f"frame_time must be positive, got {frame_time!r}")
    if baseline not in ("one", "free"):
        raise ValueError(f"baseline must be 'one' or 'free', got {baseline!r}")
    which = np.arange(len(g2.value)) if bins is None else np.asarray(bins, dtype=int)
    if which.size == 0 or which.min() < 0 or which.max() >= len(g2.value):
        raise ValueError(f"bins must be numbers from 0 to {len(g2.value) - 1}, got {bins!r}")
    groups = [which] if together else [np.array([k]) for k in which]
    across = np.full(len(g2.value), -1) if opposite is None else np.asarray(opposite, dtype=int)
    if across.shape != (len(g2.value),):
        raise ValueError(f"opposite must have one number for each of the {len(g2.value)} bins, got {across.shape}")
    found = [_fit_one(*_sample(g2, group), baseline, across) for group in groups]
    names = [field.name for field in fields(Relaxation) if field.name != "formula"]
    arrays = {name: np.array([one[name] for one in found]) for name in names}
    for name in names:
        if name.startswith("tau"):
            arrays[name] = arrays[name] * frame_time
    return Relaxation(**arrays)  # type: ignore[arg-type]


def _sample(g2: G2, group: NDArray) -> tuple[Sample, NDArray[np.int64]]:
    """The parts of a group of bins, and the bin of each."""
    mine = np.isin(g2.part_roi, group) & (g2.part_weight > 0)
    roi = g2.part_roi[mine]
    weight = g2.part_weight[mine] * g2.n_pixels[roi]
    x = g2.parts[mine] - 1 - g2.bias[roi]
    return Sample(g2.lag, weight / max(weight.sum(), 1), x, g2.parts0[mine]), roi


def _fit_one(s: Sample, roi: NDArray[np.int64], baseline: str, opposite: NDArray[np.int64]) -> dict[str, float | str]:
    said: dict[str, float | str] = {
        field.name: np.nan for field in fields(Relaxation) if field.name not in ("formula", "speckle")
    }
    said["speckle"] = has_speckle(s) if len(s.w) > 1 else "unknown"
    said["contrast"], error = s.estimate(s.zero)
    said["contrast_err"] = error * np.sqrt(shared(s, s.zero[:, None], roi, opposite)[0])
    use = np.isfinite(s.mean)
    if said["speckle"] != "yes" or use.sum() < 5:
        return said
    s = Sample(s.lag[use], s.w, s.x[:, use], s.zero)
    fit = _Fit(s, roi, opposite, free_baseline=baseline == "free")
    rest = _Fit(s, roi, opposite, free_baseline=True) if baseline == "one" else fit
    still = np.full(s.lag.size, 1 + s.mean @ (1 / s.variance) / (1 / s.variance).sum())  # beyond what is fitted
    p, off = max(misfit(s, curve) for curve in (*(model(s.lag, one.x[None])[0] for one in (fit, rest)), still))
    said["misfit_p"] = p
    if p < P and off > SIZE:  # no parameter means anything
        return said
    if rest is not fit and rest.has_plateau(s):
        fit = rest
    elif not fit.known or fit.error[1] > SURE:
        limit = bounds(s)
        if not fit.known or not limit[1] < RANGE * limit[0]:
            return said | _bound(s, said, limit)
    contrast, log_tau, exponent, base = fit.x
    said |= {"tau": np.exp(log_tau), "tau_err": np.exp(log_tau) * _longer(fit.error[1])}
    said |= {"exponent": exponent, "exponent_err": fit.error[2], "p_same": fit.p_same, "plateau": 0.0}
    said |= {"contrast": contrast, "contrast_err": contrast * _longer(fit.error[0] / contrast)}
    if fit.free_baseline and baseline == "one":
        whole = contrast + base - 1
        slope = np.array([-(base - 1), 0, 0, contrast]) / whole**2
        total = np.array([1.0, 0, 0, 1])
        said |= {"plateau": (base - 1) / whole, "plateau_err": np.sqrt(max(slope @ fit.covariance @ slope, 0.0))}
        said |= {"contrast": whole, "contrast_err": np.sqrt(max(total @ fit.covariance @ total, 0.0))}
    return said


def _longer(relative: float) -> float:
    """Half of an interval for what scatters in proportion to its true value, about halfway between 1 and 2 errors.

    It reaches from x / (1 + k r) to x / (1 - k r) for k errors (Fieller, J. R. Stat. Soc. B 16, 175, 1954): half of it,
    over k, is r / (1 - k² r²).
    """
    return float(relative / (1 - 2 * min(relative, 0.5) ** 2))


def _bound(s: Sample, said: dict[str, float | str], limit: tuple[float, float]) -> dict[str, float | str]:
    above, below = limit
    fast = faster_than_a_frame(s)
    if np.isfinite(fast):
        above, below = np.nan, fast
    out: dict[str, float | str] = {"tau_above": above, "tau_below": below}
    if above > s.lag[-1] / 10:
        out["contrast"], out["contrast_err"] = slow_contrast(s)
    factor = student_factor(s.dof)
    out["contrast_err"] = float(out.get("contrast_err", said["contrast_err"])) * factor
    return out


class _Fit:
    """Least squares of the mean of the parts, with the covariance of the parameters from their scores."""

    def __init__(self, s: Sample, roi: NDArray[np.int64], opposite: NDArray[np.int64], *, free_baseline: bool) -> None:
        self.free_baseline = free_baseline
        low, high = LOW.copy(), HIGH.copy()
        low[2], high[2] = EXPONENT
        low[3], high[3] = (0.5, 1.5) if free_baseline else (1.0, 1.0)
        weight = 1 / np.sqrt(s.variance)
        found, settled = least_squares(s.lag, 1 + s.mean[None], weight[None], low, high)
        self.x = found[0]
        self.known, self.p_same = False, np.nan
        free = low < high
        if not settled[0]:
            return
        slope = slopes(s.lag, self.x[None])[0][free] * weight
        normal = slope @ slope.T
        scale = np.sqrt(np.diag(normal))
        if not (scale > NOTHING).all() or np.linalg.cond(normal / scale[:, None] / scale) > 1e12:
            return
        residual = np.nan_to_num(1 + s.x - model(s.lag, self.x[None])) * weight
        pull = residual @ slope.T @ np.linalg.inv(normal)  # of each part, on the parameters
        of_bins, dof = _between(s, roi, pull)
        self.p_same = _same(pull, s, roi)
        factor = student_factor(s.dof)
        covariance = s.covariance(pull) * factor**2
        if self.p_same < DIFFER_P:
            covariance = np.maximum(of_bins * student_factor(dof) ** 2, 0)
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
        """Whether a part decays within the run and a part does not, both beyond doubt."""
        if not self.known or self.x[3] <= 1 or np.exp(self.x[1]) > s.lag[-1] / 5:
            return False
        sure = student.isf(PLATEAU_P, s.dof)
        return bool(self.x[3] - 1 > sure * self.error[3] and self.x[0] > sure * self.error[0])


def _between(s: Sample, roi: NDArray, pull: NDArray) -> tuple[NDArray, int]:
    """Covariance of the mean of pulls from their scatter between bins, and its degrees of freedom."""
    bins, index = np.unique(roi, return_inverse=True)
    w = np.bincount(index, s.w)
    mean = np.stack([np.bincount(index, s.w * column) / w for column in pull.T], 1)
    off = mean - w @ mean
    return (w[:, None] * off).T @ off / max(len(bins) - 1, 1), max(len(bins) - 1, 1)


def _same(pull: NDArray, s: Sample, roi: NDArray) -> float:
    """Chance that bins of the same sample pull the contrast, log tau or exponent apart as much as these do."""
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
