"""A solid that yields in avalanches: blocks under stress, each of which passes its stress on when it yields."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numba as nb
import numpy as np
from numpy.typing import NDArray

SIDE = 32  # blocks
IN_A_BLOCK = 4  # scatterers
JUMP_NM = 150.0  # rms along each axis, of a scatterer whose block has yielded: several 1 / q
STRAINED = 8.0  # thresholds, by which the whole is strained before the exposure: more than a steady state takes
RATTLE_NM, RATTLE_S = 10.0, 0.5
MOST = 1_000_000  # events


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """An elasto-plastic model in two dimensions (Picard et al., Phys. Rev. E 71, 010501, 2005; Nicolas et al., 2018).

    Blocks on a periodic square carry stress, which grows evenly. Above the block's own threshold the
    block yields: it loses its stress, gets a new random threshold, and passes the stress on to all others by Eshelby's
    quadrupole, which may make them yield as well. An avalanche takes no time. It moves the scatterers of each block
    that yields; those of the others rattle in place.

    Attributes
    ----------
    family : str
    strained_in_s : float
        Time in which the applied stress grows by one mean threshold.
    """

    family: str
    strained_in_s: float

    def positions(
        self, t_s: NDArray[np.float64], box_nm: float, rng: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """See `sim_devices._scattering.Motion`."""
        times, blocks, _ = self.events(t_s[-1] - t_s[0], rng)
        times = times + t_s[0]
        corner = np.stack(np.divmod(np.arange(SIDE**2), SIDE), axis=1) / SIDE - 0.5
        home = np.repeat(corner, IN_A_BLOCK, axis=0) + rng.uniform(0, 1 / SIDE, (SIDE**2 * IN_A_BLOCK, 2))
        home *= box_nm
        rattle = rng.normal(0, RATTLE_NM, home.shape)
        done, now = 0, t_s[0]
        for t in t_s:
            until = np.searchsorted(times, t, side="right")
            for yields in np.unique(blocks[done:until]):
                moved = slice(yields * IN_A_BLOCK, (yields + 1) * IN_A_BLOCK)
                home[moved] += rng.normal(0, JUMP_NM, (IN_A_BLOCK, 2))
            keep = np.exp(-(t - now) / RATTLE_S)
            rattle = keep * rattle + np.sqrt(1 - keep**2) * rng.normal(0, RATTLE_NM, home.shape)
            done, now = until, t
            yield home + rattle

    def events(
        self, duration_s: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Return the blocks that yield in an exposure.

        Returns
        -------
        time_s : ndarray, shape (n,)
            Events of one avalanche have the same time.
        block : ndarray of int, shape (n,)
            Number of the block, from 0 to `SIDE`².
        drop : ndarray, shape (n,)
            Drop of its stress, in mean thresholds.
        """
        stress, threshold = rng.uniform(-0.5, 0.5, SIDE**2), _threshold(SIDE**2, rng)
        _strain(stress, threshold, _redistribution(), STRAINED, rng, MOST)
        strain = duration_s / self.strained_in_s
        when, block, drop = _strain(stress, threshold, _redistribution(), strain, rng, MOST)
        return when * self.strained_in_s, block, drop


def _threshold(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return 0.5 + rng.exponential(0.5, n)


@cache
def _redistribution() -> NDArray[np.float64]:
    """Return the stress that all blocks get when one yields, (SIDE, SIDE), -1 for itself, with fixed plates."""
    q = np.fft.fftfreq(SIDE)
    across, down = np.meshgrid(q, q, indexing="ij")
    square = across**2 + down**2
    square[0, 0] = 1
    kernel = -4 * (across * down / square) ** 2
    kernel[0, 0] = -1
    real = np.fft.ifft2(kernel).real
    return np.ascontiguousarray(real / -real[0, 0])


@nb.njit(nogil=True, cache=True)
def _strain(stress, threshold, kernel, strain, rng, most):  # pragma: no cover - compiled
    """Apply stress evenly and slowly, and return the strain at which blocks yield, their numbers and stress drops."""
    side, n = len(kernel), stress.size
    when, block, drop, count, put_on = np.empty(most), np.empty(most, np.int64), np.empty(most), 0, 0.0
    yields = np.empty(n, np.int64)
    while True:
        room = np.inf
        for i in range(n):
            room = min(room, threshold[i] - stress[i])
        if put_on + room > strain:
            stress[:] += strain - put_on
            break
        put_on += max(room, 0.0)
        stress[:] += max(room, 0.0) + 1e-12
        while True:
            number = 0
            for i in range(n):
                if abs(stress[i]) >= threshold[i]:
                    yields[number] = i
                    number += 1
            if number == 0:
                break
            for k in range(number):
                i = yields[k]
                fall = stress[i]
                threshold[i] = 0.5 + rng.exponential(0.5)
                if count < most:
                    when[count], block[count], drop[count] = put_on, i, fall
                    count += 1
                for a in range(side):
                    for b in range(side):
                        stress[a * side + b] += fall * kernel[(a - i // side) % side, (b - i % side) % side]
    return when[:count], block[:count], drop[:count]
