"""A curve of g2 that comes with errors alone: the noise of its lags, and what it allows to say."""

from copy import copy

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._choice import Chosen
from ainerd_xpcs.numerics._family import NAMES, curve, field
from ainerd_xpcs.numerics._judge import Judged, without_model
from ainerd_xpcs.numerics._relaxation import LEAST_SPECKLES, MISFIT, TOO_FEW_LAGS, TOO_FEW_PIXELS, Report, empty
from ainerd_xpcs.numerics._scatter import misfit_of_curve
from ainerd_xpcs.numerics._speckle_noise import (
    at_counts,
    counts_of,
    noise_terms,
    own_share,
    poisson_error,
    scaled,
    scatter_of_neighbours,
)
from ainerd_xpcs.numerics._statements import Fall, allowed, fall_of

Floats = NDArray[np.float64]
FEWEST_LAGS = 6
TOO_FEW_PHOTONS = 0.5  # error of a lag from photons above which the lag is not used
TOO_SMALL = 1.3  # scatter of neighbouring lags over their errors above which the errors are enlarged
SAME = 0.03  # largest difference of two g1 with the same noise
HEIGHT_BANDS = 8  # bands of lags, of which the highest mean is the height of a curve
LIMIT_P = 0.05  # probability of the residuals of one mode below which a curve that falls gets no limit of tau


class FileCurve(Judged):
    """One curve of a file: the lags that are used, and their errors."""

    slowest = 2.0  # with 1, of samples as slow as the last lag only those were reported that look faster
    limit_at = 4.22  # chi square of 98 %, as limits that are given are more often wrong than all

    def __init__(
        self, lag: Floats, value: Floats, error: Floats, n_pixels: float, counts: float, pairs: Floats,
        mean_of: Floats, n_frames: int, source: str, *, n_files: int = 1, normalised: bool = False,
    ) -> None:  # fmt: skip
        self.normalised = normalised
        self.n_pixels, self.counts, self.mean_of = n_pixels, counts, mean_of
        self.n_frames, self.n_files = n_frames, n_files
        use = np.isfinite(value) & np.isfinite(error) & (error > 0)
        if not np.any(error > 0):
            use, error, source = np.isfinite(value), np.full_like(value, 1e-12), ""
        error = np.where(use, error, np.nan)
        if counts > 0 and n_pixels > 0:
            least = poisson_error(value, counts, n_pixels * pairs)
            if np.nanmedian(least / error) > 1:
                source = f"{source}, at least of photon counting".lstrip(", ")
            error = np.where(least > TOO_FEW_PHOTONS, np.nan, np.maximum(error, least))
            use &= np.isfinite(error)
        scatter = scatter_of_neighbours(lag[use], value[use], error[use]) if use.sum() >= FEWEST_LAGS else 1.0
        self.independent = scatter > TOO_SMALL
        self.shared = ""  # parameters that it shares with other curves
        self.g1: Floats | None = None
        self.first: Floats | None = None  # parameters of a stretched exponential that is fitted with independent lags
        if self.independent:
            error, what = error * scatter, "the scatter between neighbouring lags"
            source = f"{source}, × {scatter:.2g} for {what}: they are too small" if source else f"of {what}"
        super().__init__(lag, value, f"errors {source}")
        self.fitted = np.full_like(value, np.nan)
        self.error, self.covariance = error, np.diag(error**2)
        if n_pixels < LEAST_SPECKLES:
            self.refuse(TOO_FEW_PIXELS)
        elif use.sum() < FEWEST_LAGS or not np.nanmax(error, initial=0) > 0:
            self.refuse(TOO_FEW_LAGS)

    def correlate(self, x: Floats) -> bool:
        """Give the lags the covariance of Gaussian speckle with the g1 of parameters `x`, (8,), if it is another g1."""
        g1 = field(self.lag, x)
        if self.independent or (self.g1 is not None and np.abs(g1 - self.g1).max() < SAME):
            return False
        self.g1 = g1
        contrast = float(np.clip(x[0], 1e-3, 1.0))
        terms = noise_terms(self.lag, x, contrast, self.n_frames, self.mean_of, normalised=self.normalised)
        error = self.error
        if self.counts > 0 and self.n_pixels > 0:
            error = np.maximum(error, np.sqrt(np.diag(at_counts(terms, self.counts)) / self.n_pixels / self.n_files))
        residual = self.value - curve(self.lag, x[None])[0]
        theory = at_counts(terms, counts_of(error, terms))
        self.covariance = scaled(theory, error, own_share(self.lag, residual, scaled(theory, error)))
        return True

    def noise(self) -> Floats:
        """Return the covariance of the lags, with the g1 of the first fit if no model gave one."""
        if self.g1 is None and self.first is not None:
            self.correlate(self.first)
        return self.covariance

    def misfit(self, model: Floats) -> float:
        """Return the probability of such residuals if the curve `model` (n,) is right."""
        use = np.isfinite(self.error)
        value, error = (self.value - 1)[use], self.error[use]
        bands = [band for band in np.array_split(np.arange(use.sum()), HEIGHT_BANDS) if band.size]
        weights = [1 / error[band] ** 2 for band in bands]
        means = np.array([np.average(value[band], weights=w) for band, w in zip(bands, weights, strict=True)])
        height = float((np.abs(means) - [w.sum() ** -0.5 for w in weights]).max())
        return misfit_of_curve((self.value - model)[use], self.covariance[np.ix_(use, use)], max(height, 0.0))

    @property
    def fall(self) -> Fall:
        """How far g2 - 1 falls."""
        return fall_of(self.value - 1, self.covariance)

    def allowed(self, why: str) -> str:
        """Return a reason why there is no tau, or a weaker one if the curve contradicts it with either covariance."""
        for covariance in (self.covariance, np.diag(self.error**2)):
            why = allowed(why, self.value - 1, covariance)
        return why

    def limit(self, above: float, below: float) -> None:
        """Report tau or its limits; these only if one mode describes how the curve falls."""
        if self.fall.is_seen and not float(self.report["misfit_p"]) > LIMIT_P:
            above = below = np.nan
        super().limit(above, below)

    def report_of(self, model: Chosen | None) -> Report:
        """Return the report of a model that is fitted together with other curves; None describes no curve."""
        other = copy(self)
        other.report = empty(str(self.report["errors"])) | {"no_tau": MISFIT}
        if model is not None:
            other.judge(model)
        other.describe()
        return other.report

    def take(self, report: Report, model: Chosen | None) -> None:
        """Replace the report by that of a model; None describes the curve by no model."""
        self.report, self.shared, self.fitted = report, "", np.full_like(self.value, np.nan)
        if model is not None and model.model and report["no_tau"] != MISFIT:
            self.shared, self.fitted = ", ".join(model.shared), curve(self.lag, model.x[None])[0]

    def of_no_model(self) -> dict[str, float]:
        """Return the numbers that need no model."""
        return {} if self.refused else without_model(self.lag, self.value - 1, self.noise())

    def covariance_of(self, chosen: Chosen) -> Floats:
        """Return the covariance of the parameters with the errors of `Chosen.error`, (8, 8)."""
        error = np.array([chosen.error(name) for name in NAMES])
        own = np.sqrt(np.maximum(np.diag(chosen.covariance), 1e-300))
        with np.errstate(invalid="ignore"):  # NaN where g2 does not depend on a parameter
            return np.asarray(chosen.covariance * np.outer(error / own, error / own))
