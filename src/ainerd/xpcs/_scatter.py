"""What the scatter of parts of bins says of noise: how sure g2 is, and how its lags vary together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALLEST = 0.02  # part of a lag's variance that is taken to be its own: a sum of few parts shows less by chance


@dataclass(frozen=True)
class Scatter:
    """Deviations of parts from their bins, each weighted as in the bin's mean.

    Attributes
    ----------
    deviation : ndarray, shape (n_part, n_lag)
        Their sum over the parts of a bin is zero, and their sum of squares, times `factor`, its variance.
    roi : ndarray of int, shape (n_part,)
        Bin of each part, from 0.
    factor : ndarray, shape (n_part,)
        K / (K - 1) of the bin's K parts.
    size : ndarray, shape (n_roi,)
        Sum of the bin's weights, one on the mean: variances go as its inverse.
    """

    deviation: NDArray[np.float64]
    roi: NDArray[np.int64]
    factor: NDArray[np.float64]
    size: NDArray[np.float64]

    @property
    def freedom(self) -> int:
        """Degrees of freedom: parts that do not give a bin's mean."""
        return len(self.roi) - len(self.size)

    def covariance(self) -> NDArray[np.float64]:
        """Covariance of lags in a bin of the mean size, (n_lag, n_lag), pooled over bins."""
        scaled = self.deviation * np.sqrt(self.factor * self.size[self.roi])[:, None]
        return scaled.T @ scaled / len(self.size)

    def whitening(self) -> NDArray[np.float64]:
        """A with A C Aᵀ = 1 for the covariance C as few common factors and what each lag has of its own.

        A sample covariance of 60 lags is too noisy to be inverted as it is: the factors are the eigenvectors whose
        eigenvalues noise alone does not reach (Marchenko and Pastur, Math. USSR Sb. 1, 457, 1967).
        """
        covariance = self.covariance()
        sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
        value, vector = np.linalg.eigh(covariance / sd / sd[:, None])
        common = value > (1 + np.sqrt(len(sd) / max(self.freedom, 1))) ** 2
        shared = (vector[:, common] * value[common]) @ vector[:, common].T
        own = np.maximum(1 - np.diag(shared), SMALLEST)
        value, vector = np.linalg.eigh(shared + np.diag(own))
        return (vector / np.sqrt(value)) @ vector.T / sd


def scatter(
    values: NDArray, parts: ArrayLike, part_roi: ArrayLike | None, part_weight: ArrayLike | None
) -> tuple[Scatter, NDArray[np.int64], NDArray[np.int64]]:
    """Deviations of parts from their bins, and which bins and data they tell of.

    Bins without a value, or with fewer than three parts that have one, are left out, then data that a bin or a part
    lacks.

    Parameters
    ----------
    values : ndarray, shape (n_roi, n)
    parts : array_like, shape (n_part, n)
    part_roi : array_like of int, shape (n_part,)
    part_weight : array_like, shape (n_part,), or None

    Returns
    -------
    Scatter
    bins, data : ndarray of int
        Rows and columns of `values` that it is about.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    every, roi = np.asarray(parts, dtype=float), np.asarray(-1 if part_roi is None else part_roi)
    weight = np.ones(len(every)) if part_weight is None else np.asarray(part_weight, dtype=float)
    if every.shape != (len(every), values.shape[1]) or not every.shape[:1] == roi.shape == weight.shape:
        raise ValueError(
            f"parts of shape {every.shape} do not fit g2 of shape {values.shape}, or want part_roi {roi.shape} and "
            f"part_weight {weight.shape} of their length"
        )
    if roi.size and not (roi.min() >= 0 and roi.max() < len(values)):
        raise ValueError(f"part_roi must lie between 0 and {len(values) - 1}, the bins of g2")
    used = np.isfinite(values).any(0)
    good = (weight > 0) & (2 * np.isfinite(every[:, used]).sum(1) > used.sum())
    bins = np.flatnonzero(np.isfinite(values).any(1) & (np.bincount(roi[good], minlength=len(values)) >= 3))
    good &= np.isin(roi, bins)
    data = np.flatnonzero(np.isfinite(values[bins]).all(0) & np.isfinite(every[good]).all(0))
    roi, weight = np.searchsorted(bins, roi[good]), weight[good]
    count, total = np.bincount(roi, minlength=len(bins)), np.bincount(roi, weight, len(bins))
    share = (weight / total[roi])[:, None]
    mean = np.zeros((len(bins), len(data)))
    some = every[good][:, data]
    np.add.at(mean, roi, share * some)
    return Scatter(share * (some - mean[roi]), roi, (count / (count - 1))[roi], total / total.mean()), bins, data
