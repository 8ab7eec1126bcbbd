"""From the parameters of one exposure to its field correlation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """What the sample does during one exposure, at one place.

    The field is a moving part and, for heterodyne scattering, a static one. The moving part forgets by an internal
    clock s(t): g1 = plateau + (1 - plateau) exp(-|s(t1) - s(t2)|^exponent).

    Attributes
    ----------
    family : str
        Name of the family in `FAMILIES`.
    tau_s : float
        Relaxation time of g1 at age zero, in seconds.
    exponent : float
        KWW exponent on the internal clock, 0 < exponent <= 2 (the kernel is positive definite for these only).
    plateau : float
        Part of the moving field that never relaxes, 0 to 1.
    ageing : float
        mu: the relaxation time grows as (1 + age / ageing_onset_s)^mu.
    ageing_onset_s : float
        Age at which ageing sets in, in seconds.
    age_s : float
        Time since shear stopped when the first frame is taken, in seconds.
    events : tuple of (float, float)
        Avalanches: (time in the exposure in seconds, jump of the internal clock).
    echo : tuple of (float, float)
        Periodic yielding: (amplitude, frequency in Hz) of a back-and-forth motion added to the clock.
    static : float
        Part of the scattered intensity that is a static reference, 0 to 1 (heterodyne).
    flow_rad_s : float
        q·v: phase velocity of the moving part along the flow direction, in rad/s.
    flow_deg : float
        Flow direction in the detector plane, in degrees.
    """

    family: str
    tau_s: float
    exponent: float = 1.0
    plateau: float = 0.0
    ageing: float = 0.0
    ageing_onset_s: float = 30.0
    age_s: float = 0.0
    events: tuple[tuple[float, float], ...] = ()
    echo: tuple[float, float] = (0.0, 0.0)
    static: float = 0.0
    flow_rad_s: float = 0.0
    flow_deg: float = 90.0

    def __post_init__(self) -> None:
        if not self.tau_s > 0:
            raise ValueError(f"tau_s must be positive, got {self.tau_s}")
        if not 0 < self.exponent <= 2:
            raise ValueError(f"exponent must lie in (0, 2], got {self.exponent}")
        for name in ("plateau", "static"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")

    @property
    def is_heterodyne(self) -> bool:
        """Whether g1 depends on the azimuth."""
        return self.static > 0 and self.flow_rad_s != 0


def clock(dynamics: Dynamics, t_s: ArrayLike) -> NDArray[np.float64]:
    """Internal clock s(t) = ∫ dt / tau(age), with the avalanches' jumps and the echo's swing.

    Parameters
    ----------
    dynamics : Dynamics
    t_s : array_like, shape (T,)
        Times in the exposure, in seconds.

    Returns
    -------
    ndarray, shape (T,)
        Dimensionless; s(0) = 0 without echo.
    """
    t = np.asarray(t_s, dtype=float)
    mu, onset = dynamics.ageing, dynamics.ageing_onset_s
    u0, u = 1 + dynamics.age_s / onset, 1 + (dynamics.age_s + t) / onset
    elapsed = np.log(u / u0) if mu == 1 else (u ** (1 - mu) - u0 ** (1 - mu)) / (1 - mu)
    s = elapsed * onset / dynamics.tau_s
    for when, jump in dynamics.events:
        s = s + jump * (t >= when)
    amplitude, frequency = dynamics.echo
    return s + amplitude * np.sin(2 * np.pi * frequency * t)


def g1_moving(dynamics: Dynamics, s1: ArrayLike, s2: ArrayLike) -> NDArray[np.float64]:
    """Real field correlation of the moving part between clock readings `s1` and `s2` (broadcast against each other)."""
    lag = np.abs(np.asarray(s1) - np.asarray(s2))
    return dynamics.plateau + (1 - dynamics.plateau) * np.exp(-(lag**dynamics.exponent))


def phase(dynamics: Dynamics, t_s: ArrayLike, phi_deg: ArrayLike) -> NDArray[np.float64]:
    """Phase of the moving part against the static one, (n_phi, T) in radians: q·v t cos(phi - flow direction)."""
    along = np.cos(np.deg2rad(np.atleast_1d(np.asarray(phi_deg, dtype=float)) - dynamics.flow_deg))
    return along[:, None] * dynamics.flow_rad_s * np.asarray(t_s, dtype=float)


def g1_squared(dynamics: Dynamics, t_s: ArrayLike, phi_deg: ArrayLike = (0.0,)) -> NDArray[np.float64]:
    """|g1(t1, t2)|², what a two-time correlation of contrast beta shows: C2 = 1 + beta |g1|².

    With x = 1 - static, |g1|² = x² g² + (1 - x)² + 2 x (1 - x) g cos(phase difference).

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
    """
    s = clock(dynamics, t_s)
    g = g1_moving(dynamics, s[:, None], s)
    x = 1 - dynamics.static
    if dynamics.static == 0:
        return np.broadcast_to(g * g, (np.size(phi_deg), *g.shape))
    angle = phase(dynamics, t_s, phi_deg)
    beat = np.cos(angle[:, :, None] - angle[:, None, :])
    return x * x * g * g + dynamics.static**2 + 2 * x * dynamics.static * g * beat


def reduced_g1_squared(
    dynamics: Dynamics, duration_s: float, size: int, phi_deg: ArrayLike = (0.0,), *, oversample: int = 4
) -> NDArray[np.float64]:
    """|g1|² averaged over the cells of a map, (n_phi, size, size): what the area reduction of a run would show."""
    n = size * oversample
    fine = g1_squared(dynamics, (np.arange(n) + 0.5) * (duration_s / n), phi_deg)
    return fine.reshape(-1, size, oversample, size, oversample).mean((2, 4))
