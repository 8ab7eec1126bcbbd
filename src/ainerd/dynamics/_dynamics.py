"""The parameters of one exposure."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Self

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
