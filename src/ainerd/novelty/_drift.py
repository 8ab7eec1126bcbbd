"""Test whether the bank still describes the runs: a conformal test martingale over a session's p-values.

While runs are exchangeable with the bank's, p-values are independent and uniform, and no bet against that gains money:
the probability that the capital ever exceeds c is at most 1 / c (Ville's inequality). Vovk, Gammerman and Shafer,
Algorithmic Learning in a Random World, 2nd ed., chapter 8.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# Bets p -> 1 + slope (p - 1/2): on small p-values or on large ones, from cautious to bold.
_SLOPES = np.array([-1.9, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 1.9])
# Share of the capital that is redistributed over all bets after each run, so that a late change is found as well.
_SHARED = 0.01


class DriftMartingale:
    """The capital of a gambler who bets that p-values are not uniform.

    At `level` the verdict is "recalibrate": the runs no longer have the bank's kinds in the bank's proportions, or
    their noise differs from the assumed one. Without drift the probability of this verdict is at most ``1 / level``.

    Parameters
    ----------
    level : float
        Above 1, or ValueError.

    Attributes
    ----------
    capital, largest : float
        Current capital, 1 at the start, and the largest so far.
    n : int
        Number of p-values so far.
    """

    def __init__(self, level: float = 100.0) -> None:
        if not level > 1:
            raise ValueError(f"level must be above 1, got {level}")
        self.level = level
        self.n = 0
        self.largest = 1.0
        self._stakes: NDArray[np.float64] = np.full(_SLOPES.size, 1 / _SLOPES.size)

    @property
    def capital(self) -> float:
        """Current capital."""
        return float(self._stakes.sum())

    @property
    def verdict(self) -> str:
        """The string "recalibrate" once the level has been reached, else an empty one."""
        return "recalibrate" if self.largest >= self.level else ""

    def update(self, p: float | Iterable[float | None]) -> float:
        """Bet on the next p-values, in the order the runs were taken, and return the capital.

        None (a run without a verdict) is skipped. Raise ValueError if a p-value is not in (0, 1].
        """
        for value in [p] if isinstance(p, (int, float)) else p:
            if value is None:
                continue
            if not 0 < value <= 1:
                raise ValueError(f"a p-value lies in (0, 1], got {value}")
            stakes = self._stakes * (1 + _SLOPES * (value - 0.5))
            self._stakes = (1 - _SHARED) * stakes + _SHARED * stakes.sum() / stakes.size
            self.n += 1
            self.largest = max(self.largest, self.capital)
        return self.capital
