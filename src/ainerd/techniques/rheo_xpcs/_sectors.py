"""The directions that the bins of a ring look along, with the pixels of each.

By Friedel's symmetry bins across the beam from each other show the same, so they are averaged; neighbours are, where
there are many.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST = 12
_SAME_DEG = 2.0


@dataclass(frozen=True, eq=False)
class Sectors:
    """k directions of a ring of n bins.

    Attributes
    ----------
    phi_deg, width_deg : ndarray, shape (k,)
        Centre, 0 to 180, and width of each.
    n_pixels : ndarray, shape (k,)
        Of the bins of each.
    members : ndarray, shape (k, n)
        Share of each bin in the mean of its sector.
    """

    phi_deg: NDArray[np.float64]
    width_deg: NDArray[np.float64]
    n_pixels: NDArray[np.float64]
    members: NDArray[np.float64]

    @classmethod
    def of(cls, n_pixels: ArrayLike, phi_deg: ArrayLike | None = None) -> "Sectors":
        """From the pixels of bins, (n,), and their centres in degrees; without these all are one sector."""
        pixels = np.atleast_1d(np.asarray(n_pixels, dtype=float))
        phi = np.full(len(pixels), np.nan) if phi_deg is None else np.asarray(phi_deg, dtype=float)
        if len(pixels) < 2 or not np.isfinite(phi).all():
            return cls(np.zeros(1), np.full(1, 180.0), pixels.sum(keepdims=True), (pixels / pixels.sum())[None])
        width = _width(phi)
        half = np.mod(np.round(phi, 3), 180.0)
        order = np.argsort(half, kind="stable")
        new = np.append(True, np.diff(half[order]) > np.minimum(_SAME_DEG, width / 4))
        groups = np.split(order, np.flatnonzero(new)[1:])
        if len(groups) > MOST:
            parts = np.array_split(np.arange(len(groups)), MOST)
            groups = [np.concatenate([groups[i] for i in part]) for part in parts]
        members = np.zeros((len(groups), len(pixels)))
        for row, group in zip(members, groups, strict=True):
            row[group] = pixels[group] / pixels[group].sum()
        centre = members @ half
        spread = np.array([half[group].max() - half[group].min() for group in groups])
        return cls(centre, spread + width, np.array([pixels[group].sum() for group in groups]), members)

    @property
    def share(self) -> NDArray[np.float64]:
        """Of the pixels of the ring in each sector."""
        return self.n_pixels / self.n_pixels.sum()

    @property
    def are_even(self) -> bool:
        """Whether they are equal and fill the circle."""
        k = len(self.phi_deg)
        gaps = np.diff(self.phi_deg)
        return (
            k > 1 and np.allclose(gaps, 180 / k, atol=0.5) and bool(np.ptp(self.n_pixels) <= 0.02 * self.n_pixels.max())
        )

    def average(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps (k, …) of the sectors from those of the bins, (n, …)."""
        return np.tensordot(self.members, maps, 1).astype(np.float32)


def _width(phi: NDArray[np.float64]) -> float:
    """Of bins with these centres, in degrees: their usual distance."""
    gaps = np.diff(np.sort(np.mod(phi, 360.0)))
    gaps = gaps[gaps > 0.01]
    return min(float(np.median(gaps)), 180.0) if gaps.size else 180.0
