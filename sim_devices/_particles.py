"""Particles in a liquid: Brownian motion, hindered by crowding, or carried along by a flow."""

from collections.abc import Iterator
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

DIAMETER_NM = 600.0  # mean
STIFFNESS = 500.0  # kT, of the repulsion of two particles at no distance
SPREAD = 0.25  # diameters are even from 1 - SPREAD to 1 + SPREAD of their mean, so that nothing crystallises
FEWEST = 2400  # that scatter, in as many layers as it takes: with fewer, the noise is that of their number
SETTLING = 300  # steps without Brownian motion that part overlapping discs after shear
WAITING = 2000  # steps of Brownian motion at most before the exposure
CARRIED = 4000  # particles in a flow: with fewer, the noise of C2 is that of their number


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Discs that repel each other where they overlap, moved by Brownian dynamics (Ermak and McCammon, 1978).

    A harmonic repulsion, as of soft colloids: around a fraction of 0.84 discs jam (O'Hern et al., Phys. Rev. E 68,
    011306, 2003), and well below they are caged. Shear randomizes their positions; from then on they age.

    Attributes
    ----------
    family : str
    fraction : float
        Share of the area that discs cover, overlaps counted twice. At 0 they do not interact.
    diffusion_nm2_s : float
        Diffusion of a single disc.
    waited_s : float
        Time since shear stopped, of which at most `WAITING` steps are simulated.
    """

    family: str
    fraction: float
    diffusion_nm2_s: float
    waited_s: float = 0.0

    def positions(
        self, t_s: NDArray[np.float64], box_nm: float, rng: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """See `sim_devices._scattering.Motion`."""
        wanted = self.fraction * box_nm**2 / (np.pi / 4 * DIAMETER_NM**2 * (1 + SPREAD**2 / 3))
        meet = self.fraction > 0
        n = max(round(wanted), 1) if meet else FEWEST
        copies = -(-FEWEST // n)  # layers one above the other, in which particles meet only those of their own
        where = [rng.uniform(-box_nm / 2, box_nm / 2, (n, 2)) for _ in range(copies)]
        diameter = DIAMETER_NM * rng.uniform(1 - SPREAD, 1 + SPREAD, n)
        longest = 0.1 * DIAMETER_NM**2 / (self.diffusion_nm2_s * STIFFNESS)
        push = self.diffusion_nm2_s * STIFFNESS if meet else 0.0

        def move(seconds: float, steps: int, *, cold: bool = False) -> None:
            jump = 0.0 if cold else np.sqrt(2 * self.diffusion_nm2_s * seconds / steps)
            for layer in where:
                _advance(layer, diameter, box_nm, push * seconds / steps, jump, steps, rng)

        if meet:
            move(SETTLING * longest, SETTLING, cold=True)
            waited = min(self.waited_s, WAITING * longest)
            if waited:
                move(waited, int(np.ceil(waited / longest)))
        now = t_s[0]
        for t in t_s:
            if t > now:
                move(t - now, int(np.ceil((t - now) / longest)) if meet else 1)
            now = t
            yield np.concatenate(where)


@nb.njit(nogil=True, cache=True)
def _advance(where, diameter, box, push, jump, steps, rng):  # pragma: no cover - compiled
    """Move particles (N, 2) by `steps`; each jumps at random and pushes those that it overlaps."""
    n = len(where)
    cells = max(int(box / diameter.max()), 1) if push else 1
    first, then = np.empty(cells * cells, np.int64), np.empty(n, np.int64)
    cell, moved = np.empty((n, 2), np.int64), np.empty(2)
    shift = np.empty((n, 2))
    for _ in range(steps):
        shift[:] = 0
        if push:
            first[:] = -1
            for i in range(n):
                for axis in range(2):
                    inside = where[i, axis] / box
                    cell[i, axis] = min(int((inside - np.floor(inside)) * cells), cells - 1)
                at = cell[i, 0] * cells + cell[i, 1]
                then[i], first[at] = first[at], i
            for i in range(n):
                for across in range(-1, 2):
                    for down in range(-1, 2):
                        at = (cell[i, 0] + across) % cells * cells + (cell[i, 1] + down) % cells
                        j = first[at]
                        while j >= 0:
                            if j < i:
                                for axis in range(2):
                                    apart = where[i, axis] - where[j, axis]
                                    moved[axis] = apart - box * np.round(apart / box)
                                size = (diameter[i] + diameter[j]) / 2
                                square = moved[0] ** 2 + moved[1] ** 2
                                if 0 < square < size * size:
                                    distance = np.sqrt(square)
                                    force = push * (1 - distance / size) / (size * distance)
                                    for axis in range(2):
                                        shift[i, axis] += force * moved[axis]
                                        shift[j, axis] -= force * moved[axis]
                            j = then[j]
        for i in range(n):
            for axis in range(2):
                where[i, axis] += shift[i, axis] + (jump * rng.standard_normal() if jump else 0.0)


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
        where = rng.uniform(-box_nm / 2, box_nm / 2, (CARRIED, 2))
        height = rng.uniform(-0.5, 0.5, CARRIED)
        free = rng.random(CARRIED) >= self.sticking
        angle = np.deg2rad(self.direction_deg)
        along = np.array([np.cos(angle), np.sin(angle)]) * free[:, None]
        speed = (self.velocity_nm_s + self.shear_nm_s * height)[:, None]
        size, hertz = self.swing
        now = t_s[0]
        for t in t_s:
            jump = np.sqrt(2 * self.diffusion_nm2_s * (t - now))
            where += free[:, None] * rng.normal(0, 1, where.shape) * jump
            now = t
            swung = size * np.sin(2 * np.pi * hertz * t) * height[:, None]
            yield where + (speed * self._flowed(t - t_s[0]) + swung) * along

    def _flowed(self, seconds: float) -> float:
        """Return the time in s in which the fluid would move as far at its first velocity."""
        if not np.isfinite(self.resting_s):
            return seconds
        return float(self.resting_s * -np.expm1(-seconds / self.resting_s))
