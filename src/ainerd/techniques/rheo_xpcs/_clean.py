"""|g1|² of an exposure at any azimuth, from a few maps: what a bank holds of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.dynamics import DIRECTIONS, Dynamics, Sheared, clock, g1_moving, reduced_g1_squared
from ainerd.latent import COLS, ROWS, SIZE, from_triangle, to_triangle

STEPS = 4096  # |g1|² is kept in steps of 1/4096, a hundredth of the least noise a run can have
ALIKE, FLOW, TURNED, MEASURED = 1, 2, 4, DIRECTIONS.size
SHEARED = 3  # two maps as well
# Where, between the slowest and the fastest direction, the maps of an anisotropic exposure are kept.
_NODES = np.cos(np.pi * (2 * np.arange(TURNED) + 1) / (2 * TURNED))
_ACROSS, _WEIGHTS = np.polynomial.legendre.leggauss(12)
# Cells of a map are averaged from as many points along each time: fast dynamics change within one.
_FINE, _FAST, _COARSE, _FASTEST = 4, 0.05, 8, 16
_FLOWED = np.linspace(0, 1, 257)  # between these what a sheared fluid shows is interpolated


@dataclass(frozen=True, eq=False)
class Clean:
    """|g1|² of an exposure of 1 s.

    Attributes
    ----------
    steps : ndarray of int16, shape (m, 2080)
        Upper triangles of m maps, in steps of 1 / `STEPS`. One: alike in all directions. Two: what does not beat and
        what beats, of a flow; what the fluid at rest would show, and the share of its way that it has flowed in
        between, of one that is sheared. Four: at four relaxation rates, of an anisotropic one. Nine: at the nine
        `DIRECTIONS`.
    angle_deg : float
        Direction of the flow, or of the fastest relaxation.
    phase : float
        Of a flow: q·v over the exposure, in radians.
    shear : float
        Of a fluid that is sheared: the same of one plate against the other; else zero.
    """

    steps: NDArray[np.int16]
    angle_deg: float = 0.0
    phase: float = 0.0
    shear: float = 0.0

    @property
    def kind(self) -> int:
        """What its maps are."""
        return SHEARED if self.shear else len(self.steps)

    @classmethod
    def of(cls, dynamics: Dynamics | Sheared) -> "Clean":
        """Of an exposure of 1 s; ValueError of one with two velocities, which a bank does not hold."""
        if isinstance(dynamics, Sheared):
            return cls._sheared(dynamics)
        if dynamics.is_heterodyne:
            return cls._flowing(dynamics)
        fine = _oversample(dynamics)
        if not any(part.anisotropy for _, part in dynamics.parts):
            return cls.at_directions(reduced_g1_squared(dynamics, 1.0, SIZE, oversample=fine))
        angle = dynamics.anisotropy_deg
        azimuths = angle + np.rad2deg(np.arccos(_NODES)) / 2
        return replace(
            cls.at_directions(reduced_g1_squared(dynamics, 1.0, SIZE, azimuths, oversample=fine)), angle_deg=angle
        )

    @classmethod
    def at_directions(cls, maps: ArrayLike) -> "Clean":
        """Of maps (m, 64, 64): one, or at the nine `DIRECTIONS`."""
        triangles = to_triangle(np.asarray(maps, dtype=np.float32))
        return cls(np.round(triangles * STEPS).astype(np.int16))

    @classmethod
    def _flowing(cls, dynamics: Dynamics) -> "Clean":
        if dynamics.second is not None or dynamics.anisotropy:
            raise ValueError("a bank holds no flow of two velocities, nor one that relaxes faster along one direction")
        n = SIZE * _COARSE
        s = clock(dynamics, (np.arange(n) + 0.5) / n)
        g, static = g1_moving(dynamics, s[:, None], s), dynamics.static
        maps = np.stack([static**2 + (1 - static) ** 2 * g**2, 2 * static * (1 - static) * g])
        reduced = maps.reshape(2, SIZE, _COARSE, SIZE, _COARSE).mean((2, 4))
        return replace(cls.at_directions(reduced), angle_deg=dynamics.flow_deg, phase=dynamics.flow_rad_s)

    @classmethod
    def _sheared(cls, dynamics: Sheared) -> "Clean":
        whole = float(dynamics.flowed_s(1.0))
        edges = dynamics.flowed_s(np.arange(SIZE + 1) / SIZE) / whole
        middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        # Times differ within cells as well: by as much, in the mean square.
        apart = np.sqrt((middle[:, None] - middle) ** 2 + (width[:, None] ** 2 + width**2) / 12)
        still = reduced_g1_squared(dynamics.relaxation, 1.0, SIZE, oversample=_FINE)
        maps = np.concatenate([still, apart[None]])
        return replace(cls.at_directions(maps), angle_deg=dynamics.along_deg, shear=dynamics.shear_rad_s * whole)


def seen_from(
    clean: Sequence[Clean], phi_deg: NDArray[np.float64], width_deg: NDArray[np.float64]
) -> NDArray[np.float32]:
    """|g1|² of exposures of one kind, averaged over sectors: (n, k, 64, 64), k = 1 if they are alike.

    `phi_deg` and `width_deg`, (k,), are the sectors. Across a sector the fringes of a flow run out of step, so this is
    not |g1|² at its centre.
    """
    triangles = np.stack([each.steps for each in clean]).astype(np.float32) / np.float32(STEPS)
    if triangles.shape[1] == ALIKE:
        return from_triangle(triangles)
    angle, phase = (np.array([getattr(each, name) for each in clean]) for name in ("angle_deg", "phase"))
    phi = phi_deg[:, None] + width_deg[:, None] / 2 * _ACROSS  # (k, nodes)
    if triangles.shape[1] == MEASURED:
        at = _between_directions(phi) @ (_WEIGHTS / 2)
        return from_triangle(np.einsum("km,nmt->nkt", at.astype(np.float32), triangles))
    along = np.deg2rad(phi - angle[:, None, None])  # (n, k, nodes)
    if clean[0].kind == FLOW:
        turn = phase[:, None, None] * np.cos(along)
        # A cell lasts a while, in which the phase turns as well.
        in_cell = np.sinc(turn / SIZE / 2 / np.pi) ** 2 * (_WEIGHTS / 2)
        beat = np.einsum("nkal,nka->nkl", np.cos(turn[..., None] * np.arange(SIZE) / SIZE), in_cell)
        fringes = beat[..., COLS - ROWS].astype(np.float32)
        return from_triangle(triangles[:, :1] + fringes * triangles[:, 1:])
    if clean[0].kind == SHEARED:
        shear = np.array([each.shear for each in clean])[:, None, None] * np.cos(along)
        left = np.square(np.sinc(shear[..., None] * _FLOWED / 2 / np.pi))
        averaged = np.einsum("nkal,a->nkl", left, _WEIGHTS / 2).astype(np.float32)
        place = triangles[:, 1] * (_FLOWED.size - 1)
        low = np.minimum(place.astype(int), _FLOWED.size - 2)[:, None]
        below, above = (np.take_along_axis(averaged, low + more, 2) for more in (0, 1))
        return from_triangle(triangles[:, :1] * (below + (place[:, None] - low).astype(np.float32) * (above - below)))
    rate = np.cos(2 * along)[..., None]
    lagrange = [
        np.prod([(rate[..., 0] - other) / (node - other) for other in _NODES if other != node], axis=0)
        for node in _NODES
    ]
    weights = np.einsum("mnka,a->nkm", np.array(lagrange), _WEIGHTS / 2).astype(np.float32)
    return from_triangle(np.einsum("nkm,nmt->nkt", weights, triangles))


def _between_directions(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (k, nine, nodes) of the nine directions in azimuths (k, nodes), linear between neighbours."""
    step = 180 / MEASURED
    away = np.abs((phi[:, None] - DIRECTIONS[:, None] + 90) % 180 - 90)
    return np.maximum(0, 1 - away / step)


def _oversample(dynamics: Dynamics) -> int:
    fastest = min(part.tau_s for _, part in dynamics.parts)
    return _FINE if fastest > _FAST else _FASTEST
