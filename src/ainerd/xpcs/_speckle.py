"""Whether there is speckle at all, and its contrast where no relaxation can be fitted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ainerd.xpcs._g2 import ROUNDING

WIDTH = 11  # lags that variances are smoothed over
ALPHA = 0.015  # chance that a flat field is said to have speckle, over all that is looked at


@dataclass(frozen=True)
class Sample:
    """What the parts of some bins say, as one: weights `w`, sum 1, of values `x` (m, n) and `zero` (m,) less 1."""

    lag: NDArray[np.float64]
    w: NDArray[np.float64]
    x: NDArray[np.float64]
    zero: NDArray[np.float64]

    @property
    def dof(self) -> int:
        """Degrees of freedom of what scatters between the parts."""
        return len(self.w) - 1

    @property
    def mean(self) -> NDArray[np.float64]:
        """Over the parts, of those that have a value; (n,)."""
        known = np.isfinite(self.x)
        total = self.w @ known
        return np.divide(self.w @ np.where(known, self.x, 0), total, out=np.full(total.shape, np.nan), where=total > 0)

    @property
    def variance(self) -> NDArray[np.float64]:
        """Of `mean`, smoothed over neighbouring lags, so that it does not follow the noise; (n,).

        A lag in which the parts do not scatter, since none has a value or none saw two photons, has its neighbours'.
        """
        off = np.nan_to_num(self.x - self.mean) ** 2
        found = self.w @ off / max(self.dof, 1)
        scatters = np.flatnonzero(found > ROUNDING**2)
        if not scatters.size:
            return np.ones_like(found)
        raw = np.interp(np.arange(found.size), scatters, np.log(found[scatters]))
        width = min(WIDTH, len(raw) | 1)
        return np.exp(np.convolve(np.pad(raw, width // 2, mode="edge"), np.ones(width) / width, "valid")[: len(raw)])

    def covariance(self, score: NDArray) -> NDArray[np.float64]:
        """Of the mean of `score`, (m, k): (k, k)."""
        off = score - self.w @ score
        return (self.w[:, None] * off).T @ off / max(self.dof, 1)

    def estimate(self, x: NDArray) -> tuple[float, float]:
        """Mean of a number of each part, and its standard error: NaN if all are the same, as where no pair is seen."""
        known = np.isfinite(x)
        if known.sum() < 2:
            return np.nan, np.nan
        w = self.w[known] / self.w[known].sum()
        mean = w @ x[known]
        error = np.sqrt(w @ (x[known] - mean) ** 2 / (known.sum() - 1))
        return float(mean), float(error) if error > ROUNDING * np.abs(x[known]).max() else np.nan


def shared(
    s: Sample, x: NDArray[np.float64], roi: NDArray[np.int64], opposite: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What variances of the means of `x` (m, k) grow by as opposite bins see the same speckle, (k,): 1 to 2.

    From the products of what both bins of a pair deviate by. `roi` (m,) are the bins of the parts, `opposite` (n_roi,)
    the one across of each bin, or -1.
    """
    known = np.isfinite(x).all(1)
    w, x, roi = s.w[known], x[known], roi[known]
    if not known.any():
        return np.ones(x.shape[1])
    w = w / w.sum()
    off = w[:, None] * (x - w @ x)
    of_bins = np.stack([np.bincount(roi, column, len(opposite)) for column in off.T], axis=1)
    pairs = np.flatnonzero((opposite > np.arange(len(opposite))) & np.isin(np.arange(len(opposite)), roi))
    pairs = pairs[np.isin(opposite[pairs], roi)]
    if len(pairs) < 3:  # of one or two nothing is known
        return np.where(np.ones(x.shape[1], bool) & bool(len(pairs)), 2.0, 1.0)
    both = 2 * (of_bins[pairs] * of_bins[opposite[pairs]]).sum(0)
    variance = w @ (x - w @ x) ** 2 / max(len(w) - 1, 1)
    return 1 + np.clip(np.divide(both, variance, out=np.zeros_like(both), where=variance > 0), 0, 1)


def student_factor(dof: int) -> float:
    """What a standard error from few parts is widened by, for one and two of it to hold what they do of a normal."""
    return float(np.sqrt(dof / max(dof - 2, 1)))


def has_speckle(s: Sample) -> str:
    """Whether there is any: "yes", "no", or "unknown" where too few parts say how sure anything is.

    Tested are the contrast without a lag and the mean of g2 - 1 over the first lag, up to the 4th, the 16th, and over
    all, each one-sided.
    """
    if s.dof < 3:
        return "unknown"
    weight = np.where(np.isfinite(s.mean), 1 / s.variance, 0)
    looked_at = [s.zero]
    for last in (1, 4, 16, s.lag[-1]):
        w = weight * (s.lag <= last)
        if w.sum() > 0:
            looked_at.append(np.where(np.isfinite(s.x).any(1), np.nan_to_num(s.x) @ w / w.sum(), np.nan))
    limit = student.isf(ALPHA / len(looked_at), s.dof)
    for x in looked_at:
        mean, error = s.estimate(x)
        if error > 0 and mean > limit * error:
            return "yes"
    return "no"


def slow_contrast(s: Sample) -> tuple[float, float]:
    """Contrast where g2 hardly decays: a straight line through the first quarter of the lags, at lag 0."""
    weight = np.where(np.isfinite(s.mean) & (s.lag <= max(s.lag[-1] / 4, s.lag[min(4, len(s.lag) - 1)])), 1, 0)
    weight = weight / s.variance
    line = np.stack([np.ones_like(s.lag), s.lag / s.lag[-1]])
    to_line = np.linalg.pinv((line * weight) @ line.T) @ (line * weight)
    return s.estimate(np.nan_to_num(s.x) @ to_line[0])
