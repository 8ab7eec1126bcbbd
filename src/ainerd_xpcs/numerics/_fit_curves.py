"""Fit curves of g2 that come with errors alone, such as those in files of other programs."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._choice import ALL_MODELS, Chosen, choose
from ainerd_xpcs.numerics._family import FREE, MODELS, Curves, changed, curve, fit, start_of
from ainerd_xpcs.numerics._file_curve import TOO_SMALL, FileCurve
from ainerd_xpcs.numerics._judge import judge, whitened
from ainerd_xpcs.numerics._relaxation import (
    LEAST_SPECKLES,
    MISFIT_P,
    NO_DECAY,
    SLOW,
    UNSURE,
    Relaxation,
)
from ainerd_xpcs.numerics._speckle_noise import (
    at_counts,
    averaged,
    noise_terms,
    poisson_error,
    scatter_of_neighbours,
)
from ainerd_xpcs.numerics._statements import CONTRADICTED
from ainerd_xpcs.numerics._together import SHARED, Together, choose_together

Floats = NDArray[np.float64]
LEAST_JUDGED = 8  # lags whose scatter can be compared with their errors
LEFT_OVER_OF_FILES = 0.03  # largest baseline that the normalisation of others is expected to leave
TOGETHER = ("stretched", "two stretched")  # models of curves that share parameters
TO_SHARE = ("stretched", "stretched + static", "two stretched")  # the same of curves that need it
HARDLY = 3.0  # errors of a fall up to which a curve does not share parameters by default
BY_DEFAULT = ("contrast", "exponent")  # parameters that curves share if they have no numbers alone


@dataclass(frozen=True, kw_only=True)
class CurveFit(Relaxation):
    """The fits of some curves of g2, and how far each curve falls.

    Attributes
    ----------
    fall, fall_err : ndarray, shape (n,)
        Fall of g2 - 1 from the first to the last lags, from no model (`fall_of`).
    half, half_err, half_above, half_below : ndarray, shape (n,)
        `tau_half` of all curves, also of those that have a `tau`.
    shared : ndarray of str, shape (n,)
        Parameters that the curve shares with others, such as "contrast, exponent"; "" if it is fitted alone.
    fitted : ndarray, shape (n, n_lags)
        g2 of the model of each curve at its lags; NaN without a model that describes the curve.
    n_files : int
        Measurements that are averaged: the number that was given, or if errors are smaller than photons of one
        measurement allow, the number that they show.

    Examples
    --------
    >>> tau = np.geomspace(0.01, 10, 40)
    >>> fit = fit_curves(tau, 1 + 0.2 * np.exp(-2 * tau / [[0.5], [2.0]]))
    >>> fit.fall.round(2), fit.half.round(2)
    (array([0.16, 0.19]), array([0.19, 0.7 ]))
    """

    fall: Floats
    fall_err: Floats
    half: Floats
    half_err: Floats
    half_above: Floats
    half_below: Floats
    shared: NDArray[np.str_]
    fitted: Floats
    n_files: int

    @property
    def falls(self) -> NDArray[np.bool_]:
        """Whether each curve falls by more errors than noise allows, (n,)."""
        return self.fall > CONTRADICTED * self.fall_err


def fit_curves(
    tau: ArrayLike,
    g2: ArrayLike,
    error: ArrayLike | None = None,
    *,
    counts: ArrayLike | None = None,
    n_pixels: ArrayLike | None = None,
    n_frames: int | None = None,
    n_files: int = 1,
    frame_time: float | None = None,
    normalised: bool = False,
    errors_of: str = "of the file",
    models: Sequence[str] = ALL_MODELS,
    left_over: float = LEFT_OVER_OF_FILES,
    contrast: float | None = None,
    share: Collection[str] | None = None,
    one_model: bool = False,
) -> CurveFit:
    """Fit models of one family to curves of g2, choose by evidence, and report the numbers that the curves determine.

    A reason why there is no number is tested against the curve: "no speckle" and "does not decay" if the curve
    contradicts them by less than five errors, "slower than the lags" if it has not fallen below a half by three errors.

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
        Measurements whose g2 is averaged. If it is 1, and the errors of curves whose neighbouring lags scatter as their
        errors are smaller than photons of one measurement allow, it follows from these errors.
    frame_time : float, optional
        Time from frame to frame in the unit of the lags; by default the shortest lag.
    normalised : bool
        Whether the speckle in the means by which g2 is divided counts (`speckle_covariance`). Without it the errors of
        contrasts are too large, by a tenth at .1 and a fifth at .3.
    errors_of : str
        Source of the errors, for `Relaxation.errors`.
    models : sequence of str
        Models to choose from, of "none", "flat", "stretched", "two modes" and "two stretched", the last three also
        with " + static" or " + baseline".
    left_over : float
        Largest baseline that the normalisation may leave in g2 - 1. A larger rest that does not decay is called a
        static share, unless the curve excludes it.
    contrast : float, optional
        The contrast of all curves, if it is known.
    share : collection of str, optional
        Parameters that all curves share: "contrast", "exponent" (of each mode) and "baseline". With `contrast` or
        `share` the curves are fitted together with one or two stretched exponentials, and a baseline if it is shared.
        By default two curves or more that fall, but have no `tau` alone, or two modes and a rest, share contrast and
        exponents, if the evidence for that is larger than for separate fits. An empty `share` fits each curve alone.
    one_model : bool
        Whether the evidence of all curves together chooses one model for all, as for the bins of one sample.

    Raises
    ------
    ValueError
        If shapes do not fit, a model or a shared parameter does not exist, or the contrast is impossible.

    Examples
    --------
    >>> tau = np.geomspace(0.01, 10, 40)
    >>> fit = fit_curves(tau, 1 + 0.2 * np.exp(-2 * tau / 0.5))
    >>> fit.tau.round(2), fit.contrast.round(2)
    (array([0.5]), array([0.2]))
    """
    lags, values, errors = _arrays(tau, g2, error)
    _check(models, contrast, share)
    k = len(values)
    unit = frame_time or float(lags[0])
    frames = lags / unit
    long = n_frames or int(np.ceil(2 * frames[-1])) + 1
    pixels, photons = (np.broadcast_to(np.nan if x is None else np.asarray(x, float), k) for x in (n_pixels, counts))
    mean_of = averaged(frames)
    pairs = np.maximum(long - frames, 1) * mean_of
    if n_files == 1:
        n_files = _n_files(frames, values, errors, pixels, photons, pairs, mean_of, long)
        errors_of += f", an average of about {n_files} measurements" if n_files > 1 else ""
    curves = [
        FileCurve(frames, *each, pairs * n_files, mean_of, long, errors_of, n_files=n_files, normalised=normalised)
        for each in zip(values, errors, pixels, photons, strict=True)
    ]
    fitted = [each for each in curves if not each.refused]
    if fitted:
        data, chosen = _fit_alone(fitted, models, left_over, one_model=one_model)
        if contrast is None and share is None:
            _share_where_needed(fitted, data, chosen, [x for x in TO_SHARE if x in models])
        elif share or contrast is not None:
            _share(fitted, data, share or (), contrast)
    return _collected(curves, unit, n_files)


def _check(models: Sequence[str], contrast: float | None, share: Collection[str] | None) -> None:
    if missing := [x for x in models if x not in MODELS]:
        raise ValueError(f"there is no {missing[0]!r}: models are {', '.join(MODELS)}")
    if contrast is not None and not 0 < contrast <= 1:
        raise ValueError(f"the contrast must be above 0 and at most 1, got {contrast:g}")
    if unknown := [x for x in share or () if x not in SHARED]:
        raise ValueError(f"{unknown[0]!r} cannot be shared: give {', '.join(SHARED)}")


def _n_files(
    lag: Floats, values: Floats, errors: Floats, pixels: Floats, photons: Floats, pairs: Floats, mean_of: Floats,
    n_frames: int,
) -> int:  # fmt: skip
    """Return how many measurements are averaged, from errors that are smaller than photons of one allow.

    The errors of a curve count if its neighbouring lags scatter by no more. They are compared with the noise of photons
    and speckle of one measurement, with the g1 of a stretched exponential; the number is the median of the curves.
    """
    some = []
    for k, (value, error) in enumerate(zip(values, errors, strict=True)):
        use = np.isfinite(value) & np.isfinite(error) & (error > 0)
        if use.sum() < LEAST_JUDGED or not (photons[k] > 0 and pixels[k] >= LEAST_SPECKLES):
            continue
        least = poisson_error(value, photons[k], pixels[k] * pairs)
        is_smaller = np.median(least[use] / error[use]) > TOO_SMALL
        if is_smaller and scatter_of_neighbours(lag[use], value[use], error[use]) <= TOO_SMALL:
            some.append(k)
    if not some:
        return 1
    variances = np.where(errors[some] > 0, errors[some], np.nan) ** 2
    data = Curves.of(lag, values[some], np.stack([np.diag(each) for each in variances]))
    numbers = []
    for k, x, variance in zip(some, fit(data, "stretched", start_of(data)).x, variances, strict=True):
        noise = at_counts(noise_terms(lag, x, float(np.clip(x[0], 1e-3, 1.0)), n_frames, mean_of), photons[k])
        numbers.append(float(np.nanmedian(np.diag(noise) / pixels[k] / variance)))
    return max(round(float(np.median(numbers))), 1)


def _fit_alone(
    fitted: list[FileCurve], models: Sequence[str], left_over: float, *, one_model: bool
) -> tuple[Curves, list[Chosen]]:
    """Fit each curve alone and write the reports. Return the curves with their noise, and the models."""
    data = whitened(fitted)
    start, middle = start_of(data)
    first = fit(data, "stretched", [start, changed(start, exponent=0.6), middle])
    seen = first["contrast"] > 3 * first.error("contrast")
    for each, x, is_seen in zip(fitted, first.x, seen, strict=True):
        each.first = x
        if is_seen:
            each.correlate(x)
    data = whitened(fitted)
    chosen = choose(data, models, left_over=left_over, one_model=one_model)
    again = [i for i, model in enumerate(chosen) if "tau" in model.free and fitted[i].correlate(model.x)]
    if again:
        data = whitened(fitted)
        rows = np.arange(len(fitted)) if one_model else np.array(again)
        refitted = choose(data[rows], models, left_over=left_over, one_model=one_model)
        for i, model in zip(rows, refitted, strict=True):
            chosen[i] = model
    judge(fitted, data, chosen, FREE)
    for each, model in zip(fitted, chosen, strict=True):
        each.take(each.report, model)
    return data, chosen


def _share_where_needed(fitted: list[FileCurve], data: Curves, chosen: list[Chosen], models: Sequence[str]) -> None:
    """Let curves share contrast and exponents, if some have no tau or other parts than others, and the evidence agrees.

    Curves that hardly fall, that have a tau and all parts of the shared model, or no number in this fit keep theirs.
    """
    parts = [_parts(model.model) for model in chosen]
    is_open = [bool(each.report["no_tau"]) or len(own) > 1 for each, own in zip(fitted, parts, strict=True)]
    seen = [each.fall.is_seen for each in fitted]
    of_seen = {own for own, is_seen in zip(parts, seen, strict=True) if is_seen}
    if sum(seen) < 2 or (len(of_seen) < 2 and sum(np.logical_and(is_open, seen)) < 2):
        return
    if not models:
        return
    rows, together = choose_together(data, BY_DEFAULT, None, models, _described(fitted))
    if together is None or together.evidence < sum(chosen[i].evidence for i in rows):
        return
    of_row = _with_its_noise(fitted, rows, together, BY_DEFAULT, None)
    for i, model in of_row.items():
        may_share = is_open[i] or parts[i] != _parts(model.model)
        if may_share and fitted[i].fall.value > HARDLY * fitted[i].fall.error:
            report = fitted[i].report_of(model)
            if np.isfinite([float(report["tau"]), float(report["share"])]).any():
                fitted[i].take(report, model)
                continue
        if fitted[i].report["no_tau"] in (SLOW, NO_DECAY):  # of one mode: this curve may have a fast one, too
            fitted[i].refuse_with_limits(UNSURE, np.nan, np.nan)


def _parts(model: str) -> frozenset[str]:
    """Return "two" of a model of two modes, and "+" of one with a part that does not decay."""
    return frozenset({"two", "+"} & {*model.split()})


def _share(fitted: list[FileCurve], data: Curves, share: Collection[str], contrast: float | None) -> None:
    """Report the fits of the curves together; a curve that they do not describe keeps numbers of no model alone."""
    names = tuple(x for x in SHARED if x in share or (x == "contrast" and contrast is not None))
    rest = " + baseline" if "baseline" in share else ""
    rows, together = choose_together(data, names, contrast, [x + rest for x in TOGETHER], _described(fitted))
    of_row = {} if together is None else _with_its_noise(fitted, rows, together, names, contrast)
    for i, each in enumerate(fitted):
        each.take(each.report_of(of_row.get(i)), of_row.get(i))


def _with_its_noise(
    fitted: list[FileCurve],
    rows: NDArray[np.int64],
    together: Together,
    share: tuple[str, ...],
    contrast: float | None,
) -> dict[int, Chosen]:
    """Fit curves together again, with the noise of the g1 of the first fit; return the model of each, by its row."""
    changes = [fitted[i].correlate(x) for i, x in zip(rows, together.x, strict=True)]
    if any(changes):
        some = [fitted[i] for i in rows]
        kept, again = choose_together(whitened(some), share, contrast, [together.model], _described(some))
        if again is not None:
            rows, together = rows[kept], again
    n = whitened([fitted[i] for i in rows]).n
    return dict(zip(rows.tolist(), together.chosen(n, share), strict=True))


def _described(fitted: list[FileCurve]) -> Callable[[int, Floats], bool]:
    """Return the test whether parameters (8,) describe a curve, given by its place."""
    return lambda k, x: fitted[k].misfit(curve(fitted[k].lag, x[None])[0]) >= MISFIT_P


def _collected(curves: Sequence[FileCurve], unit: float, n_files: int) -> CurveFit:
    free = [each.of_no_model() for each in curves]
    relaxation = Relaxation.of([each.report for each in curves], unit)
    falls = np.array([each.fall[:2] for each in curves], dtype=float).reshape(-1, 2)
    half, half_err, half_above, half_below = (
        unit * np.array([of.get(f"tau_{name}", np.nan) for of in free])
        for name in ("half", "half_err", "half_above", "half_below")
    )
    return CurveFit(
        **{each.name: getattr(relaxation, each.name) for each in fields(Relaxation)},
        fall=falls[:, 0], fall_err=falls[:, 1],
        half=half, half_err=half_err, half_above=half_above, half_below=half_below,
        shared=np.array([each.shared for each in curves], dtype=str),
        fitted=np.stack([each.fitted for each in curves]), n_files=n_files,
    )  # fmt: skip


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
