"""The phase of a frame in cycles of oscillatory shear, from a rheometer's record or from triggers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
FEWEST_CYCLES, FEWEST_POINTS = 3, 6  # of a record: cycles, and points in each of them
OF_NEIGHBOURS = np.sqrt(1.5)  # scatter about the mean of two neighbours, in that of a single number
SEEN = 5.0  # errors by which an oscillation exceeds the noise
UNLIKE = 5.0  # times the usual error of a cycle's phase, above which it is interpolated
REGULAR = 0.25  # of a cycle, by which triggers may be late
BESIDE = 4  # over the length of the record: the distance from a peak beyond which its spectrum is over
STANDS_OUT = 30.0  # times the median of the spectrum: noise of 10⁴ points comes so far once in 10⁵ records
PADDED = 8  # times the length of the record, in the first search for the frequency


class StillError(ValueError):
    """The record shows no oscillation.

    Examples
    --------
    >>> try:
    ...     phase_of_record(np.arange(100), np.zeros(100))
    ... except StillError as error:
    ...     print(error)
    the record shows no oscillation: no frequency stands out from the noise
    """

    def __init__(self) -> None:
        super().__init__("the record shows no oscillation: no frequency stands out from the noise")


@dataclass(frozen=True, kw_only=True)
class CyclePhase:
    """The phase of an oscillation at any time: whole numbers where the strain passes zero upwards, or at triggers.

    Attributes
    ----------
    time : ndarray, shape (n,)
        Times at which the phase is known, one a cycle, in s.
    phase : ndarray, shape (n,)
        In cycles.
    error : float
        Standard error of a phase between them, in cycles.
    frequency : float
        In Hz, of all cycles.
    amplitude : ndarray, shape (n,)
        Of the strain in each cycle; NaN for triggers.

    Examples
    --------
    >>> time = np.arange(0, 20, 0.05)
    >>> strain = 0.1 * np.sin(2 * np.pi * 0.5 * time) + np.random.default_rng(0).normal(0, 1e-3, time.size)
    >>> phase = phase_of_record(time, strain)
    >>> round(phase.frequency, 3), phase.error < 0.002, phase.at([4.0, 5.0]).round(2)
    (0.5, True, array([2. , 2.5]))
    """

    time: Floats
    phase: Floats
    error: float
    frequency: float
    amplitude: Floats

    def at(self, time: ArrayLike) -> Floats:
        """Return the phase at times of the same clock, in cycles, like `time`.

        Raises
        ------
        ValueError
            If a time is more than a cycle away from those of the record.
        """
        t = np.asarray(time, dtype=float)
        reach = 1.5 / self.frequency
        if t.size and not (t.min() >= self.time[0] - reach and t.max() <= self.time[-1] + reach):
            raise ValueError(
                f"frames from {t.min():g} to {t.max():g} s lie outside the record of cycles, which goes from "
                f"{self.time[0] - reach:g} to {self.time[-1] + reach:g} s"
            )
        before, after = np.minimum(t - self.time[0], 0), np.maximum(t - self.time[-1], 0)
        return np.asarray(np.interp(t, self.time, self.phase) + self.frequency * (before + after))


def phase_of_record(time: ArrayLike, strain: ArrayLike) -> CyclePhase:
    """Find the phase of each cycle of a strain that oscillates with one frequency, by least squares.

    The phase and the amplitude of each cycle are free, so both may drift, and the amplitude may be swept.

    Parameters
    ----------
    time : array_like, shape (n,)
        In s, increasing; gaps are allowed.
    strain : array_like, shape (n,)
        Strain, or any signal that oscillates with it; points that are not finite are left out.

    Raises
    ------
    StillError
        If the record shows no oscillation.
    ValueError
        If the record cannot be used for another reason: the message says why.

    Examples
    --------
    >>> phase_of_record(np.arange(12), np.zeros(12))
    Traceback (most recent call last):
        ...
    ValueError: the record has 12 points, at least 18 are needed
    """
    t, x = checked_record(time, strain)
    frequency = _first_frequency(t, x)
    for _ in range(3):
        middle, turn, _, _ = _by_cycle(t, x, frequency)
        frequency += float(np.polyfit(middle - middle.mean(), turn, 1)[0])
    middle, turn, amplitude, share = _by_cycle(t, x, frequency)
    formal = float(np.median(share)) / (2 * np.pi)
    phase = frequency * (middle - t[0]) + turn
    return CyclePhase(
        time=middle,
        phase=phase,
        error=max(formal, _scatter(turn)),
        frequency=frequency,
        amplitude=amplitude,
    )


def phase_of_triggers(time: ArrayLike) -> CyclePhase:
    """Return the phase between triggers, one of which comes at the start of each cycle; some may be missing.

    Parameters
    ----------
    time : array_like, shape (n,)
        In s, increasing.

    Raises
    ------
    ValueError
        If there are too few triggers, or they are not regular.

    Examples
    --------
    >>> phase = phase_of_triggers([0.0, 2.0, 4.0, 8.0])  # one is missing
    >>> round(phase.frequency, 3), phase.at([3.0, 6.0])
    (0.5, array([1.5, 3. ]))
    """
    t = np.asarray(time, dtype=float)
    if t.ndim != 1 or t.size < FEWEST_CYCLES or not (np.isfinite(t).all() and (np.diff(t) > 0).all()):
        raise ValueError(f"triggers must be at least {FEWEST_CYCLES} times that increase")
    gaps = np.diff(t)
    cycles = gaps / np.median(gaps)
    whole = np.rint(cycles)
    late = float(np.abs(cycles - whole).max())
    if whole.min() < 1 or late > REGULAR:
        raise ValueError(
            f"triggers are not regular: a gap is {late:.2f} of a cycle longer or shorter than whole cycles"
        )
    phase = np.append(0.0, np.cumsum(whole))
    frequency, begin = np.polyfit(t - t[0], phase, 1)
    return CyclePhase(
        time=t,
        phase=phase,
        error=_scatter(phase - frequency * (t - t[0]) - begin),
        frequency=float(frequency),
        amplitude=np.full(t.size, np.nan),
    )


def checked_record(time: ArrayLike, *columns: ArrayLike) -> tuple[Floats, ...]:
    """Return time and columns as arrays of the rows in which all are finite; raise ValueError if they do not fit."""
    rows = [np.asarray(x, dtype=float) for x in (time, *columns)]
    if any(x.ndim != 1 or x.shape != rows[0].shape for x in rows):
        raise ValueError(f"the record's columns must be of one length, got {', '.join(str(x.shape) for x in rows)}")
    good = np.isfinite(rows).all(0)
    if good.sum() < FEWEST_CYCLES * FEWEST_POINTS:
        raise ValueError(f"the record has {good.sum()} points, at least {FEWEST_CYCLES * FEWEST_POINTS} are needed")
    rows = [x[good] for x in rows]
    if not (np.diff(rows[0]) > 0).all():
        raise ValueError("the record's times do not increase")
    return tuple(rows)


def _first_frequency(t: Floats, x: Floats) -> float:
    """Return the frequency with the largest amplitude, of evenly spaced values between the points."""
    every = float(np.median(np.diff(t)))
    even = np.arange(t[0], t[-1], every)
    y = np.interp(even, t, x)
    size = PADDED * len(even)
    power = np.abs(np.fft.rfft((y - y.mean()) * np.hanning(len(y)), size)) ** 2
    frequency = np.fft.rfftfreq(size, every)
    power[frequency < 1 / (t[-1] - t[0])] = 0
    if not power.max() > 0:
        raise StillError
    peak = float(frequency[int(power.argmax())])
    beside = np.abs(frequency - peak) > BESIDE / (t[-1] - t[0])
    if beside.any() and power.max() < STANDS_OUT * np.median(power[beside]):
        raise StillError
    if peak * (t[-1] - t[0]) < FEWEST_CYCLES:
        raise ValueError(f"the record covers {peak * (t[-1] - t[0]):.1f} cycles, {FEWEST_CYCLES} are needed")
    if 1 / peak / every < FEWEST_POINTS:
        raise ValueError(f"the record has {1 / peak / every:.1f} points a cycle, {FEWEST_POINTS} are needed")
    return peak


def _by_cycle(t: Floats, x: Floats, frequency: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Return by cycle: its middle, the phase less that of the frequency, the amplitude and its relative error.

    Cycles in which the sample rests, or whose amplitude changes, are left out: their phase says nothing, and a random
    one would add whole cycles to those after it. StillError if they are most cycles.
    """
    number, rows = ((t - t[0]) * frequency).astype(int), []
    for cycle in np.unique(number):
        mine = number == cycle
        turn = 2 * np.pi * frequency * (t[mine] - t[0])
        design = np.stack([np.sin(turn), np.cos(turn), np.ones(turn.size)], axis=1)
        normal = design.T @ design
        if mine.sum() < FEWEST_POINTS or np.linalg.cond(normal) > 50:  # too little of a cycle
            continue
        a, b, level = np.linalg.solve(normal, design.T @ x[mine])
        rest = np.square(x[mine] - design @ (a, b, level)).sum() / (mine.sum() - 3)
        error = np.sqrt(np.linalg.inv(normal)[:2, :2].trace() / 2 * rest)
        rows.append((t[mine].mean(), np.arctan2(b, a), np.hypot(a, b), error))
    if len(rows) < FEWEST_CYCLES:
        raise ValueError(f"the record has {len(rows)} whole cycles, {FEWEST_CYCLES} are needed")
    middle, turn, amplitude, error = np.array(rows).T
    share = error / np.maximum(amplitude, 1e-300)
    known = (share < 1 / SEEN) & (share < UNLIKE * np.median(share) + 1e-9)
    if known.sum() < max(FEWEST_CYCLES, len(known) / 2):
        raise StillError
    return middle[known], np.unwrap(turn[known]) / (2 * np.pi), amplitude[known], share[known]


def _scatter(x: Floats) -> float:
    """Return the standard deviation of numbers about the mean of their neighbours, as of a single one."""
    return float(np.sqrt(np.mean((x[1:-1] - (x[:-2] + x[2:]) / 2) ** 2)) / OF_NEIGHBOURS)
