"""When the sample yields after shear has stopped: one record, for the stress that dips and the speckle that jumps."""

from collections.abc import Iterator
from itertools import dropwhile, takewhile

import numpy as np

SIZES_PA = (0.15, 2.0)  # the published record, read every 10 s, has no step of more than 2 Pa
REGULAR = 4  # shape of the gaps' gamma law: 1 would be a Poisson process
FADING_S, FADING = 600.0, 0.3
BLOCK = 64


class Yielding:
    """The yield events of a sample: a seeded point process in the time since shear stopped.

    Stick and slip: gaps follow a gamma law, the first one cut at random. The rate falls as (1 + age / 600 s)^-0.3.
    Sizes are drawn from the power law with exponent -3/2 of slip avalanches in the mean field (Dahmen, Ben-Zion and
    Uhl, Phys. Rev. Lett. 102, 175501, 2009), cut at 0.15 and 2 Pa.

    Parameters
    ----------
    seed : int
        The same seed gives the same events.
    gap_s : float
        Mean time between events just after shear stopped, in seconds. With the default hardly an exposure of 50 s
        sees none. In the record of Horwath et al. (2024) the stress yields four times in an hour (``gap_s=600``),
        each time in a run of steps.

    Raises
    ------
    ValueError
        If `gap_s` is not positive.
    """

    def __init__(self, seed: int = 0, *, gap_s: float = 13.0) -> None:
        if not gap_s > 0:
            raise ValueError(f"gap_s must be positive, got {gap_s}")
        self._seed, self._gap_s = seed, gap_s

    def between(self, start_s: float, stop_s: float, shear_number: int = 0) -> tuple[tuple[float, float], ...]:
        """Events of start <= age < stop: the events of two halves are those of the whole.

        Parameters
        ----------
        start_s, stop_s : float
            Ages, in seconds since shear stopped.
        shear_number : int
            How many times shear was started before: each time the sample yields anew.

        Returns
        -------
        tuple of (float, float)
            Age in seconds and size in Pa, in order of age.

        Raises
        ------
        ValueError
            If `stop_s` comes before `start_s` or is not finite.
        """
        if not start_s <= stop_s < np.inf:
            raise ValueError(f"start_s and stop_s must be finite and in order, got {start_s} and {stop_s}")
        later = dropwhile(lambda event: event[0] < start_s, self._events(shear_number))
        return tuple(takewhile(lambda event: event[0] < stop_s, later))

    def _events(self, shear_number: int) -> Iterator[tuple[float, float]]:
        """All of them, without end: gaps are drawn in units of the mean gap, then stretched as the rate falls."""
        rng = np.random.default_rng((self._seed, shear_number))
        begun = 0.0
        while True:
            gaps = rng.gamma(REGULAR, 1 / REGULAR, BLOCK)
            if not begun:
                gaps[0] *= rng.uniform()
            passed = begun + np.cumsum(gaps)
            begun = passed[-1]
            ages = FADING_S * ((1 + passed * self._gap_s * (1 - FADING) / FADING_S) ** (1 / (1 - FADING)) - 1)
            small, large = np.power(SIZES_PA, -0.5)
            sizes = rng.uniform(large, small, BLOCK) ** -2
            yield from zip(ages.tolist(), sizes.tolist(), strict=True)
