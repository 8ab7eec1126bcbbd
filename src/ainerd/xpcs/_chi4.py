"""Fluctuations of the dynamics in time, from two halves of the pixels of a bin. Experimental."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs._partition import Partition

Floats = NDArray[np.float64]
FEWEST = 32  # elements of a diagonal, below which there is no number
BLOCKS = 8


class Chi4(NamedTuple):
    """Covariance in time of the instantaneous g2 of two halves, and its error, by lag: (n_roi, n - 1) each.

    Examples
    --------
    >>> times = np.arange(128)
    >>> c2 = 1.2 + 0.1 * np.cos(np.add.outer(times, times) / 4)  # of both halves
    >>> value, error = chi4([c2, c2])
    >>> abs(value[0, 0] - 0.1**2 / 2) < 2 * error[0, 0]  # variance of the cosine
    np.True_
    """

    value: Floats
    error: Floats


def in_halves(partition: Partition, n_stripes: int = 16) -> Partition:
    """Divide each bin into two halves of neighbouring pixels, bins 2k + 1 and 2k + 2 of bin k + 1.

    The pixels of a bin, in the order of the rows, are cut into stripes that belong to the halves in turn. A stripe must
    be much larger than a speckle, because a speckle in both halves gives a covariance without any fluctuation; and the
    halves must not lie across the beam from each other, where speckle is the same: give bins on one side of it.

    Raises
    ------
    ValueError
        If the stripes are odd in number, or a bin has fewer pixels than stripes.

    Examples
    --------
    >>> halves = in_halves(Partition.from_roi_map(np.ones((64, 64), int)))
    >>> halves.n_roi, halves.n_pixels
    (2, array([2048, 2048]))
    """
    if n_stripes < 2 or n_stripes % 2:
        raise ValueError(f"n_stripes must be even, got {n_stripes}")
    if partition.n_pixels.min() < n_stripes:
        raise ValueError(f"a bin has {partition.n_pixels.min()} pixels, fewer than {n_stripes} stripes")
    halves = np.zeros_like(partition.roi_map)
    for k in range(partition.n_roi):
        pixels = np.flatnonzero(partition.roi_map.ravel() == k + 1)
        stripe = np.arange(pixels.size) * n_stripes // pixels.size
        halves.ravel()[pixels] = 2 * k + 1 + stripe % 2
    return Partition.from_roi_map(halves, q=np.repeat(partition.q, 2), phi=np.repeat(partition.phi, 2))


def chi4(c2: ArrayLike) -> Chi4:
    """Return the covariance of the instantaneous correlations of two halves, which noise does not enter.

    With c(t, t + lag) the two-time correlation of each half, it is the covariance over t along a diagonal of the maps.
    Photons and speckles of the halves are independent, so only what both see remains: fluctuations of the dynamics in
    time, averaged over the bin. A variance of one map would be mostly noise. Means are subtracted, so fluctuations
    slower than the maps are not seen. In reduced maps those faster than a row are not either. The
    error comes from the scatter between eight blocks of t, and the covariance without fluctuations has mean zero.

    Parameters
    ----------
    c2 : array_like, shape (2 * n_roi, n, n)
        Maps of the bins of `in_halves`; NaN is left out.

    Returns
    -------
    Chi4
        NaN at lags with fewer than 32 elements.

    Raises
    ------
    ValueError
        If the maps are not square or not in pairs.

    Examples
    --------
    >>> times = np.arange(128)
    >>> steady = 1.2 + 0 * np.add.outer(times, times)
    >>> bursts = steady + 0.1 * np.cos(np.add.outer(times, times) / 4)  # both halves see them
    >>> chi4([bursts, bursts]).value[0, 0].round(4), chi4([steady, steady]).value[0, 0].round(4)
    (np.float64(0.0051), np.float64(0.0))
    """
    maps = np.asarray(c2, dtype=float)
    if maps.ndim != 3 or maps.shape[1] != maps.shape[2] or len(maps) % 2:
        raise ValueError(f"c2 must be maps (2 n_roi, n, n) of pairs of halves, got shape {maps.shape}")
    n = maps.shape[1]
    value, error = np.full((2, len(maps) // 2, n - 1), np.nan)
    for k, (one, other) in enumerate(zip(maps[::2], maps[1::2], strict=True)):
        for lag in range(1, n - FEWEST + 1):
            a, b = one.diagonal(lag), other.diagonal(lag)
            known = np.isfinite(a) & np.isfinite(b)
            if known.sum() < FEWEST:
                continue
            a, b = a[known], b[known]
            products = (a - a.mean()) * (b - b.mean())
            value[k, lag - 1] = products.sum() / (len(a) - 1)
            blocks = [block.mean() for block in np.array_split(products, BLOCKS)]
            error[k, lag - 1] = np.std(blocks, ddof=1) / np.sqrt(BLOCKS)
    return Chi4(value, error)
