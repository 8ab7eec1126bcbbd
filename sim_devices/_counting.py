"""A pixel that counts photons: they come at random, some are lost, and the counter ends."""

import numba as nb
import numpy as np

DEAD_TIME_S = 1e-6
SATURATION = 4095  # of a counter of 12 bits


@nb.njit(nogil=True, cache=True)
def poisson(mean, rng):  # pragma: no cover - compiled
    """One Poisson number: by inversion where the mean is small, as it nearly always is."""
    if mean > 20:
        return rng.poisson(mean)
    chance = np.exp(-mean)
    left, count = rng.random() - chance, 0
    while left > 0 and count < 200:
        count += 1
        chance *= mean / count
        left -= chance
    return count


@nb.njit(nogil=True, cache=True)
def seen(photons, loss, rng):  # pragma: no cover - compiled
    """Counts of a pixel that `photons` fell on, with `loss` the dead time as a share of the exposure.

    The counter is not paralysed: after each photon it takes it sees none for the dead time. Of n it takes
    n / (1 + (n - 1) loss) in the mean; what is not whole is rounded at random.
    """
    if photons > 1:
        photons = int(photons / (1 + (photons - 1) * loss) + rng.random())
    return min(photons, SATURATION)
