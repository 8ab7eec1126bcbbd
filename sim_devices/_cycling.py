"""Scatterers in a sample that is sheared to and fro: most of their motion returns, some of it does not."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_devices._oscillation import Oscillation

Floats = NDArray[np.float64]
CARRIED = 4000  # with fewer, the noise of C2 is that of their number
STEEP = 4.0  # rearrangements grow with this power of the strain above yielding


@dataclass(frozen=True, kw_only=True)
class Cycled:
    """Particles between two plates that move with the strain, and rearrange.

    At height h of the gap, from -1/2 to 1/2, the affine motion is strain × gap × h along the flow. It returns with the
    strain. Rearrangements do not return: diffusion, and jumps of single particles at random moments. Training makes
    both rarer, as (1 + cycle)^-training; above the yield strain they grow with the fourth power of the amplitude.

    Attributes
    ----------
    family : str
    oscillation : Oscillation
    gap_nm : float
        Distance of the plates.
    diffusion_nm2 : float
        D in nm² per cycle: the correlation of intensities after n cycles is exp(-2 q² D n).
    jumping : float
        Mean number of jumps of a particle in a cycle: exp(-jumping × n) of them have not jumped after n cycles.
    jump_nm : float
        Standard deviation of a jump in each direction.
    returning : float
        Share of the particles that never rearrange.
    training : float
    yield_strain : float
    orbit_nm, orbit_cycles : float
        Each particle that may rearrange swings about its place by a distance of its own, of this standard deviation in
        each direction, with a period of `orbit_cycles`: the sample returns after many cycles.
    direction_deg : float
        Of the flow, from the detector's columns towards its rows.
    """

    family: str
    oscillation: Oscillation
    gap_nm: float = 3000.0
    diffusion_nm2: float = 0.0
    jumping: float = 0.0
    jump_nm: float = 300.0
    returning: float = 0.0
    training: float = 0.0
    yield_strain: float = np.inf
    orbit_nm: float = 0.0
    orbit_cycles: float = 16.0
    direction_deg: float = 90.0

    def worn(self, cycle: float) -> float:
        """Return the number of first cycles below yielding that would rearrange as much as all up to `cycle`."""
        edges = np.append(self.oscillation.edges, np.inf)
        strains = np.array([strain for _, strain in self.oscillation.steps])
        faster = np.maximum(strains / self.yield_strain, 1.0) ** STEEP
        reached = 1 + np.minimum(edges, cycle)
        slower = 1 - self.training
        passed = np.log(reached) if abs(slower) < 1e-9 else (reached**slower - 1) / slower
        return float(faster @ np.diff(passed))

    def positions(self, t_s: Floats, box_nm: float, rng: np.random.Generator) -> Iterator[Floats]:
        """See `sim_devices._scattering.Motion`; the times are those of the rheometer's clock."""
        where = rng.uniform(-box_nm / 2, box_nm / 2, (CARRIED, 2))
        height = rng.uniform(-0.5, 0.5, CARRIED)
        free = rng.permutation(CARRIED) >= round(self.returning * CARRIED)
        angle = np.deg2rad(self.direction_deg)
        along = np.array([np.cos(angle), np.sin(angle)])
        cycles, strains = self.oscillation.cycle(t_s), self.oscillation.strain(t_s)
        before = self.worn(cycles[0])
        swing = self.orbit_nm * free[:, None] * rng.standard_normal((CARRIED, 2)) if self.orbit_nm else 0.0
        for cycle, strain in zip(cycles, strains, strict=True):
            now = self.worn(cycle)
            wear, before = now - before, now
            where[free] += np.sqrt(2 * self.diffusion_nm2 * wear) * rng.standard_normal((free.sum(), 2))
            jumps = free & (rng.random(CARRIED) < -np.expm1(-self.jumping * wear))
            where[jumps] += self.jump_nm * rng.standard_normal((jumps.sum(), 2))
            swung = swing * np.sin(2 * np.pi * np.floor(cycle) / self.orbit_cycles)
            yield where + swung + (self.gap_nm * strain * height)[:, None] * along
