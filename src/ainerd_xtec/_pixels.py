"""Select and scale pixels, and group them into patches of connected pixels."""

from collections.abc import Iterable, Iterator
from itertools import chain
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
MOST = 1e30  # counts, more than any
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


def unmeasured(images: Iterable[Floats], may_vanish: bool) -> NDArray[np.bool_]:
    """Return which pixels hold 0 at some temperatures because they were not measured there, (ny, nx).

    Volumes in reciprocal space hold 0 where nothing was measured (`Mask_Zeros` of ``xtec`` leaves out each pixel with a
    0). But dim pixels count 0, too. So the smaller of the counts before and after the zeros, times the number of zeros
    (4 at most), must exceed twelve of the smaller changes between temperatures, which are photons in a dim background.
    Or those of a pixel near by do, which begin at the same temperature.

    Parameters
    ----------
    images : iterable of ndarray, shape (ny, nx)
        Counts, by temperature; NaN is ignored, and images without counts.
    may_vanish : bool
        Whether zeros at the first or the last temperatures are counts.
    """
    run = missed = which = np.zeros((1, 1))
    last = before = end = run + (0.0 if may_vanish else MOST)
    least = np.inf
    for step, image in enumerate(chain(images, [end]), 1):
        if (image > 0).any():
            low, change = np.minimum(before, image), np.abs(image - last)
            expected = np.minimum(run, 4) * np.where(low < MOST, low, 0.0)
            which, missed = np.where(expected > missed, step - run, which), np.maximum(missed, expected)
            least = min(least, 12 * float(np.quantile(np.append(change[change > 0], MOST), 0.25)))
            run, before, last = np.where(image == 0, run + 1, 0), np.where(image == 0, before, image), image
    out = missed > least
    return np.asarray(out | ((which > 0) & (ndimage.maximum_filter(which * out, 5) == which)))


def rescale(trajectories: Singles, how: str = "mean") -> Singles:
    """Scale each trajectory (n_pixels, n_temperatures) of float32, in place.

    `how` is "mean" (I / mean - 1), "zscore" ((I - mean) / sd) or "log" (log(1 + I) less its mean).
    """
    for which in blocks(len(trajectories)):
        x = trajectories[which]
        if how == "log":
            np.log1p(x, out=x)
        mean = x.mean(axis=1, dtype=np.float64, keepdims=True)
        by = x.std(axis=1, dtype=np.float64, keepdims=True) if how == "zscore" else mean
        x -= mean.astype(np.float32)
        if how != "log":
            x /= np.where(by > 0, by, 1).astype(np.float32)
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
