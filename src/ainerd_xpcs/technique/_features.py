"""Rings of bins, the directions along which the bins of a ring look, and the features of a run.

An embedding and a p-value belong to one ring. By Friedel's symmetry bins across the beam from each other see the same,
so they are averaged; if there are many directions, neighbours are averaged as well. The novelty of a run is computed
from its features:

======= ====================================================================================================
columns
======= ====================================================================================================
0–14    columns 0–14 of `run_embedding`, of the decoded mean map over azimuth
15      log residual ratio: mean square of the residual of the decoded map, over that of noise alone
16–54   structure of the maps themselves, without an encoder, in columns of its own:
0–7     decay: mean over ages, bins 1–8
8–14    unsteadiness: twice the standard deviation over ages, bins 1–7
15–21   trend: three times the mean over ages of the deviation times the age, from -1 to 1, bins 1–7
22–27   skewness: cube root of the third moment over ages, bins 1–6
28, 29  anisotropy: logs of the size of the second and of the fourth harmonic
30–34   pace: percentiles over ages of the correlation of neighbouring cells
35–38   order: autocorrelation over ages of that correlation, 1, 2, 3 and 4–5 cells apart
55–57   steps: logs of how far that correlation goes in all over its range, of how many cells in a row it is low,
        and of how much it differs among the cells where it is low, over its range
======= ====================================================================================================

For the structure, maps are averaged over azimuth, which leaves the least noise, and their second and fourth harmonics
over azimuth are rotated to the direction in which the second is largest. All columns but the order are divided by the
plateau. Pace and order tell sudden jumps at any times from a rate that varies steadily or in turns. Bins of lag are
those of the embedding: cells 0, 1, 2, 3–4, 5–7, 8–12, 13–20, 21–33 and 34–63 of 64.

Jumps of a sample at rest make the correlation of neighbouring cells low in single cells, to any depth. Motion that
stops and goes on makes it low in cells in a row, to one depth. The columns of the steps are few, so that this is not
lost among the others.
"""

from dataclasses import dataclass

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


MOST_SECTORS = 12
_SAME_DEG = 2.0


@dataclass(frozen=True, eq=False)
class Sectors:
    """The k directions of a ring of n bins.

    Attributes
    ----------
    phi_deg, width_deg : ndarray, shape (k,)
        Center, 0 to 180, and width of each.
    n_pixels : ndarray, shape (k,)
        Pixels of the bins of each.
    members : ndarray, shape (k, n)
        Share of each bin in the mean of its sector.
    """

    phi_deg: Floats
    width_deg: Floats
    n_pixels: Floats
    members: Floats

    @classmethod
    def of(cls, n_pixels: ArrayLike, phi_deg: ArrayLike | None = None) -> "Sectors":
        """Group bins by direction, from their pixels, (n,), and centres in degrees; without centres into one sector."""
        pixels = np.atleast_1d(np.asarray(n_pixels, dtype=float))
        phi = np.full(len(pixels), np.nan) if phi_deg is None else np.asarray(phi_deg, dtype=float)
        if len(pixels) < 2 or not np.isfinite(phi).all():
            return cls(np.zeros(1), np.full(1, 180.0), pixels.sum(keepdims=True), (pixels / pixels.sum())[None])
        width = _width(phi)
        half = np.mod(np.round(phi, 3), 180.0)
        order = np.argsort(half, kind="stable")
        new = np.append(True, np.diff(half[order]) > np.minimum(_SAME_DEG, width / 4))
        groups = np.split(order, np.flatnonzero(new)[1:])
        if len(groups) > MOST_SECTORS:
            parts = np.array_split(np.arange(len(groups)), MOST_SECTORS)
            groups = [np.concatenate([groups[i] for i in part]) for part in parts]
        members = np.zeros((len(groups), len(pixels)))
        for row, group in zip(members, groups, strict=True):
            row[group] = pixels[group] / pixels[group].sum()
        centre = members @ half
        spread = np.array([half[group].max() - half[group].min() for group in groups])
        return cls(centre, spread + width, np.array([pixels[group].sum() for group in groups]), members)

    @property
    def share(self) -> Floats:
        """Share of the ring's pixels in each sector."""
        return np.asarray(self.n_pixels / self.n_pixels.sum())

    @property
    def are_even(self) -> bool:
        """Whether the sectors are equal and fill the circle."""
        k, are_equal = len(self.phi_deg), bool(np.ptp(self.n_pixels) <= 0.02 * self.n_pixels.max())
        return k > 1 and np.allclose(np.diff(self.phi_deg), 180 / k, atol=0.5) and are_equal

    def mean(self, maps: Singles) -> Singles:
        """Average maps of the sectors, (n, k, 64, 64), to (n, 64, 64); without a copy of them, as `tensordot` makes."""
        n, k, *shape = maps.shape
        return (self.share.astype(np.float32) @ maps.reshape(n, k, -1)).reshape(n, *shape)

    def average(self, maps: Singles) -> Singles:
        """Average maps of the bins, (n, …), to those of the sectors, (k, …)."""
        return np.tensordot(self.members, maps, 1).astype(np.float32)


def _width(phi: Floats) -> float:
    """Return the usual distance of bins with these centres, in degrees."""
    gaps = np.diff(np.sort(np.mod(phi, 360.0)))
    gaps = gaps[gaps > 0.01]
    return min(float(np.median(gaps)), 180.0) if gaps.size else 180.0


_AGE = ((2 * ROWS + 1) / (SIZE - (COLS - ROWS)) - 1).astype(np.float32)  # of each cell among those of its lag, -1 to 1
_FLOOR = 0.03
# Sectors of the half circle that are needed to determine a harmonic.
_NEEDED = {2: 3, 4: 5}
_NEXT = np.flatnonzero(COLS - ROWS == 1)  # pairs of neighbouring cells, in order of age
_PERCENTILES = (3, 16, 42, 72, 97)
_RANGE = (8, 92)  # percentiles; the correlation is low below their mean
_APART = ((1, 1), (2, 2), (3, 3), (4, 5))  # cells between which the order is averaged
_LEAST_SCATTER = 0.02  # of the correlation of neighbouring cells over ages, below which it is noise


def structure(average: Singles, maps: Singles, phi: Floats, share: Floats) -> Singles:
    """Compute structure and steps (n, 42) of runs from C2 maps (n, k, 64, 64) of sectors.

    `phi`, (k,), are their azimuths in radians. `average`, (n, 64, 64), are their means, in which each sector has its
    `share`, (k,).
    """
    triangles, mean = to_triangle(maps), to_triangle(average) - 1
    steady, plateau = decay_and_unsteadiness(mean)
    deviation = mean - (mean @ LAG_MEAN.T)[:, LAG_BIN]
    trend = 3 * (deviation * _AGE) @ LAG_MEAN[1:-1].T
    skewness = np.cbrt(deviation * deviation * deviation @ LAG_MEAN[1:-2].T)  # a power is slow
    sizes = [np.log(_FLOOR + size / plateau[:, 0]) for size in _harmonics(triangles, mean, phi, share)]
    near = mean[:, _NEXT] / plateau
    columns = [steady, trend / plateau, skewness / plateau, *sizes, *_pace(near), *_steps(near)]
    return np.column_stack(columns).astype(np.float32)


def _steps(near: Singles) -> list[Singles]:
    """Return columns 55–57 from the correlation of neighbouring cells, (n, 63)."""
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


def _harmonics(triangles: Singles, mean: Singles, phi: Floats, share: Floats) -> list[Singles]:
    """Return the rms over lags of the second and fourth harmonic, (n,) each; zero if they cannot be determined."""
    n, k, _ = triangles.shape
    rotated = np.zeros((2, n, LAG_MEAN.shape[0]), dtype=np.float32)
    if k < min(_NEEDED.values()):
        return list(rotated[:, :, 0])
    by_lag = (triangles @ LAG_MEAN.T - (1 + mean @ LAG_MEAN.T)[:, None]).astype(np.complex64)
    direction = np.ones(n)
    for i, (order, needed) in enumerate(_NEEDED.items()):
        if k < needed:
            continue
        wave = np.tensordot((2 * share * np.exp(1j * order * phi)).astype(np.complex64), by_lag, (0, 1))
        if order == 2:
            direction = np.exp(-0.5j * np.angle(np.square(wave).sum(1)))
        rotated[i] = (wave * (direction ** (order // 2))[:, None]).real
    return list(np.sqrt(np.square(rotated).mean(2)))


# Columns of the densities of `NoveltyScorer`.
TERMS = {"embedding": slice(0, 16), "structure": slice(16, 55), "steps": slice(55, 58)}


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
    """Compute the features (58,) of one run; columns as above, errors as for `Encoder.encode`.

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
    of_sectors = block_mean(sectors.average(maps))[None]
    return np.asarray(features(encoder, mean, of_sectors, sectors, photons=n_frames * counts)[0])


def sectors_of(n_pixels: ArrayLike, phi_deg: ArrayLike | None, by_azimuth: bool) -> Sectors:
    """Return the sectors of bins; by default the bins are equal and in order around the full circle."""
    n = np.size(n_pixels)
    if phi_deg is None:
        phi_deg = 360 / n * (np.arange(n) + 0.5)
    return Sectors.of(n_pixels, phi_deg if by_azimuth else None)


def features(encoder: Encoder, mean: Singles, maps: Singles, sectors: Sectors, *, photons: float) -> Singles:
    """Compute the features (n, 58) of n runs from their mean maps and their maps.

    Mean maps are (n, 64, 64), maps (n, k, 64, 64), of the k `sectors`. Photons are per pixel in the whole exposure.
    """
    decoded = encoder.linear.decode(encoder.linear.encode(mean), size=SIZE)
    steady, _ = decay_and_unsteadiness(to_triangle(decoded) - 1)
    residual = np.square(mean - decoded).sum((1, 2))
    # Noise of a Wishart map: variance (d_i d_j + S_ij²) / N with S = C - 1 and d = diag(S) + shot noise of a
    # reduced frame.
    signal = decoded - 1
    total = np.maximum(np.trace(signal, axis1=1, axis2=2), 0) + SIZE * (SIZE / photons)
    expected = (total**2 + np.square(signal).sum((1, 2))) / sectors.n_pixels.sum()
    shape = structure(mean, maps, np.deg2rad(sectors.phi_deg), sectors.share)
    return np.column_stack([steady, np.log(residual / expected), shape])
