"""Exposures without noise, which a bank holds: |g1|² at any azimuth from a few maps, simulated or measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from ainerd_xpcs.dynamics import DIRECTIONS, Domains, Dynamics, Sheared, nearest_covariances, ordinary
from ainerd_xpcs.latent import COLS, ROWS, SIZE, Encoder, from_triangle, to_triangle
from ainerd_xpcs.technique._cells import Cells, even, reduced

Singles = NDArray[np.float32]

STEPS = 4096  # |g1|² is stored in steps of 1/4096, a hundredth of the smallest noise of a run
ALIKE, FLOW, TURNED, MEASURED = 1, 2, 4, DIRECTIONS.size
SHEARED = 3  # two maps as well
# Nodes between the slowest and the fastest direction at which the maps of an anisotropic exposure are stored.
_NODES = np.cos(np.pi * (2 * np.arange(TURNED) + 1) / (2 * TURNED))
_ACROSS, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_FLOWED = np.linspace(0, 1, 257)  # nodes of interpolation for a sheared fluid


@dataclass(frozen=True, eq=False)
class Clean:
    """|g1|² of an exposure of 1 s.

    Attributes
    ----------
    steps : ndarray of int16, shape (m, 2080)
        Upper triangles of m maps, in steps of 1 / `STEPS`. m = 1: the same in all directions. m = 2: for a flow, the
        part that does not beat and the part that beats; for a sheared fluid, the map at rest and the share of its way
        flowed between two times. m = 4: at four relaxation rates, of an anisotropic exposure. m = 9: at the nine
        `DIRECTIONS`.
    angle_deg : float
        Direction of the flow, or of the fastest relaxation.
    phase : float
        For a flow: q·v over the exposure, in radians.
    shear : float
        For a sheared fluid: q·v of one plate against the other over the exposure, in radians; otherwise zero.
    duty : float
        Share of the time from frame to frame in which the detector counts.
    dynamics : Dynamics, Domains or Sheared, optional
        None if the exposure was measured.
    """

    steps: NDArray[np.int16]
    angle_deg: float = 0.0
    phase: float = 0.0
    shear: float = 0.0
    duty: float = 1.0
    dynamics: Dynamics | Domains | Sheared | None = None

    @property
    def kind(self) -> int:
        """Kind of its maps."""
        return SHEARED if self.shear else len(self.steps)

    @classmethod
    def of(cls, dynamics: Dynamics | Domains | Sheared, cells: Cells | None = None, duty: float = 1.0) -> "Clean":
        """Compute the maps of an exposure of 1 s.

        Parameters
        ----------
        dynamics : Dynamics, Domains or Sheared
        cells : Cells, optional
            By default those of many frames.
        duty : float
            Share of the time from frame to frame in which the detector counts, 0 to 1.

        Raises
        ------
        ValueError
            For two velocities, which a bank cannot hold.
        """
        cells = even() if cells is None else cells
        if isinstance(dynamics, Sheared):
            clean = cls._sheared(dynamics, cells, duty)
        elif isinstance(dynamics, Domains):
            clean = cls.at_directions(reduced(dynamics, cells, duty))
        elif dynamics.is_heterodyne:
            clean = cls._flowing(dynamics, cells, duty)
        elif not any(part.anisotropy for _, part in dynamics.parts):
            clean = cls.at_directions(reduced(dynamics, cells, duty))
        else:
            azimuths = dynamics.anisotropy_deg + np.rad2deg(np.arccos(_NODES)) / 2
            maps = reduced(dynamics, cells, duty, tuple(azimuths.tolist()))
            clean = replace(cls.at_directions(maps), angle_deg=dynamics.anisotropy_deg)
        return replace(clean, duty=duty, dynamics=dynamics)

    @classmethod
    def at_directions(cls, maps: ArrayLike) -> "Clean":
        """Store maps (m, 64, 64): one, or nine at the `DIRECTIONS`."""
        triangles = to_triangle(np.asarray(maps, dtype=np.float32))
        return cls(np.round(triangles * STEPS).astype(np.int16))

    @classmethod
    def _flowing(cls, dynamics: Dynamics, cells: Cells, duty: float) -> "Clean":
        if dynamics.second is not None or dynamics.anisotropy:
            raise ValueError("a bank holds no flow of two velocities, nor one that relaxes faster along one direction")
        moving, static = replace(dynamics, static=0.0), dynamics.static
        square, alone = (reduced(moving, cells, duty, squared=squared)[0] for squared in (True, False))
        maps = np.stack([static**2 + (1 - static) ** 2 * square, 2 * static * (1 - static) * alone])
        return replace(cls.at_directions(maps), angle_deg=dynamics.flow_deg, phase=dynamics.flow_rad_s)

    @classmethod
    def _sheared(cls, dynamics: Sheared, cells: Cells, duty: float) -> "Clean":
        whole = float(dynamics.flowed_s(1.0))
        edges = dynamics.flowed_s(np.arange(cells.n_frames + 1) / cells.n_frames) / whole
        middle, width = (edges[1:] + edges[:-1]) / 2, duty * np.diff(edges)
        mean = cells.operator @ middle
        variance = cells.operator @ (middle**2 + width**2 / 12) - mean**2
        # Times differ within cells as well; this is the root mean square of the difference.
        apart = np.sqrt((mean[:, None] - mean) ** 2 + variance[:, None] + variance)
        still = reduced(dynamics.relaxation, cells, duty)
        maps = np.concatenate([still, apart[None]])
        return replace(cls.at_directions(maps), angle_deg=dynamics.along_deg, shear=dynamics.shear_rad_s * whole)


def seen_from(
    clean: Sequence[Clean],
    phi_deg: NDArray[np.float64],
    width_deg: NDArray[np.float64],
    cells: Cells | None = None,
    q_spread: float = 0.0,
) -> Singles:
    """Average |g1|² of exposures of one kind over sectors: (n, k, 64, 64), k = 1 if all directions are the same.

    `phi_deg` and `width_deg`, (k,), are the sectors; `cells` are those of the exposures; q is even from 1 - `q_spread`
    to 1 + `q_spread` of its mean. The fringes of a flow differ across a sector, and with q, so the average is not |g1|²
    at the centre. The change of other kinds with q is left out.
    """
    triangles = np.stack([each.steps for each in clean]).astype(np.float32) / np.float32(STEPS)
    if triangles.shape[1] == ALIKE:
        return from_triangle(triangles)
    angle, phase = (np.array([getattr(each, name) for each in clean]) for name in ("angle_deg", "phase"))
    phi = phi_deg[:, None] + width_deg[:, None] / 2 * _ACROSS  # (k, nodes)
    if triangles.shape[1] == MEASURED:
        # Interpolated linearly between the nine directions.
        away = np.abs((phi[:, None] - DIRECTIONS[:, None] + 90) % 180 - 90)
        at = np.maximum(0, 1 - away / (180 / MEASURED)) @ (_WEIGHTS / 2)
        return from_triangle(np.einsum("km,nmt->nkt", at.astype(np.float32), triangles))
    along = np.deg2rad(phi - angle[:, None, None])  # (n, k, nodes)
    if clean[0].kind == FLOW:
        turn = phase[:, None, None] * np.cos(along)
        fringes = _fringes(turn, np.array([each.duty for each in clean]), cells)
        apart = np.sqrt(np.square(turn).mean(2))[..., None] * q_spread * (COLS - ROWS) / SIZE
        fringes *= np.sinc(apart / np.pi).astype(np.float32)
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


def _fringes(turn: NDArray[np.float64], duty: NDArray[np.float64], cells: Cells | None) -> Singles:
    """Return the mean fringes over nodes of sectors, as triangles (n, k, 2080).

    `turn`, (n, k, nodes), is the phase by which the flow turns in the exposure, and `duty`, (n,), as in `Clean`. The
    phase turns within a cell as well.
    """
    if cells is None:
        in_cell = np.sinc(turn / SIZE / 2 / np.pi) ** 2 * (_WEIGHTS / 2)
        beat = np.einsum("nkal,nka->nkl", np.cos(turn[..., None] * np.arange(SIZE) / SIZE), in_cell)
        return np.asarray(beat[..., COLS - ROWS], dtype=np.float32)
    n = cells.n_frames
    in_frame = np.sinc(turn * duty[:, None, None] / n / 2 / np.pi) * np.sqrt(_WEIGHTS / 2)
    wave = np.exp(1j * turn[..., None] * (np.arange(n) / n)).astype(np.complex64) * in_frame[..., None].astype(
        np.float32
    )
    wave = wave @ cells.operator.T.astype(np.complex64)  # (n, k, nodes, 64)
    parts = np.concatenate([wave.real, wave.imag], axis=2)
    return to_triangle(parts.swapaxes(2, 3) @ parts)


# Fewest exposures of a kind that can be calibrated, as `NoveltyScorer` requires.
FEWEST_OF_A_KIND = 24
# Fewest measured runs of a kind: the scatter of fewer is unknown.
FEWEST_MEASURED = 4
_STRETCH = 0.2  # in natural logarithm, to either side
# Exposures of each kind in a bank of 7600: more of kinds that are more varied.
SHARES = {"stationary": 1400, "arrested": 400, "ageing": 650, "rejuvenating": 500, "intermittent": 650}
SHARES |= {"stick-slip": 900, "domains": 500, "flow": 1000, "sheared": 600, "populations": 600, "beam": 400}
TOGETHER = 20  # exposures that are simulated at a time
FEWEST_SIMULATED = -(-FEWEST_OF_A_KIND * sum(SHARES.values()) // min(SHARES.values()))  # with enough of each kind


def simulated_exposures(
    n: int = 7600,
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda n: None,
    over: Callable[..., Iterator[list[Clean]]] = map,
) -> tuple[list[Clean], list[str]]:
    """Draw n ordinary exposures for `write_bank`, of the kinds in `SHARES` in these proportions.

    ValueError if n is not positive. `advance` is called with the number of new ones. `over` replaces `map`, such as by
    that of other processes; the exposures are the same.
    """
    if n < 1:
        raise ValueError(f"a bank needs at least one exposure, got {n}")
    # The kinds are spread by their shares, so that the first exposures of a bank are of all kinds.
    places = np.concatenate([(np.arange(share) + 0.5) / share for share in SHARES.values()])
    spread = np.repeat(list(SHARES), list(SHARES.values()))[places.argsort(kind="stable")]
    kinds, clean, rng = np.resize(spread, n).tolist(), [], np.random.default_rng([seed, 1])
    drawn = [ordinary(kind, rng) for kind in kinds]
    for some in over(_cleaned, [drawn[first : first + TOGETHER] for first in range(0, n, TOGETHER)]):
        clean += some
        advance(len(some))
    return clean, kinds


def _cleaned(several: Sequence[Dynamics | Domains | Sheared]) -> list[Clean]:
    return [Clean.of(dynamics) for dynamics in several]


def measured_exposure(encoder: Encoder, maps: ArrayLike, *, contrast: float) -> Singles:
    """Estimate |g1|² of a measured run for `write_bank`: (9, 64, 64), float32.

    The maps of each direction are averaged, denoised, and projected to the nearest covariances. Noise that the encoder
    does not remove stays in the bank, which makes verdicts a little too tolerant.

    Parameters
    ----------
    encoder : Encoder
    maps : array_like, shape (n_roi, 256, 256)
        C2 maps of baseline 1, bins equal and in order around the full circle.
    contrast : float
        Speckle contrast beta.

    Raises
    ------
    ValueError
        If the contrast is not positive, or as for `Encoder.encode`.
    """
    if not contrast > 0:
        raise ValueError(f"contrast must be positive, got {contrast}")
    maps = np.asarray(maps, dtype=np.float32)
    turn = (np.arange(len(maps)) + 0.5) * 360 / len(maps)
    away = np.abs((turn - DIRECTIONS[:, None] + 90) % 180 - 90)
    nearest = np.isclose(away, away.min(1, keepdims=True))
    averaged = np.tensordot(nearest / nearest.sum(1, keepdims=True), maps, 1).astype(np.float32)
    return nearest_covariances((encoder.denoise(averaged, size=SIZE) - 1) / contrast)


def stretched(exposure: Singles, times: int) -> list[Singles]:
    """Repeat an exposure (d, 64, 64) with dynamics up to a fifth faster or slower.

    Lags are stretched at each age; the maps are projected to the nearest covariances.
    """
    out, cells = [], np.arange(SIZE)
    lag, middle = cells[:, None] - cells, (cells[:, None] + cells) / 2
    for factor in np.exp(np.linspace(-_STRETCH, _STRETCH, times)) if times > 1 else [1.0]:
        at = (np.clip(middle + lag * factor / 2, 0, SIZE - 1), np.clip(middle - lag * factor / 2, 0, SIZE - 1))
        maps = np.stack([map_coordinates(each, at, order=1) for each in exposure])
        out.append(nearest_covariances(maps.astype(np.float32)))
    return out
