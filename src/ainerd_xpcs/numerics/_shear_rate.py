"""The shear rate of a steady flow, from how much faster speckle decays along the flow than along the vorticity."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as t_distribution

from ainerd_xpcs.numerics._g2 import G2
from ainerd_xpcs.numerics._least_squares import NOTHING, levenberg_marquardt
from ainerd_xpcs.numerics._partition import Partition
from ainerd_xpcs.numerics._scatter import Scatter, differ, sandwich, scatter

FORMULA = (
    "g2(tau) = 1 + contrast(phi) * exp(-2 * (tau / tau0)**exponent) * <sinc(q_flow * gap * rate * tau / 2)**2> * "
    "exp(-2 * log(2) * (velocity * tau / beam)**2), sinc(x) = sin(x) / x, <> over the pixels of a bin"
)
Floats = NDArray[np.float64]
PLACES = 32  # in a bin, over which sinc² is averaged
ALIKE = 0.7  # bins whose smallest q along the flow is above this share of the largest do not show shear
KNOWN = 1 / 8  # largest relative error of a rate that is reported; of its square it is twice that
SEEN = 4.0  # standard errors of a contrast above zero
TOLERANCE = 0.01  # of the height of g2 - 1, by which the model may be wrong
REFUSED_P = 1e-3  # probability that the residuals depend so much on the direction, below which there is no number
N = 3  # parameters before the contrasts: log tau0, exponent, square of the rate
FEW = "too few values: the fit needs three bins and four lags"
ONE_ANGLE = "all bins are at one angle to the flow: shear looks like relaxation"
NO_SPECKLE = "no speckle along the vorticity"
WRONG_FLOW = "no linear profile of velocities in this direction fits g2"
TOO_FAST = "the speckle along the flow is lost before the first lag"
TOO_SLOW = "the speckle relaxes, or the window ends, before the shear changes it"


@dataclass(frozen=True, kw_only=True)
class ShearRate:
    """Shear rate of each window; NaN where unknown.

    Attributes
    ----------
    rate, rate_err : ndarray, shape (n_window,)
        In 1/s, with one standard deviation. Speckle does not show the sign. NaN unless known to an eighth.
    bound : ndarray, shape (n_window,)
        The rate is smaller, with a probability of .95, where it is not determined.
    reason : tuple of str
        Why it is not determined; empty where it is. There is neither rate nor bound where the residuals of g2 depend on
        the azimuth (`phi` of the partition): the direction of the flow is wrong, or its profile is not linear.
    tau, exponent : ndarray, shape (n_window,)
        Relaxation time of g1 in s, and its exponent, beside the shear.
    chi2 : ndarray, shape (n_window,)
        Reduced chi square.

    Examples
    --------
    >>> rate = fit_shear_rate([], 0.01, Partition.from_roi_map(np.ones((4, 4), int)), np.zeros((4, 4)), gap_nm=3000)
    >>> rate.rate.size, rate.reason
    (0, ())
    """

    rate: Floats
    rate_err: Floats
    bound: Floats
    reason: tuple[str, ...]
    tau: Floats
    exponent: Floats
    chi2: Floats
    formula: str = FORMULA


def fit_shear_rate(
    curves: Sequence[G2],
    frame_time_s: float,
    partition: Partition,
    q_flow: ArrayLike,
    gap_nm: float,
    *,
    beam_nm: float = np.inf,
    velocity: float = 0.0,
) -> ShearRate:
    """Fit the shear rate in windows of age of a ring.

    The beam crosses the gap along the gradient, and the velocity rises linearly from plate to plate. Layers then move
    apart along the flow, and g2 - 1 falls by sinc² (Fuller et al., J. Fluid Mech. 100, 555, 1980; Burghardt et al.,
    Phys. Rev. E 85, 021402, 2012; He et al., PNAS 121, e2401162121, 2024). Along the vorticity g2 shows the relaxation
    alone. Relaxation time and exponent are taken to be the same in all bins, and each bin has its own contrast. The
    error is that of the scatter of parts, as in `fit_flow`.

    Parameters
    ----------
    curves : sequence of G2
        Of the windows, each from `MultiTau` with the frames of one window, in azimuthal bins of one ring.
    frame_time_s : float
        From frame to frame.
    partition : Partition
        Of the curves. With `phi`, errors include the speckle that opposite bins share (Friedel), as far as their
        residuals are alike, and the residuals are tested. Without it, give the bins of half a ring, or errors are up to
        a root of two too small.
    q_flow : array_like, shape (ny, nx)
        q along the flow in each pixel, in 1/nm.
    gap_nm : float
        Between the plates, along the beam.
    beam_nm : float
        Full width at half maximum of a Gaussian beam along the flow, for the transit of the scatterers.
    velocity : float
        Mean velocity over the gap, in nm/s, for the transit: half of the moving plate's.

    Raises
    ------
    ValueError
        If the shapes do not fit, a time or a length is not positive, or `q_flow` has no number in a pixel of the bins.

    Examples
    --------
    >>> bins = Partition.from_roi_map(np.ones((40, 40), int))
    >>> correlator = MultiTau(bins)
    >>> correlator.push(movie)
    >>> fit_shear_rate([correlator.result()], 0.01, bins, np.full((40, 40), 0.02), gap_nm=3000).reason
    ('too few values: the fit needs three bins and four lags',)
    """
    q = along_flow(q_flow, partition, PLACES)
    for name, given in (("frame_time_s", frame_time_s), ("gap_nm", gap_nm), ("beam_nm", beam_nm)):
        if not given > 0:
            raise ValueError(f"{name} must be positive, got {given}")
    rows, reasons = np.full((6, len(curves)), np.nan), []
    for row, curve in zip(rows.T, curves, strict=True):
        if len(curve.value) != partition.n_roi:
            raise ValueError(f"a curve of {len(curve.value)} bins does not fit a partition of {partition.n_roi}")
        parts = curve.parts - curve.bias[curve.part_roi]
        noise, bins, lags = scatter(curve.value - curve.bias, parts, curve.part_roi, curve.part_weight)
        if lags.size < 4 or bins.size < 3:
            reasons.append(FEW)
            continue
        lag = curve.lag[lags] * frame_time_s
        transit = np.exp(-2 * np.log(2) * (velocity * lag / beam_nm) ** 2)
        value = (curve.value - curve.bias)[np.ix_(bins, lags)]
        reasons.append(_window(row, lag, value, gap_nm / 2 * q[bins], transit, noise, partition.phi[bins]))
    rate, rate_err, bound, tau, exponent, chi2 = rows
    return ShearRate(
        rate=rate, rate_err=rate_err, bound=bound, reason=tuple(reasons), tau=tau, exponent=exponent, chi2=chi2
    )


def along_flow(q_flow: ArrayLike, partition: Partition, n: int) -> Floats:
    """Return quantiles of |q| along the flow in each bin, (n_roi, n); ValueError if it is not known in all pixels."""
    along = np.asarray(q_flow, dtype=float)
    if along.shape != partition.shape:
        raise ValueError(f"q_flow of shape {along.shape} does not fit a detector of {partition.shape}")
    pixels = np.abs(along.ravel()[partition.pixels])
    if unknown := np.count_nonzero(~np.isfinite(pixels)):
        raise ValueError(f"q_flow has no number in {unknown} pixels of the bins: mask them in the partition")
    bins, levels = np.split(pixels, np.cumsum(partition.n_pixels)[:-1]), (np.arange(n) + 0.5) / n
    return np.array([np.quantile(x, levels) for x in bins])


def _window(
    out: Floats,
    lag: Floats,
    value: Floats,
    reach: Floats,
    transit: Floats,
    noise: Scatter,
    phi: Floats,
) -> str:
    """Write the numbers of a window to `out`, and return why the rate is not determined."""
    size = np.sqrt(np.mean(reach**2, axis=1))
    if size.min() > ALIKE * size.max():
        return ONE_ANGLE
    opposite = np.asarray(np.abs(np.exp(1j * np.deg2rad(phi[:, None] - phi)) + 1) < 0.05)
    mix, weight = noise.whitening(), np.sqrt(noise.size)[:, None]
    curves = partial(_model, lag=lag, reach=reach, transit=transit)

    def whiten(x: Floats) -> Floats:
        return np.asarray((x * weight) @ mix.T)

    def normal_equations(x: Floats, _: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        y, slopes = curves(x)
        residual = whiten(y - value).reshape(len(x), -1, 1)
        j = whiten(slopes).reshape(*slopes.shape[:2], -1)
        return np.square(residual).sum((1, 2)), j @ j.transpose(0, 2, 1), (j @ residual)[..., 0]

    start, low, high = _starts(lag, value, reach, int(size.argmin()))
    x, cost, _ = levenberg_marquardt(start, low, high, normal_equations)
    best = x[cost.argmin()]
    model, slopes = curves(best[None])
    residual = whiten(model - value)[0]
    common = (residual @ residual.T)[opposite].sum() / max(np.square(residual[opposite.any(1)]).sum(), NOTHING)
    error = np.sqrt((1 + np.clip(common, 0, 1)) * np.diag(sandwich(whiten(slopes)[0], noise, mix)))
    square, square_err, contrast, contrast_err = best[2], error[2], best[N:], error[N:]
    out[3:] = np.exp(best[0]), best[1], cost.min() / (value.size - best.size)
    if not contrast[size.argmin()] > SEEN * contrast_err[size.argmin()]:
        return NO_SPECKLE
    if not contrast[size.argmax()] > SEEN * contrast_err[size.argmax()]:
        return TOO_FAST
    alone = np.asarray(~np.tril(opposite).any(1))  # one of each pair of bins that share speckle
    left = (value - model[0] + model[0].mean(0))[alone]
    if np.isfinite(phi).all() and differ(left, phi[alone], noise.only(alone), TOLERANCE) < REFUSED_P:
        return WRONG_FLOW
    if square_err < 2 * KNOWN * square:
        out[0], out[1] = np.sqrt(square), square_err / (2 * np.sqrt(square))
        return ""
    out[2] = np.sqrt(max(square, 0.0) + t_distribution.ppf(0.95, max(noise.freedom, 1)) * square_err)
    return TOO_SLOW


def _starts(lag: Floats, value: Floats, reach: Floats, across: int) -> tuple[Floats, Floats, Floats]:
    """Return starts (k, 3 + n_roi) with no shear, or with a first zero of sinc² at some lags, and their bounds."""
    height = max(float(value[across, 0] - 1), 1e-3)
    below = lag[value[across] - 1 < height * np.exp(-2)]
    log_tau = np.log(below.min() if below.size else lag.max())
    top, n_roi = reach.max(), len(value)
    squares = np.append(0.0, (np.pi / top / np.geomspace(lag.min(), lag.max(), 9)) ** 2)
    start = np.array([[log_tau + later, 1.0, s, *n_roi * [height]] for s in squares for later in (0.0, 1.0)])
    low = np.array([np.log(lag.min() / 4), 0.1, -4 / (top * np.median(lag)) ** 2, *n_roi * [-0.5]])
    high = np.array([np.log(lag.max()) + 5, 2.0, 4 * squares.max(), *n_roi * [2.0]])
    return np.clip(start, low, high), low, high


def _model(x: Floats, lag: Floats, reach: Floats, transit: Floats) -> tuple[Floats, Floats]:
    """Return g2 (k, n_roi, n_lag) of parameters (k, 3 + n_roi), and its derivatives (k, 3 + n_roi, n_roi, n_lag)."""
    log_tau, exponent, square = x[:, :N].T[..., None, None]
    contrast, ratio = x[:, N:, None], np.log(lag) - log_tau
    z = np.exp(np.clip(exponent * ratio, -700, 6))
    decay = np.exp(-2 * z) * transit
    far = (reach[..., None] * lag) ** 2  # (n_roi, places, n_lag)
    u = np.clip(square[..., None] * far, -25.0, None)
    left, slope = _sinc_square(u)
    shear, by_square = left.mean(2), (slope * far).mean(2)
    out = np.zeros((len(x), x.shape[1], *contrast.shape[1:2], lag.size))
    by_z = -2 * contrast * decay * shear * z
    out[:, 0], out[:, 1], out[:, 2] = -exponent * by_z, ratio * by_z, contrast * decay * by_square
    roi = np.arange(len(reach))
    out[:, N + roi, roi] = decay * shear
    return 1 + contrast * decay * shear, out


def _sinc_square(u: Floats) -> tuple[Floats, Floats]:
    """Return (sin √u / √u)² and its derivative; below zero it goes on, so that noise about no shear has no bias."""
    safe = np.where(np.abs(u) < 1e-4, 1.0, u)
    x, below = np.sqrt(np.abs(safe)), safe < 0
    sinc, cosine = np.sin(x), np.cos(x)
    sinc[below], cosine[below] = np.sinh(x[below]), np.cosh(x[below])
    sinc /= x
    small = safe != u
    return np.where(small, 1 - u / 3, sinc**2), np.where(small, -1 / 3, sinc * (cosine - sinc) / safe)
