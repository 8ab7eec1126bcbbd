"""Statistics of the parts of bins: errors and covariances of lags from their scatter, and tests built on them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import null_space
from scipy.special import chdtrc, chdtri, fdtrc

from ainerd_xpcs.numerics._g2 import ROUNDING
from ainerd_xpcs.numerics._least_squares import NOTHING

Floats = NDArray[np.float64]
SMALLEST = 0.02  # least share of a lag's variance that is its own: few parts show too little of it by chance
WIDTH = 11  # lags over which variances are smoothed
MISFIT_BANDS, AZIMUTH_BANDS = 8, 9  # bands of neighbouring lags
TOLERANCE = 0.02  # of the height of g2 - 1, by which a model may be wrong in a band of lags


@dataclass(frozen=True)
class Scatter:
    """Deviations of parts from their bins, each weighted as in the bin's mean.

    Attributes
    ----------
    deviation : ndarray, shape (n_part, n_lag)
        Sums to zero over the parts of a bin; the sum of squares, times `factor`, is the variance of the bin's mean.
    roi : ndarray of int, shape (n_part,)
        Bin of each part, from 0.
    factor : ndarray, shape (n_part,)
        K / (K - 1) for a bin of K parts.
    size : ndarray, shape (n_roi,)
        Sum of the bin's weights, relative to the mean bin; variances are inversely proportional to it.
    """

    deviation: Floats
    roi: NDArray[np.int64]
    factor: Floats
    size: Floats

    @property
    def freedom(self) -> int:
        """Degrees of freedom: the number of parts minus the number of bins."""
        return len(self.roi) - len(self.size)

    def covariance(self) -> Floats:
        """Return the covariance of lags in a bin of mean size, (n_lag, n_lag), pooled over bins."""
        scaled = self.deviation * np.sqrt(self.factor * self.size[self.roi])[:, None]
        return scaled.T @ scaled / len(self.size)

    def whitening(self) -> Floats:
        """Return A with A C Aᵀ = 1, for a covariance C modelled by few common factors and a variance of each lag.

        A sample covariance of 60 lags is too noisy to be inverted directly. The factors are the eigenvectors whose
        eigenvalues noise alone does not reach (Marchenko and Pastur, Math. USSR Sb. 1, 457, 1967).
        """
        covariance = self.covariance()
        sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
        value, vector = np.linalg.eigh(covariance / sd / sd[:, None])
        common = value > (1 + np.sqrt(len(sd) / max(self.freedom, 1))) ** 2
        shared = (vector[:, common] * value[common]) @ vector[:, common].T
        own = np.maximum(1 - np.diag(shared), SMALLEST)
        value, vector = np.linalg.eigh(shared + np.diag(own))
        return np.asarray((vector / np.sqrt(value)) @ vector.T / sd)


def scatter(
    values: Floats, parts: ArrayLike, part_roi: ArrayLike | None, part_weight: ArrayLike | None
) -> tuple[Scatter, NDArray[np.int64], NDArray[np.int64]]:
    """Compute the deviations of parts from their bins.

    Bins without a value, or with fewer than three parts that have one, are left out; then columns that a bin or a part
    has no value for, which are all if no bin is left.

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
        Rows and columns of `values` that are not left out.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    every, roi = np.asarray(parts, dtype=float), np.asarray(-1 if part_roi is None else part_roi)
    weight = np.ones(len(every)) if part_weight is None else np.asarray(part_weight, dtype=float)
    if every.shape != (len(every), values.shape[1]) or not every.shape[:1] == roi.shape == weight.shape:
        raise ValueError(
            f"parts of shape {every.shape} do not fit g2 of shape {values.shape}, or need part_roi {roi.shape} and "
            f"part_weight {weight.shape} of their length"
        )
    if roi.size and not (roi.min() >= 0 and roi.max() < len(values)):
        raise ValueError(f"part_roi must lie between 0 and {len(values) - 1}, the bins of g2")
    used = np.isfinite(values).any(0)
    good = (weight > 0) & (2 * np.isfinite(every[:, used]).sum(1) > used.sum())
    bins = np.flatnonzero(np.isfinite(values).any(1) & (np.bincount(roi[good], minlength=len(values)) >= 3))
    good &= np.isin(roi, bins)
    known = np.isfinite(values[bins]).all(0) & np.isfinite(every[good]).all(0) & bool(bins.size)
    data = np.flatnonzero(known)
    roi, weight = np.searchsorted(bins, roi[good]), weight[good]
    count, total = np.bincount(roi, minlength=len(bins)), np.bincount(roi, weight, len(bins))
    share = (weight / total[roi])[:, None]
    mean = np.zeros((len(bins), len(data)))
    some = every[good][:, data]
    np.add.at(mean, roi, share * some)
    size = total / total.mean() if bins.size else np.empty(0)
    return Scatter(share * (some - mean[roi]), roi, (count / (count - 1))[roi], size), bins, data


def sandwich(jacobian: Floats, noise: Scatter, mix: Floats) -> Floats:
    """Return the covariance (k, k) of parameters from the scatter of parts; `mix` has whitened the Jacobian.

    Directions that the Jacobian, (k, n_roi, n_lag), does not know are left out.
    """
    flat = jacobian.reshape(len(jacobian), -1)
    scale = np.maximum(np.linalg.norm(flat, axis=1), NOTHING)
    square = (flat / scale[:, None]) @ (flat / scale[:, None]).T
    bread = np.linalg.pinv(square, rcond=1e-10, hermitian=True) / (scale * scale[:, None])
    meat = covariance_of_scores(jacobian, noise, mix)
    return np.asarray(bread @ meat @ bread * (noise.freedom / max(noise.freedom - 2, 1)))


def covariance_of_scores(patterns: Floats, noise: Scatter, mix: Floats) -> Floats:
    """Return the covariance (k, k) of the products of whitened noise with `patterns`, (k, n_roi, n_lag)."""
    deviation = np.sqrt(noise.size)[noise.roi, None] * noise.deviation @ mix.T
    score = np.einsum("nrl,rl->rn", patterns[:, noise.roi], deviation) * np.sqrt(noise.factor)[:, None]
    return np.asarray(score.T @ score)


def differ(value: ArrayLike, phi: ArrayLike, noise: Scatter) -> float:
    """Return the probability that bins of equal dynamics, apart from their contrast, differ so much with azimuth.

    A velocity, a spread of velocities and an anisotropic relaxation all make g2 depend on twice the azimuth (speckle is
    the same at q and -q). The second harmonic of g2 in bands of lags is compared with the scatter of parts by Wilks'
    test, which is exact for two harmonics (Rao, Bull. Inst. Int. Stat. 33, 177, 1951). The component proportional to
    the mean g2 - 1 is projected out, because a contrast that differs between bins is not dynamics.

    Parameters
    ----------
    value : array_like, shape (n_roi, n_lag)
        g2 without NaN, lags in ascending order.
    phi : array_like, shape (n_roi,)
        Azimuth in degrees.
    noise : Scatter

    Returns
    -------
    float
        NaN if there are too few bins to separate a second harmonic from a mean.
    """
    values, angle = np.asarray(value, dtype=float), np.deg2rad(np.asarray(phi, dtype=float))
    design = np.stack([np.ones_like(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=1)
    normal = design.T @ (noise.size[:, None] * design)
    if len(angle) < 3 or np.linalg.cond(normal) > 1e6:
        return np.nan
    bands = _bands(noise)
    mean = (noise.size @ values / noise.size.sum() - 1) @ bands
    bands = bands @ null_space(mean[None])
    freedom, width = noise.freedom, bands.shape[1]
    if width < 1 or freedom < width + 4:
        return np.nan
    y = values @ bands
    inverse = np.linalg.inv(normal)
    effect = (inverse @ design.T @ (noise.size[:, None] * y))[1:]
    explained = effect.T @ np.linalg.inv(inverse[1:, 1:]) @ effect
    within = bands.T @ noise.covariance() @ bands * len(noise.size)
    # to a sum of squares with `freedom` degrees of freedom: the pooled covariance is a mean over bins
    within *= freedom / len(noise.size)
    sign, log_both = np.linalg.slogdet(within + explained)
    root = np.exp((np.linalg.slogdet(within)[1] - log_both) / 2)
    if sign <= 0 or not 0 < root <= 1:
        return np.nan
    ratio = (1 - root) / root * (freedom - width + 1) / width
    return float(fdtrc(2 * width, 2 * (freedom - width + 1), ratio))


def _bands(noise: Scatter) -> Floats:
    """Return weights that average over bands of neighbouring lags, (n_lag, n_band); the parts limit their number."""
    n_lag = noise.deviation.shape[1]
    variance = np.maximum(np.diag(noise.covariance()), 1e-300)
    n_band = min(AZIMUTH_BANDS, n_lag, noise.freedom // 8)
    out = np.zeros((n_lag, n_band))
    for j, some in enumerate(np.array_split(np.arange(n_lag), n_band)):
        out[some, j] = 1 / variance[some] / (1 / variance[some]).sum()
    return out


@dataclass(frozen=True)
class Sample:
    """The parts of some bins together: weights `w` (m,), sum 1, and g2 - 1 by lag, `x` (m, n), and at lag 0, `zero`."""

    lag: Floats
    w: Floats
    x: Floats
    zero: Floats

    @property
    def dof(self) -> int:
        """Degrees of freedom of the scatter between parts."""
        return len(self.w) - 1

    @property
    def mean(self) -> Floats:
        """Mean over the parts that have a value, (n,)."""
        known = np.isfinite(self.x)
        total = self.w @ known
        mean = np.full(total.shape, np.nan)
        return np.asarray(np.divide(self.w @ np.where(known, self.x, 0), total, out=mean, where=total > 0))

    @property
    def variance(self) -> Floats:
        """Variance of `mean`, smoothed over neighbouring lags so that it does not follow the noise, (n,).

        A lag at which the parts do not scatter, because none has a value or a pair of photons, takes its neighbours'.
        """
        off = np.nan_to_num(self.x - self.mean) ** 2
        variance = self.w @ off / max(self.dof, 1)
        known = np.flatnonzero(variance > ROUNDING**2)
        if not known.size:
            return np.ones_like(variance)
        raw = np.interp(np.arange(variance.size), known, np.log(variance[known]))
        width = min(WIDTH, len(raw) | 1)
        return np.exp(np.convolve(np.pad(raw, width // 2, mode="edge"), np.ones(width) / width, "valid")[: len(raw)])

    def estimate(self, x: Floats) -> tuple[float, float]:
        """Return the mean of a number of each part, (m,), and its standard error, NaN if all parts agree."""
        known = np.isfinite(x)
        if known.sum() < 2:
            return np.nan, np.nan
        w = self.w[known] / self.w[known].sum()
        mean = w @ x[known]
        error = np.sqrt(w @ (x[known] - mean) ** 2 / (known.sum() - 1))
        return float(mean), float(error) if error > ROUNDING * np.abs(x[known]).max() else np.nan


def covariance_of_mean(x: Floats, w: Floats) -> Floats:
    """Return the covariance (k, k) of the weighted mean of `x`, (m, k), from its scatter; the weights sum to 1."""
    off = x - w @ x
    return np.asarray((w[:, None] * off).T @ off / max(len(w) - 1, 1))


def larger(scattered: Floats, theory: Floats, dof: int) -> Floats:
    """Return variances (k,) of theory, or those from a scatter where it is larger by more than chance (5 %).

    The larger of both would always be too large, because a scatter with few degrees of freedom is uncertain. A scatter
    that counts is widened by `student_factor`.
    """
    by_chance = chdtri(dof, 0.05) / dof
    return np.where(scattered > by_chance * theory, scattered * student_factor(dof) ** 2, theory)


def student_factor(dof: int) -> float:
    """Return the factor that gives a standard error from few parts about the coverage of a normal one."""
    return float(np.sqrt(dof / max(dof - 2, 1)))


def shared(s: Sample, x: Floats, roi: NDArray[np.int64], opposite: NDArray[np.int64]) -> Floats:
    """Return the factors, 1 to 2, by which speckle shared by opposite bins raises the variance of means of `x` (m, k).

    They are estimated from the products of the deviations of both bins of a pair. `roi` (m,) are the bins of the parts,
    `opposite` (n_roi,) the bin across the beam from each bin, or -1.
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
    if len(pairs) < 3:  # too few to estimate: assume the worst
        return np.where(np.ones(x.shape[1], bool) & bool(len(pairs)), 2.0, 1.0)
    both = 2 * (of_bins[pairs] * of_bins[opposite[pairs]]).sum(0)
    variance = w @ (x - w @ x) ** 2 / max(len(w) - 1, 1)
    return np.asarray(1 + np.clip(np.divide(both, variance, out=np.zeros_like(both), where=variance > 0), 0, 1))


def misfit(s: Sample, curve: Floats, tolerance: float = TOLERANCE) -> float:
    """Return the probability of residuals as large as these if the curve (n,) of g2 is right, NaN with too few parts.

    Mean residuals in bands of lags are compared with their covariance from the scatter of parts (Hotelling's test).
    With many speckles the smallest deviation is significant, so the curve need only be right to a share `tolerance`,
    one standard deviation, of the largest g2 - 1 in a band.
    """
    bands = np.array_split(np.arange(len(s.lag)), min(MISFIT_BANDS, len(s.lag)))
    weight = np.where(np.isfinite(s.mean), 1 / s.variance, 0)
    bands = [band for band in bands if weight[band].any()]
    k = len(bands)
    if s.dof < k + 3:
        return np.nan
    off, height = (
        np.stack([np.nan_to_num(x)[..., band] @ weight[band] / weight[band].sum() for band in bands], axis=-1)
        for x in (1 + s.x - curve, s.mean)
    )
    mean = s.w @ off
    covariance = covariance_of_mean(off, s.w) + np.eye(k) * (tolerance * np.abs(height).max()) ** 2
    scale = np.sqrt(np.diag(covariance))
    if not (scale > 0).all():
        return np.nan
    covariance = covariance / scale / scale[:, None]
    square = mean / scale @ np.linalg.pinv(covariance, hermitian=True) @ (mean / scale)
    return float(fdtrc(k, s.dof - k + 1, square * (s.dof - k + 1) / (s.dof * k)))


def misfit_of_curve(residual: Floats, covariance: Floats, height: float, tolerance: float = TOLERANCE) -> float:
    """Return the same for the residuals of a curve (n,) without parts, from the covariance of its lags (n, n)."""
    bands = np.array_split(np.arange(len(residual)), min(MISFIT_BANDS, len(residual)))
    to_band = np.zeros((len(bands), len(residual)))
    for row, band in zip(to_band, bands, strict=True):
        row[band] = 1 / np.diag(covariance)[band]
        row /= row.sum()
    mean = to_band @ residual
    of_bands = to_band @ covariance @ to_band.T + np.eye(len(bands)) * (tolerance * height) ** 2
    return float(chdtrc(len(bands), mean @ np.linalg.pinv(of_bands, hermitian=True) @ mean))
