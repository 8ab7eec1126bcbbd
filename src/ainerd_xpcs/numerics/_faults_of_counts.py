"""Rules for counts that are no photons; each can be read alone.

At any intensities, the histogram p(k) of photons is a mixture of Poisson distributions. So k! p(k) are moments and
log-convex: p(k)² ≤ (k + 1) / k p(k - 1) p(k + 1) (Cauchy and Schwarz). A ceiling, a pedestal, a gain or a lost digit
violates this. Other faults change the contrast within a frame, or that between frames.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from ainerd_xpcs.numerics._g2 import G2
from ainerd_xpcs.numerics._screen_areas import HIGHEST

Histogram = NDArray[np.int64]
TOLERANCE, SIGMAS = 0.15, 6.0  # of the inequality, in its logarithm, for dead times of a few percent; and errors
CUT = 0.15  # share of the counts at the end that changes g2
FEWEST = 12  # parts of bins, for a contrast
# Share of the pairs of photons in a frame that a dead time may take: twice the dead time, in frames. The second number
# is for one photon per pixel and frame; pixels that count more have a shorter dead time.
LOST, LOST_OF_ONE = 0.03, 0.05


def multiples(histogram: Histogram) -> str | None:
    """Return that all counts are multiples of a number: of a gain."""
    used = np.flatnonzero(histogram)
    step = int(np.gcd.reduce(used[used < len(histogram) - 1]))  # the last holds all higher ones
    return f"all counts are multiples of {step}" if step > 1 else None


def offset(histogram: Histogram) -> str | None:
    """Return that no pixel counts little, of counts that violate the inequality."""
    if histogram[0] > 0 or too_often(histogram) is None:
        return None
    return f"no pixel counts less than {np.flatnonzero(histogram)[0]}"


def end(histogram: Histogram) -> str | None:
    """Return that the highest count is too frequent, as if higher ones were cut off."""
    at = too_often(histogram)
    is_end = at == np.flatnonzero(histogram)[-1]
    return f"counts end at {at}, as if they were cut off there" if is_end else None


def peak(histogram: Histogram) -> str | None:
    """Return that a count is too frequent beside its neighbours."""
    at = too_often(histogram)
    return None if at is None else f"more pixels count {at} than photons allow"


RULES: tuple[Callable[[Histogram], str | None], ...] = (multiples, offset, end, peak)


def no_photons(histogram: Histogram) -> str | None:
    """Return why counts with this histogram (n,) cannot be photons, whatever the intensities; None if they can be."""
    if not histogram[1:].any():
        return None
    return next((why for rule in RULES if (why := rule(histogram))), None)


def no_relaxation(histogram: Histogram) -> str | None:
    """Return that counts with this histogram have an offset, or end so low that g2 is another one; None otherwise."""
    why = no_photons(histogram)
    if why is None or multiples(histogram):
        return None
    is_low = histogram[np.flatnonzero(histogram)[-1]] >= CUT * histogram.sum()
    return why if offset(histogram) or (end(histogram) and is_low) else None


def too_often(histogram: Histogram) -> int | None:
    """Return the lowest count that is so frequent that it violates the inequality, beyond chance; None without one."""
    h = np.append(histogram, 0)
    k = np.arange(1, min(int(np.flatnonzero(h)[-1]), HIGHEST - 3) + 1)  # the last holds all higher ones
    before, here, after = (h[k + i].astype(float) for i in (-1, 0, 1))
    # the least that the lower neighbour can be, if chance made the count low and the other neighbour high
    low = np.maximum(here - SIGMAS * np.sqrt(here), 0)
    high, other = np.maximum(before, after), np.minimum(before, after)
    wanted = k / (k + 1) * low**2 / (high + SIGMAS * np.sqrt(high) + SIGMAS) * np.exp(-TOLERANCE)
    wrong = (wanted > other) & (pdtr(other, wanted) < 1e-9)
    return int(k[wrong][0]) if wrong.any() else None


def no_light(g2: G2, counts: float) -> str | None:
    """Return why g2 cannot come from light on a detector without faults; None if it can.

    `counts` is the mean count per pixel and frame.

    The contrast within a frame is at most 1. The contrast between neighbouring frames is at most that within a frame,
    because the mean of I(t) I(t + 1) is at most that of I(t)² (Cauchy and Schwarz). Photons that are counted in two
    frames raise the contrast between frames only. Lost photons, and other units, change the contrast within a frame.

    Examples
    --------
    >>> partition = Partition.from_roi_map(np.ones((40, 40), int))
    >>> of_light, of_noise = MultiTau(partition), MultiTau(partition)
    >>> of_light.push(movie)
    >>> no_light(of_light.result(), movie.sum()) is None
    True
    >>> noise = np.random.default_rng(0).normal(50, 0.1, movie.shape).round()  # of the electronics
    >>> of_noise.push(noise)
    >>> no_light(of_noise.result(), noise.sum())
    'more contrast between frames than within one: afterglow, or lost photons'
    """
    use = np.isfinite(g2.parts0) & np.isfinite(g2.parts[:, 0]) & (g2.part_weight > 0)
    if g2.lag[0] != 1 or use.sum() < FEWEST:
        return None
    weight = (g2.part_weight * g2.n_pixels[g2.part_roi])[use]
    within, of_next = g2.parts0[use], (g2.parts[:, 0] - 1 - g2.bias[g2.part_roi, 0])[use]
    for difference, limit, why in (
        (within, 1.0, "a contrast above 1: hot or flickering pixels, or counts that are not photons"),
        (of_next - within, 0.0, "more contrast between frames than within one: afterglow, or lost photons"),
    ):
        mean = np.average(difference, weights=weight)
        error = np.sqrt(np.sum((weight * (difference - mean)) ** 2)) / weight.sum()
        following = float(np.average(of_next, weights=weight))
        allowed = limit + TOLERANCE * max(following, limit)
        if limit == 0:
            allowed += min(LOST, LOST_OF_ONE / counts) * (1 + max(following, 0.0))
        if mean > allowed + SIGMAS * error:
            return why
    return None
