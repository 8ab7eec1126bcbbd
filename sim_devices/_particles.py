"""Particles in a liquid: Brownian motion, hindered by crowding."""

from collections.abc import Iterator
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from sim_devices._scattering import BLOCK

STIFFNESS = 500.0  # kT, of the repulsion of two particles at no distance
SPREAD = 0.25  # diameters are even from 1 - SPREAD to 1 + SPREAD of their mean, so that nothing crystallises
FEWEST = 2400  # that scatter, in as many layers as it takes: with fewer, the noise is that of their number
SETTLING = 300  # steps without Brownian motion that part what overlaps after shear
WAITING = 2000  # steps of Brownian motion at most before the exposure


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
    diameter_nm : float
        Mean diameter.
    waited_s : float
        Time since shear stopped, of which at most `WAITING` steps are simulated.
    """

    family: str
    fraction: float
    diffusion_nm2_s: float
    diameter_nm: float = 600.0
    waited_s: float = 0.0

    def positions(
        self, t_s: NDArray[np.float64], box_nm: float, rng: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """See `sim_devices._scattering.Motion`."""
        wanted = self.fraction * box_nm**2 / (np.pi / 4 * self.diameter_nm**2 * (1 + SPREAD**2 / 3))
        meet = self.fraction > 0
        n = max(round(wanted), 1) if meet else FEWEST
        copies = -(-FEWEST // n)  # layers one above the other, in which particles meet only those of their own
        where = [rng.uniform(-box_nm / 2, box_nm / 2, (n, 2)) for _ in range(copies)]
        diameter = self.diameter_nm * rng.uniform(1 - SPREAD, 1 + SPREAD, n)
        longest = 0.1 * self.diameter_nm**2 / (self.diffusion_nm2_s * STIFFNESS)
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
        for start in range(0, len(t_s), BLOCK):
            block = []
            for t in t_s[start : start + BLOCK]:
                if t > now:
                    move(t - now, int(np.ceil((t - now) / longest)) if meet else 1)
                now = t
                block.append(np.concatenate(where))
            yield np.array(block)


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
