"""Least squares of many small problems at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NOTHING = 1e-100  # below this a slope or length counts as zero; the inverse of its square is still finite
TOLERANCE = 1e-6  # relative fall of chi square in a step, below which a fit is finished
Floats = NDArray[np.float64]
Normal = tuple[Floats, Floats, Floats]  # chi square, JᵀJ, Jᵀr


def levenberg_marquardt(
    x: Floats,
    low: Floats,
    high: Floats,
    normal_equations: Callable[[Floats, NDArray[np.int64]], Normal],
    *,
    rounds: int = 60,
    shrink: float = 0.2,
    grow: float = 5,
    least_damping: float = 0.0,
    most_damping: float = 1e7,
    ridge: float = 1e-9,
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Minimize chi square from many starts `x`, (k, n), at once, between `low` and `high`, (n,).

    ``normal_equations(x, which)`` returns chi square, JᵀJ and Jᵀr at `x` for the starts with the numbers `which`. A
    start is finished when a step lowers chi square by less than `TOLERANCE`, or its damping exceeds `most_damping`.
    Return the parameters, their chi square, and which starts finished.
    """
    x, going = x.copy(), np.arange(len(x))
    damping = np.full(len(x), 1e-3)
    cost, normal, gradient = normal_equations(x, going)
    for _ in range(rounds):
        here, slope = x[going], gradient[going]
        stuck = (here <= low) & (slope > 0) | (here >= high) & (slope < 0)
        damped = np.where(stuck[:, :, None] | stuck[:, None, :], 0, normal[going])
        diagonal = np.einsum("kii->ki", damped)  # a view
        # the ridge and the 1e-30 give a step of zero where chi square depends on nothing
        diagonal += damping[going, None] * diagonal + ridge * diagonal.max(1, keepdims=True) + 1e-30 + stuck
        step = np.linalg.solve(damped, np.where(stuck, 0, -slope)[..., None])[..., 0]
        trial = np.clip(here + step, low, high)
        new, *equations = normal_equations(trial, going)
        gain = cost[going] - new
        better = gain > 0
        who = going[better]
        x[who], cost[who], normal[who], gradient[who] = (some[better] for some in (trial, new, *equations))
        damping[going] = np.maximum(damping[going] * np.where(better, shrink, grow), least_damping)
        going = going[~(better & (gain <= TOLERANCE * new)) & (damping[going] < most_damping)]
        if going.size == 0:
            break
    finished = np.ones(len(x), bool)
    finished[going] = False
    return x, cost, finished
