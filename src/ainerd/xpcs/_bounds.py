"""Limits of a relaxation time that the data do not determine."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ainerd.xpcs._fit import HIGH, LOW, least_squares, model
from ainerd.xpcs._speckle import Sample

LEVEL = 0.05
STEPS = 40
EXPONENT = (0.3, 3.0)  # of what is fitted


def bounds(s: Sample) -> tuple[float, float]:
    """One-sided limits (above, below) of 95 % for tau in frames; NaN where there is none.

    For each trial tau the best contrast and exponent are found, and the residuals of the parts projected on what the
    best tau of all would change: their mean over its scatter is a Student t (a score test). `above` is the end of the
    short trial times that are rejected, `below` the beginning of the long ones.
    """
    trial = np.log(np.geomspace(s.lag[0] / 20, 100 * s.lag[-1], STEPS))
    low, high = np.tile(LOW, (STEPS, 1)), np.tile(HIGH, (STEPS, 1))
    low[:, 0], high[:, 0] = 0, 1.0  # a contrast is no larger
    low[:, 1] = high[:, 1] = trial
    low[:, 2], high[:, 2] = EXPONENT
    low[:, 3] = high[:, 3] = 1
    weight = 1 / s.variance
    y, root = (np.broadcast_to(x, (STEPS, len(s.lag))) for x in (1 + s.mean, np.sqrt(weight)))
    curves = model(s.lag, least_squares(s.lag, y, root, low, high)[0])
    best = int((weight * (curves - y) ** 2).sum(1).argmin())
    p = np.array([_p(s, curve, curves[best], weight) if i != best else 1.0 for i, curve in enumerate(curves)])
    kept = np.flatnonzero(p >= LEVEL)
    above = np.exp(trial[kept[0]]) if kept[0] > 0 else np.nan
    below = np.exp(trial[kept[-1]]) if kept[-1] < STEPS - 1 else np.nan
    return float(above), float(below)


def _p(s: Sample, curve: NDArray, best: NDArray, weight: NDArray) -> float:
    """Chance of parts that ask for `best` as much as these do if `curve` is right."""
    mean, error = s.estimate(np.nan_to_num(1 + s.x - curve) @ (weight * (best - curve)))
    return float(student.sf(mean / error, s.dof)) if error > 0 else 1.0


def faster_than_a_frame(s: Sample) -> float:
    """Limit of 95 % for tau in frames where there is contrast within a frame and none after: NaN for others.

    The ratio of g2 - 1 at the first lag to the contrast within a frame bounds exp(-2 (lag / tau)^exponent), with any
    exponent from 0.5 to 2.
    """
    first = s.x[:, 0]
    zero, zero_err = s.estimate(s.zero)
    g1, g1_err = s.estimate(first)
    limit = student.isf(LEVEL, s.dof)
    if not zero > student.isf(0.005, s.dof) * zero_err or g1 > limit * g1_err:
        return np.nan
    # the largest ratio r for which g1 - r zero is not significantly below 0
    ratio = np.linspace(0, 1, 401)[1:]
    kept = [r for r in ratio if (lambda m, e: m > -limit * e)(*s.estimate(first - r * s.zero))]
    if not kept or kept[-1] >= np.exp(-2 * 0.5):
        return np.nan
    decay = -np.log(kept[-1]) / 2
    return float(s.lag[0] * max(decay ** (-1 / exponent) for exponent in (0.5, 2.0)))
