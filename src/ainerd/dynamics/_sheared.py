"""A fluid that is sheared: a gradient of velocity across the beam."""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.dynamics._clock import clock
from ainerd.dynamics._dynamics import Dynamics
from ainerd.dynamics._field import g1_moving


@dataclass(frozen=True, kw_only=True)
class Sheared:
    """A fluid between two plates, which the beam crosses from one to the other; it may come to rest.

    Its velocities are spread evenly between those of the plates, so that the field correlation of what relaxes is
    multiplied by sin(x) / x, with x half the phase by which the plates have moved apart (Busch et al., Eur. Phys. J. E
    26, 55, 2008).

    Attributes
    ----------
    relaxation : Dynamics
        Of the fluid at rest, the same in all directions.
    shear_rad_s : float
        q·Δv between the plates along the flow as the exposure begins, in rad/s.
    along_deg : float
        Direction of the flow in the detector plane, in degrees.
    rest_s : float
        Time in which the flow decays to 1/e.
    """

    relaxation: Dynamics
    shear_rad_s: float
    along_deg: float
    rest_s: float = inf

    @property
    def parts(self) -> tuple[tuple[float, Dynamics], ...]:
        """As of `Dynamics`."""
        return self.relaxation.parts

    def flowed_s(self, t_s: ArrayLike) -> NDArray[np.float64]:
        """Time (T,) in which the fluid would have come as far at its first velocity."""
        t = np.asarray(t_s, dtype=float)
        return t if self.rest_s == inf else -self.rest_s * np.expm1(-t / self.rest_s)

    def g1_squared(self, t_s: ArrayLike, phi_deg: ArrayLike) -> NDArray[np.float64]:
        """|g1|² (n_phi, T, T) between times (T,) at azimuths (n_phi,)."""
        s, flowed = clock(self.relaxation, t_s), self.flowed_s(t_s)
        along = np.cos(np.deg2rad(np.atleast_1d(np.asarray(phi_deg, dtype=float)) - self.along_deg))
        apart = self.shear_rad_s * np.abs(flowed[:, None] - flowed) * along[:, None, None]
        return (g1_moving(self.relaxation, s[:, None], s) * np.sinc(apart / 2 / np.pi)) ** 2
