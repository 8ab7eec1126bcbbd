"""Particles that are carried along by a flow."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_devices._scattering import BLOCK

PARTICLES = 4000  # with fewer, the noise of C2 is that of their number


@dataclass(frozen=True, kw_only=True)
class FlowField:
    """Particles that diffuse in a fluid between two plates, which flows along one direction across the beam.

    At height h of the gap, from -1/2 to 1/2, the fluid moves at ``velocity_nm_s`` + ``shear_nm_s`` h. It may come to
    rest (recovery after shear), or oscillate. Some particles may stick to a wall, along which the others slip.

    Attributes
    ----------
    family : str
    diffusion_nm2_s : float
    velocity_nm_s : float
        Velocity in the middle of the gap at the start of the exposure.
    shear_nm_s : float
        Difference of velocity between the plates at the start of the exposure.
    resting_s : float
        Time in which the flow decays to 1/e.
    sticking : float
        Share of the particles that do not move.
    direction_deg : float
        From the detector's columns towards its rows.
    swing : (float, float)
        Amplitude in nm, of the plates against each other, and frequency in Hz.
    """

    family: str
    diffusion_nm2_s: float
    velocity_nm_s: float = 0.0
    shear_nm_s: float = 0.0
    resting_s: float = np.inf
    sticking: float = 0.0
    direction_deg: float = 90.0
    swing: tuple[float, float] = (0.0, 0.0)

    def positions(
        self, t_s: NDArray[np.float64], box_nm: float, rng: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """See `sim_devices._scattering.Motion`."""
        where = rng.uniform(-box_nm / 2, box_nm / 2, (PARTICLES, 2))
        height = rng.uniform(-0.5, 0.5, PARTICLES)
        free = rng.random(PARTICLES) >= self.sticking
        angle = np.deg2rad(self.direction_deg)
        along = np.array([np.cos(angle), np.sin(angle)]) * free[:, None]
        speed = (self.velocity_nm_s + self.shear_nm_s * height)[:, None]
        size, hertz = self.swing
        now = t_s[0]
        for start in range(0, len(t_s), BLOCK):
            block = []
            for t in t_s[start : start + BLOCK]:
                jump = np.sqrt(2 * self.diffusion_nm2_s * (t - now))
                where += free[:, None] * rng.normal(0, 1, where.shape) * jump
                now = t
                swung = size * np.sin(2 * np.pi * hertz * t) * height[:, None]
                block.append(where + (speed * self._flowed(t - t_s[0]) + swung) * along)
            yield np.array(block)

    def _flowed(self, seconds: float) -> float:
        """Return the time in s in which the fluid would move as far at its first velocity."""
        if not np.isfinite(self.resting_s):
            return seconds
        return float(self.resting_s * -np.expm1(-seconds / self.resting_s))
