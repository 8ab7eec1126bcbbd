"""Select and scale pixels, and group them into patches of connected pixels."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import log_ndtr

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

MOST_STEPS = 100
BLOCK = 1 << 12  # pixels processed at a time; more would only cost memory
FEWEST_PATCHES = 60  # for a comparison: among fewer there may be one or two of a normal kind
LARGE = 9  # pixels of a patch that can be compared


def blocks(n: int) -> Iterator[slice]:
    """Return slices that cover `n` pixels, a block at a time."""
    return (slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK))


class Cut(NamedTuple):
    """Which pixels are bright enough, (n_pixels,), and the cut on the natural logarithm of the mean intensity."""

    keep: NDArray[np.bool_]
    level: float


def cut(mean: Floats, how: str | float = "kl") -> Cut:
    """Keep the pixels whose mean intensity is above a background.

    Venderley et al., PNAS 119, e2109665119 (2022); the same pixels as `Threshold_Background` of ``xtec`` 0.1.1.

    Parameters
    ----------
    mean : ndarray, shape (n_pixels,)
        Mean intensity of each pixel; pixels not above 0 are left out.
    how : {"kl", "simple", "none"} or float
        "kl": where a Gaussian fits the part of the histogram of log intensity below it best (Kullback and Leibler);
        "simple": mean + 2 sd of log intensity; "none": all; a number: this mean intensity.

    Raises
    ------
    ValueError
        If there is nothing to cut: no pixel is above 0, or all are the same.
    """
    some = mean > 0
    if not some.any():
        raise ValueError("no pixel has a mean intensity above 0: is the shutter open?")
    logs = np.log(mean[some])
    if how == "kl":
        level = _by_kl(logs)
    elif how == "simple":
        level = float(logs.mean() + 2 * logs.std())
    else:
        level = -np.inf if how == "none" else float(np.log(how))
    keep = some.copy()
    keep[some] = logs > level
    return Cut(keep, level)


def _by_kl(logs: Floats) -> float:
    """Minimize the logarithm of the divergence, bin by bin, starting halfway between the mode and mean + sd."""
    values = np.sort(logs)
    n = values.size
    quartiles = values[[min(round(n * share), n - 1) for share in (0.25, 0.75)]]
    step = (quartiles[1] - quartiles[0]) / n ** (1 / 3)  # half the width of Freedman and Diaconis
    if not step > 0 or not np.isfinite((values[-1] - values[0]) / step):
        raise ValueError("all pixels have the same mean intensity: there is no background to cut")
    counts, edges = np.histogram(logs, int(np.ceil((values[-1] - values[0]) / step)))
    p, x = counts / (n * step), edges[:-1]
    sums = np.append(0.0, np.cumsum(values)), np.append(0.0, np.cumsum(values**2))
    if len(x) < 4:
        raise ValueError(f"the mean intensities of {n} pixels make a histogram of {len(x)} bins: too few to cut")

    def divergence(i: int) -> float:
        below = np.searchsorted(values, x[i])
        if not below:
            return np.nan
        mean = sums[0][below] / below
        variance = sums[1][below] / below - mean**2
        if not variance > 0:
            return np.nan
        q = np.exp(-((x[:i] - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance) + 1e-12
        w = p[:i] / (p[:i].sum() * (x[1] - x[0]))
        some = w > 0
        return float(np.sum(w[some] * np.log(w[some])) - np.sum(w * np.log(q)))

    i = int(0.5 * np.argmax(p) + 0.5 * np.searchsorted(x, logs.mean() + logs.std()))
    i = i if i < len(p) else int(np.argmax(p)) - 2
    for _ in range(MOST_STEPS):
        slope = (np.log(divergence(min(i + 1, len(x) - 1))) - np.log(divergence(i))) / step
        if not np.isfinite(slope):
            raise ValueError("no Gaussian fits the background: give the cut as a mean intensity")
        i = min(max(int(np.searchsorted(x, x[i] - step * slope)), 1), len(x) - 2)
        if abs(step * slope) <= step:
            break
    return float(x[i])


def rescale(trajectories: Singles) -> Singles:
    """Scale each trajectory (n_pixels, n_temperatures) of float32 to I / mean - 1, in place."""
    for which in blocks(len(trajectories)):
        x = trajectories[which]
        mean = x.mean(axis=1, dtype=np.float64, keepdims=True)
        x -= mean.astype(np.float32)
        x /= np.where(mean > 0, mean, 1).astype(np.float32)
    return trajectories


def patches(keep: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the patch of each kept pixel, from 0: patches are connected, also along diagonals."""
    return np.asarray(ndimage.label(keep, np.ones((3, 3)))[0][keep] - 1, dtype=np.int64)


def averages(x: Singles, group: NDArray[np.int64], n: int, power: int = 1) -> tuple[Floats, NDArray[np.int64]]:
    """Return the mean trajectory (n, n_temperatures) of each group, or the mean of a power, and its pixels (n,)."""
    size = np.bincount(group, minlength=n)
    sums = [np.bincount(group, column if power == 1 else np.float_power(column, power), n) for column in x.T]
    return np.stack(sums, axis=1) / np.maximum(size, 1)[:, None], size


def odd_patches(trajectories: Floats, pixels: NDArray[np.int64], brightness: Floats) -> Floats:
    """Return the probability of each patch to be as far from all others if it is like them; NaN if not compared.

    The logarithm of the distance to the second nearest patch is compared with that of all patches, whose center and
    spread are taken from the median and the quartiles. Trajectories are scaled, (n, n_temperatures). Patches of fewer
    than 9 `pixels` (n,), or without counts in `brightness` (n,), are left out; fewer than 60 are not compared.
    """
    p = np.full(len(trajectories), np.nan)
    some = np.flatnonzero((pixels >= LARGE) & (brightness > 0))
    if some.size >= FEWEST_PATCHES:
        near = cKDTree(trajectories[some]).query(trajectories[some], k=3)[0][:, 2]
        logs = np.log(np.maximum(near, 1e-12))
        low, middle, high = np.quantile(logs, [0.25, 0.5, 0.75])
        p[some] = np.exp(log_ndtr((middle - logs) / max((high - low) / 1.349, 1e-6)))
    return p
