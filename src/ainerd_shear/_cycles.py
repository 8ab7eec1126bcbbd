"""Echoes of a run that oscillates, while its frames arrive, beside the moduli of the same cycles.

`Cycles` correlates the frames; `CycleClock` computes their phases from the rheometer's record, which arrives as well.
"""

from collections import deque
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Readings
from ainerd_shear._clock_offset import ClockOffset, clock_offset
from ainerd_shear._cycle_moduli import CycleModuli, cycle_moduli
from ainerd_shear._cycle_phase import CyclePhase, StillError, phase_of_record
from ainerd_shear._echoes import EchoCurves, Echoes
from ainerd_shear._settings import WITHIN, CyclesSettings
from ainerd_xpcs.numerics import Events, Partition, Screened, two_time

Floats = NDArray[np.float64]
AHEAD = 1.5  # cycles of the record after a frame, before its phase is known
BEFORE = 8  # cycles of the record before the next frames that are fitted with theirs
FEWEST, HELD = 64, 512  # frames that wait before the record is looked at: of a run that begins, and later
MOST_BYTES = 256 << 20  # of frames that wait
OFFSET_CYCLES, OFFSET_FRAMES, LEAST_FRAMES = 4, 16, 8  # for the clock: cycles, frames of a cycle, and at least
SMALL = 1e-6  # of a cycle, between frames
SURE = 3.0  # errors by which an offset of the clocks exceeds zero, if it is corrected
NO_FRAME = "no frame was taken while the rheometer recorded cycles"
NO_TIME = "the time of the first frame was not read"
NO_STRESS = "rheo_xpcs.cycles.stress is empty"


class CycleResult(NamedTuple):
    """Echoes and moduli of a run.

    Attributes
    ----------
    curves : EchoCurves
    first : int
        Number of the first cycle of `curves`, as `moduli` and `phase` count.
    phase : CyclePhase
        Of the whole record.
    moduli : CycleModuli or None
    no_moduli : str
        Reason why there are no moduli; empty if there are.
    offset : ClockOffset or None
        Between the clocks of detector and rheometer.
    n_outside : int
        Frames that the record does not place in a cycle.
    """

    curves: EchoCurves
    first: int
    phase: CyclePhase
    moduli: CycleModuli | None
    no_moduli: str
    offset: ClockOffset | None
    n_outside: int = 0


class Cycles:
    """Takes the frames of a run, and finds their phases and echoes if its record oscillates.

    Frames wait until the record has come as far as they have: some hundred frames, and never more than 256 MB.

    Parameters
    ----------
    settings : CyclesSettings
    partition : Partition
    readings : Readings
    frame_time_s : float

    Attributes
    ----------
    oscillates : bool
        Whether the record so far does.
    reason : str
        Why there are no echoes although the record may oscillate; empty if there are, or if the sample is at rest.
    """

    def __init__(
        self,
        settings: CyclesSettings,
        partition: Partition,
        readings: Readings,
        frame_time_s: float,
    ) -> None:
        self._settings, self._partition, self._frame_time_s = settings, partition, frame_time_s
        self._clock = CycleClock(settings, readings)
        self._waiting: deque[Screened] = deque()
        self._n_waiting = self._n_frames = self._n_outside = 0
        self._looked_for_offset = False
        self._offset: ClockOffset | None = None
        self._shift = 0.0  # of the phases, by the offset
        self._begin: float | None = None  # phase of the first frame that has one
        self._newest = -np.inf
        self.oscillates, self.reason = False, ""

    @cached_property
    def _echoes(self) -> Echoes:
        """Correlators, which only a run that oscillates needs."""
        return Echoes(self._partition, self._settings.phases, within=WITHIN)

    def push(self, screened: Screened) -> None:
        """Take the next frames."""
        if self.reason:
            return
        if isinstance(screened.frames, Events):
            self.reason = "the detector writes events, and echoes need frames"
            return
        self._waiting.append(screened)
        self._n_waiting += len(screened.valid)
        size = sum(each.frames.nbytes for each in self._waiting if not isinstance(each.frames, Events))
        self._n_frames += len(screened.valid)
        if self._n_waiting < np.clip(self._n_frames // 4, FEWEST, HELD) and size < MOST_BYTES:
            return
        self._advance(is_end=False)
        if size >= MOST_BYTES and self._n_waiting and not self.reason:
            self._give_up(f"{self._n_waiting} frames came before the record of the rheometer that tells their phases")

    def _give_up(self, reason: str) -> None:
        self.reason, self._n_waiting = reason, 0
        self._waiting.clear()

    def _advance(self, is_end: bool) -> None:
        """Pass on the frames that the record covers, at the end all of them."""
        try:
            begin, record = self._clock.first_frame, self._clock.record()
        except ValueError as error:
            return self._give_up(str(error))
        if begin is None or not len(record[0]) or not self._waiting:
            return
        ahead = np.nan_to_num(AHEAD / self._clock.frequency)  # the last cycle of the record has no period yet
        until = np.inf if is_end else (record[0][-1] - ahead - begin) / self._frame_time_s
        n_ready = sum(each.first + len(each.valid) <= until for each in self._waiting)
        if not n_ready:
            return
        ready = [self._waiting[i] for i in range(n_ready)]
        numbers = np.concatenate([each.first + np.arange(len(each.valid)) for each in ready])
        time = begin + numbers * self._frame_time_s
        try:
            phase = self._clock.phases(time, record) if len(time) else time
        except StillError:
            phase = np.full(len(time), np.nan)
        except ValueError as error:
            if is_end:
                self._give_up(str(error))
            return
        self.oscillates |= bool(np.isfinite(phase).any())
        if not (self._looked_for_offset or self._look_for_offset(phase, ready, is_end)):
            return
        for _ in range(n_ready):
            self._waiting.popleft()
        self._n_waiting -= len(time)
        done = 0
        for each in ready:
            mine = slice(done, done + len(each.valid))
            done = mine.stop
            try:
                self._correlate(each, phase[mine])
            except ValueError as error:
                return self._give_up(str(error))

    def _correlate(self, screened: Screened, phase: Floats) -> None:
        if screened.leave_out.size:
            self._echoes.leave_out(screened.leave_out)
        known = np.isfinite(phase)
        self._n_outside += int((~known).sum())
        if not known.any():
            return
        seen = phase[known] + self._shift
        seen = np.maximum.accumulate(np.maximum(seen, self._newest))  # parts of the record may overlap
        seen += SMALL * np.arange(1, len(seen) + 1)
        if self._begin is None:
            self._begin = float(seen[0])
        self._newest = float(seen[-1])
        self._echoes.push(np.asarray(screened.frames)[known], seen, screened.valid[known])

    def _look_for_offset(self, phase: Floats, ready: list[Screened], is_end: bool) -> bool:
        """Compare the clocks by the first cycles; return False if more frames are needed for that."""
        known = np.flatnonzero(np.isfinite(phase))
        if not known.size:
            return True  # at rest so far
        a_cycle = 1 / (self._clock.frequency * self._frame_time_s)
        span = phase[known[-1]] - phase[known[0]]
        if a_cycle >= LEAST_FRAMES and span < OFFSET_CYCLES and not is_end and self._n_waiting < 8 * HELD:
            return False
        self._looked_for_offset = True
        if a_cycle < LEAST_FRAMES:
            return True
        some = known[phase[known] <= phase[known[0]] + OFFSET_CYCLES][:: max(int(a_cycle // OFFSET_FRAMES), 1)]
        frames = np.concatenate([np.asarray(each.frames) for each in ready])[some]
        try:
            self._offset = clock_offset(two_time(frames, self._partition), phase[some])
        except ValueError:  # the speckle does not tell
            return True
        if abs(self._offset.cycles) > SURE * self._offset.error:
            self._shift = self._offset.cycles
        return True

    def n_cycles(self, n_frames: int) -> int:
        """Return the number of cycles in so many frames."""
        return round(n_frames * self._frame_time_s * self._clock.frequency)

    def so_far(self) -> EchoCurves | None:
        """Return the echoes so far, or None before the first one."""
        try:
            return self._echoes.result()
        except ValueError:
            return None

    def finish(self) -> CycleResult | None:
        """Return the echoes and moduli of the frames so far; None if the sample is at rest, or with a `reason`."""
        try:
            t, strain, _ = self._clock.record()
            if not strain.size or strain.min() == strain.max():
                raise StillError
            phase = phase_of_record(t, strain)
            self._advance(is_end=True)
            if self.reason:
                return None
            if self._begin is None:
                raise ValueError(NO_FRAME if self._clock.first_frame is not None else NO_TIME)
            self._echoes.end()
            curves = self._echoes.result()
        except StillError:
            self.reason = ""
            return None
        except ValueError as error:
            self.reason = str(error)
            return None
        moduli, no_moduli = None, "" if self._settings.stress else NO_STRESS
        if self._settings.stress:
            try:
                moduli = cycle_moduli(*self._clock.record(with_stress=True), phase)
            except ValueError as error:
                no_moduli = str(error)
        first = int(np.floor(self._begin)) - self._clock.whole(phase)
        return CycleResult(curves, first, phase, moduli, no_moduli, self._offset, self._n_outside)


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
        stamps, values = self._readings.series(self._keys.first_frame, "s" if self._keys.time else "")
        known = np.flatnonzero(np.isfinite(values))  # before the first frame there may be no number
        return float((values if self._keys.time else stamps)[known[-1]]) if known.size else None

    def record(self, with_stress: bool = False) -> tuple[Floats, Floats, Floats]:
        """Return time in s, strain as a fraction and stress in Pa of the points so far, (n,) each, or a stress of NaN.

        Raises UnitError if a unit in the documents cannot be converted to these.
        """
        keys = (self._keys.strain, "1"), (self._keys.time, "s"), (self._keys.stress * with_stress, "Pa")
        columns = [self._readings.series(key, unit) if key else None for key, unit in keys]
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
        rows = np.flatnonzero(np.isfinite(t))
        step = np.diff(t[rows])
        if (step < 0).any():
            k = int(step.argmin())
            raise ValueError(f"the times of the record run back from {t[rows[k]]:.10g} to {t[rows[k + 1]]:.10g} s")
        if (step == 0)[np.diff(strain[rows]) != 0].any():
            raise ValueError(self._of_equal_times(t[rows][np.flatnonzero(step == 0)[0]]))
        rows = rows[np.append(True, step > 0)[: rows.size]]  # a monitor repeats the last point when it begins
        return t[rows], strain[rows], np.full(len(rows), np.nan) if stress is None else stress[rows]

    def _of_equal_times(self, time: float) -> str:
        if not (key := self._keys.time):
            return "points of the record have one time stamp: name their times in rheo_xpcs.cycles.time"
        return f"different points of the record have one time in {key!r}, {time:.10g} s: export it with more digits"

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
        known = np.flatnonzero(cycle_phase.inside(time))
        out = np.full(len(time), np.nan)
        out[known] = cycle_phase.at(time[known]) + self.whole(cycle_phase)
        if known.size:
            self._last = float(time[known[-1]]), float(out[known[-1]])
        return out

    def whole(self, cycle_phase: CyclePhase) -> int:
        """Return the cycles to add to the phases of a part of the record, or of all, so that they count on."""
        if self._last is None:
            return 0
        since, phase = self._last
        i = int(np.abs(cycle_phase.time - since).argmin())
        return round(float(phase - cycle_phase.phase[i] - cycle_phase.frequency * (since - cycle_phase.time[i])))


def _at(stamps: Floats, series: Floats) -> Floats:
    """Return a series, (2, n), between its points at some time stamps, and NaN outside."""
    if not series.shape[1]:
        return np.full(len(stamps), np.nan)
    return np.asarray(np.interp(stamps, series[0], series[1], left=np.nan, right=np.nan))
