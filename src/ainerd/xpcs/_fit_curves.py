"""Fit curves of g2 that come with errors alone, such as those in files of other programs."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs._choice import DEFAULT, Chosen, choose, limits_of_tau
from ainerd.xpcs._family import (
    FREE,
    LOGARITHMIC,
    MODELS,
    NAMES,
    Constraints,
    Curves,
    changed,
    curve,
    fit,
    fit_shared,
    start_of,
)
from ainerd.xpcs._relaxation import (
    LEAST_SPECKLES,
    MISFIT,
    MISFIT_P,
    NO_SPECKLE,
    RANGE,
    SURE,
    TOO_FEW_LAGS,
    TOO_FEW_PIXELS,
    UNSURE,
    Relaxation,
    Report,
    determined,
    empty,
    is_determined,
    why_not,
)
from ainerd.xpcs._scatter import misfit_of_curve
from ainerd.xpcs._speckle_noise import (
    averaged,
    photon_covariance,
    poisson_error,
    scaled,
    scatter_of_neighbours,
    speckle_covariance,
)

Floats = NDArray[np.float64]
FEWEST_LAGS = 6
TOO_FEW_PHOTONS = 0.5  # error of a lag from photons above which the lag is not used
TOO_SMALL = 1.3  # scatter of neighbouring lags over their errors above which the errors are enlarged
INDEPENDENT = 0.85  # the same, above which lags are taken to be independent
LIMIT = 2.71  # chi square of a one-sided limit of 95 %


def fit_curves(
    tau: ArrayLike,
    g2: ArrayLike,
    error: ArrayLike | None = None,
    *,
    counts: ArrayLike | None = None,
    n_pixels: ArrayLike | None = None,
    n_frames: int | None = None,
    n_files: int = 1,
    level: ArrayLike | None = None,
    frame_time: float | None = None,
    models: Sequence[str] = DEFAULT,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    given: Mapping[str, tuple[float, float]] | None = None,
    shared: Collection[str] = (),
) -> Relaxation:
    """Fit models of one family to curves of g2, choose by evidence, and report what the curves determine.

    Lags whose error is zero or NaN are left out. Errors are enlarged to those of photon counting, if counts are known,
    and to the scatter between neighbouring lags, if that is larger. The covariance between lags is that of Gaussian
    speckle, scaled to the errors; the share of its variance that a lag has alone comes from the scatter between
    neighbours. `Relaxation.errors` says which errors are used.

    Parameters
    ----------
    tau : array_like, shape (n,)
        Lags, in any unit; those that are not positive are left out.
    g2 : array_like, shape (k, n) or (n,)
    error : array_like, like g2, optional
        Standard errors; without them, or if none is positive, the scatter between neighbouring lags is used.
    counts, n_pixels : float or array_like, shape (k,), optional
        Photons per pixel and frame, and pixels of each curve, in speckles if a speckle covers several; NaN if unknown.
        Below six pixels nothing is reported.
    n_frames : int, optional
        Frames; by default twice the longest lag.
    n_files : int
        Measurements whose g2 is averaged.
    level : array_like of int, shape (n,), optional
        Level of multi-tau of each lag, which is averaged over 2^level frames; by default eight lags are in each level.
    frame_time : float, optional
        Time from frame to frame in the unit of the lags; by default the shortest lag.
    models : sequence of str
        Models to choose from, of "none", "flat", "one mode", "stretched", "two modes" and "two stretched", the last
        four also with " + static" or " + baseline".
    fixed, bounds, given : mapping, optional
        Values of parameters that are known, their ranges (low, high), and values with their standard deviations, by
        name: contrast, tau, exponent, static, baseline, share, ratio (tau2 over tau), exponent2.
    shared : collection of str
        Parameters that have one value for all curves; `models` is then one model.

    Raises
    ------
    ValueError
        If shapes do not fit, or a model or parameter does not exist.
    """
    lags, values, errors = _arrays(tau, g2, error)
    known = _constraints(fixed or {}, bounds or {}, given or {})
    missing = [x for x in models if x not in MODELS] + [x for x in shared if x not in NAMES]
    if missing:
        raise ValueError(f"there is no {missing[0]!r}: models are {', '.join(MODELS)}; parameters {', '.join(NAMES)}")
    if shared and len(models) != 1:
        raise ValueError(f"shared parameters need one model, got {', '.join(models)}")
    k = len(values)
    unit = frame_time or float(lags[0])
    frames = lags / unit
    long = n_frames or int(np.ceil(2 * frames[-1])) + 1
    pixels, photons = (np.broadcast_to(np.nan if x is None else np.asarray(x, float), k) for x in (n_pixels, counts))
    order = np.argsort(np.asarray(tau, dtype=float), kind="stable")[-len(lags) :]
    mean_of = averaged(frames) if level is None else 2.0 ** np.asarray(level)[order]
    pairs = np.maximum(long - frames, 1) * mean_of * n_files
    curves = [_Curve(frames, *each, pairs) for each in zip(values, errors, pixels, photons, strict=True)]
    fitted = [each for each in curves if not each.why]
    joint = None
    if fitted:
        _add_covariances(frames, fitted, long)
        data = Curves.of(frames, np.stack([x.value for x in fitted]), np.stack([x.covariance for x in fitted]))
        scale = _in_frames(known, unit)
        if shared:
            chosen, joint = _shared(data, models[0], shared, scale)
        else:
            chosen = choose(data, models, scale)
        for each, of_curve in zip(fitted, chosen, strict=True):
            each.judge(of_curve)
        unsure = np.array([i for i, each in enumerate(fitted) if each.wants_limits], dtype=int)
        if unsure.size:
            for i, *ends in zip(unsure, *limits_of_tau(data[unsure], LIMIT, scale), strict=True):
                fitted[i].limit(*ends)
    everything = None
    if joint is not None:
        at = [i for i, each in enumerate(curves) if not each.why_before]
        everything = np.full((k, k), np.nan)
        everything[np.ix_(at, at)] = joint
    return Relaxation.of([each.report for each in curves], unit, everything)


class _Curve:
    """One curve: the lags that are used, their errors, and its report. `why` is the reason if it is not fitted."""

    def __init__(
        self, lag: Floats, value: Floats, error: Floats, n_pixels: float, counts: float, pairs: Floats
    ) -> None:
        self.lag, self.value, self.n_pixels, self.counts, self.pairs = lag, value, n_pixels, counts, pairs
        self.source, self.why, self.wants_limits = "of the file", "", False
        use = np.isfinite(value) & np.isfinite(error) & (error > 0)
        if not np.any(error > 0):
            use, error, self.source = np.isfinite(value), np.full_like(value, 1e-12), ""
        error = np.where(use, error, np.nan)
        if counts > 0 and n_pixels > 0:
            least = poisson_error(value, counts, n_pixels * pairs)
            if np.nanmedian(least / error) > 1:
                self.source = f"{self.source}, at least of photon counting".lstrip(", ")
            error = np.where(least > TOO_FEW_PHOTONS, np.nan, np.maximum(error, least))
            use &= np.isfinite(error)
        scatter = scatter_of_neighbours(lag[use], value[use], error[use]) if use.sum() >= FEWEST_LAGS else 1.0
        self.own = 1.0 if scatter > INDEPENDENT else float(max(scatter**2, 0.02))
        if scatter > TOO_SMALL:
            error, self.own = error * scatter, 1.0
            what = "of the scatter between neighbouring lags"
            self.source = f"{self.source} × {scatter:.2g}, {what}" if self.source else what
        self.error = error
        self.report: Report = empty(f"errors {self.source}")
        if n_pixels < LEAST_SPECKLES:
            self.why = TOO_FEW_PIXELS
        elif use.sum() < FEWEST_LAGS or not np.nanmax(error, initial=0) > 0:
            self.why = TOO_FEW_LAGS
        self.why_before = self.why
        self.report["no_tau"] = self.why
        self.covariance = np.diag(error**2)

    def judge(self, chosen: Chosen) -> None:
        """Report the numbers of a model, or find that limits are wanted."""
        self.chosen = chosen
        self.report |= {"model": chosen.model, "either": chosen.either}
        if not chosen.model:
            self.report["no_tau"] = TOO_FEW_LAGS
            return
        use = np.isfinite(self.error)
        model = curve(self.lag, chosen.x[None])[0]
        height = float(np.abs(np.convolve((self.value - 1)[use], np.ones(3) / 3, "valid")).max())
        at = np.ix_(use, use)
        self.report["misfit_p"] = p = misfit_of_curve((self.value - model)[use], self.covariance[at], height)
        if p < MISFIT_P:
            self.report["no_tau"] = MISFIT
            return
        error = np.array([chosen.error(name) for name in NAMES])
        own = np.sqrt(np.maximum(np.diag(chosen.covariance), 1e-300))
        covariance = chosen.covariance * np.outer(error / own, error / own)
        first, last = self.lag[use][[0, -1]]
        known = is_determined(chosen, error, first, last)
        self.found = determined(chosen, covariance, last) if known else None
        why = why_not(chosen, first, last) if not known else ""
        self.report["speckle"] = "no" if why == NO_SPECKLE else "yes"
        self.wants_limits = why != NO_SPECKLE and (not known or error[1] > SURE)
        self.report["no_tau"] = why
        if known and not self.wants_limits and self.found is not None:
            self.report |= self.found

    def limit(self, above: float, below: float) -> None:
        """Report tau if its limits are near to each other, and otherwise the limits."""
        if self.found is not None and below < RANGE * above:
            self.report |= self.found | {"no_tau": ""}
            return
        why = self.report["no_tau"] or UNSURE
        self.report |= {"no_tau": why, "tau_above": above, "tau_below": below}


def _arrays(tau: ArrayLike, g2: ArrayLike, error: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    lags, values = np.asarray(tau, dtype=float), np.atleast_2d(np.asarray(g2, dtype=float))
    if lags.ndim != 1 or values.ndim != 2 or values.shape[1] != lags.size:
        raise ValueError(f"g2 of shape {values.shape} does not fit {lags.shape} lags")
    errors = np.full_like(values, np.nan) if error is None else np.atleast_2d(np.asarray(error, dtype=float))
    if errors.shape != values.shape:
        raise ValueError(f"errors of shape {errors.shape} do not fit g2 of shape {values.shape}")
    order = np.argsort(lags, kind="stable")
    order = order[lags[order] > 0]
    if not order.size:
        raise ValueError("no lag is positive")
    return lags[order], values[:, order], errors[:, order]


def _constraints(
    fixed: Mapping[str, float], bounds: Mapping[str, tuple[float, float]], given: Mapping[str, tuple[float, float]]
) -> Constraints:
    unknown = [name for each in (fixed, bounds, given) for name in each if name not in NAMES]
    if unknown:
        raise ValueError(f"there is no parameter {unknown[0]!r}: they are {', '.join(NAMES)}")
    low = dict.fromkeys(LOGARITHMIC, 1e-300)
    return Constraints(
        {name: float(np.log(x)) if name in low else x for name, x in fixed.items()},
        {
            name: (float(np.log(max(a, 1e-300))), float(np.log(b))) if name in low else (a, b)
            for name, (a, b) in bounds.items()
        },
        {name: (float(np.log(x)), sd / x) if name in low else (x, sd) for name, (x, sd) in given.items()},
    )


def _in_frames(known: Constraints, unit: float) -> Constraints:
    """Return constraints with tau in frames, of `unit` each."""
    shift = float(np.log(unit))
    fixed, bounds, given = dict(known.fixed), dict(known.bounds), dict(known.given)
    if "tau" in fixed:
        fixed["tau"] = fixed["tau"] - shift
    if "tau" in bounds:
        bounds["tau"] = bounds["tau"][0] - shift, bounds["tau"][1] - shift
    if "tau" in given:
        given["tau"] = given["tau"][0] - shift, given["tau"][1]
    return Constraints(fixed, bounds, given)


def _add_covariances(lag: Floats, curves: Sequence[_Curve], n_frames: int) -> None:
    """Replace independent errors by the covariance of Gaussian speckle, where a first fit finds a contrast."""
    data = Curves.of(lag, np.stack([x.value for x in curves]), np.stack([x.covariance for x in curves]))
    start, middle = start_of(data)
    first = fit(data, "stretched", [start, changed(start, exponent=0.6), middle], FREE)
    seen = first["contrast"] > 3 * first.error("contrast")
    for each, x, is_seen in zip(curves, first.x, seen, strict=True):
        if not is_seen or each.own >= 1:
            continue
        contrast = float(np.clip(x[0], 1e-3, 1.0))
        theory = speckle_covariance(lag, x, contrast, n_frames)
        error = each.error
        if each.counts > 0 and each.n_pixels > 0:
            least = (theory + photon_covariance(lag, x, contrast, each.counts, each.pairs)) / each.n_pixels
            error = np.maximum(error, np.sqrt(np.diag(least)))
        each.error = error
        each.covariance = scaled(theory, error, each.own)


def _shared(curves: Curves, model: str, shared: Collection[str], known: Constraints) -> tuple[list[Chosen], Floats]:
    """Fit one model to all curves together."""
    start, middle = start_of(curves)
    alone = fit(curves, "stretched", [start, middle], known).x
    starts = [changed(x, static=0.1, share=f, ratio=3.0) for x in (alone, start) for f in (0.3, 0.6)]
    fitted, joint = fit_shared(curves, model, starts, shared, known)
    dof = curves.n - len(fitted.free)
    spread = np.zeros(len(NAMES))
    chosen = [
        Chosen("" if edge else model, x, covariance, float(chi2), int(n), "", spread)
        for x, covariance, chi2, n, edge in zip(fitted.x, fitted.covariance, fitted.chi2, dof, fitted.edge, strict=True)
    ]
    return chosen, joint
