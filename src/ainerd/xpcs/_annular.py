"""Rings around the beam, cut in sectors: where they lie on a detector, and why they do not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import c, e, h
from scipy.ndimage import binary_dilation

from ainerd.xpcs._detector import checked_mask, detector_of
from ainerd.xpcs._partition import Partition, numbered

if TYPE_CHECKING:
    from pyFAI.detectors import Detector

HC_KEV_ANGSTROM = h * c / e * 1e7  # energy (keV) times wavelength (Å)


@dataclass(frozen=True, kw_only=True, eq=False)
class Annulus:
    """Rings and sectors in the geometry of an experiment; see `Partition.annular` for what the names mean."""

    sensor: "Detector"
    beam_center_px: tuple[float, float]
    distance_m: float
    energy_keV: float
    q_edges_inv_nm: NDArray[np.float64]  # (n_q + 1,)
    n_phi: int
    phi_range_deg: tuple[float, float]
    n_static: int

    @property
    def n_q(self) -> int:
        """Number of rings."""
        return self.q_edges_inv_nm.size - 1

    def from_beam(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows (ny, 1) and columns (1, nx) that the centre of each pixel lies away from the beam, in pixels."""
        ny, nx = self.sensor.shape
        row, column = self.beam_center_px
        return (np.arange(ny) + 0.5 - row)[:, None], (np.arange(nx) + 0.5 - column)[None, :]

    def q(self) -> NDArray[np.float64]:
        """Of each pixel's centre in 1/nm, (ny, nx); the detector is normal to the beam."""
        rows, columns = self.from_beam()
        radius = np.hypot(rows * self.sensor.pixel1, columns * self.sensor.pixel2)
        wavelength_nm = h * c / (e * self.energy_keV * 1e3) * 1e9
        return 4 * np.pi / wavelength_nm * np.sin(np.arctan(radius / self.distance_m) / 2)

    def phi(self) -> NDArray[np.float64]:
        """Azimuth of each pixel's centre in degrees, (ny, nx)."""
        rows, columns = self.from_beam()
        return np.rad2deg(np.arctan2(rows * self.sensor.pixel1, columns * self.sensor.pixel2)) % 360

    def labels(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Bin, and static ring, of each pixel from 1, 0 where it lies in none, masks not yet regarded: (ny, nx) each.

        Bin (i_q, i_phi) is number ``i_q * n_phi + i_phi + 1``.
        """
        n = self.n_q * self.n_static
        static = np.interp(self.q(), self.q_edges_inv_nm, np.arange(self.n_q + 1) * self.n_static, left=-1, right=n)
        ring = np.floor(static).astype(np.int32)
        begin, end = self.phi_range_deg
        turned = (self.phi() - begin) % 360
        turned[turned >= 360] = 0.0  # what lies a rounding error before `begin`
        sector = np.minimum((turned / (end - begin) * self.n_phi).astype(np.int32), self.n_phi - 1)
        used = (ring >= 0) & (ring < n) & (turned < end - begin)
        return np.where(used, ring // self.n_static * self.n_phi + sector + 1, 0), np.where(used, ring + 1, 0)

    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """(q, phi) of the bins, (n_q * n_phi,), and q of the static rings, (n_q * n_static,)."""
        edges, (begin, end) = self.q_edges_inv_nm, self.phi_range_deg
        fine = np.interp(np.arange(self.n_q * self.n_static) + 0.5, np.arange(self.n_q + 1) * self.n_static, edges)
        phi = (begin + (np.arange(self.n_phi) + 0.5) * (end - begin) / self.n_phi) % 360
        return np.repeat((edges[:-1] + edges[1:]) / 2, self.n_phi), np.tile(phi, self.n_q), fine


def annulus_of(
    *,
    detector: "str | Detector",
    beam_center_px: tuple[float, float],
    distance_m: float,
    energy_keV: float,
    q_range_inv_nm: tuple[float, float] | None = None,
    n_q: int | None = None,
    q_edges_inv_nm: ArrayLike | None = None,
    n_phi: int = 18,
    phi_range_deg: tuple[float, float] = (0.0, 360.0),
    n_static: int = 4,
) -> Annulus:
    """What `Partition.annular` is given, checked; ValueError if an argument makes no sense."""
    if (q_range_inv_nm is None) == (q_edges_inv_nm is None):
        raise ValueError("give q_range_inv_nm with n_q, or q_edges_inv_nm: one of the two")
    if q_edges_inv_nm is not None and n_q is not None:
        raise ValueError("n_q goes with q_range_inv_nm: q_edges_inv_nm says itself how many rings there are")
    n_q = 1 if n_q is None else n_q
    if min(n_q, n_phi, n_static) < 1:
        raise ValueError(f"n_q, n_phi, n_static must be at least 1, got {n_q}, {n_phi}, {n_static}")
    if q_range_inv_nm is not None:
        low, high = q_range_inv_nm
        if not 0 <= low < high:
            raise ValueError(f"q_range_inv_nm must be (low, high) with 0 <= low < high, got {q_range_inv_nm}")
        edges = np.linspace(low, high, n_q + 1)
    else:
        edges = np.asarray(q_edges_inv_nm, dtype=float)
        if edges.ndim != 1 or edges.size < 2 or not edges[0] >= 0 or not np.all(np.diff(edges) > 0):
            raise ValueError(f"q_edges_inv_nm must be two or more growing numbers from 0 on, got {q_edges_inv_nm!r}")
    begin, end = phi_range_deg
    if not 0 < end - begin <= 360:
        raise ValueError(
            f"phi_range_deg must be (begin, end) with begin < end, 360 degrees apart at most, got {phi_range_deg}; "
            "across 0 it is (-40, 40)"
        )
    if distance_m <= 0 or energy_keV <= 0:
        raise ValueError(f"distance_m and energy_keV must be positive, got {distance_m} and {energy_keV}")
    return Annulus(
        sensor=detector_of(detector),
        beam_center_px=beam_center_px,
        distance_m=distance_m,
        energy_keV=energy_keV,
        q_edges_inv_nm=edges,
        n_phi=n_phi,
        phi_range_deg=phi_range_deg,
        n_static=n_static,
    )


def annular(
    annulus: Annulus, *, mask: ArrayLike | None = None, gap_border_px: int = 1, beamstop_px: float = 0.0
) -> Partition:
    """The bins of `annulus` that hold a pixel; see `Partition.annular`."""
    roi, static = annulus.labels()
    if not roi.any():
        raise ValueError(_missed(annulus))
    masked = {
        "the gaps of the detector": _gaps(annulus.sensor, gap_border_px),
        f"beamstop_px = {beamstop_px:g}": np.hypot(*annulus.from_beam()) < beamstop_px,
        **({} if mask is None else {"mask": checked_mask(mask, roi > 0)}),
    }
    for name, out in masked.items():
        inside = np.count_nonzero(roi)
        roi[out] = 0
        if not roi.any():
            raise ValueError(f"no pixel is left in the bins: {name} covers all {inside} of them")
    q, phi, static_q = annulus.centres()
    return numbered(roi, static, q, phi, static_q)


def likelier(annulus: Annulus, fewest: int = 1) -> str:
    """What else an argument might be, if that gives more bins of `fewest` pixels or more; empty if nothing does.

    One argument is changed at a time: beam_center_px swapped, distance_m in mm, energy_keV in eV or a wavelength,
    the q limits in 1/Å.
    """
    now, n = _seen(annulus, fewest), annulus.n_q * annulus.n_phi
    meant, asked, seen = max(
        ((meant, asked, _seen(changed, fewest)) for meant, asked, changed in _mistakes(annulus)), key=lambda one: one[2]
    )
    return f"with {meant} {seen} of {n} bins would be seen: {asked}" if seen > now else ""


def _seen(annulus: Annulus, fewest: int) -> int:
    """How many bins have so many pixels."""
    return int(np.count_nonzero(np.bincount(annulus.labels()[0].ravel())[1:] >= fewest))


def _mistakes(annulus: Annulus) -> Iterator[tuple[str, str, Annulus]]:
    """With one argument as it may have been meant, where that is plausible: what it would be, and what to ask."""
    row, column = annulus.beam_center_px
    distance, energy, edges = annulus.distance_m, annulus.energy_keV, annulus.q_edges_inv_nm
    if row != column:
        said = f"beam_center_px = [{column:g}, {row:g}]"
        yield said, "the order is row, column", replace(annulus, beam_center_px=(column, row))
    if distance >= 50:
        meant = distance / 1e3
        yield f"distance_m = {meant:g}", f"is {distance:g} in mm?", replace(annulus, distance_m=meant)
    energies = {
        "an energy in eV": energy / 1e3,
        "the wavelength in Å": HC_KEV_ANGSTROM / energy,
        "the wavelength in nm": HC_KEV_ANGSTROM / energy / 10,
    }
    for what, meant in energies.items():
        if 2 <= meant <= 60 and not 6 < energy < 100:  # else it is as plausible as it stands
            yield f"energy_keV = {meant:.4g}", f"is {energy:g} {what}?", replace(annulus, energy_keV=meant)
    low, high = 10 * edges[0], 10 * edges[-1]
    yield f"q from {low:.4g} to {high:.4g} 1/nm", "are the limits in 1/Å?", replace(annulus, q_edges_inv_nm=10 * edges)


def _missed(annulus: Annulus) -> str:
    q, (low, high) = annulus.q(), annulus.q_edges_inv_nm[[0, -1]]
    inside = (q >= low) & (q < high)
    if inside.any():
        phi = annulus.phi()[inside]
        there = np.flatnonzero(np.bincount((phi / 10).astype(int), minlength=36))
        tens = ", ".join(f"{10 * a:g} to {10 * b + 10:g}" for a, b in _stretches(there))
        begin, end = annulus.phi_range_deg
        return f"no pixel lies in phi_range_deg ({begin:g}, {end:g}): the rings are seen at phi {tens} degrees"
    hint = likelier(annulus) or "is distance_m in metres, energy_keV in keV, beam_center_px (row, column)?"
    return (
        f"no pixel lies in the rings: q runs {q.min():.3g} to {q.max():.3g} 1/nm on this detector, asked for was "
        f"{low:.4g} to {high:.4g}; {hint}"
    )


def _stretches(numbers: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and last of each stretch of consecutive numbers."""
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts]


def _gaps(sensor: "Detector", border_px: int) -> NDArray[np.bool_]:
    gaps = np.zeros(sensor.shape, bool) if sensor.mask is None else np.asarray(sensor.mask, bool)
    return binary_dilation(gaps, np.ones((3, 3), bool), iterations=border_px) if border_px else gaps
