"""Phases of frames from the rheometer's record while both arrive."""

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Readings
from ainerd_xpcs.numerics import CyclePhase, phase_of_record
from ainerd_xpcs.technique._settings import CyclesSettings

Floats = NDArray[np.float64]
BEFORE = 8  # cycles of the record before the next frames that are fitted with theirs


class CycleClock:
    """The rheometer's record, and the phases of frames.

    Phases of new frames come from the newest part of the record, and count on from those before. So the work on a frame
    does not grow with the length of the run.

    Parameters
    ----------
    settings : CyclesSettings
    readings : Readings
        Of the run; they grow.

    Attributes
    ----------
    frequency : float
        Of the newest part of the record, in Hz; NaN before the first phases.
    """

    def __init__(self, settings: CyclesSettings, readings: Readings) -> None:
        self._keys, self._readings = settings, readings
        self._last: tuple[float, float] | None = None  # time and phase of a frame
        self.frequency = np.nan

    @property
    def first_frame(self) -> float | None:
        """Time of the first frame in s; None before its reading has come."""
        stamps, values = self._readings.series(self._keys.first_frame)
        known = np.flatnonzero(np.isfinite(values))  # before the first frame there may be no number
        return float((values if self._keys.time else stamps)[known[-1]]) if known.size else None

    def record(self) -> tuple[Floats, Floats, Floats]:
        """Return time in s, strain and stress of the points so far, (n,) each; the stress is NaN without a key."""
        keys = [self._keys.strain, self._keys.time, self._keys.stress]
        columns = [self._readings.series(key) if key else None for key in keys]
        there = [each for each in columns if each is not None]
        n = min(each.shape[1] for each in there)
        if max(each.shape[1] for each in there) - n <= 1:  # one may be a document ahead
            strain, clock, stress = (None if each is None else each[1, :n] for each in columns)
            stamps = there[0][0, :n]
        else:
            stamps, strain = there[0]
            clock, stress = (None if each is None else _at(stamps, each) for each in columns[1:])
        t = stamps if clock is None else clock
        assert strain is not None  # its key is given
        good = np.flatnonzero(np.isfinite(t))
        t, first = np.unique(t[good], return_index=True)  # a monitor repeats the last point when it begins
        rows = good[first]
        return t, strain[rows], np.full(len(t), np.nan) if stress is None else stress[rows]

    def phases(self, time: Floats, record: tuple[Floats, Floats, Floats]) -> Floats:
        """Return the phases of the next frames in cycles, (n,); NaN more than a cycle outside of the record's cycles.

        Raises
        ------
        StillError
            If the record shows no oscillation at that time.
        ValueError
            If it cannot be used.
        """
        t, strain, _ = record
        begin = time[0] - BEFORE / self.frequency if np.isfinite(self.frequency) else -np.inf
        mine = t >= begin
        cycle_phase = phase_of_record(t[mine], strain[mine])
        self.frequency = cycle_phase.frequency
        out = inside(cycle_phase, time) + self.whole(cycle_phase)
        known = np.flatnonzero(np.isfinite(out))
        if known.size:
            self._last = float(time[known[-1]]), float(out[known[-1]])
        return out

    def whole(self, cycle_phase: CyclePhase) -> int:
        """Return the cycles to add to the phases of a part of the record, or of all, so that they count on."""
        if self._last is None:
            return 0
        since, phase = self._last
        nearest = float(np.clip(since, cycle_phase.time[0], cycle_phase.time[-1]))
        return round(phase - float(cycle_phase.at(nearest)) - cycle_phase.frequency * (since - nearest))


def inside(cycle_phase: CyclePhase, time: Floats) -> Floats:
    """Return phases in cycles, NaN more than a cycle before the first one or after the last one."""
    reach = 1.499 / cycle_phase.frequency
    near = (time >= cycle_phase.time[0] - reach) & (time <= cycle_phase.time[-1] + reach)
    out = np.full(len(time), np.nan)
    out[near] = cycle_phase.at(time[near])
    return out


def _at(stamps: Floats, series: Floats) -> Floats:
    """Return a series, (2, n), between its points at some time stamps, and NaN outside."""
    if not series.shape[1]:
        return np.full(len(stamps), np.nan)
    return np.asarray(np.interp(stamps, series[0], series[1], left=np.nan, right=np.nan))
