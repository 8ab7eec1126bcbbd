"""The one-time correlation g2(tau), from sums over the parts of bins, and from two-time maps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._partition import Parts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ROUNDING = 1e-12  # differences between parts below this are rounding errors


@dataclass(frozen=True, kw_only=True)
class G2:
    """A one-time correlation function.

    Attributes
    ----------
    lag : ndarray, shape (n,)
        In frames, from 1; multiply by the frame time for tau.
    value, error : ndarray, shape (n_roi, n)
        g2, and its standard error from the scatter of the bin's parts, including the finite number of speckles. The
        error is NaN if a bin has only one part, or if all parts agree, for instance because none holds a pair of
        photons.
    parts : ndarray, shape (n_part, n)
        g2 of the parts of each bin: groups of neighbouring pixels of one static sub-bin. `value` is their mean,
        weighted with `part_weight`. With e = D - 1, the value of a part is the mean of e e' - (g2 - 1) (e + e'): D is
        divided by the mean of a frame, so e sums to zero over a bin, and parts whose brightness counted would scatter
        more than bins do (the linearized variance of a ratio).
    part_roi : ndarray of int, shape (n_part,)
        Bin of each part, from 0.
    part_weight : ndarray, shape (n_part,)
        Share of the bin's pixels.
    n_pixels : ndarray of int, shape (n_roi,)
        Number of pixels in use in each bin.
    counts : ndarray, shape (n_roi,)
        Photons per pixel and frame.
    n_frames : int
    contrast0, contrast0_err : ndarray, shape (n_roi,)
        Contrast within a frame from photon statistics, <I(I - 1)> / <I>² - 1, which is free of shot noise (Goodman,
        Speckle Phenomena in Optics, 2007; Bandyopadhyay et al., Rev. Sci. Instrum. 76, 093110, 2005), corrected for
        the finite number of photons and pixels.
    parts0 : ndarray, shape (n_part,)
        Contrast within a frame of the parts.
    bias : ndarray, shape (n_roi, n)
        Expected `value` minus the truth, to first order: intensities are divided by means over few pixels, of each
        frame over the n of the bin and of the run over the m of a sub-bin, and these means fluctuate with speckle and
        photons too. With c the mean of g2 - 1 over all pairs of frames and C the photons of the sub-bin, it is -g2
        times the mean over pixels of c (1 / m - 1 / n) + 1 / C - 1 / C_bin + (g2 - 1) / n, which for a static sample is
        -contrast (1 + contrast) / m.

    Examples
    --------
    >>> correlator = MultiTau(Partition.from_roi_map(np.repeat([[1], [2]], 20, axis=0).repeat(40, axis=1)))
    >>> correlator.push(movie)
    >>> curve = correlator.result()
    >>> at = np.searchsorted(curve.lag, [1, 10, 100])
    >>> curve.value[:, at].round(1)
    array([[1.8, 1.1, 1. ],
           [1.8, 1.1, 1. ]])
    >>> (curve.error[:, at] < 0.1).all()
    np.True_
    """

    lag: Floats
    value: Floats
    error: Floats
    parts: Floats
    part_roi: Ints
    part_weight: Floats
    n_pixels: Ints
    counts: Floats
    n_frames: int
    contrast0: Floats
    contrast0_err: Floats
    parts0: Floats
    bias: Floats


def g2_from_two_time(c2: ArrayLike) -> Floats:
    """Return g2 by lag: the mean along the diagonals of maps (n_roi, n, n) or (n, n), ignoring NaN.

    Returns
    -------
    ndarray, shape (n_roi, n - 1) or (n - 1,)
        g2 at lags 1 to n - 1, in rows of the map; NaN where no element is left. Near the diagonal of a reduced map a
        row averages over lags that differ by up to its own length.

    Examples
    --------
    >>> g2_from_two_time([[9.0, 1.2, 1.1], [1.2, 9.0, 1.4], [1.1, 1.4, 9.0]])
    array([1.3, 1.1])
    """
    return g2_by_age(c2, [0, np.shape(c2)[-1]])[1][..., 0, :]


def g2_by_age(c2: ArrayLike, edges: ArrayLike) -> tuple[Floats, Floats]:
    """Return g2 by age and lag: cuts across the diagonal of a map.

    Parameters
    ----------
    c2 : array_like, shape (n_roi, n, n) or (n, n)
        Two-time maps; NaN is ignored.
    edges : array_like, shape (n_ages + 1,)
        Borders of the strips in age, (t1 + t2) / 2, in rows.

    Returns
    -------
    age : ndarray, shape (n_ages,)
        Middle of each strip, in rows of the map, 0 at the start of the first row.
    value : ndarray, shape (n_roi, n_ages, n - 1) or (n_ages, n - 1)
        g2 at lags 1 to n - 1, in rows; NaN where no element is left: only middle ages have long lags.

    Raises
    ------
    ValueError
        If the maps are not square, or the borders do not increase.

    Examples
    --------
    >>> slow, fast = np.exp(-np.arange(4) / 8), np.exp(-np.arange(4) / 2)
    >>> distance = np.abs(np.subtract.outer(range(4), range(4)))
    >>> c2 = np.ones((8, 8))
    >>> c2[:4, :4], c2[4:, 4:] = 1 + slow[distance], 1 + fast[distance]  # the relaxation gets faster
    >>> age, g2 = g2_by_age(c2, [0, 4, 8])
    >>> age, g2[:, 0].round(2)
    (array([2., 6.]), array([1.88, 1.45]))
    """
    maps = np.asarray(c2, dtype=float)
    n = maps.shape[-1]
    if maps.ndim not in (2, 3) or maps.shape[-2] != n or n < 2:
        raise ValueError(f"c2 must be maps (n_roi, n, n) or (n, n) with n > 1, got shape {maps.shape}")
    borders = np.asarray(edges, dtype=float)
    n_ages = len(borders) - 1
    if n_ages < 1 or not (np.diff(borders) > 0).all():
        raise ValueError(f"the borders of ages must increase, got {borders}")
    t1, t2 = np.triu_indices(n, 1)
    strip = np.searchsorted(borders, (t1 + t2 + 1) / 2, side="right") - 1
    inside = (strip >= 0) & (strip < n_ages)
    t1, t2, strip = t1[inside], t2[inside], strip[inside]
    where = strip * (n - 1) + t2 - t1 - 1
    out = []
    for values in maps.reshape(-1, n, n)[:, t1, t2]:
        seen = np.isfinite(values)
        total = np.bincount(where[seen], values[seen], n_ages * (n - 1))
        count = np.bincount(where[seen], minlength=n_ages * (n - 1))
        out.append(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))
    return (borders[1:] + borders[:-1]) / 2, np.reshape(out, (*maps.shape[:-2], n_ages, n - 1))


def from_parts(
    lag: Floats, plain: Floats, centred: Floats, counts: Floats, size: Ints, parts: Parts, n_frames: int
) -> G2:
    """Combine correlations of parts into a `G2` of the bins.

    `plain`, (n_part, 1 + n), is the mean of d d' - 1 over pairs and pixels, and `centred` the mean of e e' with
    e = d - 1: first of frames with themselves, without shot noise, then at each lag. `counts` and `size` are the
    photons and pixels of each part.
    """
    roi, n_roi = parts.roi, int(parts.roi[-1]) + 1
    n_pixels = np.bincount(roi, size, n_roi)
    weight = np.divide(size, n_pixels[roi], out=np.zeros(len(size)), where=n_pixels[roi] > 0)
    excess = _mean(plain, weight, roi)
    # first-order effect of a part on mean(d d') / mean(d) / mean(d'): a brighter part counts in all three
    value = centred - excess[roi] * (plain - centred)
    value += (excess - _mean(value, weight, roi))[roi]
    error = _scatter(value, excess, weight, roi)
    bias = _bias(lag, excess, counts, size, parts, n_frames)
    return G2(
        lag=lag,
        value=1 + excess[:, 1:],
        error=error[:, 1:],
        parts=1 + value[:, 1:],
        part_roi=roi,
        part_weight=weight,
        n_pixels=n_pixels.astype(np.int64),
        counts=np.bincount(roi, counts, n_roi) / np.maximum(n_pixels, 1) / n_frames,
        n_frames=n_frames,
        contrast0=(excess - bias)[:, 0],
        contrast0_err=error[:, 0],
        parts0=value[:, 0] - bias[roi, 0],
        bias=bias[:, 1:],
    )


def _mean(x: Floats, weight: Floats, roi: Ints) -> Floats:
    """Return the weighted mean over the parts of each bin that have a value, (n_roi, n)."""
    known = np.isfinite(x) * weight[:, None]
    total, n = _add(np.where(known > 0, x, 0) * known, roi), _add(known, roi)
    return np.asarray(np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0))


def _add(x: Floats, roi: Ints) -> Floats:
    """Sum over the parts of each bin, which are contiguous."""
    return np.add.reduceat(x, np.flatnonzero(np.diff(roi, prepend=-1)), axis=0)


def _scatter(x: Floats, mean: Floats, weight: Floats, roi: Ints) -> Floats:
    """Return the standard error of the mean over parts, (n_roi, n); NaN for fewer than two parts, or if all agree."""
    n = _add((np.isfinite(x) & (weight[:, None] > 0)).astype(float), roi)
    variance = _mean((x - mean[roi]) ** 2, weight, roi)
    known = (n > 1) & (variance > ROUNDING**2)
    return np.asarray(np.sqrt(np.divide(variance, n - 1, out=np.full(mean.shape, np.nan), where=known)))


def _bias(lag: Floats, excess: Floats, counts: Floats, size: Ints, parts: Parts, n_frames: int) -> Floats:
    """Return the bias of g2 - 1 from dividing by means over few pixels, (n_roi, 1 + n); see `G2.bias`."""
    edges = np.concatenate([[0.5], (lag[1:] + lag[:-1]) / 2, [n_frames]])
    pairs = np.append(n_frames, 2 * np.diff(edges) * np.maximum(n_frames - lag, 0)) / n_frames**2
    roi = parts.roi
    n_sub = np.bincount(parts.sub, size)[parts.sub]
    c_sub = np.bincount(parts.sub, counts)[parts.sub]
    n, c = (np.bincount(roi, x)[roi] for x in (size, counts))
    bias = np.zeros_like(excess)
    for _ in range(2):  # the second time with the corrected g2
        correlated = np.maximum(np.nan_to_num(excess - bias) @ pairs, 0)  # mean of g2 - 1 over all pairs of frames
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = correlated[roi] * (1 / n_sub - 1 / n) + 1 / c_sub - 1 / c
            of_profile = np.minimum(_mean(variance[:, None], size / np.maximum(n, 1), roi), 0.5)
            of_frame = (excess - bias) / np.bincount(roi, size)[:, None]
        bias = -(of_profile + of_frame) * (1 + excess)
    return bias
