"""Whether the bins of a ring differ with azimuth at all."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import null_space
from scipy.stats import f as f_distribution

from ainerd.xpcs._scatter import Scatter

BANDS = 9


def differ(value: ArrayLike, phi: ArrayLike, noise: Scatter) -> float:
    """Chance that bins which are alike, but for a contrast of their own, differ so much across azimuth.

    A velocity, a spread of velocities and an anisotropic relaxation all make g2 depend on twice the azimuth (speckle is
    the same at q and -q). The second harmonic of g2 in bands of lags is compared with the scatter of parts by Wilks'
    test, which is exact for two harmonics (Rao, Bull. Inst. Int. Stat. 33, 177, 1951). What is proportional to the
    mean g2 - 1 is left out of it: an unequal contrast is no dynamics.

    Parameters
    ----------
    value : array_like, shape (n_roi, n_lag)
        g2, no NaN, lags in ascending order.
    phi : array_like, shape (n_roi,)
        In degrees.
    noise : Scatter

    Returns
    -------
    float
        NaN where bins are too few to tell a second harmonic from a mean.
    """
    values, angle = np.asarray(value, dtype=float), np.deg2rad(np.asarray(phi, dtype=float))
    design = np.stack([np.ones_like(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=1)
    normal = design.T @ (noise.size[:, None] * design)
    if len(angle) < 3 or np.linalg.cond(normal) > 1e6:
        return np.nan
    bands = _bands(noise)
    mean = (noise.size @ values / noise.size.sum() - 1) @ bands
    bands = bands @ null_space(mean[None])
    freedom, width = noise.freedom, bands.shape[1]
    if width < 1 or freedom < width + 4:
        return np.nan
    y = values @ bands
    inverse = np.linalg.inv(normal)
    effect = (inverse @ design.T @ (noise.size[:, None] * y))[1:]
    explained = effect.T @ np.linalg.inv(inverse[1:, 1:]) @ effect
    within = bands.T @ noise.covariance() @ bands * len(noise.size)
    # the sum of squares of freedom degrees, as the pooled covariance is a mean over bins
    within *= freedom / len(noise.size)
    sign, log_both = np.linalg.slogdet(within + explained)
    root = np.exp((np.linalg.slogdet(within)[1] - log_both) / 2)
    if sign <= 0 or not 0 < root <= 1:
        return np.nan
    ratio = (1 - root) / root * (freedom - width + 1) / width
    return float(f_distribution.sf(ratio, 2 * width, 2 * (freedom - width + 1)))


def _bands(noise: Scatter) -> NDArray[np.float64]:
    """Means over bands of neighbouring lags, (n_lag, n_band); no more of them than parts can tell apart."""
    n_lag = noise.deviation.shape[1]
    variance = np.maximum(np.diag(noise.covariance()), 1e-300)
    n_band = min(BANDS, n_lag, noise.freedom // 8)
    out = np.zeros((n_lag, n_band))
    for j, some in enumerate(np.array_split(np.arange(n_lag), n_band)):
        out[some, j] = 1 / variance[some] / (1 / variance[some]).sum()
    return out
