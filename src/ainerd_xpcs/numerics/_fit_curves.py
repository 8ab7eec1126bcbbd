"""Fit curves of g2 that come with errors alone, such as those in files of other programs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._choice import DEFAULT, Chosen, choose
from ainerd_xpcs.numerics._family import FREE, MODELS, NAMES, changed, curve, field, fit, start_of
from ainerd_xpcs.numerics._judge import Judged, judge, whitened
from ainerd_xpcs.numerics._relaxation import LEAST_SPECKLES, TOO_FEW_LAGS, TOO_FEW_PIXELS, Relaxation
from ainerd_xpcs.numerics._scatter import misfit_of_curve
from ainerd_xpcs.numerics._speckle_noise import (
    at_counts,
    averaged,
    counts_of,
    noise_terms,
    own_share,
    poisson_error,
    scaled,
    scatter_of_neighbours,
)

Floats = NDArray[np.float64]
FEWEST_LAGS = 6
TOO_FEW_PHOTONS = 0.5  # error of a lag from photons above which the lag is not used
TOO_SMALL = 1.3  # scatter of neighbouring lags over their errors above which the errors are enlarged
SAME = 0.03  # largest difference of two g1 with the same noise
LEFT_OVER_OF_FILES = 0.03  # largest baseline that the normalisation of others is expected to leave
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
    normalised: bool = False,
    errors_of: str = "of the file",
    models: Sequence[str] = DEFAULT,
    left_over: float = LEFT_OVER_OF_FILES,
) -> Relaxation:
    """Fit models of one family to curves of g2, choose by evidence, and report the numbers that the curves determine.

    Lags whose error is zero or NaN are left out. Errors are enlarged to those of photon counting, if counts are known,
    and to the scatter between neighbouring lags, if that is larger. The covariance between lags is that of Gaussian
    speckle and photons, scaled to the errors; how many photons there are follows from how the errors depend on the lag,
    and the part of each lag alone from the scatter between neighbours. `Relaxation.errors` says which errors are used.

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
        Level of multi-tau of each lag, which is averaged over 2^level frames; by default from the spacing of the lags.
    frame_time : float, optional
        Time from frame to frame in the unit of the lags; by default the shortest lag.
    normalised : bool
        Whether the speckle in the means by which g2 is divided counts (`speckle_covariance`). Without it the errors of
        contrasts are too large, by a tenth at .1 and a fifth at .3.
    errors_of : str
        Source of the errors, for `Relaxation.errors`.
    models : sequence of str
        Models to choose from, of "none", "flat", "one mode", "stretched", "two modes" and "two stretched", the last
        four also with " + static" or " + baseline".
    left_over : float
        Largest baseline that the normalisation may leave in g2 - 1. A larger rest that does not decay is called a
        static share, unless the curve excludes it.

    Raises
    ------
    ValueError
        If shapes do not fit, or a model does not exist.

    Examples
    --------
    >>> tau = np.geomspace(0.01, 10, 40)
    >>> fit = fit_curves(tau, 1 + 0.2 * np.exp(-2 * tau / 0.5))
    >>> fit.tau.round(2), fit.contrast.round(2)
    (array([0.5]), array([0.2]))
    """
    lags, values, errors = _arrays(tau, g2, error)
    if missing := [x for x in models if x not in MODELS]:
        raise ValueError(f"there is no {missing[0]!r}: models are {', '.join(MODELS)}")
    k = len(values)
    unit = frame_time or float(lags[0])
    frames = lags / unit
    long = n_frames or int(np.ceil(2 * frames[-1])) + 1
    pixels, photons = (np.broadcast_to(np.nan if x is None else np.asarray(x, float), k) for x in (n_pixels, counts))
    order = np.argsort(np.asarray(tau, dtype=float), kind="stable")[-len(lags) :]
    mean_of = averaged(frames) if level is None else 2.0 ** np.asarray(level)[order]
    pairs = np.maximum(long - frames, 1) * mean_of * n_files
    about = pairs, mean_of, long, errors_of
    curves = [
        _Curve(frames, *each, *about, normalised=normalised)
        for each in zip(values, errors, pixels, photons, strict=True)
    ]
    fitted = [each for each in curves if not each.refused]
    if fitted:
        data = whitened(fitted)
        start, middle = start_of(data)
        first = fit(data, "stretched", [start, changed(start, exponent=0.6), middle])
        seen = first["contrast"] > 3 * first.error("contrast")
        for each, x, is_seen in zip(fitted, first.x, seen, strict=True):
            each.first = x
            if is_seen:
                each.correlate(x)
        data = whitened(fitted)
        chosen = choose(data, models, left_over=left_over)
        again = [i for i, model in enumerate(chosen) if "tau" in model.free and fitted[i].correlate(model.x)]
        if again:
            data = whitened(fitted)
            for i, model in zip(again, choose(data[np.array(again)], models, left_over=left_over), strict=True):
                chosen[i] = model
        judge(fitted, data, chosen, FREE, lambda _: LIMIT)
    return Relaxation.of([each.report for each in curves], unit)


class _Curve(Judged):
    """One curve of a file: the lags that are used, and their errors."""

    def __init__(
        self, lag: Floats, value: Floats, error: Floats, n_pixels: float, counts: float, pairs: Floats,
        mean_of: Floats, n_frames: int, source: str, *, normalised: bool = False,
    ) -> None:  # fmt: skip
        self.normalised = normalised
        self.n_pixels, self.counts, self.mean_of, self.n_frames = n_pixels, counts, mean_of, n_frames
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
        self.g1: Floats | None = None
        self.first: Floats | None = None  # parameters of a stretched exponential that is fitted with independent lags
        if self.independent:
            error, what = error * scatter, "of the scatter between neighbouring lags"
            source = f"{source} × {scatter:.2g}, {what}" if source else what
        super().__init__(lag, value, f"errors {source}")
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
            error = np.maximum(error, np.sqrt(np.diag(at_counts(terms, self.counts)) / self.n_pixels))
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
        height = float(np.abs(np.convolve((self.value - 1)[use], np.ones(3) / 3, "valid")).max())
        return misfit_of_curve((self.value - model)[use], self.covariance[np.ix_(use, use)], height)

    def covariance_of(self, chosen: Chosen) -> Floats:
        """Return the covariance of the parameters with the errors of `Chosen.error`, (8, 8)."""
        error = np.array([chosen.error(name) for name in NAMES])
        own = np.sqrt(np.maximum(np.diag(chosen.covariance), 1e-300))
        with np.errstate(invalid="ignore"):  # NaN where g2 does not depend on a parameter
            return np.asarray(chosen.covariance * np.outer(error / own, error / own))


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
