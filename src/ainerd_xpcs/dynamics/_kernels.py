"""Kernels: the parameters of an exposure, the clock of a moving part, and the correlation of the scattered field."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import exprel

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_NODES, _WEIGHTS = (1 + _NODES) / 2, _WEIGHTS / 2
Field = NDArray[np.float64] | NDArray[np.complex128]
# names of fields, a condition for each, and its text in messages
_LIMITS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("tau_s ageing_onset_s arrest_s", lambda x: x > 0, "be positive"),
    ("ageing age_s beam_speedup dose_s", lambda x: 0 <= x < inf, "be finite and not negative"),
    ("plateau static second_share", lambda x: 0 <= x <= 1, "lie in [0, 1]"),
    ("exponent", lambda x: 0 < x <= 2, "lie in (0, 2]"),
    ("anisotropy", lambda x: -1 < x < 1, "lie in (-1, 1)"),
    ("flow_rad_s flow_deg anisotropy_deg", isfinite, "be finite"),
    ("rejuvenation", lambda times: all(0 <= t < inf for t in times), "be finite times from 0 on"),
    ("events", lambda pairs: all(isfinite(t) and 0 <= jump < inf for t, jump in pairs), "have jumps from 0 on"),
    ("echo", lambda pair: len(pair) == 2 and all(0 <= x < inf for x in pair), "be amplitude and frequency, from 0 on"),
)


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """Dynamics of the sample during one exposure, at one place.

    The field is a static part and one or two moving ones (`parts`): E = sqrt(static) E_s + sqrt(1 - static)
    Σ sqrt(share) E_k exp(i phase_k). A moving part decorrelates with its internal clock s(t):
    g_k = plateau + (1 - plateau) exp(-|s(t1) - s(t2)|^exponent).

    Attributes
    ----------
    family : str
        Name of the family in `FAMILIES`.
    tau_s : float
        Relaxation time of g1 at age zero, in seconds.
    exponent : float
        KWW exponent on the internal clock, 0 < exponent <= 2 (otherwise the kernel is not positive definite).
    plateau : float
        Part of the moving field that never relaxes, 0 to 1.
    ageing : float
        mu: the relaxation time grows as (1 + age / ageing_onset_s)^mu.
    ageing_onset_s : float
        Age at which ageing sets in, in seconds.
    age_s : float
        Time from the end of shear to the first frame, in seconds.
    rejuvenation : tuple of float
        Times in the exposure, in seconds, at which the age returns to zero.
    events : tuple of (float, float)
        Avalanches: (time in the exposure in seconds, jump of the internal clock).
    echo : tuple of (float, float)
        Periodic yielding: (amplitude, frequency in Hz) of a back-and-forth motion added to the clock.
    beam_speedup : float
        Relative increase of the relaxation rate per second of beam: the rate is multiplied by
        1 + beam_speedup (dose_s + t).
    dose_s : float
        Dose before the exposure, in seconds of the present beam.
    arrest_s : float
        The relaxation rate decays as exp(-t / arrest_s).
    anisotropy : float
        The relaxation rate at azimuth phi is 1 + anisotropy cos 2(phi - anisotropy_deg) times its mean, between
        -1 and 1.
    anisotropy_deg : float
        Azimuth of the fastest relaxation, in degrees.
    static : float
        Part of the scattered intensity that is a static reference, 0 to 1 (heterodyne).
    flow_rad_s : float
        q·v: phase velocity of the moving part along the flow direction, in rad/s.
    flow_deg : float
        Flow direction in the detector plane, in degrees.
    second : Dynamics, optional
        A second moving part with its own dynamics: another population of particles, another shear band. It
        has no second and no static part itself.
    second_share : float
        Part of the moving intensity that `second` scatters, 0 to 1.

    Examples
    --------
    >>> slow = Dynamics(family="stationary", tau_s=10.0)
    >>> g1_squared(slow, [0.0, 10.0]).round(3)
    array([[[1.   , 0.135],
            [0.135, 1.   ]]])
    """

    family: str
    tau_s: float
    exponent: float = 1.0
    plateau: float = 0.0
    ageing: float = 0.0
    ageing_onset_s: float = 30.0
    age_s: float = 0.0
    rejuvenation: tuple[float, ...] = ()
    events: tuple[tuple[float, float], ...] = ()
    echo: tuple[float, float] = (0.0, 0.0)
    beam_speedup: float = 0.0
    dose_s: float = 0.0
    arrest_s: float = inf
    anisotropy: float = 0.0
    anisotropy_deg: float = 0.0
    static: float = 0.0
    flow_rad_s: float = 0.0
    flow_deg: float = 90.0
    second: Self | None = None
    second_share: float = 0.0

    def __post_init__(self) -> None:
        for names, holds, wanted in _LIMITS:
            for name in names.split():
                if not holds(value := getattr(self, name)):
                    raise ValueError(f"{name} must {wanted}, got {value}")
        if self.second is None:
            if self.second_share:
                raise ValueError(f"second_share is {self.second_share}, but there is no second; give one")
        elif self.second.second is not None or self.second.static:
            raise ValueError("second must have no second and static = 0; give static to the first")

    @property
    def parts(self) -> "tuple[tuple[float, Dynamics], ...]":
        """Moving parts, each as (share of the moving intensity, part); the shares sum to 1."""
        if self.second is None:
            return ((1.0, self),)
        return ((1 - self.second_share, self), (self.second_share, self.second))

    @property
    def is_heterodyne(self) -> bool:
        """Whether parts of different velocity beat with each other."""
        velocities = {(part.flow_rad_s, part.flow_deg if part.flow_rad_s else 0.0) for _, part in self.parts}
        return len(velocities | ({(0.0, 0.0)} if self.static else set())) > 1

    @property
    def is_isotropic(self) -> bool:
        """Whether |g1|² is the same at all azimuths."""
        return not self.is_heterodyne and not any(part.anisotropy for _, part in self.parts)


def clock(part: Dynamics, t_s: ArrayLike) -> NDArray[np.float64]:
    """Return the internal clock s(t) = ∫ dt / tau, averaged over azimuth, with jumps of avalanches and the echo.

    1 / tau(t) = exp(-t / arrest_s) (1 + beam_speedup (dose_s + t)) / (tau_s (1 + age / ageing_onset_s)^ageing), and
    the age restarts at each rejuvenation. With ageing alone the integral has a closed form. Otherwise it is computed by
    a Gauss-Legendre rule, exact to a relative 1e-13, on panels that depend only on the parameters, so that a value does
    not depend on the other times. The `second` of `part` is ignored.

    Parameters
    ----------
    part : Dynamics
    t_s : array_like, shape (T,)
        Times in the exposure, from 0 on, in seconds.

    Returns
    -------
    ndarray, shape (T,)
        Dimensionless; s(0) = 0, and without echo s never decreases.

    Examples
    --------
    >>> clock(Dynamics(family="stationary", tau_s=10.0), [0.0, 5.0, 10.0])
    array([0. , 0.5, 1. ])
    """
    t = np.asarray(t_s, dtype=float)
    integral = _ageing_alone if part.beam_speedup == 0 and part.arrest_s == inf else _any_rate
    starts = (0.0, *sorted(part.rejuvenation))
    s = np.zeros(t.shape)
    for i, (start, stop) in enumerate(zip(starts, (*starts[1:], inf), strict=True)):
        s += integral(part, start, part.age_s if i == 0 else 0.0, np.clip(t, start, stop) - start)
    s /= part.tau_s
    for when, jump in part.events:
        s += jump * (t >= when)
    amplitude, frequency = part.echo
    return s + amplitude * np.sin(2 * np.pi * frequency * t)


def rate_factor(part: Dynamics, phi_deg: ArrayLike) -> NDArray[np.float64]:
    """Return the factor of the clock at each azimuth, (n_phi,): 1 + anisotropy cos 2(phi - anisotropy_deg).

    Examples
    --------
    >>> part = Dynamics(family="", tau_s=1.0, anisotropy=0.5, anisotropy_deg=0.0)
    >>> rate_factor(part, [0.0, 90.0])
    array([1.5, 0.5])
    """
    away = np.deg2rad(np.atleast_1d(np.asarray(phi_deg, dtype=float)) - part.anisotropy_deg)
    return np.asarray(1 + part.anisotropy * np.cos(2 * away))


def _ageing_alone(part: Dynamics, start: float, age: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ∫ (1 + (age + x') / onset)^-mu dx' from 0 to x, for any mu without a special case at 1."""
    first = 1 + age / part.ageing_onset_s
    log = np.log1p(x / (part.ageing_onset_s * first))
    return np.asarray(part.ageing_onset_s * first ** (1 - part.ageing) * log * exprel((1 - part.ageing) * log))


def _any_rate(part: Dynamics, start: float, age: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ∫ tau_s / tau(start + x') dx' from 0 to x: whole panels before x, and a part of the last one.

    The panels start with the shortest scale and double in length, so the rate is smooth on each.
    """
    scale = min(part.ageing_onset_s + age, part.arrest_s)
    panel = np.floor(np.log2(1 + x / scale)).astype(int)
    edges = scale * (2.0 ** np.arange(panel.max(initial=0) + 1) - 1)
    before = np.cumsum(np.r_[0.0, _over(part, start, age, edges[:-1], np.diff(edges))])
    return np.asarray(before[panel] + _over(part, start, age, edges[panel], x - edges[panel]))


def _over(
    part: Dynamics, start: float, age: float, left: NDArray[np.float64], length: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the same integral over intervals [left, left + length] that each lie in one panel."""
    x = left[..., None] + length[..., None] * _NODES
    rate = np.exp(-(start + x) / part.arrest_s) * (1 + part.beam_speedup * (part.dose_s + start + x))
    rate *= (1 + (age + x) / part.ageing_onset_s) ** -part.ageing
    return length * (rate @ _WEIGHTS)


def g1_moving(part: Dynamics, s1: ArrayLike, s2: ArrayLike) -> NDArray[np.float64]:
    """Return the real field correlation of a moving part between clock values `s1` and `s2`, which are broadcast.

    Examples
    --------
    >>> g1_moving(Dynamics(family="stationary", tau_s=1.0), [0.0, 1.0], 0.0).round(3)
    array([1.   , 0.368])
    """
    lag = np.abs(np.asarray(s1) - np.asarray(s2))
    return np.asarray(part.plateau + (1 - part.plateau) * np.exp(-(lag**part.exponent)))


def phase(part: Dynamics, t_s: ArrayLike, phi_deg: ArrayLike) -> NDArray[np.float64]:
    """Return the phase of a moving part relative to a static one, (n_phi, T), in radians: q·v t cos(phi - flow_deg).

    Examples
    --------
    >>> flow = Dynamics(family="flow", tau_s=10.0, flow_rad_s=2.0, flow_deg=0.0)
    >>> phase(flow, [0.0, 1.0], [0.0, 90.0]).round(3)
    array([[0., 2.],
           [0., 0.]])
    """
    along = np.cos(np.deg2rad(np.atleast_1d(np.asarray(phi_deg, dtype=float)) - part.flow_deg))
    return np.asarray(along[:, None] * part.flow_rad_s * np.asarray(t_s, dtype=float))


def g1(dynamics: Dynamics, t_s: ArrayLike, phi_deg: ArrayLike = (0.0,)) -> Field:
    """Return <E(t1) E*(t2)>: static + (1 - static) Σ share g_k exp(i (phase_k(t1) - phase_k(t2))).

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
        Read-only; complex if a part flows, else real.

    Examples
    --------
    >>> half_static = Dynamics(family="static", tau_s=1.0, static=0.5)
    >>> g1(half_static, [0.0, 50.0], [0.0]).real.round(3)
    array([[[1. , 0.5],
            [0.5, 1. ]]])
    """
    moving = sum(share * _g1_part(part, t_s, phi_deg) for share, part in dynamics.parts)
    shape = (np.size(phi_deg), np.size(t_s), np.size(t_s))
    return np.broadcast_to(dynamics.static + (1 - dynamics.static) * moving, shape)


def g1_squared(dynamics: Dynamics, t_s: ArrayLike, phi_deg: ArrayLike = (0.0,)) -> NDArray[np.float64]:
    """Return |g1(t1, t2)|², (n_phi, T, T), read-only; a two-time correlation of contrast beta is C2 = 1 + beta |g1|².

    The parameters are those of `g1`.

    Examples
    --------
    >>> g1_squared(Dynamics(family="stationary", tau_s=1.0), [0.0, 1.0])[0, 0, 1].round(3)
    np.float64(0.135)
    """
    phi_deg = np.atleast_1d(np.asarray(phi_deg, dtype=float))
    field = g1(dynamics, t_s, phi_deg[:1] if dynamics.is_isotropic else phi_deg)
    squared = np.square(field.real) + np.square(field.imag) if np.iscomplexobj(field) else np.square(field)
    return np.broadcast_to(squared, (phi_deg.size, *squared.shape[1:]))


def reduced_g1_squared(
    dynamics: Dynamics, duration_s: float, size: int, phi_deg: ArrayLike = (0.0,), *, oversample: int = 4
) -> NDArray[np.float64]:
    """Return |g1|² averaged over the cells of a map, (n_phi, size, size), as the area reduction of a run does.

    Examples
    --------
    >>> slow = Dynamics(family="stationary", tau_s=10.0)
    >>> reduced_g1_squared(slow, 20.0, 64).shape
    (1, 64, 64)
    """
    n = size * oversample
    fine = g1_squared(dynamics, (np.arange(n) + 0.5) * (duration_s / n), phi_deg)
    return np.asarray(fine.reshape(-1, size, oversample, size, oversample).mean((2, 4)))


def _g1_part(part: Dynamics, t_s: ArrayLike, phi_deg: ArrayLike) -> Field:
    """Return g_k with its phase, (n_phi, T, T), or (1, T, T) if it is the same at all azimuths."""
    s = clock(part, t_s)[None]
    if part.anisotropy:
        s = rate_factor(part, phi_deg)[:, None] * s
    g = g1_moving(part, s[:, :, None], s[:, None, :])
    if not part.flow_rad_s:
        return g
    turn = np.exp(1j * phase(part, t_s, phi_deg))
    return np.asarray(g * (turn[:, :, None] * turn[:, None, :].conj()))


@dataclass(frozen=True, kw_only=True)
class Sheared:
    """A sheared fluid between two plates, crossed by the beam from one to the other; it may come to rest.

    Its velocities are spread evenly between those of the plates. So the field correlation of the fluid at rest is
    multiplied by sin(x) / x, with x half the phase by which the plates have moved apart (Busch et al., Eur. Phys. J. E
    26, 55, 2008).

    Attributes
    ----------
    relaxation : Dynamics
        Dynamics of the fluid at rest, the same in all directions.
    shear_rad_s : float
        q·Δv between the plates along the flow at the start of the exposure, in rad/s.
    along_deg : float
        Direction of the flow in the detector plane, in degrees.
    rest_s : float
        Time in which the flow decays to 1/e.

    Examples
    --------
    >>> fluid = Sheared(relaxation=Dynamics(family="", tau_s=1.0), shear_rad_s=20.0, along_deg=0.0, rest_s=0.5)
    >>> fluid.flowed_s([0.25, 1.0]).round(3)
    array([0.197, 0.432])
    """

    relaxation: Dynamics
    shear_rad_s: float
    along_deg: float
    rest_s: float = inf

    @property
    def parts(self) -> tuple[tuple[float, Dynamics], ...]:
        """Moving parts, as in `Dynamics`."""
        return self.relaxation.parts

    def flowed_s(self, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return the times (T,) in which the fluid would have moved as far at its first velocity."""
        t = np.asarray(t_s, dtype=float)
        return t if self.rest_s == inf else -self.rest_s * np.expm1(-t / self.rest_s)


@dataclass(frozen=True, kw_only=True)
class Domains:
    """Domains of equal size that rearrange one by one, each at times of its own.

    The field correlation of all domains together is the mean of theirs.

    Attributes
    ----------
    relaxation : Dynamics
        Dynamics of a domain between its rearrangements, without a second part.
    rearranged_s : tuple of tuple of float
        Times in the exposure at which each domain rearranges, in seconds.
    jump : float
        Jump of the internal clock of a domain that rearranges.

    Examples
    --------
    >>> rest = Dynamics(family="", tau_s=100.0)
    >>> Domains(relaxation=rest, rearranged_s=((0.2,), (0.7, 0.9)), jump=2.0).rearranged_s[1]
    (0.7, 0.9)
    """

    relaxation: Dynamics
    rearranged_s: tuple[tuple[float, ...], ...]
    jump: float

    static = 0.0

    @property
    def parts(self) -> tuple[tuple[float, Dynamics], ...]:
        """Moving parts, as in `Dynamics`: one for each domain."""
        share = 1 / len(self.rearranged_s)
        events = (tuple((when, self.jump) for when in times) for times in self.rearranged_s)
        return tuple((share, replace(self.relaxation, events=each)) for each in events)
