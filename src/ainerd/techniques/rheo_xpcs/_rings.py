"""The bins of a partition: rings of one q, and the directions that the bins of a ring look along.

An embedding and a p-value belong to one ring. By Friedel's symmetry bins across the beam from each other see the same,
so they are averaged; if there are many directions, neighbours are averaged as well.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs import Partition

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
    """

    bins: NDArray[np.int64]
    q: float
    pixels: NDArray[np.float64]
    phi_deg: NDArray[np.float64] | None

    @property
    def n_pixels(self) -> int:
        """Pixels of all its bins."""
        return int(self.pixels.sum())

    @property
    def weights(self) -> NDArray[np.float64]:
        """Share of each bin in the pixels, (n,)."""
        return self.pixels / self.pixels.sum()


def rings(partition: Partition) -> list[Ring]:
    """Return the rings of a partition in order of q; bins of unknown q are one ring."""
    order = np.argsort(partition.q, kind="stable")
    q = partition.q[order]
    new = np.append(True, ~(np.isnan(q[1:]) | (np.diff(q) <= SAME_Q * q[:-1]))) if q.size > 1 else np.array([True])
    return [_ring(partition, order[part]) for part in np.split(np.arange(q.size), np.flatnonzero(new)[1:])]


def _ring(partition: Partition, bins: NDArray[np.int64]) -> Ring:
    bins = bins[np.argsort(partition.phi[bins], kind="stable")]
    phi, pixels = partition.phi[bins], partition.n_pixels[bins]
    known = len(bins) > 1 and bool(np.isfinite(phi).all())
    return Ring(bins, float(partition.q[bins].mean()), pixels.astype(float), phi if known else None)


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

    phi_deg: NDArray[np.float64]
    width_deg: NDArray[np.float64]
    n_pixels: NDArray[np.float64]
    members: NDArray[np.float64]

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
    def share(self) -> NDArray[np.float64]:
        """Share of the ring's pixels in each sector."""
        return self.n_pixels / self.n_pixels.sum()

    @property
    def are_even(self) -> bool:
        """Whether the sectors are equal and fill the circle."""
        k = len(self.phi_deg)
        gaps = np.diff(self.phi_deg)
        return (
            k > 1 and np.allclose(gaps, 180 / k, atol=0.5) and bool(np.ptp(self.n_pixels) <= 0.02 * self.n_pixels.max())
        )

    def average(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average maps of the bins, (n, …), to those of the sectors, (k, …)."""
        return np.tensordot(self.members, maps, 1).astype(np.float32)


def _width(phi: NDArray[np.float64]) -> float:
    """Return the usual distance of bins with these centres, in degrees."""
    gaps = np.diff(np.sort(np.mod(phi, 360.0)))
    gaps = gaps[gaps > 0.01]
    return min(float(np.median(gaps)), 180.0) if gaps.size else 180.0
