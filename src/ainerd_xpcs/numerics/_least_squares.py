"""Least squares of many small problems at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NOTHING = 1e-100  # below this a slope or length counts as zero; the inverse of its square is still finite
TOLERANCE = 1e-6  # relative fall of chi square in a step, below which a fit is finished
ROUNDS = 100
SHRINK, GROW = 0.3, 4.0  # of the damping, after a step that lowers chi square, and after another
DAMPING = (1e-9, 1e9)  # its range; a fit that reaches the upper end is finished
Floats = NDArray[np.float64]
Normal = tuple[Floats, Floats, Floats]  # chi square, JᵀJ, Jᵀr


def levenberg_marquardt(
    x: Floats,
    low: Floats,
    high: Floats,
    normal_equations: Callable[[Floats, NDArray[np.int64]], Normal],
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Minimize chi square from many starts `x`, (k, n), at once, between `low` and `high`, (n,).

    ``normal_equations(x, which)`` returns chi square, JᵀJ and Jᵀr at `x` for the starts with the numbers `which`. A
    start is finished when a step lowers chi square by less than `TOLERANCE`, or at the largest damping.
    Return the parameters, their chi square, and which starts finished.
    """
    x, going = x.copy(), np.arange(len(x))
    damping = np.full(len(x), 1e-3)
    cost, normal, gradient = normal_equations(x, going)
    for _ in range(ROUNDS):
        here, slope = x[going], gradient[going]
        stuck = (here <= low) & (slope > 0) | (here >= high) & (slope < 0)
        damped = np.where(stuck[:, :, None] | stuck[:, None, :], 0, normal[going])
        diagonal = np.einsum("kii->ki", damped)  # a view
        diagonal += damping[going, None] * diagonal + 1e-30 + stuck  # a step of zero where nothing changes chi square
        step = np.linalg.solve(damped, np.where(stuck, 0, -slope)[..., None])[..., 0]
        trial = np.clip(here + step, low, high)
        new, *equations = normal_equations(trial, going)
        gain = cost[going] - new
        better = gain > 0
        who = going[better]
        x[who], cost[who], normal[who], gradient[who] = (some[better] for some in (trial, new, *equations))
        damping[going] = np.maximum(damping[going] * np.where(better, SHRINK, GROW), DAMPING[0])
        going = going[~(better & (gain <= TOLERANCE * new)) & (damping[going] < DAMPING[1])]
        if going.size == 0:
            break
    finished = np.ones(len(x), bool)
    finished[going] = False
    return x, cost, finished
