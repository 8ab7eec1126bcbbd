"""Which pixels are kept, and how their trajectories are scaled."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_STEPS = 100
BLOCK = 1 << 12  # pixels at a time: more would only cost memory


def blocks(n: int) -> Iterator[slice]:
    """Of `n` pixels, some at a time."""
    return (slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK))


class Cut(NamedTuple):
    """Pixels that are bright enough (n_pixels,), and the cut, on the natural logarithm of the mean intensity."""

    keep: NDArray[np.bool_]
    level: float


def cut(mean: NDArray[np.float64], how: str | float = "kl") -> Cut:
    """Keep the pixels whose mean intensity is above a background.

    Venderley et al., PNAS 119, e2109665119 (2022); the same pixels as `Threshold_Background` of ``xtec`` 0.1.1.

    Parameters
    ----------
    mean : ndarray, shape (n_pixels,)
        Mean intensity of each pixel; what is not above 0 is left out.
    how : {"kl", "simple", "none"} or float
        "kl": where a Gaussian fits the part of the histogram of log intensity below it best (Kullback and Leibler);
        "simple": mean + 2 sd of log intensity; "none": all; a number: this mean intensity.

    Raises
    ------
    ValueError
        If there is nothing to cut: no pixel above 0, or all the same.
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


def _by_kl(logs: NDArray[np.float64]) -> float:
    """Descend the logarithm of the divergence, bin by bin, from halfway between the mode and mean + sd."""
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


def rescale(trajectories: NDArray[np.float32], how: str = "mean") -> NDArray[np.float32]:
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
