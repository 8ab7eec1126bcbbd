"""From the clocks of its parts to the correlation of the scattered field."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.dynamics._clock import clock, rate_factor
from ainerd.dynamics._dynamics import Dynamics

Field = NDArray[np.float64] | NDArray[np.complex128]


def g1_moving(part: Dynamics, s1: ArrayLike, s2: ArrayLike) -> NDArray[np.float64]:
    """Real field correlation of a moving part between clock readings `s1` and `s2` (broadcast against each other)."""
    lag = np.abs(np.asarray(s1) - np.asarray(s2))
    return part.plateau + (1 - part.plateau) * np.exp(-(lag**part.exponent))


def phase(part: Dynamics, t_s: ArrayLike, phi_deg: ArrayLike) -> NDArray[np.float64]:
    """Phase of a moving part against what stands still, (n_phi, T) in radians: q·v t cos(phi - flow direction)."""
    along = np.cos(np.deg2rad(np.atleast_1d(np.asarray(phi_deg, dtype=float)) - part.flow_deg))
    return along[:, None] * part.flow_rad_s * np.asarray(t_s, dtype=float)


def g1(dynamics: Dynamics, t_s: ArrayLike, phi_deg: ArrayLike = (0.0,)) -> Field:
    """Field correlation <E(t1) E*(t2)>: static + (1 - static) Σ share g_k exp(i (phase_k(t1) - phase_k(t2))).

    Parameters
    ----------
    dynamics : Dynamics
    t_s : array_like, shape (T,)
        Times in the exposure, in seconds.
    phi_deg : array_like, shape (n_phi,)
        Azimuths, in degrees.

    Returns
    -------
    ndarray, shape (n_phi, T, T)
        Real where nothing flows, else complex; read-only.
    """
    moving = sum(share * _g1_part(part, t_s, phi_deg) for share, part in dynamics.parts)
    shape = (np.size(phi_deg), np.size(t_s), np.size(t_s))
    return np.broadcast_to(dynamics.static + (1 - dynamics.static) * moving, shape)


def g1_squared(dynamics: Dynamics, t_s: ArrayLike, phi_deg: ArrayLike = (0.0,)) -> NDArray[np.float64]:
    """|g1(t1, t2)|², what a two-time correlation of contrast beta shows: C2 = 1 + beta |g1|².

    Parameters as of `g1`; (n_phi, T, T), read-only.
    """
    phi_deg = np.atleast_1d(np.asarray(phi_deg, dtype=float))
    field = g1(dynamics, t_s, phi_deg[:1] if dynamics.is_isotropic else phi_deg)
    squared = np.square(field.real) + np.square(field.imag) if np.iscomplexobj(field) else np.square(field)
    return np.broadcast_to(squared, (phi_deg.size, *squared.shape[1:]))


def reduced_g1_squared(
    dynamics: Dynamics, duration_s: float, size: int, phi_deg: ArrayLike = (0.0,), *, oversample: int = 4
) -> NDArray[np.float64]:
    """|g1|² averaged over the cells of a map, (n_phi, size, size): what the area reduction of a run would show."""
    n = size * oversample
    fine = g1_squared(dynamics, (np.arange(n) + 0.5) * (duration_s / n), phi_deg)
    return fine.reshape(-1, size, oversample, size, oversample).mean((2, 4))


def _g1_part(part: Dynamics, t_s: ArrayLike, phi_deg: ArrayLike) -> Field:
    """g_k and its phase, (n_phi, T, T); (1, T, T) if all azimuths are alike."""
    s = clock(part, t_s)[None]
    if part.anisotropy:
        s = rate_factor(part, phi_deg)[:, None] * s
    g = g1_moving(part, s[:, :, None], s[:, None, :])
    if not part.flow_rad_s:
        return g
    turn = np.exp(1j * phase(part, t_s, phi_deg))
    return g * (turn[:, :, None] * turn[:, None, :].conj())
