"""The phase of a frame in cycles of oscillatory shear, from a rheometer's record."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import detrend

Floats = NDArray[np.float64]
FEWEST_CYCLES, FEWEST_POINTS = 3, 6  # of a record: cycles, and points in each of them
UNEQUAL = 2.0  # errors by which half of the cycles have another frequency, if these are different (noise: .67)
ROUNDS = 3  # of the fit of cycles of different lengths
OF_NEIGHBOURS = np.sqrt(1.5)  # scatter about the mean of two neighbours, in that of a single number
SEEN = 5.0  # errors by which an oscillation exceeds the noise, a change of amplitude, or the scatter of levels
CHANGED = 0.05  # of the amplitude, by which it is another one
REST = 2  # cycles in a row that do not oscillate as those before
REACH = 1.5  # cycles from the middle of one, in which the phase is known
UNLIKE = 5.0  # times the usual error of a cycle's phase, above which it is interpolated
IRREGULAR = 0.1  # of a cycle: the phase of a strain that wanders scatters more, that of one that is `SEEN` less
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
    """The phase of an oscillation at any time: whole numbers where the strain passes zero upwards.

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
    amplitude, level : ndarray, shape (n,)
        Of the strain in each cycle, and its mean.
    stretch : ndarray of int, shape (n,)
        Number of the stretch of each cycle, from 0: a rest, a ramp, or another amplitude (by 5 %) begins a new one.
    nodes : (ndarray, ndarray), each of shape (m,)
        Times and phases between which the phase is linear.

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
    level: Floats
    stretch: NDArray[np.int64]
    nodes: tuple[Floats, Floats]

    def _sides(self, t: Floats) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the nearest cycle of each time, and whether the time is between two cycles of one stretch."""
        after = np.searchsorted(self.time, t)
        a, b = np.clip(after - 1, 0, None), np.clip(after, None, len(self.time) - 1)
        nearest = np.where(np.abs(t - self.time[a]) <= np.abs(self.time[b] - t), a, b)
        return nearest, (a != b) & (self.stretch[a] == self.stretch[b])

    def inside(self, time: ArrayLike) -> NDArray[np.bool_]:
        """Return whether times are in a stretch of cycles, or at most a cycle away from one, like `time`."""
        t = np.asarray(time, dtype=float)
        nearest, between = self._sides(t)
        return np.asarray(between | (np.abs(t - self.time[nearest]) <= REACH / self.frequency))

    def at(self, time: ArrayLike) -> Floats:
        """Return the phase at times of the same clock, in cycles, like `time`.

        Raises
        ------
        ValueError
            If a time is more than a cycle away from the cycles of the record, such as in a rest; see `inside`.
        """
        t = np.asarray(time, dtype=float)
        if (out := t[~self.inside(t)]).size:
            reach, steps = REACH / self.frequency, np.diff(self.time)
            ends = np.append((np.diff(self.stretch) > 0) & (steps > 2 * reach), True)
            begins = np.append(True, ends[:-1])
            spans = zip(self.time[begins] - reach, self.time[ends] + reach, strict=True)
            raise ValueError(
                f"{out.size} of {t.size} frames, from {out.min():g} to {out.max():g} s, lie outside the record of "
                f"cycles, which goes from {' and from '.join(f'{a:g} to {b:g} s' for a, b in spans)}"
            )
        nearest, between = self._sides(t)
        beside = self.phase[nearest] + self.frequency * (t - self.time[nearest])
        return np.asarray(np.where(between, np.interp(t, *self.nodes), beside))

    def creep(self, lag: float, first: float = -np.inf, last: float = np.inf) -> float:
        """Return by how much the strain of equal phases differs `lag` cycles later, over the amplitude.

        It is the root mean square over the cycles from number `first` to below `last`, of level and amplitude, without
        their noise; NaN without such cycles.
        """
        mine = (np.floor(self.phase) >= first) & (np.floor(self.phase) < last)
        number, stretch = np.rint(self.phase - self.phase[0])[mine], self.stretch[mine]
        _, a, b = np.intersect1d(number + max(round(lag), 1), number, return_indices=True)
        if not a.size or mine.sum() < FEWEST_CYCLES:
            return np.nan
        columns = self.level[mine], self.amplitude[mine]
        square = sum(np.mean((x[a] - x[b]) ** 2) - 2 * _scatter(x, stretch) ** 2 for x in columns)
        return float(np.sqrt(max(square, 0.0)) / columns[1].mean())


def phase_of_record(time: ArrayLike, strain: ArrayLike) -> CyclePhase:
    """Find the phase of each cycle of a strain that oscillates with one frequency, by least squares.

    The phase, the amplitude and the level of each cycle are free, so they may drift. If the levels differ, each cycle
    has a slope as well. Cycles of a rest or a ramp are left out.

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
        fit = _by_cycle(t, x, frequency * (t - t[0]))
        off = fit.middle - _means(fit.middle, fit.run)
        frequency += float(off @ (fit.turn - _means(fit.turn, fit.run)) / (off @ off))
    tried, nodes = frequency * (t - t[0]), (fit.middle, fit.phase)
    of_each = _by_cycle(t, x, tried, has_rate=True)
    off = np.abs(of_each.rate - np.median(of_each.rate)) / np.sqrt(of_each.rate_var + 1e-300)
    if np.median(off) > UNEQUAL:
        for _ in range(ROUNDS):
            nodes = _nodes(of_each)
            beyond = t - np.clip(t, nodes[0][0], nodes[0][-1])
            of_each = _by_cycle(t, x, np.interp(t, *nodes) + frequency * beyond, has_rate=True)
        fit, nodes = of_each, _nodes(of_each)
    formal = float(np.median(fit.share)) / (2 * np.pi)
    return CyclePhase(
        time=fit.middle,
        phase=fit.phase,
        error=max(formal, _scatter(fit.turn, fit.run)),
        frequency=frequency,
        amplitude=fit.amplitude,
        level=fit.level,
        stretch=_stretches(fit),
        nodes=nodes,
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


class _Fit(NamedTuple):
    """Cycles that oscillate, (n,) each: `turn` is their phase less the one that was tried, `share` its error in rad.

    `run` counts up after each rest.
    """

    middle: Floats
    phase: Floats
    turn: Floats
    rate: Floats  # in Hz, with its variance
    rate_var: Floats
    amplitude: Floats
    share: Floats
    level: Floats
    run: NDArray[np.int64]
    are_most: bool  # at least half of the cycles of the record
    drifts: bool  # the level of all cycles


def _first_frequency(t: Floats, x: Floats) -> float:
    """Return the frequency of the largest peak in the spectrum of the record, or of one of its parts.

    A part may tell it if the whole does not: of a record that rests, ramps or creeps. Then the frequency that explains
    most counts.
    """
    reason, best, most = None, np.nan, 0.0
    for n in (1, 2, 4, 8, 16):
        for begin in np.linspace(t[0], t[-1], 2 * n + 1)[:-2]:
            mine = (t >= begin) & (t <= begin + (t[-1] - t[0]) / n)
            try:
                frequency = _peak(t[mine], x[mine])
                fit = _by_cycle(t, x, frequency * (t - t[0]))
            except ValueError as error:
                reason = reason or error
                continue
            if n == 1 and fit.are_most and not fit.drifts:
                return frequency
            explained = np.square(fit.amplitude).sum() / frequency
            if explained > 1.1 * most:
                best, most = frequency, explained
    if not most:
        assert reason is not None
        raise reason
    return best


def _peak(t: Floats, x: Floats) -> float:
    """Return the frequency of the largest peak in the spectrum of even values between points, less their line."""
    if t.size < FEWEST_CYCLES * FEWEST_POINTS:
        raise StillError
    every = float(np.median(np.diff(t)))
    even = np.arange(t[0], t[-1], every)
    y = detrend(between := np.interp(even, t, x))
    size = PADDED * len(even)
    power = np.abs(np.fft.rfft(y * np.hanning(len(y)), size)) ** 2
    frequency = np.fft.rfftfreq(size, every)
    power[frequency < 1 / (t[-1] - t[0])] = 0
    if not np.ptp(y) > 1e-12 * np.abs(between).max():
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


def _by_cycle(t: Floats, x: Floats, phase: Floats, has_rate: bool = False, has_slope: bool = False) -> _Fit:
    """Fit each cycle with a level; `has_rate`: and with a frequency; with a slope if the levels differ by their errors.

    `phase`, (n,), is tried. Cycles in which the sample rests, or whose amplitude changes, are left out: their phase
    says nothing, and a random one would add whole cycles to those after it. StillError without three cycles in a row.
    """
    number, rows = np.floor(phase).astype(int), []
    for begin, end in pairwise([*np.flatnonzero(np.diff(number, prepend=number[0] - 1)), t.size]):
        mine = slice(begin, end)
        turn = 2 * np.pi * phase[mine]
        sine, cosine, far = np.sin(turn), np.cos(turn), turn - turn.mean()
        design = np.stack([sine, cosine, np.ones(turn.size)], axis=1)
        if turn.size < FEWEST_POINTS or np.linalg.cond(design.T @ design) > 50:  # too little of a cycle
            continue
        if has_slope:
            design = np.append(design, far[:, None] / np.pi, axis=1)
        if has_rate:
            a, b, *_ = np.linalg.lstsq(design, x[mine])[0]
            if a == b == 0:
                continue
            design = np.append(design, (far * (a * cosine - b * sine))[:, None], axis=1)
        normal = design.T @ design
        a, b, level, *_ = of = np.linalg.solve(normal, design.T @ x[mine])
        rest = np.square(x[mine] - design @ of).sum() / (turn.size - len(of))
        var = np.linalg.inv(normal).diagonal() * rest
        rate = np.ptp(phase[mine]) / np.ptp(t[mine]) * np.array([1 + of[-1], np.sqrt(var[-1])])
        places = t[mine].mean(), phase[mine].mean(), np.arctan2(b, a), rate[0], rate[1] ** 2
        rows.append((*places, np.hypot(a, b), np.sqrt(var[:2].mean()), level, var[2]))
    if len(rows) < FEWEST_CYCLES:
        raise ValueError(f"the record has {len(rows)} whole cycles, {FEWEST_CYCLES} are needed")
    middle, tried, turn, rate, rate_var, amplitude, error, level, var = np.array(rows).T
    drifts = scatters(level, var)
    if drifts and not has_slope:
        return _by_cycle(t, x, phase, has_rate, has_slope=True)
    share = error / np.maximum(amplitude, 1e-300)
    known = share < 1 / SEEN
    if known.any():  # errors of small amplitudes are larger, as a share
        known &= (share < UNLIKE * np.median(share[known]) + 1e-9) | (error < UNLIKE * np.median(error[known]))
    at = np.flatnonzero(known)
    run = np.cumsum(np.diff(at, prepend=at[:1]) > REST, dtype=np.int64)
    if not at.size or np.bincount(run).max() < FEWEST_CYCLES:
        raise StillError
    turns = np.unwrap(turn[at]) / (2 * np.pi)
    if _scatter(turns, run) > IRREGULAR:
        raise StillError
    are_most = 2 * at.size >= len(known)
    rates = rate[at], rate_var[at]
    return _Fit(
        middle[at], tried[at] + turns, turns, *rates, amplitude[at], share[at], level[at], run, are_most, drifts
    )


def _nodes(fit: _Fit) -> tuple[Floats, Floats]:
    """Return times and phases between which the phase is linear: in the middle of each cycle, and where two meet."""
    (a, b), (phase, then), (rate, other) = ((x[:-1], x[1:]) for x in (fit.middle, fit.phase, fit.rate))
    meet = np.ceil(phase)
    time = (a + (meet - phase) / rate + b - (then - meet) / other) / 2
    value = (phase + rate * (time - a) + then - other * (b - time)) / 2
    good = (np.rint(then - phase) == 1) & (a < time) & (time < b)
    times = np.append(fit.middle, time[good])
    order = np.argsort(times)
    return times[order], np.append(fit.phase, value[good])[order]


def scatters(level: Floats, var: Floats) -> bool:
    """Return whether levels differ by more than their variances allow."""
    off = level - np.average(level, weights=1 / np.maximum(var, 1e-300))
    return bool((off**2 / np.maximum(var, 1e-300)).sum() > level.size + SEEN * np.sqrt(2 * level.size))


def _stretches(fit: _Fit) -> NDArray[np.int64]:
    """Return the number of the stretch of each cycle: of one run, and of the amplitude of its first three cycles."""
    begin, out = 0, np.zeros(len(fit.run), np.int64)
    error = fit.share * fit.amplitude
    for i in range(1, len(out)):
        first = np.median(fit.amplitude[begin : begin + 3])
        off = np.abs(fit.amplitude[i : i + 2] - first).min()  # of two cycles: one may be half at rest
        changes = i + 1 < len(out) and off > max(CHANGED * first, 2 * SEEN * error[i])  # the record cuts its last cycle
        out[i] = out[i - 1] + (changes or fit.run[i] != fit.run[i - 1])
        begin = begin if out[i] == out[i - 1] else i
    return out


def _means(x: Floats, run: NDArray[np.int64]) -> Floats:
    """Return for each number the mean of its run."""
    return np.asarray((np.bincount(run, x) / np.bincount(run))[run])


def _scatter(x: Floats, run: NDArray[Any]) -> float:
    """Return the standard deviation of numbers about the mean of their neighbours in a run, as of a single one."""
    off = (x[1:-1] - (x[:-2] + x[2:]) / 2)[run[:-2] == run[2:]]
    return float(np.sqrt(np.mean(off**2)) / OF_NEIGHBOURS)
