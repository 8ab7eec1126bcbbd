"""The offset between the clocks of detector and rheometer: speckle turns round where the strain does."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
FEWEST_BINS = 4
SURE = 4.0  # errors by which the sign of a reversal exceeds zero
BINS_OF_LAG = 16  # of half a cycle


@dataclass(frozen=True, kw_only=True)
class ClockOffset:
    """The delay of the frames behind their phase, from -1/4 to 1/4 of a cycle.

    Attributes
    ----------
    cycles, error : float
        Add `cycles` to the phases of the frames. The error comes from the scatter of the bins.

    Examples
    --------
    >>> phase = np.arange(64) / 16
    >>> strain = np.sin(2 * np.pi * (phase - 0.1))  # the clock of the detector is early
    >>> maps = 1 + np.exp(-np.subtract.outer(strain, strain) ** 2) * np.ones((4, 1, 1))
    >>> round(clock_offset(maps, phase).cycles, 2)
    -0.1
    """

    cycles: float
    error: float


def clock_offset(c2: ArrayLike, phase: ArrayLike) -> ClockOffset:
    """Find the offset between the clocks from a two-time correlation within cycles.

    Two frames at equal times before and after a turn of the strain see the same strain. So C2 across the diagonal is
    largest where the middle of both frames is at a turn, 1/4 and 3/4 of a cycle, and the second harmonic of C2 in the
    phase of the middle tells when that is. Speckle does not show the sign of a strain, so the offset is known up to
    half a cycle.

    Parameters
    ----------
    c2 : array_like, shape (n_roi, T, T)
        Two-time correlation of frames of some cycles, from `two_time`; the diagonal is not used. At least four bins,
        whose speckle is independent, give the error.
    phase : array_like, shape (T,)
        Phase of each frame in cycles, increasing, from `CyclePhase.at`. A cycle has eight frames or more.

    Raises
    ------
    ValueError
        If the shapes do not fit, there are too few bins or frames, or the frames show no turn of the strain.

    Examples
    --------
    >>> phase = np.arange(80) / 16
    >>> strain = np.sin(2 * np.pi * (phase + 0.05))  # the clock of the detector is late
    >>> one = 1 + np.exp(-np.subtract.outer(strain, strain) ** 2)
    >>> offset = clock_offset(one + np.random.default_rng(0).normal(0, 0.1, (8, 80, 80)), phase)
    >>> round(offset.cycles, 2), offset.error < 0.01
    (0.05, True)
    """
    maps, at = np.asarray(c2, dtype=float), np.asarray(phase, dtype=float)
    n = at.size
    if maps.ndim != 3 or maps.shape[1:] != (n, n) or at.ndim != 1:
        raise ValueError(f"c2 of shape {maps.shape} does not fit the phases of {at.shape} frames")
    maps = maps[np.isfinite(maps).any((1, 2))]  # those with light
    if len(maps) < FEWEST_BINS:
        raise ValueError(f"the clock offset needs {FEWEST_BINS} bins for its error, got {len(maps)}")
    first, second = np.triu_indices(n, 1)
    lag = at[second] - at[first]
    near = (lag > 0) & (lag <= 0.5)
    first, second, lag = first[near], second[near], lag[near]
    if len(lag) < 4 * BINS_OF_LAG or n < 8 * (at[-1] - at[0]):
        raise ValueError("the clock offset needs eight frames a cycle, of some cycles")
    values, turns = maps[:, first, second], np.exp(-2j * np.pi * (at[first] + at[second]))
    which = np.minimum((lag * 2 * BINS_OF_LAG).astype(int), BINS_OF_LAG - 1)
    middle, waves = (at[first] + at[second]) / 2 - at[0], np.zeros(len(maps), complex)
    for kind in np.unique(which):  # each lag by itself, because C2 depends on it, too, and over whole half cycles
        mine = which == kind
        begin = float(middle[mine].min())
        mine &= middle < begin + np.floor(2 * (middle[mine].max() - begin) + 1e-6) / 2 - 1e-6
        seen = np.isfinite(values[:, mine]).all(0)
        if seen.sum() > 2:
            x, w = values[:, mine][:, seen], turns[mine][seen]
            waves -= (x - x.mean(1, keepdims=True)) @ (w - w.mean())
    mean = waves.mean()
    error = float(np.std((waves * np.exp(-1j * np.angle(mean))).imag, ddof=1) / np.sqrt(len(waves)))
    if not abs(mean) > SURE * error:
        raise ValueError("the frames show no turn of the strain: their clock cannot be compared with the rheometer's")
    return ClockOffset(cycles=float(np.angle(mean) / (4 * np.pi)), error=float(error / abs(mean) / (4 * np.pi)))
