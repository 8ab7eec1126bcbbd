"""Rings of bins, and the features of a run.

An embedding and a p-value belong to one ring. The novelty of a run is computed from its features:

======= ====================================================================================================
columns
======= ====================================================================================================
0–14    columns 0–14 of `run_embedding`, of the decoded mean map over azimuth
15–51   structure of the maps themselves, without an encoder, in columns of its own:
0–7     decay: mean over ages, bins 1–8
8–14    unsteadiness: twice the standard deviation over ages, bins 1–7
15–21   trend: three times the mean over ages of the deviation times the age, from -1 to 1, bins 1–7
22–27   skewness: cube root of the third moment over ages, bins 1–6
28–32   pace: percentiles over ages of the correlation of neighbouring cells
33–36   order: autocorrelation over ages of that correlation, 1, 2, 3 and 4–5 cells apart
52–54   steps: logs of how far that correlation goes in all over its range, of how many cells in a row it is low,
        and of how much it differs among the cells where it is low, over its range
55      beats: log of what flow, shear and anisotropy leave of the profiles of the sectors, over the noise; see `Beats`
56–59   time: what any clock of the sample leaves of the mean map at lags 1, 2, 3–4 and 5–8; see `time_columns`
60      bins: log of the squared differences of opposite bins, over the noise; see `opposite`
======= ====================================================================================================

For the structure, maps are averaged over azimuth, which leaves the least noise. All columns but the order are divided
by the plateau. Pace and order tell sudden jumps at any times from a rate that varies steadily or in turns. Bins of lag
are those of the embedding: cells 0, 1, 2, 3–4, 5–7, 8–12, 13–20, 21–33 and 34–63 of 64.

Jumps of a sample at rest make the correlation of neighbouring cells low in single cells, to any depth. Motion that
stops and goes on makes it low in cells in a row, to one depth. The columns of the steps are few, so that this is not
lost among the others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.latent import (
    COLS,
    LAG_BIN,
    LAG_MEAN,
    ROWS,
    SIZE,
    Encoder,
    block_mean,
    decay_and_unsteadiness,
    to_triangle,
)
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique._beats import FEWEST, beats_of
from ainerd_xpcs.technique._material_time import time_columns
from ainerd_xpcs.technique._noise_by_lag import by_lag, noise_by_lag, whitening
from ainerd_xpcs.technique._opposite import differences, opposite
from ainerd_xpcs.technique._sectors import Sectors

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

SAME_Q = 0.02  # relative difference of q below which bins are of one ring


@dataclass(frozen=True, eq=False)
class Ring:
    """The bins of one q.

    Attributes
    ----------
    bins : ndarray of int, shape (n,)
        Indices of the bins in the partition, from 0, in order of azimuth if that is known.
    q : float
        In 1/nm; NaN if unknown.
    pixels : ndarray, shape (n,)
        Pixels of each bin.
    phi_deg : ndarray, shape (n,), or None
        Centres of the bins; None if they are unknown or there is a single bin.
    q_spread : float
        Half the range of q over q, as if pixels were even in it; from the static rings, 0 if their q is unknown.
    """

    bins: NDArray[np.int64]
    q: float
    pixels: Floats
    phi_deg: Floats | None
    q_spread: float = 0.0

    @property
    def n_pixels(self) -> int:
        """Pixels of all its bins."""
        return int(self.pixels.sum())

    @property
    def weights(self) -> Floats:
        """Share of each bin in the pixels, (n,)."""
        return np.asarray(self.pixels / self.pixels.sum())


def rings(partition: Partition) -> list[Ring]:
    """Return the rings of a partition in order of q, each of bins near its smallest q; those of unknown q are one."""
    order = np.argsort(partition.q, kind="stable")
    q, first = partition.q[order], [0]  # NaN is last
    for i in range(1, q.size):
        if q[i] > (1 + SAME_Q) * q[first[-1]] or np.isnan(q[i]) > np.isnan(q[first[-1]]):
            first.append(i)
    return [_ring(partition, part) for part in np.split(order, first[1:])]


def _ring(partition: Partition, bins: NDArray[np.int64]) -> Ring:
    bins = bins[np.argsort(partition.phi[bins], kind="stable")]
    phi, pixels = partition.phi[bins], partition.n_pixels[bins]
    known = len(bins) > 1 and bool(np.isfinite(phi).all())
    q, spread = float(partition.q[bins].mean()), 0.0
    if partition.static_q is not None:
        of_ring = partition.static_q[partition.static_map[np.isin(partition.roi_map, bins + 1)] - 1]
        spread = float(np.nan_to_num(np.sqrt(3) * of_ring.std() / q))
    return Ring(bins, q, pixels.astype(float), phi if known else None, spread)


_AGE = ((2 * ROWS + 1) / (SIZE - (COLS - ROWS)) - 1).astype(np.float32)  # of each cell among those of its lag, -1 to 1
_UNEVEN = 0.3  # log of chi squared of sectors that are not alike, so that the clock of the mean map is nobody's
_NEXT = np.flatnonzero(COLS - ROWS == 1)  # pairs of neighbouring cells, in order of age
_PERCENTILES = (3, 16, 42, 72, 97)
_RANGE = (8, 92)  # percentiles; the correlation is low below their mean
_APART = ((1, 1), (2, 2), (3, 3), (4, 5))  # cells between which the order is averaged
_LEAST_SCATTER = 0.02  # of the correlation of neighbouring cells over ages, below which it is noise


def structure(average: Singles) -> Singles:
    """Compute structure and steps (n, 40) of runs from their mean C2 maps (n, 64, 64)."""
    mean = to_triangle(average) - 1
    steady, plateau = decay_and_unsteadiness(mean)
    deviation = mean - (mean @ LAG_MEAN.T)[:, LAG_BIN]
    trend = 3 * (deviation * _AGE) @ LAG_MEAN[1:-1].T
    skewness = np.cbrt(deviation * deviation * deviation @ LAG_MEAN[1:-2].T)  # a power is slow
    near = mean[:, _NEXT] / plateau
    columns = [steady, trend / plateau, skewness / plateau, *_pace(near), *_steps(near)]
    return np.column_stack(columns).astype(np.float32)


def _steps(near: Singles) -> list[Singles]:
    """Return columns 52–54 from the correlation of neighbouring cells, (n, 63)."""
    low, high = np.percentile(near, _RANGE, axis=1)
    is_low, span = near <= (low + high)[:, None] / 2, high - low
    in_a_row = is_low.sum(1) / (is_low[:, 0] + (is_low[:, 1:] & ~is_low[:, :-1]).sum(1))
    middle = np.nanmedian(np.where(is_low, near, np.nan), axis=1, keepdims=True)
    differs = np.nanmedian(np.where(is_low, np.abs(near - middle), np.nan), axis=1)
    moves = np.abs(np.diff(near, axis=1)).mean(1)
    return [np.log((0.02 + moves) / (0.02 + span)), np.log(in_a_row), np.log((0.01 + differs) / (0.03 + span))]


def _pace(near: Singles) -> list[Singles]:
    """Return columns: percentiles and autocorrelation of the correlation of neighbouring cells, (n, 63), over ages."""
    away = near - near.mean(1, keepdims=True)
    variance = np.square(away).mean(1) + _LEAST_SCATTER**2
    products = [
        np.mean([(away[:, k:] * away[:, :-k]).mean(1) for k in range(first, last + 1)], axis=0) / variance
        for first, last in _APART
    ]
    return [*np.percentile(near, _PERCENTILES, axis=1), *products]


# Columns of the densities of `NoveltyScorer`, and of its residuals.
TERMS = {"embedding": slice(0, 15), "structure": slice(15, 52), "steps": slice(52, 55)}
RESIDUALS = {"beats": slice(55, 56), "time": slice(56, 60), "bins": slice(60, 61)}
WEIGHTS = {"beats": 1.5, "bins": 0.1}  # opposite bins are alike, or differ beyond doubt
_N_RESIDUALS = 6


def run_features(
    encoder: Encoder,
    maps: ArrayLike,
    *,
    n_frames: float,
    counts: float,
    n_pixels: ArrayLike,
    phi_deg: ArrayLike | None = None,
    by_azimuth: bool = True,
) -> Singles:
    """Compute the features (61,) of one run; columns as above, errors as for `Encoder.encode`.

    Parameters
    ----------
    encoder : Encoder
    maps : array_like, shape (n_roi, 256, 256)
        C2 maps of baseline 1 of the bins of a ring.
    n_frames, counts : float
        Number of frames; photons per pixel and frame.
    n_pixels : float or array_like, shape (n_roi,)
        Pixels per bin.
    phi_deg : array_like, shape (n_roi,), optional
        Centres of the bins; by default equal and in order around the full circle.
    by_azimuth : bool
        Whether bins are distinguished; otherwise only their mean is used.
    """
    maps = np.asarray(maps, dtype=np.float32)
    pixels = np.broadcast_to(np.asarray(n_pixels, dtype=float), len(maps))
    sectors = sectors_of(pixels, phi_deg, by_azimuth)
    mean = block_mean(np.average(maps, axis=0, weights=pixels)[None].astype(np.float32))
    bins = block_mean(maps)
    differing = differences(bins, sectors.pairs, pixels)[None]
    of_sectors = sectors.average(bins)[None]
    return np.asarray(features(encoder, mean, of_sectors, sectors, photons=n_frames * counts, differing=differing)[0])


def sectors_of(n_pixels: ArrayLike, phi_deg: ArrayLike | None, by_azimuth: bool) -> Sectors:
    """Return the sectors of bins; by default the bins are equal and in order around the full circle."""
    n = np.size(n_pixels)
    if phi_deg is None:
        phi_deg = 360 / n * (np.arange(n) + 0.5)
    return Sectors.of(n_pixels, phi_deg if by_azimuth else None)


def features(
    encoder: Encoder,
    mean: Singles,
    maps: Singles,
    sectors: Sectors,
    *,
    photons: float,
    differing: Floats | None,
    shared: Floats | None = None,
    excess: float = 1.0,
    q_spread: float = 0.0,
) -> Singles:
    """Compute the features (n, 61) of n runs from their mean maps and their maps.

    Parameters
    ----------
    encoder : Encoder
    mean, maps : ndarray, shapes (n, 64, 64) and (n, k, 64, 64)
        Mean maps, and those of the k `sectors`.
    sectors : Sectors
    photons : float
        Per pixel in the whole exposure.
    differing : ndarray, shape (n, p, 64), or None
        `differences` of opposite bins; without them columns 55–60 are not computed but NaN.
    shared : ndarray, shape (64, 64), optional
        Covariance of the shot noise of the cells, as in `noisy`.
    excess : float
        Variance of the noise over that of Wishart maps.
    q_spread : float
        As in `Ring`.
    """
    decoded = encoder.linear.decode(encoder.linear.encode(mean), size=SIZE)
    steady, _ = decay_and_unsteadiness(to_triangle(decoded) - 1)
    shot, pixels = SIZE / photons, float(sectors.n_pixels.sum())
    columns: list[NDArray[Any]] = [steady, structure(mean)]
    if differing is None:
        return np.column_stack([*columns, np.full((len(mean), _N_RESIDUALS), np.nan, dtype=np.float32)])
    profiles, of_shot = by_lag(to_triangle(maps) - 1), shot * (np.eye(SIZE) if shared is None else shared)
    below = np.minimum(profiles[:, :, SIZE // 2 :].mean(2), 0).astype(np.float32)  # no covariance: an offset of the map
    noise = excess * noise_by_lag(maps - 1 - below[:, :, None, None] + of_shot.astype(np.float32))
    at = sectors.members[:, sectors.pairs[:, 0]].argmax(0)
    bins = opposite(differing, profiles[:, at], whitening(noise[:, at]))
    beats = uneven = np.zeros(len(mean))
    if len(sectors.phi_deg) >= FEWEST:
        wander = (np.maximum(np.trace(mean - 1, axis1=1, axis2=2) / SIZE, 0) + shot) / np.sqrt(3 * pixels / excess)
        beats, uneven = beats_of(sectors, q_spread)(profiles, noise, wander)
        if len(sectors.pairs):  # opposite bins that differ by less than noise share speckle, so their mean has more
            beats = beats - np.log(np.maximum(2 - np.exp(bins), 1))
    time = np.where(uneven[:, None] > _UNEVEN, 0, time_columns(mean - 1, shot, pixels / excess))
    columns += [beats, time, bins]
    return np.column_stack(columns).astype(np.float32)
