"""Scatterers in a steady shear flow between two plates, whose shear rate may change with time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
CARRIED = 8000  # with fewer, their heights in the beam are not even enough: the gap seems wider or narrower


@dataclass(frozen=True, kw_only=True)
class SteadyShear:
    """Particles that diffuse between two plates, and move along the flow with a linear profile of velocities.

    Attributes
    ----------
    rates : tuple of (float, float)
        Times in s and shear rates in 1/s, in ascending order of times; linear between them, constant outside.
    gap_nm : float
        Distance of the plates, along the beam.
    diffusion_nm2 : float
        D in nm² per second: the intensities correlate as exp(-2 q² D tau).
    velocity : float
        Mean velocity over the gap, in nm/s.
    direction_deg : float
        Of the flow, from the detector's columns towards its rows.
    """

    rates: tuple[tuple[float, float], ...]
    gap_nm: float = 3000.0
    diffusion_nm2: float = 0.0
    velocity: float = 0.0
    direction_deg: float = 90.0
    family: str = "steady shear"

    def rate(self, t_s: ArrayLike) -> Floats:
        """Return the shear rate in 1/s."""
        times, rates = np.array(self.rates).T
        return np.interp(np.asarray(t_s, dtype=float), times, rates)

    def positions(self, t_s: Floats, box_nm: float, rng: np.random.Generator) -> Iterator[Floats]:
        """See `sim_devices._scattering.Motion`."""
        where = rng.uniform(-box_nm / 2, box_nm / 2, (CARRIED, 2))
        height = (np.arange(CARRIED) + 0.5) / CARRIED - 0.5
        angle = np.deg2rad(self.direction_deg)
        along = np.array([np.cos(angle), np.sin(angle)])
        middle = self.rate((t_s[1:] + t_s[:-1]) / 2)
        strains = np.append(0.0, np.cumsum(middle * np.diff(t_s)))
        for t, step, strain in zip(t_s, np.diff(t_s, prepend=t_s[0]), strains, strict=True):
            where += np.sqrt(2 * self.diffusion_nm2 * step) * rng.standard_normal((CARRIED, 2))
            yield where + (self.gap_nm * strain * height + self.velocity * t)[:, None] * along
