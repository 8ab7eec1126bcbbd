"""Whether a model describes g2 at all."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from ainerd.xpcs._speckle import Sample

BANDS = 8  # of neighbouring lags
P, SIZE = 1e-4, 0.15  # both must be passed: with many speckles the smallest deviation is beyond doubt


def misfit(s: Sample, curve: NDArray[np.float64]) -> tuple[float, float]:
    """Chance of residuals as large if the curve (n,) of g2 were right, and how large they are.

    Mean residuals in bands of lags are compared with their covariance, which the scatter of the parts gives
    (Hotelling's test). Their size is the largest, over the largest g2 - 1 in a band. NaN where parts are too few.
    """
    bands = np.array_split(np.arange(len(s.lag)), min(BANDS, len(s.lag)))
    weight = 1 / s.variance
    k = len(bands)
    if s.dof < k + 3:
        return np.nan, np.nan
    off, height = (
        np.stack([np.nan_to_num(x)[..., band] @ weight[band] / weight[band].sum() for band in bands], axis=-1)
        for x in (1 + s.x - curve, s.mean)
    )
    mean = s.w @ off
    scale = np.sqrt(np.diag(s.covariance(off)))
    if not (scale > 0).all():
        return np.nan, np.nan
    covariance = s.covariance(off) / scale / scale[:, None]
    square = mean / scale @ np.linalg.pinv(covariance, hermitian=True) @ (mean / scale)
    p = f_distribution.sf(square * (s.dof - k + 1) / (s.dof * k), k, s.dof - k + 1)
    return float(p), float(np.abs(mean).max() / max(np.abs(height).max(), 1e-12))
