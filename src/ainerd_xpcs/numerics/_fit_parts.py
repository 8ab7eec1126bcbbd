"""Fit g2 of frames, with errors from the scatter of the parts of bins and from the theory of speckle."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtri, stdtr, stdtrit

from ainerd_xpcs.numerics._choice import ALL_MODELS, Chosen, choose
from ainerd_xpcs.numerics._family import MODELS, NAMES, Bounds, Curves, curve, fit, slopes, start_of
from ainerd_xpcs.numerics._g2 import G2
from ainerd_xpcs.numerics._judge import Judged, judge, whitened
from ainerd_xpcs.numerics._relaxation import (
    FAST,
    LEAST_SPECKLES,
    NO_DECAY,
    NO_SPECKLE,
    TOO_FEW_LAGS,
    TOO_FEW_PIXELS,
    Relaxation,
    Report,
)
from ainerd_xpcs.numerics._scatter import Sample, covariance_of_mean, larger, misfit, shared, student_factor
from ainerd_xpcs.numerics._speckle_noise import at_counts, averaged, noise_terms, own_share, scaled
from ainerd_xpcs.numerics._statements import allowed

Floats = NDArray[np.float64]
SPECKLE_P = 0.015  # probability that a flat field is reported as speckle, over all tests
DIFFER_P = 1e-3
LIMIT_P = 0.02  # of a limit of 95 %: those that are given are more often wrong than all
FEWEST_LAGS = 5
LOST = 2.0  # errors by which the first lag exceeds nothing, below which it is lost in noise
ERRORS = "scatter of parts, at least theory"
_KNOWN: Bounds = {"baseline": (0.0, 0.5)}  # the normalization makes the baseline of Gaussian speckle 1


def fit_relaxation(
    g2: G2,
    frame_time: float = 1.0,
    *,
    bins: ArrayLike | None = None,
    together: bool = False,
    opposite: ArrayLike | None = None,
    models: Sequence[str] = ALL_MODELS,
    like: Relaxation | None = None,
) -> Relaxation:
    """Fit the models of `_family` to bins, one by one or together, and choose between them by evidence.

    Lags of one g2 are correlated, because they share speckles and photons. The fit uses the covariance of Gaussian
    speckle (`speckle_covariance`), scaled to the errors of the lags: the theory for the number of speckles, or the
    scatter of the parts of the bins (`G2.parts`) where it is larger by more than chance. The errors of the parameters
    are those of this fit, or in the same way those of A⁻¹ B A⁻¹, with A = JᵀWJ and B the covariance of the mean over
    parts of JᵀW times their residuals (White, Econometrica 50, 1, 1982), widened for the degrees of freedom.

    Parameters
    ----------
    g2 : G2
        Result of `MultiTau`.
    frame_time : float
        Unit of tau in the result.
    bins : array_like of int, optional
        Bins to fit, from 0; all by default. They share one correlation of lags: give bins of one ring at a time.
    together : bool
        Whether one relaxation describes all of them, as in a ring of an isotropic sample.
    opposite : array_like of int, shape (n_roi,), optional
        For each bin the one on the other side of the beam, -1 for none. Both see the same speckle (Friedel), so the
        error of both together is up to a root of two larger than that of two independent bins.
    models : sequence of str
        Models to choose from. The g2 of a sample that ages is a mixture of relaxation times, which a model of two modes
        describes by two: give `ONE_MODE`.
    like : Relaxation, optional
        The fit of these bins together, if there are two or more. The bins take its model, the part that does not decay,
        and the share and the relative time of a second mode; its errors of these are part of theirs. They choose
        themselves if it has no tau, or if they differ (`p_same`).

    Raises
    ------
    ValueError
        If the frame time is not positive, or a bin does not exist.

    Examples
    --------
    >>> correlator = MultiTau(Partition.from_roi_map(np.ones((40, 40), int)))
    >>> correlator.push(movie)
    >>> fit = fit_relaxation(correlator.result(), frame_time=0.01)
    >>> fit.tau.round(2), fit.model
    (array([0.1]), array(['stretched'], dtype='<U9'))
    """
    if not frame_time > 0:
        raise ValueError(f"frame_time must be positive, got {frame_time!r}")
    which = np.arange(len(g2.value)) if bins is None else np.asarray(bins, dtype=int)
    if which.size == 0 or which.min() < 0 or which.max() >= len(g2.value):
        raise ValueError(f"bins must be numbers from 0 to {len(g2.value) - 1}, got {bins!r}")
    across = np.full(len(g2.value), -1) if opposite is None else np.asarray(opposite, dtype=int)
    if across.shape != (len(g2.value),):
        raise ValueError(f"opposite must have one number for each of the {len(g2.value)} bins, got {across.shape}")
    groups = [which] if together else [np.array([k]) for k in which]
    shape = _Shape.of(like, models) if like is not None and len(groups) > 1 else _Shape(models)
    of_groups = [_Group(g2, group, across, shape.held) for group in groups]
    _add_covariances(g2, which, of_groups)
    fitted, by_model = [group for group in of_groups if not group.refused], dict[str, Any]()
    if fitted:
        curves = whitened(fitted)
        new, chosen = (
            [dict(group.report) for group in fitted],
            choose(curves, shape.models, shape.bounds, every_model=together),
        )
        judge(fitted, curves, chosen, shape.bounds, shape.limits_by)
        if together:
            reports = [_report_of(fitted[0], new[0], curves, each) for _, each in chosen[0].fits]
            by_model = {
                "candidates": tuple(x for x, _ in chosen[0].fits),
                "by_model": Relaxation.of(reports, frame_time),
            }
    return replace(Relaxation.of([group.report for group in of_groups], frame_time), **by_model)


def _report_of(group: "_Group", new: Report, curves: Curves, chosen: Chosen) -> Report:
    """Return the report of a group by one of its models, if it were the only one; `new` is that before the fit."""
    alike = copy(group)
    alike.report = dict(new)
    with np.errstate(all="ignore"):  # g2 may not depend on some parameters of a model that it excludes
        judge([alike], curves, [chosen], _KNOWN)
    return alike.report


@dataclass(frozen=True)
class _Shape:
    """Models to choose from, parameters that are known with their errors, and the model of limits."""

    models: Sequence[str]
    held: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    limits_by: str | None = None

    @classmethod
    def of(cls, ring: Relaxation, models: Sequence[str]) -> "_Shape":
        """Return the shape that the bins of a ring take from it; any of `models` if it has none for them."""
        model, either = str(ring.model[0]), str(ring.either[0])
        if not np.isfinite(ring.tau[0]) or ring.p_same[0] < DIFFER_P:
            return cls(models)
        held: dict[str, tuple[float, float]] = {}
        if "+" in model:
            rest, error = float(ring.plateau[0]), float(ring.plateau_err[0])
            held["static"] = rest**0.5, error / 2 / rest**0.5
            held["baseline"] = rest * float(ring.contrast[0]), error * float(ring.contrast[0])
        if "two" in model:
            errors = ring.tau_err / ring.tau, ring.tau2_err / ring.tau2
            held["share"] = float(ring.share[0]), float(ring.share_err[0])
            held["ratio"] = float(np.log(ring.tau2 / ring.tau)[0]), float(np.hypot(*errors)[0])
        if "two stretched" in model:
            held["exponent2"] = float(ring.exponent2[0]), float(ring.exponent2_err[0])
        if not np.isfinite([*held.values()]).all():
            return cls(models)
        of_same = model.partition(" + ")[0] == either.partition(" + ")[0]  # they differ in the part that does not decay
        return cls(["none", "flat", model, *[either] * of_same], held, model)

    @property
    def bounds(self) -> Bounds:
        """Ranges of the parameters."""
        return {**_KNOWN, **{name: (value, value) for name, (value, _) in self.held.items()}}


class _Group(Judged):
    """Bins that are fitted together, and their parts."""

    def __init__(
        self,
        g2: G2,
        group: NDArray[np.int64],
        opposite: NDArray[np.int64],
        held: Mapping[str, tuple[float, float]],
    ) -> None:
        self.sample, self.roi = _sample(g2, group)
        self.opposite, self.held = opposite, held
        s = self.sample
        super().__init__(s.lag, 1 + s.mean, ERRORS)
        self.limit_at = float(stdtrit(max(s.dof, 1), LIMIT_P) ** 2)
        bins = np.unique(self.roi)
        self.n_pixels = float(g2.n_pixels[bins].sum() - len(bins))
        self.counts = float(np.average(g2.counts[bins], weights=g2.n_pixels[bins])) if bins.size else 0.0
        self.report["speckle"] = _has_speckle(s) if len(s.w) > 1 else "unknown"
        if self.report["speckle"] != "yes":
            self.refuse(NO_SPECKLE if self.report["speckle"] == "no" else TOO_FEW_PIXELS)
            return
        contrast, error = s.estimate(s.zero)
        self._twice = float(shared(s, s.zero[:, None], self.roi, opposite)[0])
        self.within_frame, self.decays_at_once = (contrast, error * float(np.sqrt(self._twice))), False
        if np.isfinite(s.mean).sum() < FEWEST_LAGS:
            self.refuse(TOO_FEW_LAGS)

    def _set_contrast(self, value: float, error: float) -> None:
        known = error < abs(value)
        self.report |= {"contrast": value if known else np.nan, "contrast_err": error if known else np.nan}

    def misfit(self, model: Floats) -> float:
        """Return the probability of such residuals if the curve `model` (n,) is right."""
        return misfit(self.sample, model)

    def allowed(self, why: str) -> str:
        """Return a reason why there is no tau, or a weaker one if the curve contradicts it."""
        return allowed(why, self.value - 1, self.noise())

    def noise(self) -> Floats:
        """Return the covariance of the values with the speckle that opposite bins share, (n, n)."""
        return self.covariance * self._twice

    def covariance_of(self, chosen: Chosen) -> Floats:
        """Return the covariance of the parameters, (8, 8): the fit's, or of the scatter of parts where it is larger."""
        s, free = self.sample, chosen.free
        out = np.zeros((len(NAMES), len(NAMES)))
        if not free:
            return out
        columns = [NAMES.index(name) for name in free]
        value, slope = slopes(s.lag, chosen.x[None], free)
        w = Curves.of(s.lag, self.value[None], self.covariance[None]).whitening[0]
        weighted = w.T @ w @ slope[0].T
        normal = slope[0] @ weighted
        scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
        inverted = np.linalg.pinv(normal / scale[:, None] / scale, hermitian=True) / scale[:, None] / scale
        pull = np.nan_to_num(1 + s.x - value[0]) @ weighted @ inverted  # of each part on the parameters
        own = np.sqrt(np.maximum(np.diag(chosen.covariance)[columns], 1e-300))
        of_fit = own**2 * max(chosen.chi2 / max(chosen.dof, 1), 1.0)
        variance = larger(np.diag(covariance_of_mean(pull, s.w)), of_fit, s.dof)
        self.report["p_same"] = p_same = _probability_of_same(pull, s, self.roi)
        if p_same < DIFFER_P:
            bins, index = np.unique(self.roi, return_inverse=True)
            of_bins = np.asarray(np.bincount(index, s.w), dtype=float)
            mean = np.stack([np.bincount(index, s.w * column) / of_bins for column in pull.T], 1)
            scattered = np.diag(covariance_of_mean(mean, of_bins)) * student_factor(max(len(bins) - 1, 1)) ** 2
            variance = np.maximum(of_fit, scattered)
        both_sides = np.sqrt(variance * shared(s, pull, self.roi, self.opposite))
        sd = np.array([chosen.among_models(name, x) for name, x in zip(free, both_sides, strict=True)])
        with np.errstate(invalid="ignore"):  # NaN where g2 does not depend on a parameter
            out[np.ix_(columns, columns)] = chosen.covariance[np.ix_(columns, columns)] * np.outer(sd / own, sd / own)
        for name in [x for x in MODELS[chosen.model] if x in self.held and x not in free]:
            shift = np.zeros(len(NAMES))
            shift[NAMES.index(name)] = 1
            shift[columns] = -(slopes(s.lag, chosen.x[None], [name])[1][0, 0] @ weighted) @ inverted
            out += np.outer(shift, shift) * self.held[name][1] ** 2
        return out

    def refuse_with_limits(self, why: float | str, above: float, below: float) -> None:
        """Report limits of tau in place of tau."""
        fast = _faster_than_a_frame(self.sample)
        if np.isfinite(fast):
            above, below, why, self.decays_at_once = np.nan, fast, FAST, True
        super().refuse_with_limits(why, above, below)

    def describe(self) -> None:
        """Report numbers that need no model if there is no tau, and as the contrast g2 - 1 at the first lag.

        If g2 decays within a frame, the contrast is that there. If it does not decay, and the first lag alone is lost
        in noise, a smooth curve through all lags gives the value there.
        """
        super().describe()
        if not self.report["no_tau"]:
            return
        at = np.flatnonzero(np.isfinite(np.diag(self.covariance)))[0]
        first, error = float(self.value[at] - 1), float(np.sqrt(self.noise()[at, at]))
        if self.decays_at_once:
            first, error = self.within_frame
        elif self.report["no_tau"] == NO_DECAY and first < LOST * error and "first" in self.report:
            first, error = float(self.report["first"]), float(self.report["first_err"])
        self._set_contrast(first, error)


def _sample(g2: G2, group: NDArray[np.int64]) -> tuple[Sample, NDArray[np.int64]]:
    """Return the parts of a group of bins, and the bin of each part; bins without a value only if all are."""
    known = group[np.isfinite(g2.value[group]).any(1)]
    group = known if known.size else group
    mine = np.isin(g2.part_roi, group) & (g2.part_weight > 0)
    roi = g2.part_roi[mine]
    weight = g2.part_weight[mine] * g2.n_pixels[roi]
    x = g2.parts[mine] - 1 - g2.bias[roi]
    return Sample(g2.lag, weight / max(weight.sum(), 1), x, g2.parts0[mine]), roi


def _add_covariances(g2: G2, which: NDArray[np.int64], groups: list[_Group]) -> None:
    """Give each group that is to be fitted the covariance of its lags, NaN at lags without a value.

    The correlation is that of the stretched exponential that describes the mean of all bins best. The area of a
    speckle is taken from the errors of all groups: scatter over theory, pooled.
    """
    wanted = [group for group in groups if not group.refused]
    if not wanted:
        return
    pooled = wanted[0].sample if len(wanted) == 1 else _sample(g2, which)[0]
    mean = 1 + pooled.mean
    use = np.isfinite(mean)
    noise = np.where(use, pooled.variance, np.nan)
    first = Curves.of(g2.lag, mean[None], np.diag(noise)[None])
    start, middle = start_of(first)
    x = fit(first, "stretched", [start, middle], _KNOWN).x[0]
    contrast = float(np.clip(x[0], 1e-3, 1.0))
    terms = noise_terms(g2.lag, x, contrast, g2.n_frames, averaged(g2.lag))
    theories, ratios = [], []
    for group in wanted:
        theories.append(at_counts(terms, max(group.counts, 1e-9)) / max(group.n_pixels, 1.0))
        ratios.append(
            np.nanmedian(np.where(np.isfinite(group.value), group.sample.variance, np.nan) / np.diag(theories[-1]))
        )
    area = max(float(np.median(ratios)), 1.0)
    own = own_share(g2.lag, mean - curve(g2.lag, x[None])[0], scaled(theories[0], np.sqrt(noise)))
    for group, theory in zip(wanted, theories, strict=True):
        if group.n_pixels + 1 < LEAST_SPECKLES * min(area, 2.0):
            group.report |= {"contrast": np.nan, "contrast_err": np.nan}
            group.refuse(TOO_FEW_PIXELS)
            continue
        error = np.sqrt(larger(group.sample.variance, area * np.diag(theory), group.sample.dof))
        group.covariance = scaled(theory, np.where(np.isfinite(group.value), error, np.nan), own)


def _probability_of_same(pull: Floats, s: Sample, roi: NDArray[np.int64]) -> float:
    """Return the probability that equal bins differ as much in contrast, log tau or exponent as these do."""
    bins = np.unique(roi)
    if len(bins) < 2:
        return np.nan
    pull = pull[:, :3]
    z = np.empty((len(bins), pull.shape[1]))
    mean = s.w @ pull
    for i, k in enumerate(bins):
        mine = roi == k
        w = s.w[mine] / s.w[mine].sum()
        of_bin = w @ pull[mine]
        n = mine.sum()
        error = np.sqrt(w @ (pull[mine] - of_bin) ** 2 / (n - 1)) if n > 1 else np.full(pull.shape[1], np.nan)
        p = stdtr(n - 1, (of_bin - mean) / error) if n > 1 else np.full(pull.shape[1], np.nan)
        z[i] = ndtri(np.clip(p, 1e-12, 1 - 1e-12))
    known = np.isfinite(z).sum(0)
    if (known < 2).any():
        return np.nan
    return float(min(1, pull.shape[1] * chdtrc(known - 1, np.nansum(z**2, 0)).min()))


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
    limit = -stdtrit(s.dof, SPECKLE_P / len(tested))
    for x in tested:
        mean, error = s.estimate(x)
        if error > 0 and mean > limit * error:
            return "yes"
    return "no"


def _faster_than_a_frame(s: Sample) -> float:
    """Return a limit of 95 % for tau in frames, for contrast within a frame but not after it; NaN otherwise.

    The ratio of g2 - 1 at the first lag to the contrast within a frame bounds exp(-2 (lag / tau)^exponent), for any
    exponent from 0.5 to 2.
    """
    zero, zero_err = s.estimate(s.zero)
    limit = -stdtrit(s.dof, LIMIT_P)
    if not zero > -stdtrit(s.dof, 0.005) * zero_err:
        return np.nan
    for ratio in np.linspace(0.01, 1, 100):  # the smallest that is significantly above the measured one
        left, left_err = s.estimate(s.x[:, 0] - ratio * s.zero)
        if left < -limit * left_err:
            break
    if ratio >= np.exp(-1):
        return np.nan
    decay = -np.log(ratio) / 2
    return float(s.lag[0] * max(decay ** (-1 / exponent) for exponent in (0.5, 2.0)))
