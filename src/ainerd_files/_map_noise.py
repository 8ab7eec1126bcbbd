"""The noise of two-time maps from the maps themselves, such as those of another program, whose counts are unknown.

An element C2(t1, t2) of N pixels far from the diagonal has the variance d² / N. d = β + s is the excess of the stored
diagonal, where the shot noise s of a frame adds to the contrast β. The difference between two rows m apart, less that
difference two columns m apart, contains no slow signal, and has the variance 4 e² / N: e = s + b is the excess of the
diagonal over C2 at the lag m, of which b is decay. So diagonal and scatter give s and N. e is that of the times of the
element, as the sample may change. Speckle of A pixels makes e² larger, s² + 2 s b + A b², so several m give A.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.optimize import nnls

Floats = NDArray[np.float64]

FEWEST_ROWS = 256  # of a stored map: with fewer, the diagonal is a large part of the cells along it
_LAGS = (0, 1, 2, 4)
_MOST = 512  # rows and columns in which neighbours are compared
_APART = (1, 2, 4, 8)  # cells of a map of 64
_OF_NEIGHBOURS, _OF_CELLS, _OF_MODEL = 0.03, 0.15, 0.05  # relative errors of the scatter
_SURE = 9.0  # by how much χ² falls, if speckle is larger than a pixel
_TOO_LOW = 1.5  # factor by which the diagonal may be too low for the scatter beside it
_TOO_CALM = 1.5  # pixels of which a map has the noise, over those of the bin
_SMOOTHED = "neighbouring rows of the stored maps share noise: they are smoothed, or interpolated"
_LARGEST = 10.0, 4.0  # speckle, in pixels, with and without bins to compare; a smoothed map looks like one of larger
_NORMAL = 0.6745  # median of the absolute value of a normal variable


@dataclass(frozen=True)
class Neighbours:
    """Means and variances of the stored map of a bin, near its diagonal and far from it.

    They are NaN if nothing is stored there.

    Attributes
    ----------
    near : ndarray, shape (4,)
        Mean of C2 - 1 along the diagonals of lag 0, 1, 2 and 4 rows; lag 0 with shot noise.
    share : float
        1 / N: variance of an element that it does not share with its neighbours along both times, over e².
    along : float
        Variance that it does not share with its neighbours along one time, over that along both.
    n_rows : int
    """

    near: Floats
    share: float
    along: float
    n_rows: int

    @classmethod
    def of(cls, c2: NDArray[Any]) -> Self:
        """Measure a whole map (T, T) of baseline 1, with the diagonal as it was stored; NaN is left out."""
        n_rows, n = len(c2), min(len(c2) // 3, _MOST)
        if not (np.isfinite(c2[:n, -n:]).any() and np.isfinite(c2.diagonal()).any()):
            return cls(np.full(len(_LAGS), np.nan), np.nan, np.nan, n_rows)
        far, beside = c2[:n, -n:].astype(float), c2.diagonal(1).astype(float)
        near = np.array([np.nanmean(c2.diagonal(lag), dtype=float) - 1 for lag in _LAGS])
        excess = _steady(c2.diagonal()[:-1] - beside, n_rows // 16)
        both = np.diff(np.diff(far, axis=0), axis=1)
        scatter = _variance(both) / 4
        rows = np.concatenate([np.diff(far, axis=0).ravel(), np.diff(far, axis=1).ravel()])
        of_place = np.sqrt(excess[: n - 1, None] * excess[1 - n :])
        return cls(near, _variance(both / of_place) / 4, _variance(rows) / 2 / max(scatter, 1e-30), n_rows)


@dataclass(frozen=True)
class MapNoise:
    """Noise of the maps of bins that see alike.

    Attributes
    ----------
    contrast, contrast_err : float
        β, extrapolated to lag 0, and its standard error.
    shot : float
        Shot noise of a row of the stored map: the inverse of the photons per pixel in it.
    n_pixels : float
        Pixels of a bin that would have this noise, in the mean.
    speckle_px : float
        Pixels that see the same speckle.
    lost : float
        By how much the mean of C2 at a lag of one row is below β.
    """

    contrast: float
    contrast_err: float
    shot: float
    n_pixels: float
    speckle_px: float
    lost: float

    @property
    def speckles(self) -> float:
        """Speckles of a bin: pixels of one speckle each, with the noise of all its pixels."""
        return self.n_pixels / self.speckle_px

    def shot_of_speckles(self, n_rows: float) -> float:
        """Return the shot noise of these in means over so many rows."""
        shot = self.shot / n_rows
        of_all = (2 * self.contrast * shot + shot**2) / self.speckle_px
        return float(np.sqrt(self.contrast**2 + of_all) - self.contrast)

    @classmethod
    def of(
        cls,
        bins: Sequence[Neighbours],
        maps: NDArray[Any],
        pairs: Sequence[tuple[int, int]] = (),
        pixels: float = np.nan,
    ) -> Self | None:
        """Estimate the noise from the stored maps of n bins; None without speckle.

        Parameters
        ----------
        bins : sequence of Neighbours
        maps : ndarray, shape (n, 64, 64)
            The maps, reduced, with the means of its neighbours in place of each element of the diagonal.
        pairs : sequence of (int, int)
            Bins that see the same dynamics, whose maps differ by noise alone.
        pixels : float
            Mean number of pixels of the bins, if it is known.

        Raises
        ------
        ValueError
            If the maps do not determine the noise. The message says why.
        """
        n_rows, bins = bins[0].n_rows, [each for each in bins if np.isfinite(each.share)] or bins
        near = np.mean([each.near for each in bins], axis=0)
        if n_rows < FEWEST_ROWS:
            raise ValueError(f"the stored maps have {n_rows} rows, their noise is measured in {FEWEST_ROWS} or more")
        share, along = (float(np.mean([getattr(each, name) for each in bins])) for name in ("share", "along"))
        excess = near[0] - near[1]
        if not (share > 0 and excess > 0 and near[0] / excess <= _TOO_LOW * along):
            raise ValueError("the stored diagonal does not hold the shot noise that the maps show beside it")
        if 1 / share > _TOO_CALM * pixels:
            raise ValueError(f"the stored maps have the noise of {1 / share:.0f} pixels, a bin has {pixels:.0f}")
        error = near[0] * np.sqrt(share / len(bins) / n_rows)  # of the mean along a diagonal
        if near[1] <= 4 * error:
            return None
        contrast, of_decay = _extrapolated(near, error)
        if contrast - 3 * max(of_decay, error) > 1:
            raise ValueError(_SMOOTHED)
        lost = contrast - near[1]
        shot = max(excess - lost, 0.01 * excess)
        n_pixels, speckle_px = _pixels(shot, contrast, lost, share, maps, pairs, len(maps[0]) / n_rows, pixels)
        few = np.sqrt(2 * speckle_px / (n_pixels * len(bins))) * (near[0] / np.sqrt(n_rows) + near[1])
        return cls(contrast, float(np.hypot(of_decay, few)), shot, n_pixels, speckle_px, lost)


def _extrapolated(near: Floats, error: float) -> tuple[float, float]:
    """Return C2 - 1 at lag 0, and the error, from that at lags 1, 2 and 4: a stretched exponential of exponent ½ to 2.

    `error` is that of each. ValueError if the dynamics are faster than the rows.
    """
    first, second, fourth = near[1:]
    if second < max(0.05 * first, error):
        raise ValueError("the sample relaxes within a row of the stored maps")
    fall, of_fall = np.log(first / second), np.sqrt(2) * error / second
    fall *= max(1 - (of_fall / fall) ** 2, 0.0) if fall > 0 else 0.0  # a fall within chance is no decay
    later = np.log(second / fourth) if fourth > max(0.02 * first, error) else np.inf
    growth = float(np.clip(later / fall, 2**0.5, 4.0)) if fall > 0 else 2.0
    before = fall / (growth - 1)  # the logarithm of the loss before lag 1
    value = float(first * np.exp(before))
    return value, value * float(np.hypot(0.25 * before, min(of_fall, before)))


def _pixels(
    shot: float,
    contrast: float,
    lost: float,
    share: float,
    maps: NDArray[Any],
    pairs: Sequence[tuple[int, int]],
    cell: float,
    pixels: float,
) -> tuple[float, float]:
    """Return pixels of a bin, and pixels that see the same speckle; a row is `cell` of a cell of `maps`."""
    size, mean = len(maps[0]), maps.mean(0) - 1
    top = mean.diagonal() + lost * cell
    differences = [(maps[a] - maps[b]) / np.sqrt(2) for a, b in pairs] or [_unlike_its_lag(each) for each in maps]
    decayed, y = [lost / (shot + lost)], [share]  # of which e² consists, and e² / N over it
    for m in _APART if pairs else _APART[:3]:
        i = np.arange(size - m)
        far = i[:, None] - i >= max(size // 8, 2 * m)
        fallen = np.maximum((top[m:] + top[:-m]) / 2 - mean.diagonal(m), 0)
        e = shot * cell + fallen
        apart = [x[m:, m:] - x[m:, :-m] - x[:-m, m:] + x[:-m, :-m] for x in differences]
        y.append(float(np.mean([_variance((x / np.sqrt(e[:, None] * e))[far]) for x in apart])) / 4)
        decayed.append(float(np.median(fallen / e)))
    error = np.append(_OF_NEIGHBOURS, np.full(len(y) - 1, np.hypot(_OF_MODEL, _OF_CELLS / np.sqrt(len(differences)))))
    of_speckle = np.square(decayed)
    weight = 1 / (error * y)
    terms = np.column_stack([1 - of_speckle, of_speckle]) * weight[:, None]
    _, together = nnls(weight[:, None], np.ones(len(y)) / error)
    (alone, larger), apart_px = nnls(terms, np.ones(len(y)) / error)
    if larger <= alone or together**2 - apart_px**2 < _SURE or alone <= 0:
        return float(1 / share), 1.0
    if larger <= _LARGEST[not pairs] * alone:
        return float(1 / alone), float(larger / alone)
    if pairs or not np.isfinite(pixels):
        raise ValueError(_SMOOTHED)
    return float(1 / share), 1.0  # the sample causes the difference


def _unlike_its_lag(c2: NDArray[Any]) -> Floats:
    """Return a map without the mean along each diagonal."""
    i = np.arange(len(c2))
    mean = np.array([np.nanmean(c2.diagonal(lag)) for lag in i])
    return np.asarray(c2 - mean[np.abs(i[:, None] - i)], dtype=float)


def _steady(x: NDArray[Any], width: int) -> Floats:
    """Return the running median, above 0, of which a few sudden events change nothing."""
    middle = float(np.nanmedian(x))
    median = median_filter(np.where(np.isfinite(x), x, middle).astype(float), width, mode="nearest")
    return np.asarray(np.maximum(median, max(0.05 * middle, 1e-12)))


def _variance(x: NDArray[Any]) -> float:
    """Return the variance of differences around 0, of which a few may be large."""
    return float((np.nanmedian(np.abs(x)) / _NORMAL) ** 2)
