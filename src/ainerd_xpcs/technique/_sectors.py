"""The directions along which the bins of a ring look.

By Friedel's symmetry bins across the beam from each other see the same, so they are averaged; if there are many
directions, neighbours are averaged as well.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

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
    pairs : ndarray, shape (p, 2)
        Bins on opposite sides of the beam.
    """

    phi_deg: Floats
    width_deg: Floats
    n_pixels: Floats
    members: Floats
    pairs: NDArray[np.int64]

    @classmethod
    def of(cls, n_pixels: ArrayLike, phi_deg: ArrayLike | None = None) -> "Sectors":
        """Group bins by direction, from their pixels, (n,), and centres in degrees; without centres into one sector."""
        pixels = np.atleast_1d(np.asarray(n_pixels, dtype=float))
        phi = np.full(len(pixels), np.nan) if phi_deg is None else np.asarray(phi_deg, dtype=float)
        pairs = np.array(opposite_pairs(phi), dtype=np.int64).reshape(-1, 2)
        if len(pixels) < 2 or not np.isfinite(phi).all():
            total = pixels.sum(keepdims=True)
            return cls(np.zeros(1), np.full(1, 180.0), total, (pixels / total)[None], pairs)
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
        of_groups = np.array([pixels[group].sum() for group in groups])
        return cls(centre, spread + width, of_groups, members, pairs)

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

    def of_bins(self, maps: Singles) -> Singles:
        """Return what each bin sees, (n, bins, 64, 64), from maps of the sectors, or of one if all see the same."""
        return maps[:, self.members.argmax(0)] if maps.shape[1] > 1 else maps

    def average(self, maps: Singles) -> Singles:
        """Average maps of the bins, (…, n, 64, 64), to those of the sectors, (…, k, 64, 64)."""
        *shape, n, _, _ = maps.shape
        means = self.members.astype(np.float32) @ maps.reshape(*shape, n, -1)
        return np.asarray(means.reshape(*shape, len(self.members), *maps.shape[-2:]))


def opposite_pairs(phi_deg: Floats) -> list[tuple[int, int]]:
    """Return the pairs of bins on opposite sides of the beam, to a degree, of bins at `phi_deg` (n,)."""
    away = np.nan_to_num(np.abs((phi_deg[:, None] - phi_deg + 360) % 360 - 180), nan=np.inf)
    other = np.where(away.min(1) < 1, away.argmin(1), -1)
    return [(i, j) for i, j in enumerate(other.tolist()) if i < j]


def _width(phi: Floats) -> float:
    """Return the usual distance of bins with these centres, in degrees."""
    gaps = np.diff(np.sort(np.mod(phi, 360.0)))
    gaps = gaps[gaps > 0.01]
    return min(float(np.median(gaps)), 180.0) if gaps.size else 180.0
