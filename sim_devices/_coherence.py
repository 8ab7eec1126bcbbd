"""Partly coherent light: the speckle is that of several modes, added up as intensities."""

import numpy as np
from numpy.typing import NDArray


def mode_weights(contrast: float) -> NDArray[np.float64]:
    """Intensities of the ceil(1 / contrast) coherent modes: they sum to 1, their squares to the contrast.

    One mode differs from the others, which are equal, so that any contrast in (0, 1] is met exactly.

    Raises
    ------
    ValueError
        If the contrast is not in (0, 1].
    """
    if not 0 < contrast <= 1:
        raise ValueError(f"contrast must lie in (0, 1], got {contrast}")
    modes = int(np.ceil(1 / contrast - 1e-9))
    if modes == 1:
        return np.ones(1)
    first = (1 + np.sqrt(max(modes - 1, 0) * max(contrast * modes - 1, 0))) / modes
    return np.r_[first, np.full(modes - 1, (1 - first) / (modes - 1))]
