"""Numbers with errors that a curve of g2 determines, or limits, or the reason why there are none."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._choice import SHARE_KNOWN, Candidate, Chosen
from ainerd_xpcs.numerics._family import FORMULA, MODELS, NAMES

Floats = NDArray[np.float64]
MISFIT_P = 1e-4  # probability of the residuals below which no parameter is reported
LOG_TAU_KNOWN = 0.4  # standard error of log tau above which only limits are reported
EXPONENT_KNOWN = 0.5  # relative error of the exponent above which the shape, and so tau, is unknown
RESOLVED = 2.0  # first lags within tau below which the decay is not resolved
SHAPED = 4.0  # the same where the exponent is free: a faster decay looks compressed, and slower than it is
SURE = 0.12  # standard error of log tau below which its limits need not be computed
RANGE = 6.0  # largest ratio of the limits of a tau that is reported
LEAST_SPECKLES = 6  # below it, neither the scatter of pixels nor theory gives an error
NO_SPECKLE, NO_DECAY, MISFIT = "no speckle", "does not decay", "no model fits g2"
TOO_FEW_LAGS, TOO_FEW_PIXELS = "too few lags", "too few pixels"
FAST, SLOW, UNSURE = "faster than the lags", "slower than the lags", "the data do not determine it"
RELAXATION_TEXTS = ("speckle", "model", "either", "no_tau", "errors")


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """Relaxations of some bins, or of all together: arrays (n,), NaN where the data do not determine a value.

    Each number has a field with its standard error, which ends in ``_err``. A number is NaN if it is at the end of its
    range or outside the lags, if its error is as large as itself, or if no model describes the curve.

    Attributes
    ----------
    tau : ndarray
        Relaxation time of the field correlation, of its faster mode if there are two, in the unit of the frame time.
    tau_above, tau_below : ndarray
        One-sided limits of 95 % where `tau` is NaN. A g2 that does not decay within the exposure has the first, one
        that decays within a frame the second.
    no_tau : ndarray of str
        Why there is no `tau`; "" if there is one.
    model : ndarray of str
        Model that the evidence prefers, such as "stretched" or "two modes + static".
    either : ndarray of str
        A model with as many parameters that describes the curve as well; "" without one. The errors are valid if the
        other model is wrong.
    tau_either : ndarray
        `tau` of that model, if it determines one.
    exponent : ndarray
        NaN where `tau` is.
    contrast : ndarray
        g2 - 1 at lag 0; without `tau` at the first lag, or within a frame if it decays there. The error includes the
        finite number of speckles.
    plateau : ndarray
        Share of g2 - 1 that does not decay; 0 ± NaN in a model without one, NaN where `tau` is.
    static, baseline : ndarray
        The part that does not decay: as a share of the field, which interferes with the rest, or added to g2.
    share, tau2, exponent2 : ndarray
        Share of the faster mode in the field, and relaxation time and exponent of the slower mode.
    tau2_above : ndarray
        Lower limit of 95 % of `tau2`, if it is outside the lags or not known.
    tau_half : ndarray
        Where there is no `tau`: time after which g2 - 1 has first fallen to a half of its value at the first lags, from
        no model (`without_model`). Limits of 95 % where it is not known or outside the lags: ``_above``, ``_below``.
    left : ndarray
        The share of that value that is left at the last lags.
    speckle : ndarray of str
        "yes", "no", or "unknown" if there are too few pixels for a test.
    p_same : ndarray
        Probability that equal bins differ as much as these; NaN for a single bin. If it is below .001, the errors come
        from the scatter between bins.
    misfit_p : ndarray
        Probability of residuals as large as these if the model is right to 2 % of the height of g2 - 1. If it is
        below 1e-4, no parameter of the model is reported.
    errors : ndarray of str
        Source of the errors.
    formula : str
    candidates : tuple of Candidate
        Of bins that are fitted together: all models, with the evidence for them.
    by_model : Relaxation, optional
        The numbers by each of `candidates`, (n,), as if it were the only model.

    Examples
    --------
    >>> tau = np.geomspace(0.01, 10, 40)
    >>> relaxation = fit_curves(tau, 1 + 0.2 * np.exp(-2 * tau / [[0.5], [2.0]]))
    >>> relaxation.tau.round(2), relaxation.model
    (array([0.5, 2. ]), array(['stretched', 'stretched'], dtype='<U9'))
    >>> relaxation.curve(0, np.array([0.5])).round(3)  # 1 + 0.2 exp(-2)
    array([1.027])
    """

    tau: Floats
    tau_err: Floats
    tau_above: Floats
    tau_below: Floats
    no_tau: NDArray[np.str_]
    model: NDArray[np.str_]
    either: NDArray[np.str_]
    tau_either: Floats
    tau_either_err: Floats
    exponent: Floats
    exponent_err: Floats
    contrast: Floats
    contrast_err: Floats
    plateau: Floats
    plateau_err: Floats
    static: Floats
    static_err: Floats
    baseline: Floats
    baseline_err: Floats
    share: Floats
    share_err: Floats
    tau2: Floats
    tau2_err: Floats
    tau2_above: Floats
    exponent2: Floats
    exponent2_err: Floats
    tau_half: Floats
    tau_half_err: Floats
    tau_half_above: Floats
    tau_half_below: Floats
    left: Floats
    left_err: Floats
    speckle: NDArray[np.str_]
    p_same: Floats
    misfit_p: Floats
    errors: NDArray[np.str_]
    formula: str = FORMULA
    candidates: tuple[Candidate, ...] = ()
    by_model: "Relaxation | None" = None

    @classmethod
    def of(cls, each: Sequence["Report"], unit: float) -> "Relaxation":
        """Collect the reports of curves, whose times are in units of `unit`."""
        columns = {
            name: np.array([report[name] for report in each]) * (unit if name in TIMES else 1)
            if name not in RELAXATION_TEXTS
            else np.array([report[name] for report in each], dtype=str)
            for name in RELAXATION_COLUMNS
        }
        return cls(**columns)  # type: ignore[arg-type]

    def curve(self, k: int, tau: Floats) -> Floats | None:
        """Return g2 of a curve by the model at these times; None if there is no relaxation time."""
        p = {name: float(getattr(self, name)[k]) for name in RELAXATION_COLUMNS if name not in RELAXATION_TEXTS}
        if not np.isfinite(p["tau"]):
            return None
        rest = {name: 0.0 if np.isnan(p[name]) else p[name] for name in ("static", "baseline")}
        moving = np.exp(-((tau / p["tau"]) ** (1 if np.isnan(p["exponent"]) else p["exponent"])))
        if np.isfinite(p["share"]):
            slow = np.ones_like(tau)
            if np.isfinite(p["tau2"]):
                slow = np.exp(-((tau / p["tau2"]) ** (1 if np.isnan(p["exponent2"]) else p["exponent2"])))
            moving = p["share"] * moving + (1 - p["share"]) * slow
        whole = rest["static"] + (1 - rest["static"]) * moving
        return np.asarray(1 + rest["baseline"] + (p["contrast"] - rest["baseline"]) * whole**2)


_BESIDE = ("formula", "candidates", "by_model")
Report = dict[str, float | str]
RELAXATION_COLUMNS = tuple(each.name for each in fields(Relaxation) if each.name not in _BESIDE)
TIMES = tuple(name for name in RELAXATION_COLUMNS if name.startswith("tau"))


def empty(errors: str) -> Report:
    """Return the report of a curve without numbers."""
    report: Report = {name: "" if name in RELAXATION_TEXTS else np.nan for name in RELAXATION_COLUMNS}
    return report | {"speckle": "unknown", "errors": errors}


def is_determined(chosen: Chosen, error: Floats, first: float, last: float) -> bool:
    """Return whether a model with these errors, (8,), determines tau between the lags `first` and `last`."""
    free = chosen.free
    if chosen.model in ("none", "flat"):
        return False
    is_known = "tau" not in free or error[1] < LOG_TAU_KNOWN
    if "contrast" not in free and not chosen.shared:
        return bool(is_known)
    inside = fastest(chosen, first) < chosen.value("tau") < np.log(last)
    shaped = "exponent" not in free or (
        error[2] < EXPONENT_KNOWN * chosen.value("exponent") and 0.2 * 1.01 < chosen.value("exponent") < 2.5 * 0.99
    )
    seen = chosen.value("contrast") > SHARE_KNOWN * error[0]
    if chosen.shared and "share" in free:
        seen &= chosen.value("share") > SHARE_KNOWN * error[NAMES.index("share")]
    return bool(inside and shaped and is_known and seen)


def fastest(chosen: Chosen, first: float) -> float:
    """Return the logarithm of the shortest tau that a model can determine from lags that begin at `first`."""
    is_free = "exponent" in chosen.free and "exponent" not in chosen.shared
    return float(np.log((SHAPED if is_free else RESOLVED) * first))


def determined(chosen: Chosen, covariance: Floats, first: float, last: float) -> Report:
    """Return the numbers of a model that determines tau; `covariance` (8, 8) is that of its parameters."""
    log_tau_err = float(np.sqrt(max(covariance[1, 1], 0)))
    tau = float(np.exp(chosen.value("tau")))
    out: Report = {"tau": tau, "tau_err": tau * symmetric_error(log_tau_err)}
    if chosen.either is not None:
        other = chosen.either.x[1]
        other_err = chosen.either.sd[1] * log_tau_err / np.sqrt(max(chosen.covariance[1, 1], 1e-300))
        if 0 < other_err < LOG_TAU_KNOWN and fastest(chosen, first) < other < np.log(last):
            out |= {"tau_either": float(np.exp(other)), "tau_either_err": np.exp(other) * symmetric_error(other_err)}
    if "exponent" in chosen.free or chosen.value("exponent") != 1:
        out |= {"exponent": chosen.value("exponent"), "exponent_err": float(np.sqrt(max(covariance[2, 2], 0)))}
    return out | heights(chosen, covariance, last)


def shares_are_known(chosen: Chosen, error: Floats) -> bool:
    """Return whether a model of two modes, with errors (8,), determines the shares of both."""
    share, share_err = chosen.value("share"), error[NAMES.index("share")]
    return "share" in chosen.free and bool(min(share, 1 - share) > SHARE_KNOWN * share_err)


def heights(chosen: Chosen, covariance: Floats, last: float) -> Report:
    """Return the contrast and the shares of a model, and the relaxation time of its slower mode, or the limit of that.

    Beyond the lags a relaxation time is a limit. If curves share an exponent, the limit may lie beyond the longest lag.
    """
    value = dict(zip(NAMES, chosen.x, strict=True))
    sd = dict(zip(NAMES, np.sqrt(np.maximum(np.diag(covariance), 0)), strict=True))
    free = MODELS[chosen.model]
    out: Report = {"plateau": 0.0}
    contrast, contrast_err = value["contrast"], sd["contrast"]
    if "static" in free:
        s = value["static"]
        out |= {"static": s, "static_err": sd["static"], "plateau": s**2, "plateau_err": 2 * s * sd["static"]}
    if "baseline" in free:
        c, two = value["baseline"], covariance[np.ix_([0, 4], [0, 4])]
        out |= {"baseline": c, "baseline_err": sd["baseline"]}
        contrast, contrast_err = contrast + c, float(np.sqrt(max(two.sum(), 0.0)))
        slope = np.array([-c, contrast - c]) / contrast**2
        out |= {"plateau": c / contrast, "plateau_err": float(np.sqrt(max(slope @ two @ slope, 0.0)))}
    relative = contrast_err / contrast
    out |= {"contrast": contrast, "contrast_err": contrast * symmetric_error(relative) if relative else np.nan}
    if "ratio" in free:
        out |= {"share": value["share"], "share_err": sd["share"]}
        log_tau2 = value["tau"] + value["ratio"]
        log_tau2_err = float(np.sqrt(max(covariance[np.ix_([1, 6], [1, 6])].sum(), 0.0)))
        is_inside = log_tau2 < np.log(last) and log_tau2_err < LOG_TAU_KNOWN
        if is_inside:
            tau2 = float(np.exp(log_tau2))
            out |= {"tau2": tau2, "tau2_err": tau2 * symmetric_error(log_tau2_err)}
        else:
            least = log_tau2 - 1.645 * min(log_tau2_err, 20.0)
            if "exponent" not in chosen.shared:
                least = min(least, float(np.log(last)))
            if least > value["tau"]:  # a limit below the faster mode says nothing
                out["tau2_above"] = float(np.exp(least))
        is_known = "exponent2" in free and sd["exponent2"] < EXPONENT_KNOWN * value["exponent2"]
        if is_known and (is_inside or "exponent" in chosen.shared):
            out |= {"exponent2": value["exponent2"], "exponent2_err": sd["exponent2"]}
    return {name: x if isinstance(x, str) else float(x) for name, x in out.items()}


def why_not(chosen: Chosen, first: float, last: float) -> str:
    """Return why a model does not determine tau."""
    if chosen.model in ("none", "flat"):
        return NO_SPECKLE if chosen.model == "none" or chosen.value("baseline") <= 0 else NO_DECAY
    log_tau = chosen.value("tau")
    if not log_tau > np.log(RESOLVED * first):
        return UNSURE if chosen.shared else FAST
    return SLOW if not log_tau < np.log(last) else UNSURE


def symmetric_error(relative: float) -> float:
    """Return half the width of an interval for a value whose error is proportional to the true value.

    For k errors the interval is x / (1 + k r) to x / (1 - k r) (Fieller, J. R. Stat. Soc. B 16, 175, 1954). Half of it,
    over k, is r / (1 - k² r²), taken here about halfway between k = 1 and 2.
    """
    return float(relative / (1 - 2 * min(relative, 0.5) ** 2))
