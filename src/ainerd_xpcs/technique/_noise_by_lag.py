"""Profiles over the lag, and the noise of Wishart maps in them.

The profile is the mean over ages of C2 - 1. A map of one pixel, whose reduced intensities have covariance S, has noise
of covariance S_ik S_jl + S_il S_jk between its cells (i, j) and (k, l). A profile is the Fourier transform of the power
of the intensities, padded with zeros, and the noise of the powers at f and g is |X|² + |Y|² with the transforms X of S
at (f, -g) and Y at (f, g). In slow dynamics it is the same at many lags, and large beside the fringes of a flow, so
residuals are divided by it as a matrix.
"""

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.latent import COLS, ROWS, SIZE

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

_TO_LAGS = np.zeros((ROWS.size, SIZE), dtype=np.float32)
_TO_LAGS[np.arange(ROWS.size), COLS - ROWS] = 1 / (SIZE - (COLS - ROWS))
_PHASE = np.pi * np.arange(SIZE + 1)[:, None] * np.arange(SIZE) / SIZE
_WAVES = np.concatenate([np.cos(_PHASE), np.sin(_PHASE)]).astype(np.float32)
_BACK = np.cos(_PHASE).T / SIZE / (SIZE - np.arange(SIZE))[:, None]
_BACK[:, [0, -1]] /= 2
_LEAST = 0.02  # variance over the median one, of a map that is no covariance


def by_lag(triangles: Singles) -> Floats:
    """Return the means over ages (…, 64) of triangles (…, 2080)."""
    return np.asarray(triangles @ _TO_LAGS, dtype=np.float64)


def noise_by_lag(covariances: Singles) -> Floats:
    """Return the covariances (…, 64, 64) of profiles of one pixel with these covariances (…, 64, 64) of moments."""
    n, squares = SIZE + 1, np.square(_WAVES @ covariances @ _WAVES.T)
    powers = 2 * (squares[..., :n, :n] + squares[..., n:, n:] + squares[..., :n, n:] + squares[..., n:, :n])
    return np.asarray(_BACK @ powers @ _BACK.T)


def excess_of(profiles: Floats, measured: NDArray[np.floating]) -> float:
    """Return the variance of profiles over that of Wishart maps, by covariances (k, 64, 64) of single pixels."""
    white = whitening(profiles)
    return float(np.trace(white @ measured @ white.swapaxes(1, 2), axis1=1, axis2=2).mean() / (SIZE - 1))


def whitening(covariances: Floats) -> Floats:
    """Return w (…, 64, 64) for covariances of profiles: w times their noise is white; lag 0 has none."""
    some, out = covariances[..., 1:, 1:], np.zeros(covariances.shape)
    try:
        root = np.linalg.cholesky(some)
    except np.linalg.LinAlgError:  # systematic errors of a map of little shot noise, or few pixels
        values, vectors = np.linalg.eigh(some)
        values = np.maximum(values, _LEAST * np.median(values, axis=-1, keepdims=True))
        root = np.linalg.cholesky((vectors * values[..., None, :]) @ vectors.swapaxes(-1, -2))
    out[..., 1:, 1:] = np.linalg.inv(root)
    return out
