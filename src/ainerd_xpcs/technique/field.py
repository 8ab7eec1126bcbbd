"""The pixels of a detector: their q, the rings of I(q), and the bad ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_RINGS = 150  # of I(q)
HC_KEV_NM = 1.23984198
COUNTS = "photons/pixel/frame"
INTENSITIES = ("saxs", "intensity", "intensity_total")  # that the monitor divides


def unit_of(incident_of: object) -> str:
    """Return the unit of `INTENSITIES` that are divided by these readings, such as "i0 × transmission", or by none."""
    return f"{COUNTS}/({incident_of})" if incident_of else COUNTS


def q_of_pixels(shape: tuple[int, int], instrument: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Return q of the centre of each pixel, (ny, nx), in 1/nm: q = 4π/λ sin(θ/2); None if the geometry is unknown.

    `instrument` is the one in a result's configuration, with ``distance_m``, ``energy_keV``, ``pixel_m``,
    ``beam_center_row_px`` and ``beam_center_column_px``.
    """
    names = ("distance_m", "energy_keV", "pixel_m", "beam_center_row_px", "beam_center_column_px")
    if any(instrument.get(name) is None for name in names):
        return None
    distance, energy, pixel, row, column = (float(instrument[name]) for name in names)
    rows = (np.arange(shape[0]) + 0.5 - row)[:, None]
    columns = (np.arange(shape[1]) + 0.5 - column)[None, :]
    angle = np.arctan(np.hypot(rows, columns) * pixel / distance)
    return np.asarray(4 * np.pi * energy / HC_KEV_NM * np.sin(angle / 2))


def rings(q: NDArray[np.float64], bad: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the ring of each pixel, (ny, nx), -1 if it is bad, and the mean q of each ring, (n,).

    Rings are equally wide, at least as wide as a pixel, and not empty.
    """
    low, high = q[~bad].min(), q[~bad].max()
    steps = [np.abs(np.diff(np.where(bad, np.nan, q), axis=axis)) for axis in (0, 1)]
    pixel = max(float(np.nanmax(step, initial=0.0)) for step in steps)
    n = int(np.clip((high - low) / pixel, 1, MOST_RINGS)) if pixel > 0 else 1
    number = np.where(bad, -1, np.minimum(((q - low) / max(high - low, 1e-300) * n).astype(int), n - 1))
    _, inside = np.unique(number[~bad], return_inverse=True)
    ring = np.full(q.shape, -1, np.int32)
    ring[~bad] = inside
    return ring, np.bincount(inside, q[~bad]) / np.bincount(inside)


@dataclass(frozen=True, eq=False)
class Field:
    """The pixels of a detector.

    Attributes
    ----------
    bad : ndarray of bool, shape (ny, nx)
        Gaps and masked pixels.
    ring : ndarray of int, shape (ny, nx)
        Ring of I(q), from 0; -1 if the pixel is bad or its q is unknown.
    q : ndarray, shape (n,)
        Mean q of each ring in 1/nm; empty if q is unknown.
    """

    bad: NDArray[np.bool_]
    ring: NDArray[np.int32]
    q: NDArray[np.float64]

    @classmethod
    def of(cls, shape: tuple[int, int], q: ArrayLike | None = None, bad: ArrayLike | None = None) -> Self:
        """Build a field from q of each pixel in 1/nm and the bad pixels, (ny, nx), as far as they are known."""
        masked = np.zeros(shape, bool) if bad is None else np.array(bad, bool)
        known = np.full(shape, np.nan) if q is None else np.asarray(q, float)
        left_out = masked | ~np.isfinite(known)
        if left_out.all():
            return cls(masked, np.full(shape, -1, np.int32), np.empty(0))
        return cls(masked, *rings(known, left_out))
