"""The geometry that a q map states, and whether its lists of q and phi agree with it.

A list belongs to its labels by a mapping, which other programs may have lost: pySimpleMask's ``combine_qmap_files``
numbers the bins of two maps anew, and the lists of one no longer multiply with those of the other. The geometry does
not depend on the mapping.
"""

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.constants import c, e, h

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
WRONG, FITS = 0.05, 0.9  # relative error of q in a list; share of the variance of q over the map that bins explain
RING = 0.3  # length of the mean direction of pixels below which a bin goes around the beam: of 240 degrees .41


class MapGeometry(NamedTuple):
    """Energy, distance from the sample to the detector, size of a pixel (rows, columns), and beam (row, column)."""

    energy_keV: float
    distance_m: float
    pixel_m: tuple[float, float]
    center_px: tuple[float, float]

    def q(self, shape: tuple[int, ...]) -> Floats:
        """Return q of each pixel in 1/nm."""
        wavelength_nm = h * c / (e * self.energy_keV * 1e3) * 1e9
        radius = np.hypot(*self._from_beam(shape))
        return np.asarray(4 * np.pi / wavelength_nm * np.sin(np.arctan(radius / self.distance_m) / 2))

    def azimuth(self, shape: tuple[int, ...]) -> NDArray[np.complex128]:
        """Return the direction of each pixel from the beam, columns real, rows imaginary, of length 1."""
        rows, columns = self._from_beam(shape)
        return np.asarray(np.exp(1j * np.arctan2(rows, columns)))

    def _from_beam(self, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        (ny, nx), (row, column) = shape, self.center_px
        rows, columns = (np.arange(ny) - row) * self.pixel_m[0], (np.arange(nx) - column) * self.pixel_m[1]
        return np.asarray(rows[:, None]), np.asarray(columns[None])


def agreed(
    geometry: MapGeometry, labels: Labels, q: Floats, phi: Floats | None, what: str
) -> tuple[Floats, Floats | None]:
    """Return the lists of q and phi if they agree with the geometry, or else those of the geometry.

    Parameters
    ----------
    geometry : MapGeometry
    labels : ndarray of int, shape (ny, nx)
        Bins from 1; 0 is unused.
    q, phi : ndarray, shape (n,)
        In 1/nm and degrees, by label.
    what : str
        Name of the list of q.

    Raises
    ------
    ValueError
        If the lists contradict the geometry, and the bins are not rings or sectors in it either.
    """
    n = len(q)
    of_pixels, used = geometry.q(labels.shape), labels > 0
    size = np.bincount(labels[used], minlength=n + 1)[1 : n + 1]
    low, high = np.full(n + 1, np.inf), np.full(n + 1, -np.inf)
    np.minimum.at(low, labels[used], of_pixels[used])
    np.maximum.at(high, labels[used], of_pixels[used])
    step = float(np.abs(np.diff(of_pixels, axis=0)).max())  # one pixel: programs differ by half of one
    margin = WRONG * np.abs(q) + step
    wrong = np.flatnonzero((size > 0) & ~((q >= low[1:] - margin) & (q <= high[1:] + margin)) & np.isfinite(q))
    if not wrong.size:
        return q, phi
    with np.errstate(invalid="ignore"):
        mean = np.bincount(labels[used], of_pixels[used], n + 1)[1 : n + 1] / size
        direction = _sum_of(labels[used], geometry.azimuth(labels.shape)[used], n)[1 : n + 1] / size
    k = wrong[0]
    text = (
        f"{what} contradicts the geometry of the map in {wrong.size} of {np.count_nonzero(size)} bins: it has "
        f"{q[k]:.3g} 1/nm for bin {k + 1}, whose pixels see {low[k + 1]:.3g} to {high[k + 1]:.3g} 1/nm"
    )
    spread, within = of_pixels[used].var(), np.square(of_pixels[used] - mean[labels[used] - 1]).mean()
    if not 1 - within / spread >= FITS:
        raise ValueError(f"{text}; is the energy, the distance, the pixel size or the beam centre of the map wrong?")
    logger.warning("%s: q and phi of the geometry are used", text)
    azimuth = np.where(np.abs(direction) > RING, np.rad2deg(np.angle(direction)) % 360, np.nan)
    return mean, azimuth if phi is not None or np.isfinite(azimuth).any() else None


def _sum_of(labels: Labels, values: NDArray[Any], n: int) -> NDArray[Any]:
    return np.bincount(labels, values.real, n + 1) + 1j * np.bincount(labels, values.imag, n + 1)
