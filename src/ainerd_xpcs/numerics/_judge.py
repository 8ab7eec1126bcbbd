"""Report a curve with its chosen model: its numbers, limits of tau, or a reason."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._choice import Chosen, limits_of_tau
from ainerd_xpcs.numerics._family import NAMES, Bounds, Curves, curve
from ainerd_xpcs.numerics._relaxation import (
    MISFIT,
    MISFIT_P,
    NO_SPECKLE,
    RANGE,
    SURE,
    TOO_FEW_LAGS,
    UNSURE,
    Report,
    determined,
    empty,
    is_determined,
    why_not,
)
from ainerd_xpcs.numerics._without_model import without_model

Floats = NDArray[np.float64]


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
    """

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
        known = is_determined(chosen, error, first, last)
        self._numbers = determined(chosen, covariance, first, last) if known else None
        why = "" if known else why_not(chosen, first, last)
        if self.report["speckle"] == "yes" and why == NO_SPECKLE:  # there is some, but it decays within the first lag
            why = UNSURE
        self.report |= {"speckle": "no" if why == NO_SPECKLE else "yes", "no_tau": why}
        self.wants_limits = why != NO_SPECKLE and (not known or error[1] > SURE)
        if self._numbers is not None and not self.wants_limits:
            self.report |= self._numbers

    def limit(self, above: float, below: float) -> None:
        """Report tau if its limits are near to each other, and otherwise the limits."""
        if self._numbers is not None and below < RANGE * above:
            self.report |= self._numbers | {"no_tau": ""}
        else:
            self.refuse_with_limits(self.report["no_tau"] or UNSURE, above, below)

    def refuse_with_limits(self, why: float | str, above: float, below: float) -> None:
        """Report limits of tau in place of tau."""
        self.report |= {"no_tau": why, "tau_above": above, "tau_below": below}

    def describe(self) -> None:
        """Report numbers that need no model if there is no tau."""
        if self.report["no_tau"] and self.report["speckle"] != "no":
            self.report |= without_model(self.lag, self.value - 1, self.noise())


def whitened(judged: Sequence[Judged]) -> Curves:
    """Return curves of the same lags with their noise."""
    return Curves.of(judged[0].lag, np.stack([x.value for x in judged]), np.stack([x.covariance for x in judged]))


def judge(
    judged: Sequence[Judged],
    curves: Curves,
    chosen: Sequence[Chosen],
    bounds: Bounds,
    threshold: Callable[[list[int]], float],
) -> None:
    """Write the reports of curves with their chosen models.

    `threshold` returns the increase of chi square at a limit of 95 %, given the places of the curves that need limits.
    """
    for each, of_curve in zip(judged, chosen, strict=True):
        each.judge(of_curve)
    unsure = [i for i, each in enumerate(judged) if each.wants_limits]
    if unsure:
        ends_of = limits_of_tau(curves[np.array(unsure)], threshold(unsure), bounds)
        for i, *ends in zip(unsure, *ends_of, strict=True):
            judged[i].limit(*ends)
    for each in judged:
        each.describe()


def widened(chosen: Chosen) -> Floats:
    """Return the covariance of the parameters with the errors of `Chosen.error`, (8, 8)."""
    error = np.array([chosen.error(name) for name in NAMES])
    own = np.sqrt(np.maximum(np.diag(chosen.covariance), 1e-300))
    with np.errstate(invalid="ignore"):  # NaN where g2 does not depend on a parameter
        return np.asarray(chosen.covariance * np.outer(error / own, error / own))
