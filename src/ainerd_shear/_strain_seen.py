"""The strain that the sample sees, from speckle along the flow against that along the vorticity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from ainerd_xpcs.numerics import Partition

Floats = NDArray[np.float64]
FEWEST_BINS = 6
PLACES = 16  # in a bin, over which sinc² is averaged
TRIALS = np.geomspace(0.05, 20, 160)
DECAYED = 0.8  # largest remaining correlation along the flow, at the largest difference of the strain, for a ratio
KNOWN = 0.25  # largest relative error of a ratio that is reported


@dataclass(frozen=True, kw_only=True)
class StrainSeen:
    """Amplitude of the strain that the speckle shows, over that of the record.

    Attributes
    ----------
    ratio, error : float
        One standard deviation, from fits without one bin each (jackknife), widened for the number of bins. Opposite
        bins of a ring see the same speckle (Friedel); with both, the error is up to a root of two larger.

    Examples
    --------
    >>> StrainSeen(ratio=0.8, error=0.1).ratio  # the sample slips at the walls
    0.8
    """

    ratio: float
    error: float


def strain_seen(c2: ArrayLike, strain: ArrayLike, partition: Partition, q_flow: ArrayLike, gap_nm: float) -> StrainSeen:
    """Compare the strain that the speckle shows within a cycle with that of the record.

    The beam crosses the gap along the gradient. Between two frames with a difference Δγ of the strain, layers move
    apart along the flow by up to gap × Δγ, and the intensities of pixels with q∥ along the flow correlate as
    sinc²(q∥ gap Δγ / 2). Everything else that changes the speckle is taken to be the same in all directions, and along
    the vorticity it is seen alone. So for each pair of frames there is one unknown factor for all bins, and the ratio
    is that of a least-squares fit to all pairs.

    Parameters
    ----------
    c2 : array_like, shape (n_roi, T, T)
        Two-time correlation of some frames of one cycle or a few, from `two_time`, in bins of one q all around the
        beam. The diagonal is the contrast.
    strain : array_like, shape (T,)
        Of the record, at the frames, as a fraction.
    partition : Partition
        Of `c2`.
    q_flow : array_like, shape (ny, nx)
        q along the flow in each pixel, in 1/nm.
    gap_nm : float
        Between the plates, in nm.

    Raises
    ------
    ValueError
        If the shapes do not fit, there are too few bins, `q_flow` has no number in a pixel of the bins, or the speckle
        does not determine the ratio.

    Examples
    --------
    >>> from ainerd_xpcs import Partition
    >>> y, x = np.mgrid[-20:20, -20:20] + 0.5
    >>> bins = Partition.from_roi_map(((np.degrees(np.arctan2(y, x)) + 195) % 360 // 30 + 1).astype(int))
    >>> strain = 0.1 * np.sin(2 * np.pi * np.arange(32) / 16)
    >>> apart = 0.8 * 3000 * np.abs(np.subtract.outer(strain, strain))  # in nm: the sample slips
    >>> along = 0.01 * np.cos(np.radians(np.arange(0, 360, 30)))[:, None, None]
    >>> c2 = 1 + 0.3 * np.sinc(along * apart / 2 / np.pi) ** 2
    >>> round(strain_seen(c2, strain, bins, 0.01 * x / np.hypot(x, y), gap_nm=3000).ratio, 1)
    0.8
    """
    maps, at = (np.asarray(x, dtype=float) for x in (c2, strain))
    n, q = at.size, _along_flow(q_flow, partition)
    if maps.shape != (partition.n_roi, n, n) or at.ndim != 1:
        raise ValueError(f"c2 of shape {maps.shape} does not fit {at.shape} strains and {partition.n_roi} bins")
    lit = np.isfinite(maps).any((1, 2))
    maps, q = maps[lit], q[lit]
    if len(maps) < FEWEST_BINS:
        raise ValueError(f"the strain that the sample sees needs {FEWEST_BINS} bins, got {len(maps)}")
    first, second = np.triu_indices(n, 1)
    contrast = np.nanmean(np.diagonal(maps, 0, 1, 2), axis=1) - 1
    values = (maps[:, first, second] - 1) / contrast[:, None]
    apart = np.abs(at[first] - at[second])
    seen = np.isfinite(values).all(0)
    values, apart = values[:, seen], apart[seen]
    # of pairs with equal differences of the strain, bins are compared at one sinc²
    edges = np.linspace(0, apart.max(initial=0), 65)
    kind = np.clip(np.digitize(apart, edges) - 1, 0, 63)
    middle = np.bincount(kind, apart, 64) / np.maximum(np.bincount(kind, minlength=64), 1)

    def left(ratio: float) -> Floats:
        """Return sinc² of each bin and kind of pair, (n_roi, 64)."""
        return np.asarray((np.sinc(ratio * gap_nm / 2 / np.pi * q[..., None] * middle) ** 2).mean(1))

    def misfit(ratio: float, bins: NDArray[np.int64]) -> float:
        curve, x = left(ratio)[bins][:, kind], values[bins]
        factor = (curve * x).sum(0) / np.square(curve).sum(0)
        return float(np.square(x - factor * curve).sum())

    def best(bins: NDArray[np.int64], trials: Floats) -> float:
        i = int(np.argmin([misfit(ratio, bins) for ratio in trials]))
        if i in (0, len(trials) - 1):
            return np.nan
        span = np.log(trials[i - 1]), np.log(trials[i + 1])
        minimum = minimize_scalar(lambda x: misfit(np.exp(x), bins), bounds=span, method="bounded")
        return float(np.exp(minimum.x))

    every = np.arange(len(maps))
    ratio = best(every, TRIALS)
    near = TRIALS[(TRIALS > ratio / 2) & (TRIALS < 2 * ratio)]
    without = np.array([best(np.delete(every, k), near) for k in every]) if near.size else np.array([np.nan])
    m, off = len(without), np.square(without - without.mean())
    dof = 3 * off.sum() ** 2 / np.square(off).sum() - 1  # of bins that tell more and less (Satterthwaite), normal
    error = float(np.sqrt((m - 1) / m * off.sum() * dof / max(dof - 2, 1)))
    if not (error < KNOWN * ratio and left(ratio).min() < DECAYED):
        raise ValueError("the speckle does not tell the strain: bins along flow and vorticity decay alike or at once")
    return StrainSeen(ratio=ratio, error=error)


def _along_flow(q_flow: ArrayLike, partition: Partition) -> Floats:
    """Return quantiles of |q| along the flow in each bin, (n_roi, PLACES); ValueError if a pixel has no number."""
    along = np.asarray(q_flow, dtype=float)
    if along.shape != partition.shape:
        raise ValueError(f"q_flow of shape {along.shape} does not fit a detector of {partition.shape}")
    pixels = np.abs(along.ravel()[partition.pixels])
    if unknown := np.count_nonzero(~np.isfinite(pixels)):
        raise ValueError(f"q_flow has no number in {unknown} pixels of the bins: mask them in the partition")
    bins, levels = np.split(pixels, np.cumsum(partition.n_pixels)[:-1]), (np.arange(PLACES) + 0.5) / PLACES
    return np.array([np.quantile(x, levels) for x in bins])
