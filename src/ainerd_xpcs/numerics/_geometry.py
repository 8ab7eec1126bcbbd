"""Geometry of a detector: q and phi of its pixels, rings cut into sectors, and masks."""

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import c, e, h
from scipy.ndimage import binary_dilation

if TYPE_CHECKING:
    from pyFAI.detectors import Detector

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Annulus:
    """Rings around the beam, cut into equal sectors.

    Bin (i_q, i_phi) is number ``i_q * n_phi + i_phi + 1``; with 18 sectors, sector k covers 20 (k - 1) to 20 k degrees.

    Parameters
    ----------
    detector : str or pyFAI.detectors.Detector
        Any detector of pyFAI; its gaps are masked.
    beam_center_px : (float, float)
        (row, column) of the direct beam; the center of pixel i is at i + 0.5. It may lie off the detector.
    distance_m : float
        Sample to detector, in metres.
    energy_keV : float
        Photon energy, in keV.
    q_range_inv_nm : array_like
        Inner and outer limit of `n_q` rings of equal width, or the borders of all rings, in 1/nm.
    n_q : int, optional
        Number of rings between two limits; 1 by default.
    n_phi, n_static : int
        Sectors, and static rings in each ring.
    phi_range_deg : (float, float)
        Start of the first sector and end of the last one, in degrees; (-40, 40) lies across 0.

    Raises
    ------
    ValueError
        If a parameter makes no sense, or pyFAI has no such detector.

    Attributes
    ----------
    edges : ndarray, shape (n_rings + 1,)
        Borders of the rings in 1/nm.

    Examples
    --------
    >>> position = {"beam_center_px": (250.0, 500.0), "distance_m": 5.0, "energy_keV": 9.7}
    >>> annulus = Annulus(detector="Eiger500k", **position, q_range_inv_nm=(0.05, 0.1), n_q=2)
    >>> roi, ring = annulus.labels()
    >>> roi.max(), ring.max()  # two rings of 18 sectors, each with 4 static rings
    (np.int32(36), np.int32(8))
    >>> annulus.q()[roi == 19].min().round(3)  # of the first sector of the second ring
    np.float64(0.075)
    """

    QUESTION: ClassVar[str] = "is distance_m in metres, energy_keV in keV, q in 1/nm, beam_center_px (row, column)?"

    detector: "str | Detector"
    beam_center_px: tuple[float, float]
    distance_m: float
    energy_keV: float
    q_range_inv_nm: ArrayLike
    n_q: int | None = None
    n_phi: int = 18
    phi_range_deg: tuple[float, float] = (0.0, 360.0)
    n_static: int = 4
    edges: Floats = field(init=False)

    def __post_init__(self) -> None:
        edges = np.asarray(self.q_range_inv_nm, dtype=float)
        if edges.ndim != 1 or edges.size < 2 or not edges[0] >= 0 or not np.all(np.diff(edges) > 0):
            raise ValueError(f"q_range_inv_nm must be two or more growing numbers from 0 on, got {edges}")
        if edges.size > 2 and self.n_q is not None:
            raise ValueError("n_q goes with two limits: q_range_inv_nm has the edges of all rings")
        n_q = edges.size - 1 if self.n_q is None else self.n_q
        if min(n_q, self.n_phi, self.n_static) < 1:
            raise ValueError(f"n_q, n_phi, n_static must be at least 1, got {n_q}, {self.n_phi}, {self.n_static}")
        edges = np.linspace(edges[0], edges[1], n_q + 1) if edges.size == 2 else edges
        begin, end = self.phi_range_deg
        if not 0 < end - begin <= 360:
            raise ValueError(
                "phi_range_deg must be (begin, end) with begin < end, 360 degrees apart at most, got "
                f"{self.phi_range_deg}; across 0 it is (-40, 40)"
            )
        if self.distance_m <= 0 or self.energy_keV <= 0:
            raise ValueError(f"distance_m and energy_keV must be positive, got {self.distance_m} and {self.energy_keV}")
        object.__setattr__(self, "edges", edges)

    @cached_property
    def sensor(self) -> "Detector":
        """The detector; ValueError if pyFAI knows none of this name."""
        return named_detector(self.detector) if isinstance(self.detector, str) else self.detector

    def from_beam(self) -> tuple[Floats, Floats]:
        """Return the distances of pixel centers from the beam in pixels: rows (ny, 1) and columns (1, nx)."""
        ny, nx = self.sensor.shape
        row, column = self.beam_center_px
        return (np.arange(ny) + 0.5 - row)[:, None], (np.arange(nx) + 0.5 - column)[None, :]

    def q(self) -> Floats:
        """Return q of each pixel center in 1/nm, (ny, nx), on a detector normal to the beam."""
        rows, columns = self.from_beam()
        radius = np.hypot(rows * self.sensor.pixel1, columns * self.sensor.pixel2)
        return q_at(radius, self.distance_m, self.energy_keV)

    def phi(self) -> Floats:
        """Return the azimuth of each pixel center in degrees, (ny, nx)."""
        rows, columns = self.from_beam()
        return np.asarray(np.rad2deg(np.arctan2(rows * self.sensor.pixel1, columns * self.sensor.pixel2)) % 360)

    def labels(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the bin and the static ring of each pixel before masking, (ny, nx) each, 0 outside all bins.

        Bin (i_q, i_phi) has the number ``i_q * n_phi + i_phi + 1``; static rings count from 1.
        """
        n_q = self.edges.size - 1
        n = n_q * self.n_static
        static = np.interp(self.q(), self.edges, np.arange(n_q + 1) * self.n_static, left=-1, right=n)
        ring = np.floor(static).astype(np.int32)
        begin, end = self.phi_range_deg
        turned = (self.phi() - begin) % 360
        turned[turned >= 360] = 0.0  # a pixel that lies a rounding error before `begin`
        sector = np.minimum((turned / (end - begin) * self.n_phi).astype(np.int32), self.n_phi - 1)
        used = (ring >= 0) & (ring < n) & (turned < end - begin)
        return np.where(used, ring // self.n_static * self.n_phi + sector + 1, 0), np.where(used, ring + 1, 0)

    def centers(self) -> tuple[Floats, Floats, Floats]:
        """Return q and phi of the bins, (n_bins,) each, and q of the static rings, (n_rings * n_static,)."""
        edges, (begin, end), n_q = self.edges, self.phi_range_deg, self.edges.size - 1
        fine = np.interp(np.arange(n_q * self.n_static) + 0.5, np.arange(n_q + 1) * self.n_static, edges)
        phi = (begin + (np.arange(self.n_phi) + 0.5) * (end - begin) / self.n_phi) % 360
        return np.repeat((edges[:-1] + edges[1:]) / 2, self.n_phi), np.tile(phi, n_q), fine

    def masked(self, mask: ArrayLike | None) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return `labels` with 0 for masked bins; raise ValueError, with a hint, if no pixel is left."""
        roi, static = self.labels()
        if not roi.any():
            q, phi, (low, high) = self.q(), self.phi_range_deg, self.edges[[0, -1]]
            raise ValueError(
                f"no pixel lies in the rings from {low:.4g} to {high:.4g} 1/nm and phi from {phi[0]:g} to {phi[1]:g} "
                f"degrees: q runs {q.min():.3g} to {q.max():.3g} 1/nm on this detector; {self.QUESTION}"
            )
        gaps = np.zeros(self.sensor.shape, bool) if self.sensor.mask is None else np.asarray(self.sensor.mask, bool)
        masks = {
            "the gaps of the detector": binary_dilation(gaps, np.ones((3, 3), bool)),
            **({} if mask is None else {"mask": checked_mask(mask, roi > 0)}),
        }
        for name, out in masks.items():
            inside = np.count_nonzero(roi)
            roi[out] = 0
            if not roi.any():
                raise ValueError(f"no pixel is left in the bins: {name} covers all {inside} of them")
        return roi, static


def q_at(radius_m: Floats, distance_m: float, energy_keV: float) -> Floats:
    """Return q in 1/nm at distances from the beam in m, on a detector normal to the beam."""
    wavelength_nm = h * c / (e * energy_keV * 1e3) * 1e9
    return np.asarray(4 * np.pi / wavelength_nm * np.sin(np.arctan(radius_m / distance_m) / 2))


def pyfai_detectors() -> Any:
    """Import `pyFAI.detectors`, which is slow."""
    os.environ.setdefault("PYFAI_NO_LOGGING", "1")  # at a prompt it configures the log of the session
    import pyFAI.detectors

    return pyFAI.detectors


def named_detector(name: str) -> "Detector":
    """Return a detector that pyFAI knows, by its name or by the path of a file that describes it.

    Raises ValueError, with a similar name, for another name.

    Examples
    --------
    >>> named_detector("lambda750k").shape
    (516, 1556)
    >>> named_detector("lambda751k")
    Traceback (most recent call last):
    ValueError: pyFAI knows no detector 'lambda751k', did you mean 'lambda750k'?
    """
    detectors = pyfai_detectors()
    known = [*detectors.ALL_DETECTORS]
    # for an unknown name pyFAI logs all of them
    if not (os.path.isfile(name) or hasattr(detectors, name) or name.lower().replace(" ", "_") in known):
        close = get_close_matches(name.lower(), known, 1)
        raise ValueError(f"pyFAI knows no detector {name!r}" + (f", did you mean {close[0]!r}?" if close else ""))
    return detectors.detector_factory(name)


def checked_mask(mask: ArrayLike, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return `mask` as booleans, True where a pixel must not be used; `inside`, (ny, nx), marks the pixels in bins.

    Raises
    ------
    ValueError
        If the shape or type is wrong, or the mask looks inverted: it covers more than half of the detector and more
        than half of the pixels in bins.
    """
    given = np.asarray(mask)
    if given.shape != inside.shape:
        turned = ": it is transposed" if given.shape == inside.shape[::-1] else ""
        raise ValueError(f"mask has shape {given.shape}, the detector has {inside.shape}{turned}")
    if given.dtype.kind not in "bui":
        raise ValueError(f"mask must be of booleans, or of 0 and 1, got {given.dtype}")
    out = given.astype(bool)
    if out.mean() > 0.5 and out[inside].mean() > 0.5:
        raise ValueError(
            f"mask takes away {out.mean():.1%} of the detector and {out[inside].mean():.1%} of the pixels in the bins: "
            "it must be True (1) where a pixel is not to be used; is it inverted? If not, give the pixels to use as "
            "roi_map"
        )
    return out
