"""Limits of a relaxation time that the data do not determine."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ainerd.xpcs._fit import HIGH, LOW, least_squares, model
from ainerd.xpcs._speckle import Sample

LEVEL = 0.05
STEPS = 24
EXPONENT = (0.3, 3.0)  # of what is fitted


def bounds(s: Sample) -> tuple[float, float]:
    """One-sided limits (above, below) of 95 % for tau in frames; NaN where there is none.

    For each trial tau the best contrast and exponent are found, and the residuals of the parts projected on what the
    best tau of all would change: their mean over its scatter is a Student t (a score test). `above` is where the short
    trial times end that are rejected, `below` where the long ones begin. Trials are coarse first, then fine between
    those.
    """
    limit = student.isf(LEVEL, s.dof)
    trial = np.log(np.geomspace(s.lag[0] / 20, 100 * s.lag[-1], STEPS))
    for _ in range(2):
        pull = _pulls(s, trial)
        kept = np.flatnonzero(pull < limit)
        first, last = max(kept[0] - 1, 0), min(kept[-1] + 1, STEPS - 1)
        ends = [np.exp(trial[i]) if pull[i] >= limit else np.nan for i in (first, last)]
        trial = np.linspace(trial[first], trial[last], STEPS)
    return float(ends[0]), float(ends[1])


def _pulls(s: Sample, trial: NDArray) -> NDArray[np.float64]:
    """For each log tau Student's t of parts that ask for another, the best of them."""
    low, high = np.tile(LOW, (STEPS, 1)), np.tile(HIGH, (STEPS, 1))
    low[:, 0], high[:, 0] = 0, 1.0  # a contrast is no larger
    low[:, 1] = high[:, 1] = trial
    low[:, 2], high[:, 2] = EXPONENT
    low[:, 3] = high[:, 3] = 1
    weight = 1 / s.variance
    y, root = (np.broadcast_to(x, (STEPS, len(s.lag))) for x in (1 + s.mean, np.sqrt(weight)))
    curves = model(s.lag, least_squares(s.lag, y, root, low, high)[0])
    best = int((weight * (curves - y) ** 2).sum(1).argmin())
    return np.array([_pull(s, curve, curves[best], weight) if i != best else 0.0 for i, curve in enumerate(curves)])


def _pull(s: Sample, curve: NDArray, best: NDArray, weight: NDArray) -> float:
    """Student t of parts that ask for `best` rather than for `curve`."""
    mean, error = s.estimate(np.nan_to_num(1 + s.x - curve) @ (weight * (best - curve)))
    return mean / error if error > 0 else 0.0


def faster_than_a_frame(s: Sample) -> float:
    """Limit of 95 % for tau in frames where there is contrast within a frame and none after: NaN for others.

    The ratio of g2 - 1 at the first lag to the contrast within a frame bounds exp(-2 (lag / tau)^exponent), with any
    exponent from 0.5 to 2.
    """
    zero, zero_err = s.estimate(s.zero)
    limit = student.isf(LEVEL, s.dof)
    if not zero > student.isf(0.005, s.dof) * zero_err:
        return np.nan
    for ratio in np.linspace(0.01, 1, 100):  # the smallest that is significantly above the one found
        left, left_err = s.estimate(s.x[:, 0] - ratio * s.zero)
        if left < -limit * left_err:
            break
    if ratio >= np.exp(-1):
        return np.nan
    decay = -np.log(ratio) / 2
    return float(s.lag[0] * max(decay ** (-1 / exponent) for exponent in (0.5, 2.0)))
