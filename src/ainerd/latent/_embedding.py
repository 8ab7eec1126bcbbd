"""One point for one run: what steering, regimes and novelty see of its azimuths.

Two exposures that yield at different moments are one regime, so the embedding must not depend on when in the
exposure something happens. It is read off the maps the latent vectors hold (which leaves the noise behind)
and divided by their plateau, the mean at lag zero (which leaves the contrast of the beam behind):

====== ====================================================================================================
column meaning
====== ====================================================================================================
0–7    decay: mean of C - 1 over ages, in eight bins of log lag
8–14   unsteadiness: twice the standard deviation over ages, in the first seven of these bins
15     anisotropy: log(1 + a / 0.03), a the rms amplitude of the second harmonic over azimuth. Friedel's
       symmetry leaves the first harmonic to noise, so its power is taken off: isotropic runs are near zero
====== ====================================================================================================
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.latent._encoder import Encoder
from ainerd.latent._grid import COLS, ROWS, SIZE, to_triangle

# First lag of each bin, in cells of 1/64 exposure.
_LAGS = np.array([0, 1, 2, 3, 5, 8, 13, 21, 34])
BIN = np.searchsorted(_LAGS, COLS - ROWS, "right") - 1
MEAN = ((BIN == np.arange(_LAGS.size)[:, None]) / np.bincount(BIN)[:, None]).astype(np.float32)
_LEAST_PLATEAU = 0.01
_ANISOTROPY = 0.03

# Median distance between embeddings of two runs of one regime: parameters within 25 % of each other, events
# at any time.
REGIME_SCATTER = 0.25


def run_embedding(
    encoder: Encoder, z: ArrayLike, weights: NDArray[np.float64] | None = None, *, by_azimuth: bool = True
) -> NDArray[np.float32]:
    """Embed one run: one point (16,), whatever its contrast, direction of flow and time of events; columns as above.

    Parameters
    ----------
    encoder : Encoder
        Which made `z`.
    z : array_like, shape (n_roi, d)
        Latent vectors of the azimuthal bins of a ring.
    weights : ndarray, shape (n_roi,), optional
        Of the bins in their mean, such as their pixels; equal without it.
    by_azimuth : bool
        Whether the bins are equal and in order around the full circle. Of others no anisotropy is told.
    """
    held = encoder.decode(z, size=SIZE)
    columns, plateau = decay_and_unsteadiness(to_triangle(np.average(held, axis=0, weights=weights)[None]) - 1)
    harmonic = _second_harmonic(held[None]) if by_azimuth else np.zeros(1, np.float32)
    return np.hstack([columns, np.log1p(harmonic[:, None] / plateau / _ANISOTROPY)])[0].astype(np.float32)


def decay_and_unsteadiness(triangles: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns 0–14 (n, 15) of triangles (n, 2080) of C - 1, and the plateau (n, 1) they are divided by."""
    decay = triangles @ MEAN.T
    spread = np.sqrt(np.square(triangles - decay[:, BIN]) @ MEAN.T)
    plateau = np.maximum(decay[:, :1], _LEAST_PLATEAU)
    return np.hstack([decay[:, 1:] / plateau, 2 * spread[:, 1:-1] / plateau]), plateau


def _second_harmonic(held: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rms over cells of the second harmonic over azimuth (n,), the power of the first one taken off."""
    n, n_roi = held.shape[:2]
    if n_roi < 3:
        return np.zeros(n, dtype=np.float32)
    turn = 2 * np.pi * np.arange(n_roi) / n_roi
    waves = np.stack([f(h * turn) for h in (1, 2) for f in (np.cos, np.sin)]).astype(np.float32) / n_roi
    power = np.square(waves @ held.reshape(n, n_roi, -1)).mean(2)
    return np.sqrt(np.maximum(power[:, 2:].sum(1) - power[:, :2].sum(1), 0))
