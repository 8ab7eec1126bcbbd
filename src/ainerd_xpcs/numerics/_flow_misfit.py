"""Whether a model of motion in a ring leaves nothing that depends on the displacement along the flow."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from ainerd_xpcs.numerics._flow_model import N, Ring, decay, model
from ainerd_xpcs.numerics._least_squares import NOTHING
from ainerd_xpcs.numerics._scatter import Scatter, covariance_of_scores

Floats = NDArray[np.float64]
BANDS = 12  # of the displacement along the flow
TOLERANCE = 0.005  # of the height of g2 - 1, by which a model may be wrong in a band
NEW = 1e-2  # of its length that a pattern keeps beside the parameters of the model and other patterns
ACROSS = 0.1  # radians within which bins are opposite


def misfit(x: Floats, jacobian: Floats, direction: float, ring: Ring, noise: Scatter, rival: Floats | None) -> float:
    """Return the probability of residuals as large as these if a model of motion is right.

    The profile of a flow makes g2 a function of q lag cos(phi - direction), times a decay. So residuals are compared
    with patterns that are the decay in a band of this product and zero elsewhere, and with the difference to a rival
    model, without what parameters of the model can do: two score tests (Rao, Proc. Camb. Phil. Soc. 44, 50, 1948). The
    covariance of the scores is that of the parts.

    Parameters
    ----------
    x : ndarray, shape (9 + n_roi,)
        Parameters of the fit.
    jacobian : ndarray, shape (k, n_roi, n_lag)
        Whitened derivatives of the fit.
    direction : float
        Of the flow, in radians.
    ring : Ring
    noise : Scatter
    rival : ndarray, shape (n_roi, n_lag), or None
        g2 of the rival.

    Returns
    -------
    float
        The smaller of both; NaN with too few parts.
    """
    n_band = min(BANDS, noise.freedom // 8)
    if n_band < 2:
        return np.nan
    along = np.abs(np.tensordot([np.cos(direction), np.sin(direction)], ring.reach, 1)).ravel()
    bands = np.zeros((n_band, along.size))
    for band, some in zip(bands, np.array_split(np.argsort(along, kind="stable"), n_band), strict=True):
        band[some] = 1
    fitted = model(x[None], ring, [])[0][0]
    height = ring.whiten(bands.reshape(n_band, *fitted.shape) * x[N:, None] * np.exp(-decay(x[None], ring)[1][0]))
    patterns = [height] if rival is None else [height, ring.whiten((rival - fitted)[None])]
    tests = [_score_test(some, height, jacobian, ring.whiten(ring.value - fitted), ring, noise) for some in patterns]
    return float(np.fmin.reduce(tests))


def _score_test(
    patterns: Floats, height: Floats, jacobian: Floats, residual: Floats, ring: Ring, noise: Scatter
) -> float:
    """Return the p-value of patterns (k, n_roi, n_lag) in residuals; NaN if nothing is left of them."""
    flat, off = (
        x.reshape(len(x), -1) / np.maximum(np.linalg.norm(x, axis=(1, 2)), NOTHING)[:, None]
        for x in (jacobian, patterns)
    )
    beside = off - off @ np.linalg.pinv(flat, rcond=1e-6) @ flat
    size, basis = np.linalg.svd(beside, full_matrices=False)[1:]
    basis = basis[size > NEW]
    n, freedom = len(basis), noise.freedom
    if n < 1 or freedom < n + 4:
        return np.nan
    shaped = basis.reshape(n, *residual.shape)
    score = np.einsum("kbl,bl->kb", shaped, residual)
    own = covariance_of_scores(shaped, noise, ring.mix)
    allowed = TOLERANCE * basis @ height.reshape(len(height), -1).T
    covariance = own * _shared(score, own, ring.angle) + allowed @ allowed.T
    square = score.sum(1) @ np.linalg.solve(covariance, score.sum(1))
    return float(fdtrc(n, freedom - n + 1, square * (freedom - n + 1) / (freedom * n)))


def _shared(score: Floats, covariance: Floats, angle: Floats) -> float:
    """Return the factor, 1 to 2, by which speckle that opposite bins share raises the variance of a sum over bins.

    Opposite bins have the same curve, so their scores (k, n_roi) differ by noise alone, and by less if they share it.
    """
    away = np.abs((angle[:, None] - angle + 2 * np.pi) % (2 * np.pi) - np.pi)
    here, there = np.arange(len(angle)), away.argmin(1)
    pairs = here[(away.min(1) < ACROSS) & (there > here)]
    if 2 * len(pairs) < len(angle):
        return 1.0
    apart = score[:, pairs] - score[:, there[pairs]]
    own = np.trace(np.linalg.solve(covariance, apart @ apart.T)) / len(score) * len(angle) / (2 * len(pairs))
    return float(np.clip(2 - own, 1, 2))
