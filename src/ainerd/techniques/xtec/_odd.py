"""Patches whose trajectory is like none other."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import log_ndtr

FEWEST, LARGE = 8, 9  # patches that can be compared; pixels of one


def odd_patches(
    trajectories: NDArray[np.float64], pixels: NDArray[np.int64], brightness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probability of each patch to lie as far from all others, if it is like them; NaN where it cannot be compared.

    The distance to its second nearest is compared with that of all patches, in logarithms, whose middle and spread are
    those of the median and the quartiles.

    Parameters
    ----------
    trajectories : ndarray, shape (n, n_temperatures)
        Scaled.
    pixels, brightness : ndarray, shape (n,)
        Patches of fewer than 9 pixels are left out, and so are those of a single pixel's counts.
    """
    p = np.full(len(trajectories), np.nan)
    some = np.flatnonzero((pixels >= LARGE) & (brightness > 0))
    if some.size < FEWEST:
        return p
    near = cKDTree(trajectories[some]).query(trajectories[some], k=3)[0][:, 2]
    logs = np.log(np.maximum(near, 1e-12))
    low, middle, high = np.quantile(logs, [0.25, 0.5, 0.75])
    z = (logs - middle) / max((high - low) / 1.349, 1e-6)
    p[some] = np.exp(log_ndtr(-z))
    return p
