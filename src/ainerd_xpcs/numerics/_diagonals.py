"""g2 along the diagonals of two-time maps, such as those of another program, and its errors by the noise of the maps.

Lags and averages are those of a multi-tau correlator of sixteen channels, as for frames: at level k, rows and columns
of the map are means over 2^k.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics._family import Curves, changed, fit, start_of
from ainerd_xpcs.numerics._scatter import Sample, shared
from ainerd_xpcs.numerics._speckle_noise import at_counts, noise_terms

Floats = NDArray[np.float64]
_CHANNELS = 16


def lags_of_map(n_rows: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return the lags in rows of a map of so many rows, (n,), and the level of each, (n,)."""
    lags, levels = list[int](), list[int]()
    for level in range(n_rows.bit_length()):
        first = _CHANNELS // 2 + 1 if level else 1
        of_level = [c for c in range(first, _CHANNELS + 1) if c < n_rows >> level]
        lags += [c << level for c in of_level]
        levels += [level] * len(of_level)
    return np.array(lags, dtype=float), np.array(levels, dtype=np.int64)


def diagonal_means(c2: NDArray[Any]) -> Floats:
    """Return the mean of a map (T, T) at each lag of `lags_of_map`, (n,); NaN in the map is left out."""
    out, at = list[float](), 0
    for lag, level in zip(*lags_of_map(len(c2)), strict=True):
        if level > at:
            c2, at = _halved(c2), level
        along = c2.diagonal(int(lag) >> level)
        known = along[np.isfinite(along)]
        out.append(float(known.mean(dtype=float)) if known.size else np.nan)
    return np.array(out)


def diagonal_errors(
    lag: Floats, level: NDArray[np.int64], g2: Floats, shot: float, speckles: Floats, n_rows: int
) -> Floats:
    """Return the standard errors of g2 of k bins that see alike, (k, n), by the theory of Gaussian speckle.

    The theory needs g1. It is that of a stretched exponential and a static share, which are fitted to the mean of the
    bins: without the share, errors beside a plateau are a fifth to a half too large.

    Parameters
    ----------
    lag, level : ndarray, shape (n,)
        From `lags_of_map`.
    g2 : ndarray, shape (k, n)
        From `diagonal_means`.
    shot : float
        Shot noise of a row for a speckle, `MapNoise.shot_of_speckles`.
    speckles : ndarray, shape (k,)
        Speckles of each bin by the noise of its map.
    n_rows : int
    """
    mean = 1 + Sample(lag, speckles / speckles.sum(), g2 - 1, np.zeros(len(g2))).mean
    mean_of = 2.0 ** level.astype(float)
    pairs = np.where(np.isfinite(mean), (n_rows - lag) * mean_of, np.nan)
    weighted = Curves.of(lag, mean[None], np.diag(1 / pairs)[None])
    starts = [changed(start_of(weighted)[0], static=share) for share in (0.1, 0.5)]
    x = fit(weighted, "stretched + static", starts).x[0]
    terms = noise_terms(lag, x, float(np.clip(x[0], 1e-3, 1.0)), n_rows, mean_of, normalised=True)
    return np.asarray(np.sqrt(np.diag(at_counts(terms, 1 / shot)) / speckles[:, None]))


def mean_over_bins(
    lag: Floats, g2: Floats, error: Floats, weight: Floats, opposite: NDArray[np.int64]
) -> tuple[Floats, Floats, float]:
    """Return the mean g2 of k bins, its errors, (n,) each, and how many bins see the same speckle, 1 to 2.

    `g2` and `error` are (k, n), `weight` (k,). `opposite` (k,) has the place of the bin across the beam, -1 for none.
    """
    weight = weight / weight.sum()
    sample = Sample(lag, weight, g2 - 1, np.zeros(len(g2)))
    every = np.isfinite(g2).all(0)
    twice = float(shared(sample, g2[:, every], np.arange(len(g2)), opposite).mean()) if every.any() else 1.0
    known = weight @ np.isfinite(g2)
    variance = np.square(weight[:, None] * np.where(np.isfinite(g2), error, 0)).sum(0)
    of_mean = np.sqrt(np.divide(twice * variance, known**2, out=np.full(len(known), np.nan), where=known > 0))
    return 1 + sample.mean, of_mean, twice


def _halved(c2: NDArray[Any]) -> NDArray[Any]:
    """Return the means of 2 × 2 elements; NaN is left out."""
    half = len(c2) // 2
    total, known = np.zeros((2, half, half), np.float32)
    for i, j in np.ndindex(2, 2):
        part = c2[i : 2 * half : 2, j : 2 * half : 2]
        is_known = np.isfinite(part)
        total += np.where(is_known, part, 0)
        known += is_known
    return np.asarray(np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0))
