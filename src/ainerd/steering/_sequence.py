"""An even sequence of points in any number of dimensions."""

import numpy as np
from numpy.typing import NDArray


def r_sequence(n: int, dimensions: int, *, start: int = 0, seed: int = 0) -> NDArray[np.float64]:
    """Points `start` … `start + n - 1` of the R sequence in the unit cube, (n, dimensions).

    The additive recurrence on the generalised golden ratio (M. Roberts, "The unreasonable effectiveness of
    quasirandom sequences", 2018); in two dimensions R2, on the plastic number. Any first n points cover the cube
    evenly.
    """
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    step = ratio ** -np.arange(1.0, dimensions + 1)
    offset = 0.5 if seed == 0 else np.random.default_rng(seed).random(dimensions)
    return (offset + step * np.arange(start, start + n)[:, None]) % 1
