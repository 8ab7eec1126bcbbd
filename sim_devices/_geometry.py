"""The scattering geometry: q and azimuth of each pixel, bad pixels, the ring, and the intensity at each q."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

DIAMETER_NM = 250.0
POLYDISPERSITY = 0.08
FRACTION = 0.605  # of the volume


def form_factor(q: ArrayLike, diameter_nm: float) -> NDArray[np.float64]:
    """Return P(q) of a sphere, 1 at q = 0 (Rayleigh, Proc. R. Soc. A 84, 25, 1911)."""
    x = np.asarray(q, dtype=float) * diameter_nm / 2
    return (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2


def structure_factor(q: ArrayLike, diameter_nm: float, fraction: float) -> NDArray[np.float64]:
    """Return S(q) of hard spheres that fill a `fraction` of the volume.

    Percus and Yevick's closed form (Wertheim, Phys. Rev. Lett. 10, 321, 1963; Thiele, J. Chem. Phys. 39, 474, 1963)
    with the direct correlation -(alpha + beta r + gamma r³) inside the core, r in diameters.
    """
    x, f = np.asarray(q, dtype=float) * diameter_nm, fraction
    alpha, beta = (1 + 2 * f) ** 2 / (1 - f) ** 4, -6 * f * (1 + f / 2) ** 2 / (1 - f) ** 4
    gamma = f * alpha / 2
    sin, cos = np.sin(x), np.cos(x)
    core = alpha / x**3 * (sin - x * cos)
    core += beta / x**4 * (2 * x * sin + (2 - x**2) * cos - 2)
    core += gamma / x**6 * (-(x**4) * cos + 4 * ((3 * x**2 - 6) * cos + (x**3 - 6 * x) * sin + 6))
    return 1 / (1 + 24 * f * core)


def verlet_weis(q: ArrayLike, diameter_nm: float, fraction: float) -> NDArray[np.float64]:
    """Return S(q) with the fraction and diameter for which Percus and Yevick agree with simulations.

    Verlet and Weis, Phys. Rev. A 5, 939, 1972, equation 13, without their small term at contact.
    """
    effective = fraction * (1 - fraction / 16)
    return structure_factor(q, diameter_nm * np.cbrt(effective / fraction), effective)


def scattering(q: ArrayLike) -> NDArray[np.float64]:
    """Return the scattering at q in 1/nm, in arbitrary units: spheres of 250 nm, 8 % polydisperse, at 60.5 vol %.

    Each sphere has neighbours of its own size (Pedersen, J. Appl. Cryst. 27, 595, 1994): P S is averaged over a normal
    law of diameters, weighted with the square of the volume.
    """
    spread = np.linspace(-3, 3, 61)
    diameter = DIAMETER_NM * (1 + POLYDISPERSITY * spread)
    weight = np.exp(-(spread**2) / 2) * diameter**6
    q = np.asarray(q, dtype=float)[..., None]
    return (form_factor(q, diameter) * verlet_weis(q, diameter, FRACTION)) @ (weight / weight.sum())


PIXEL_M = 55e-6
BEAMSTOP_PX = 30
HC_KEV_NM = 1.2398419843
BACKGROUND = 0.2  # of the photons in the ring, the same everywhere
GAP, DEAD, HOT, BEHIND_BEAMSTOP = 1, 1 << 1, 1 << 3, 1 << 8  # bits of NXdetector's pixel_mask


def _with_border(gaps: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of gaps, (ny, nx), and all that touch one."""
    return sliding_window_view(np.pad(gaps, 1), (3, 3)).any(axis=(2, 3))


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A detector in the beam.

    Attributes
    ----------
    detector : str
        Name of a detector known to pyFAI: it gives the shape, the pixel size and the gaps.
    shape : (int, int) or None
        (ny, nx) of a detector with pixels of 55 µm, in place of `detector`; pyFAI, which takes much memory, is then not
        loaded.
    module : (int, int) or None
        (ny, nx) of the modules of a detector of that shape; without it, there is one module.
    gap : (int, int)
        Rows and columns between modules.
    beam_center_px : (float, float)
        (row, column) of the direct beam in edge coordinates: the centre of pixel i is i + 0.5.
    distance_m : float
        From sample to detector, in metres.
    energy_keV : float
        Photon energy.
    q_range_inv_nm : (float, float)
        The ring that is analysed, in 1/nm. Speckle is simulated one pixel further on either side.
    bad_share : float
        Part of the pixels that is bad, half of them dead and half hot: a few in 10⁴ of a real detector. An
        analysis masks `bad_pixels`.
    bad_seed : int
        Of which pixels are bad.

    Raises
    ------
    ValueError
        If pyFAI does not know the detector, the ring misses it, or `bad_share` is not in [0, 1).
    """

    detector: str = "lambda750k"
    shape: tuple[int, int] | None = None
    module: tuple[int, int] | None = None
    gap: tuple[int, int] = (0, 0)
    beam_center_px: tuple[float, float] = (258.0, 778.0)
    distance_m: float = 8.0
    energy_keV: float = 11.0
    q_range_inv_nm: tuple[float, float] = (0.019, 0.029)
    bad_share: float = 0.0
    bad_seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bad_share < 1:
            raise ValueError(f"bad_share must lie in [0, 1), got {self.bad_share}")
        if not self.ring.size:
            raise ValueError(
                f"the ring q_range_inv_nm={self.q_range_inv_nm} has no pixel on a detector of {self.frame_shape}: "
                "check beam_center_px, distance_m and energy_keV"
            )

    @cached_property
    def _hardware(self) -> tuple[tuple[int, int], tuple[float, float], NDArray[np.bool_]]:
        """Return shape, pixel size in metres, and the mask of the gaps with the pixels that border them."""
        if self.shape is not None:
            between = [
                np.arange(n) % (size + gap) >= size
                for n, size, gap in zip(self.shape, self.module or self.shape, self.gap, strict=True)
            ]
            return self.shape, (PIXEL_M, PIXEL_M), _with_border(np.logical_or.outer(*between))
        from pyFAI.detectors import detector_factory  # slow to import, and only this needs it

        try:
            known = detector_factory(self.detector)
        except RuntimeError as error:
            raise ValueError(f"pyFAI knows no detector {self.detector!r}; give shape=(ny, nx) instead") from error
        gaps = np.zeros(known.shape, bool) if known.mask is None else known.mask.astype(bool)
        return tuple(known.shape), (known.pixel1, known.pixel2), _with_border(gaps)

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self._hardware[0]

    @property
    def pixel_m(self) -> tuple[float, float]:
        """Height and width of a pixel, in metres."""
        return self._hardware[1]

    @property
    def _offset_m(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        (ny, nx), (high, wide), _ = self._hardware
        row, column = np.mgrid[:ny, :nx] + 0.5
        return (row - self.beam_center_px[0]) * high, (column - self.beam_center_px[1]) * wide

    @property
    def q_inv_nm(self) -> NDArray[np.float64]:
        """Momentum transfer of each pixel, (ny, nx), 4 pi / lambda sin(theta / 2)."""
        theta = np.arctan(np.hypot(*self._offset_m) / self.distance_m)
        return 4 * np.pi * self.energy_keV / HC_KEV_NM * np.sin(theta / 2)

    @property
    def phi_deg(self) -> NDArray[np.float64]:
        """Azimuth of each pixel, (ny, nx), from 0 along the columns towards the rows, in [0, 360)."""
        return np.rad2deg(np.arctan2(*self._offset_m)) % 360

    @property
    def hot_hz(self) -> NDArray[np.float64]:
        """Dark counts of each pixel per second, (ny, nx): 10² to 10⁵ where it is hot, 0 elsewhere."""
        rng = np.random.default_rng(self.bad_seed)
        rate = 10 ** rng.uniform(2, 5, self.frame_shape)
        return np.where(self.pixel_mask & HOT, rate, 0.0)

    @cached_property
    def pixel_mask(self) -> NDArray[np.uint32]:
        """Why a pixel is bad, (ny, nx), in NeXus' bits: 0 gap or beside one, 1 dead, 3 hot, 8 beamstop; 0 if good."""
        _, (high, wide), gaps = self._hardware
        rows, columns = self._offset_m
        drawn = np.random.default_rng((self.bad_seed, 1)).random(self.frame_shape)
        mask = np.where(gaps, GAP, 0) | np.where(
            np.hypot(rows / high, columns / wide) < BEAMSTOP_PX, BEHIND_BEAMSTOP, 0
        )
        defect = np.where(drawn < self.bad_share, np.where(drawn < self.bad_share / 2, DEAD, HOT), 0)
        return np.where(mask, mask, defect).astype(np.uint32)

    @property
    def bad_pixels(self) -> NDArray[np.bool_]:
        """Pixels that no analysis should use, (ny, nx): gaps and their borders, behind the beamstop, dead, hot."""
        return self.pixel_mask > 0

    @cached_property
    def ring(self) -> NDArray[np.int64]:
        """Flat indices of the pixels that show speckle."""
        low, high = self.q_range_inv_nm
        pixel = 2 * np.pi * self.energy_keV / HC_KEV_NM * self._hardware[1][0] / self.distance_m
        q = self.q_inv_nm
        return np.flatnonzero((q > low - pixel) & (q < high + pixel) & (self.pixel_mask == 0))

    @property
    def profile(self) -> NDArray[np.float64]:
        """Mean intensity, (ny, nx): the sample's P(q) S(q) on a flat background, 0 where bad, 1 in the ring's mean."""
        low, high = self.q_range_inv_nm
        q = self.q_inv_nm
        grid = np.linspace(1e-3, max(q.max(), high), 2000)  # below, as at its beginning
        sample = np.interp(q, grid, scattering(grid))
        in_ring = (q >= low) & (q <= high) & ~self.bad_pixels
        mean = BACKGROUND + (1 - BACKGROUND) * sample / sample[in_ring].mean()
        return np.where(self.pixel_mask > 0, 0.0, mean)
