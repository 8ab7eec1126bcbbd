"""The bins of a partition, ring by ring in q: an embedding and a p-value are of one ring."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd.xpcs import Partition

ALIKE = 0.02  # relative difference of q below which bins are of one ring


@dataclass(frozen=True, eq=False)
class Ring:
    """Bins of one q.

    Attributes
    ----------
    bins : ndarray of int, shape (n,)
        Bins of the partition, from 0, by azimuth where it is known.
    q : float
        In 1/nm; NaN where it is not known.
    by_azimuth : bool
        Whether the bins are equal sectors around the full circle. Of others the embedding tells no anisotropy.
    pixels : ndarray, shape (n,)
        Of each bin.
    phi_deg : ndarray, shape (n,), or None
        Centres of the bins; None where they are not known, and of a single bin.
    """

    bins: NDArray[np.int64]
    q: float
    by_azimuth: bool
    pixels: NDArray[np.float64]
    phi_deg: NDArray[np.float64] | None

    @property
    def n_pixels(self) -> int:
        """Of all its bins."""
        return int(self.pixels.sum())

    @property
    def weights(self) -> NDArray[np.float64]:
        """Share of each bin in them, (n,)."""
        return self.pixels / self.pixels.sum()


def rings(partition: Partition) -> list[Ring]:
    """The rings of a partition by growing q; bins whose q is not known are one ring."""
    order = np.argsort(partition.q, kind="stable")
    q = partition.q[order]
    new = np.append(True, ~(np.isnan(q[1:]) | (np.diff(q) <= ALIKE * q[:-1]))) if q.size > 1 else np.array([True])
    return [_ring(partition, order[part]) for part in np.split(np.arange(q.size), np.flatnonzero(new)[1:])]


def _ring(partition: Partition, bins: NDArray[np.int64]) -> Ring:
    bins = bins[np.argsort(partition.phi[bins], kind="stable")]
    phi, pixels = partition.phi[bins], partition.n_pixels[bins]
    known, is_whole = len(bins) > 1 and bool(np.isfinite(phi).all()), False
    if known:
        is_whole = bool(np.allclose(np.diff(np.append(phi, phi[0] + 360)), 360 / len(bins), atol=0.5))
    return Ring(
        bins,
        float(partition.q[bins].mean()),
        is_whole,
        pixels.astype(float),
        phi if known else None,
    )
