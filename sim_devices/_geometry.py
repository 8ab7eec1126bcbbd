"""Where the detector stands: the q and azimuth of each pixel, which pixels are dead, and which lie in the ring."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pyFAI.detectors import detector_factory
from scipy.ndimage import binary_dilation

PIXEL_M = 55e-6
BEAMSTOP_PX = 30
HC_KEV_NM = 1.2398419843


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A detector in the beam.

    Attributes
    ----------
    detector : str
        Name of a detector known to pyFAI: it gives the shape, the pixel size and the gaps.
    shape : (int, int) or None
        (ny, nx) of a detector without gaps and with pixels of 55 µm, in place of `detector`.
    beam_center_px : (float, float)
        (row, column) of the direct beam in edge coordinates: the centre of pixel i is i + 0.5.
    distance_m : float
        From sample to detector, in metres.
    energy_keV : float
        Photon energy.
    q_range_inv_nm : (float, float)
        The ring that is analysed, in 1/nm. Speckle is simulated one pixel further on either side.

    Raises
    ------
    ValueError
        If pyFAI does not know the detector, or the ring misses it.
    """

    detector: str = "lambda750k"
    shape: tuple[int, int] | None = None
    beam_center_px: tuple[float, float] = (258.0, 778.0)
    distance_m: float = 8.0
    energy_keV: float = 11.0
    q_range_inv_nm: tuple[float, float] = (0.019, 0.029)

    def __post_init__(self) -> None:
        if not self.ring.size:
            raise ValueError(
                f"the ring q_range_inv_nm={self.q_range_inv_nm} has no pixel on a detector of {self.frame_shape}: "
                "check beam_center_px, distance_m and energy_keV"
            )

    @cached_property
    def _hardware(self) -> tuple[tuple[int, int], tuple[float, float], NDArray[np.bool_]]:
        """Shape, pixel size in metres, and mask of the gaps with the pixels that border them."""
        if self.shape is not None:
            return self.shape, (PIXEL_M, PIXEL_M), np.zeros(self.shape, bool)
        try:
            known = detector_factory(self.detector)
        except RuntimeError as error:
            raise ValueError(f"pyFAI knows no detector {self.detector!r}; give shape=(ny, nx) instead") from error
        gaps = np.zeros(known.shape, bool) if known.mask is None else known.mask.astype(bool)
        return tuple(known.shape), (known.pixel1, known.pixel2), binary_dilation(gaps, np.ones((3, 3)))

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self._hardware[0]

    @cached_property
    def _offset_m(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        (ny, nx), (high, wide), _ = self._hardware
        row, column = np.mgrid[:ny, :nx] + 0.5
        return (row - self.beam_center_px[0]) * high, (column - self.beam_center_px[1]) * wide

    @cached_property
    def q_inv_nm(self) -> NDArray[np.float64]:
        """Momentum transfer of each pixel, (ny, nx), 4 pi / lambda sin(theta / 2)."""
        theta = np.arctan(np.hypot(*self._offset_m) / self.distance_m)
        return 4 * np.pi * self.energy_keV / HC_KEV_NM * np.sin(theta / 2)

    @cached_property
    def phi_deg(self) -> NDArray[np.float64]:
        """Azimuth of each pixel, (ny, nx), from 0 along the columns towards the rows, in [0, 360)."""
        return np.rad2deg(np.arctan2(*self._offset_m)) % 360

    @cached_property
    def dead(self) -> NDArray[np.bool_]:
        """Pixels that never count, (ny, nx): the gaps, their borders, and the beamstop's shadow."""
        _, (high, wide), gaps = self._hardware
        rows, columns = self._offset_m
        return gaps | (np.hypot(rows / high, columns / wide) < BEAMSTOP_PX)

    @cached_property
    def ring(self) -> NDArray[np.int64]:
        """Flat indices of the live pixels that show speckle."""
        low, high = self.q_range_inv_nm
        pixel = 2 * np.pi * self.energy_keV / HC_KEV_NM * self._hardware[1][0] / self.distance_m
        return np.flatnonzero((self.q_inv_nm > low - pixel) & (self.q_inv_nm < high + pixel) & ~self.dead)

    @cached_property
    def profile(self) -> NDArray[np.float64]:
        """Mean intensity, (ny, nx): 1 in the middle of the ring, ± 10 % across it, 0.1 far away, 0 where dead."""
        low, high = self.q_range_inv_nm
        decay = np.exp((0.5 * (low + high) - self.q_inv_nm) / (4.5 * (high - low)))
        return np.where(self.dead, 0.0, 0.1 + 0.9 * decay)
