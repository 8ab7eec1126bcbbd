"""Fits of g2 of several bins at once, with parameters that the bins share."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._choice import GAIN_TWO, RIVAL, Chosen
from ainerd_xpcs.numerics._family import (
    BASELINE,
    BOUNDS,
    MODELS,
    NAMES,
    WIDTHS,
    Curves,
    changed,
    fit,
    inverse,
    slopes,
    start_of,
)
from ainerd_xpcs.numerics._least_squares import Normal, levenberg_marquardt

Floats = NDArray[np.float64]
SHARED = {"contrast": ("contrast",), "exponent": ("exponent", "exponent2"), "baseline": ("baseline",)}
_EXPONENTS = ((0.5, 0.5), (0.8, 0.6), (1.0, 0.8))  # from which fits start
_PLACES = (0.2, 0.4)  # of tau between the first and the last lag, in the logarithm, from which fits start
_FIRST = 8  # lags whose mean is the first guess of the contrast


@dataclass(frozen=True)
class Together:
    """A fit of one model to all curves: parameters `x` (k, 8), their covariance (k, 8, 8), and chi square (k,).

    The covariance of a curve contains the errors of the shared parameters. `n_free` is the number of parameters of all
    curves, and `evidence` the logarithm of the probability of the curves as in `Fitted`.
    """

    model: str
    x: Floats
    covariance: Floats
    chi2: Floats
    n_free: int
    evidence: float

    def chosen(self, n: NDArray[np.int64], shared: tuple[str, ...]) -> list[Chosen]:
        """Return the model of each curve, whose numbers of lags are `n` (k,)."""
        dof = np.maximum(n - self.n_free / len(n), 1)
        return [
            Chosen(self.model, *each, shared=shared)
            for each in zip(self.x, self.covariance, self.chi2.tolist(), dof.astype(int).tolist(), strict=True)
        ]


def choose_together(
    curves: Curves,
    shared: Collection[str],
    contrast: float | None,
    models: Sequence[str],
    is_fit: Callable[[int, Floats], bool],
) -> tuple[NDArray[np.int64], Together | None]:
    """Fit the curves together with the model that the evidence prefers; leave out curves that it does not describe.

    Parameters
    ----------
    curves : Curves
    shared : collection of str
        Keys of `SHARED`: the parameters that have one value for all curves.
    contrast : float, optional
        The contrast, if it is known.
    models : sequence of str
        Models to choose from, with fewer parameters first.
    is_fit : callable
        ``is_fit(k, x)`` returns whether the parameters (8,) describe curve k.

    Returns
    -------
    rows : ndarray of int
        The curves that are described.
    Together or None
        Their fit; None if no two curves are described, or none with a given contrast.
    """
    rows = np.arange(len(curves.n))
    fixed = {} if contrast is None else {"contrast": contrast}
    names = [name for key in shared for name in SHARED[key]]
    starts = {model: _starts(curves, model, contrast) for model in models}
    while rows.size >= (2 if contrast is None else 1):
        fits = [fit_together(curves[rows], model, starts[model], names, fixed) for model in models]
        best = fits[0]
        for each in fits[1:]:
            gain = 0.0 if "share" not in MODELS[each.model] else RIVAL if "+" in best.model else GAIN_TWO
            if each.evidence > best.evidence + gain:
                best = each
        described = np.array([is_fit(int(k), x) for k, x in zip(rows, best.x, strict=True)])
        if described.all():
            return rows, best
        rows, starts = rows[described], {each.model: [each.x[described]] for each in fits}
    return rows[:0], None


def _starts(curves: Curves, model: str, contrast: float | None) -> list[Floats]:
    """Return starts: fits of each curve with the same contrast and exponents, and from different places."""
    start, _ = start_of(curves)
    begin, end = np.log(curves.lag[0]), np.log(curves.lag[-1])
    if contrast is None:
        contrast = float(np.clip(_first_values(curves).max(), 0.01, 0.9))
    starts = []
    for exponent, exponent2 in _EXPONENTS:
        values = {"contrast": contrast, "exponent": exponent, "exponent2": exponent2}
        held = {name: (value, value) for name, value in values.items()}
        for place in _PLACES:
            log_tau = begin + place * (end - begin)
            each = changed(start, **values, tau=log_tau, share=0.4, ratio=end - log_tau + 2)
            starts.append(fit(curves, model, [each], held).x)
    return starts


def _first_values(curves: Curves) -> Floats:
    """Return the mean of g2 - 1 at the first lags less its error, (k,)."""
    out = np.zeros(len(curves.n))
    for i, (value, whitening) in enumerate(zip(curves.value, curves.whitening, strict=True)):
        first = np.flatnonzero(whitening.any(0))[:_FIRST]
        weight = (whitening[:, first] ** 2).sum(0)
        if first.size:
            out[i] = np.average(value[first] - 1, weights=weight) - 1 / np.sqrt(weight.sum())
    return out


def fit_together(
    curves: Curves, model: str, starts: Sequence[Floats], shared: Collection[str], fixed: Mapping[str, float]
) -> Together:
    """Fit one model to all curves, from several starts (k, 8), and keep the best.

    The parameters in `shared` have one value for all curves, those in `fixed` the given one.
    """
    k, n_start = len(curves.value), len(starts)
    free = [name for name in MODELS[model] if name not in fixed]
    columns = [NAMES.index(name) for name in free]
    place = np.empty((k, len(free)), np.int64)  # of each parameter of each curve, in the vector of all
    size = 0
    for j, name in enumerate(free):
        place[:, j] = size if name in shared else size + np.arange(k)
        size += 1 if name in shared else k
    base = changed(starts[0], **fixed)
    x, low, high, width = np.empty((n_start, size)), np.empty(size), np.empty(size), np.empty(size)
    for j, name in enumerate(free):
        low[place[:, j]], high[place[:, j]] = BOUNDS[name]
        width[place[:, j]] = BASELINE if name == "baseline" else WIDTHS[name]
        for row, start in zip(x, starts, strict=True):
            row[place[:, j]] = np.median(start[:, columns[j]]) if name in shared else start[:, columns[j]]

    def whole(x: Floats) -> Floats:
        rows = base.copy()
        rows[:, columns] = x[place]
        return rows

    def residual(x: Floats) -> tuple[Floats, Floats]:
        value, slope = slopes(curves.lag, whole(x), free)
        off = (curves.whitening @ (value - curves.value)[..., None])[..., 0]
        return off, slope @ curves.whitening.transpose(0, 2, 1)

    def normal(x: Floats, which: NDArray[np.int64]) -> Normal:
        chi2, matrix, gradient = np.zeros(len(x)), np.zeros((len(x), size, size)), np.zeros((len(x), size))
        for i, of_start in enumerate(x):
            off, jacobian = residual(of_start)
            chi2[i] = (off**2).sum()
            np.add.at(matrix[i], (place[:, :, None], place[:, None, :]), jacobian @ jacobian.transpose(0, 2, 1))
            np.add.at(gradient[i], place, (jacobian @ off[..., None])[..., 0])
        return chi2, matrix, gradient

    x, cost, _ = levenberg_marquardt(np.clip(x, low, high), low, high, normal)
    best = x[cost.argmin()]
    _, (matrix,), _ = normal(best[None], np.zeros(1, np.int64))
    joint = inverse(matrix[None])[0]
    covariance = np.zeros((k, 8, 8))
    covariance[np.ix_(range(k), columns, columns)] = joint[place[:, :, None], place[:, None, :]]
    narrower = np.eye(size) + matrix * np.outer(width, width) / (2 * np.pi)
    evidence = -(cost.min() + np.linalg.slogdet(narrower)[1]) / 2
    return Together(model, whole(best), covariance, (residual(best)[0] ** 2).sum(1), size, float(evidence))
