"""Patches of connected kept pixels: which there are, their mean trajectories, and those that are like none other."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import log_ndtr

FEWEST = 60  # patches that can be compared: of fewer there may be one or two of a kind that is not odd
LARGE = 9  # pixels of one


def patches(keep: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of the patch of connected kept pixels, diagonals too, of each kept pixel, from 0."""
    return ndimage.label(keep, np.ones((3, 3)))[0][keep].astype(np.int64) - 1


def averages(
    x: NDArray[np.float32], group: NDArray[np.int64], n: int, power: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean trajectory (n, n_temperatures), or of a power, and number of pixels (n,) of each group; one may be empty."""
    size = np.bincount(group, minlength=n)
    sums = [np.bincount(group, column if power == 1 else np.float_power(column, power), n) for column in x.T]
    return np.stack(sums, axis=1) / np.maximum(size, 1)[:, None], size


def odd_patches(
    trajectories: NDArray[np.float64], pixels: NDArray[np.int64], brightness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probability of each patch to lie as far from all others, if it is like them; NaN where it cannot be compared.

    The distance to its second nearest is compared with that of all patches, in logarithms, whose middle and spread are
    those of the median and the quartiles. Trajectories are scaled, (n, n_temperatures). Patches of fewer than 9 of
    their `pixels` (n,) are left out, and so are those without counts, `brightness` (n,); of fewer than 60 none is
    compared.
    """
    p = np.full(len(trajectories), np.nan)
    some = np.flatnonzero((pixels >= LARGE) & (brightness > 0))
    if some.size >= FEWEST:
        near = cKDTree(trajectories[some]).query(trajectories[some], k=3)[0][:, 2]
        logs = np.log(np.maximum(near, 1e-12))
        low, middle, high = np.quantile(logs, [0.25, 0.5, 0.75])
        p[some] = np.exp(log_ndtr((middle - logs) / max((high - low) / 1.349, 1e-6)))
    return p
