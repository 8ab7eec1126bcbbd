"""The cells of a map: the frames that each of the 64 cells of a run averages over.

If the number of frames is no multiple of 64, neighbouring cells share a frame. The pairs of that frame with itself
raise C2 next to the diagonal, every few cells, and shot noise is no longer diagonal. With 256 frames or more neither
can be seen.
"""

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.dynamics import Domains, Dynamics, clock, rate_factor
from ainerd_xpcs.latent import SIZE
from ainerd_xpcs.numerics import reduction_operator

Floats = NDArray[np.float64]

MANY = 256  # frames from which it does not matter where the borders of the cells are
_FAST = 0.05  # relaxation time below which dynamics change within a frame
_STEPS = 4, 1024  # times in a frame, if they do: at least, and in the exposure
_NEAR = 4  # frames between which they do


@dataclass(frozen=True, eq=False)
class Cells:
    """Share of each frame in each cell: `operator`, (64, n_frames), whose rows sum to 1."""

    operator: Floats

    @classmethod
    def of(cls, operator: Floats) -> "Cells | None":
        """Return the cells of an operator (64 k, n_frames) of a map; None if they are as good as those of many frames.

        That is so for `MANY` frames, and if no frame belongs to two cells.
        """
        cells = cls(operator.reshape(SIZE, -1, operator.shape[1]).mean(1))
        shared = cells.shot[np.eye(SIZE, k=1, dtype=bool)]
        return None if operator.shape[1] >= MANY or shared.max() < 1e-6 else cells

    @classmethod
    def of_whole(cls, n_frames: int) -> "Cells | None":
        """Return the cells of a run of `n_frames`."""
        return None if n_frames >= MANY else cls.of(reduction_operator("area", n_frames, SIZE).toarray())

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.operator.shape[1])

    @cached_property
    def shot(self) -> Floats:
        """Covariance of the shot noise of the cells, (64, 64); 1 is that of a 64th of the exposure."""
        return np.asarray(self.operator @ self.operator.T * self.n_frames / SIZE)

    @cached_property
    def key(self) -> str:
        """A digest."""
        return hashlib.sha256(np.round(self.operator, 9).tobytes()).hexdigest()[:16]

    def reduce(self, pairs: Floats) -> Floats:
        """Average values of pairs of frames, (n_frames, n_frames), over pairs of cells, (64, 64)."""
        return np.asarray(self.operator @ pairs @ self.operator.T)


@cache
def even() -> Cells:
    """Return the cells of many frames."""
    return Cells(reduction_operator("area", MANY, SIZE).toarray())


def reduced(
    dynamics: Dynamics | Domains,
    cells: Cells,
    duty: float,
    azimuths: tuple[float, ...] = (0.0,),
    *,
    squared: bool = True,
) -> Floats:
    """Return the mean of |g1|², or of g1, of an exposure of 1 s over the cells of a map: (n_azimuth, 64, 64).

    Velocities are ignored.

    Parameters
    ----------
    dynamics : Dynamics or Domains
    cells : Cells
    duty : float
        Share of the time from frame to frame in which the detector counts; 0 for snapshots.
    azimuths : tuple of float
        In degrees.
    squared : bool
        Whether to return the mean of |g1|²; otherwise that of g1.
    """
    n, parts = cells.n_frames, dynamics.parts
    is_fast = duty > 0 and min(part.tau_s for _, part in parts) < _FAST
    k = max(_STEPS[0], -(-_STEPS[1] // n)) if is_fast else 1
    t = (np.arange(n)[:, None] + 0.5 + duty * ((np.arange(k) + 0.5) / k - 0.5)) / n
    clocks = np.stack([clock(part, t.ravel()).reshape(t.shape) for _, part in parts])
    shares, plateaus, exponents = np.array([(share, p.plateau, p.exponent) for share, p in parts]).T
    out = []
    for azimuth in azimuths:
        rates = np.array([rate_factor(part, azimuth)[0] for _, part in parts])
        pairs = _pairs(clocks * rates[:, None, None], shares, plateaus, exponents, dynamics.static, squared)
        out.append(cells.reduce(pairs))
    return np.stack(out)


@nb.njit(nogil=True, cache=True)
def _pairs(clocks: Floats, shares: Floats, plateaus: Floats, exponents: Floats, static: float, squared: bool) -> Floats:
    """Return |g1|², or g1, of pairs of frames from the clocks of the parts, (n_part, n, k) at k times in each frame."""
    n_part, n, k = clocks.shape
    middle = np.empty((n_part, n))
    for p in range(n_part):
        for i in range(n):
            middle[p, i] = clocks[p, i].mean()
    out = np.empty((n, n))
    for i in range(n):
        for j in range(i, n):
            if k > 1 and j - i <= _NEAR:
                total = 0.0
                for a in range(k):
                    for b in range(k):
                        g = _field(clocks[:, i, a], clocks[:, j, b], shares, plateaus, exponents, static)
                        total += g * g if squared else g
                value = total / (k * k)
            else:
                g = _field(middle[:, i], middle[:, j], shares, plateaus, exponents, static)
                value = g * g if squared else g
            out[i, j] = out[j, i] = value
    return out


@nb.njit(nogil=True, cache=True)
def _field(one: Floats, other: Floats, shares: Floats, plateaus: Floats, exponents: Floats, static: float) -> float:
    """Return g1 between two readings of the clocks of the parts, (n_part,)."""
    moving = 0.0
    for p in range(one.size):
        lag = abs(one[p] - other[p])
        left = np.exp(-lag if exponents[p] == 1.0 else -(lag ** exponents[p]))
        moving += shares[p] * (plateaus[p] + (1 - plateaus[p]) * left)
    return float(static + (1 - static) * moving)
