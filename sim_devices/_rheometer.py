"""The rheometer: it shears the sample, and shows the stress under shear and after it, from a model.

The model is fitted to the record that Horwath et al. (Nat. Commun. 15, 5945, 2024) published with their data: 190 s at
30 1/s, 10 s at 100 1/s, then rest. Other rates follow the power laws through these two; they were not measured.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from typing import Any

import numpy as np
from ophyd import Component, Device, Signal
from ophyd.status import Status
from ophyd.utils import LimitError

from sim_devices._basics import Quantity, SimClock

SIZES_PA = (0.15, 2.0)  # the published record, read every 10 s, has no step of more than 2 Pa
REGULAR = 4  # shape of the gaps' gamma law: 1 would be a Poisson process
FADING_S, FADING = 600.0, 0.3
BLOCK = 64


class Yielding:
    """The yield events of a sample: a seeded point process in the time since shear stopped.

    Stick and slip: gaps follow a gamma law, the first one cut at random. The rate falls as (1 + age / 600 s)^-0.3.
    Sizes are drawn from the power law with exponent -3/2 of slip avalanches in the mean field (Dahmen, Ben-Zion and
    Uhl, Phys. Rev. Lett. 102, 175501, 2009), cut at 0.15 and 2 Pa.

    Parameters
    ----------
    seed : int
        The same seed gives the same events.
    gap_s : float
        Mean time between events just after shear stopped, in seconds. With the default hardly an exposure of 50 s
        sees none. In the record of Horwath et al. (2024) the stress yields four times in an hour (``gap_s=600``),
        each time in a run of steps.

    Raises
    ------
    ValueError
        If `gap_s` is not positive.
    """

    def __init__(self, seed: int = 0, *, gap_s: float = 13.0) -> None:
        if not gap_s > 0:
            raise ValueError(f"gap_s must be positive, got {gap_s}")
        self._seed, self._gap_s = seed, gap_s

    def between(self, start_s: float, stop_s: float, shear_number: int = 0) -> tuple[tuple[float, float], ...]:
        """Return the events with start <= age < stop; those of two halves are those of the whole.

        Parameters
        ----------
        start_s, stop_s : float
            Ages, in seconds since shear stopped.
        shear_number : int
            Number of earlier starts of shear: each has its own events.

        Returns
        -------
        tuple of (float, float)
            Age in seconds and size in Pa, in order of age.

        Raises
        ------
        ValueError
            If `stop_s` comes before `start_s` or is not finite.
        """
        if not start_s <= stop_s < np.inf:
            raise ValueError(f"start_s and stop_s must be finite and in order, got {start_s} and {stop_s}")
        later = dropwhile(lambda event: event[0] < start_s, self._events(shear_number))
        return tuple(takewhile(lambda event: event[0] < stop_s, later))

    def _events(self, shear_number: int) -> Iterator[tuple[float, float]]:
        """Yield all events, without end: gaps are drawn in units of the mean gap, then stretched as the rate falls."""
        rng = np.random.default_rng((self._seed, shear_number))
        begun = 0.0
        while True:
            gaps = rng.gamma(REGULAR, 1 / REGULAR, BLOCK)
            if not begun:
                gaps[0] *= rng.uniform()
            passed = begun + np.cumsum(gaps)
            begun = passed[-1]
            ages = FADING_S * ((1 + passed * self._gap_s * (1 - FADING) / FADING_S) ** (1 / (1 - FADING)) - 1)
            small, large = np.power(SIZES_PA, -0.5)
            sizes = rng.uniform(large, small, BLOCK) ** -2
            yield from zip(ages.tolist(), sizes.tolist(), strict=True)


RATES = (0.01, 100.0)  # 1/s: faster, the motor would need more than the 200 mN·m it has
RESTING_PA = 87.05
RELAXING = ((160.3, 7.1), (78.3, 57.6))  # Pa, s
STOPPING_S = 1.0  # the rest goes at once: the record's first point after shear comes at 10 s
LAST_SHEARED_PA = 22678.0


def _power_law(rate: float, at_30: float, at_100: float) -> float:
    return at_30 * (at_100 / at_30) ** (np.log(rate / 30) / np.log(100 / 30))


def sheared_stress(rate: float, for_s: float) -> float:
    """Return the stress in Pa after shearing at a rate in 1/s for a time in s: thixotropic decay to the flow curve.

    The fit leaves 0.3 kPa rms of 11 to 16 kPa at 30 1/s, and 0.5 kPa of 23 to 41 kPa at 100 1/s.
    """
    steady = _power_law(rate, 10912.0, 17326.0)
    excess = _power_law(rate, 5772.0, 23065.0)
    return float(steady + excess * np.exp(-for_s / _power_law(rate, 30.2, 6.03)))


def relaxing_stress(from_pa: float, age_s: float) -> float:
    """Return the stress in Pa at a time after shear stopped, when it was `from_pa`.

    The fit leaves 0.2 Pa rms from 10 to 380 s. Later the record yields, and stiffens by 3 Pa within the hour.
    """
    slow = sum(size * np.exp(-age_s / time) for size, time in RELAXING)
    at_once = from_pa - RESTING_PA - sum(size for size, _ in RELAXING)
    return float(RESTING_PA + slow + at_once * np.exp(-age_s / STOPPING_S))


@dataclass(frozen=True, kw_only=True)
class Shear:
    """The shear of the sample since its last change. At first, shear has just stopped, as in the record.

    Attributes
    ----------
    rate : float
        In 1/s; 0 at rest.
    since_s : float
        Time of the change, on the simulated clock.
    number : int
        Number of starts of shear in this session.
    from_pa : float
        Stress at that moment, in Pa.
    """

    rate: float = 0.0
    since_s: float = 0.0
    number: int = 0
    from_pa: float = LAST_SHEARED_PA

    def change(self, rate: float, now_s: float) -> "Shear":
        """Change the shear rate; the same rate changes nothing."""
        if rate == self.rate:
            return self
        number = self.number + (self.rate == 0)
        return Shear(rate=rate, since_s=now_s, number=number, from_pa=self.stress(now_s))

    def age_s(self, now_s: float) -> float:
        """Return the time since shear stopped, 0 during shear."""
        return 0.0 if self.rate else now_s - self.since_s

    def stress(self, now_s: float) -> float:
        """Return the stress in Pa of a sample that does not yield."""
        elapsed = now_s - self.since_s
        return sheared_stress(self.rate, elapsed) if self.rate else relaxing_stress(self.from_pa, elapsed)


TICK_S = 0.2
TORQUE_PER_STRESS = 4.326e-3  # mN·m / Pa, the measuring cell's
RECOVERY_S = 60.0  # about the first dip of the published record


class ShearRateSetpoint(Quantity):
    """A signal of the shear rate; 0 lets the sample rest."""

    def check_value(self, value: float, **kwargs: Any) -> None:
        """Raise `LimitError` if the rheometer has no such rate."""
        low, high = RATES
        if not (value == 0 or low <= value <= high):
            raise LimitError(f"{self.name} must be 0 or lie between {low} and {high} 1/s, got {value}")

    def put(self, value: float, **kwargs: Any) -> None:
        """Shear at this rate."""
        self.check_value(value)
        self.parent.shear(float(value))


class Mode(Signal):
    """A signal of the motor: ``"rate"`` while the shear rate is controlled, ``"stop"`` while the sample rests."""

    def check_value(self, value: str, **kwargs: Any) -> None:
        """Raise `ValueError` for any mode but ``"stop"`` and the present one."""
        if value not in ("stop", self.get()):
            rate = self.parent.shear_rate_setpoint.name
            raise ValueError(f'{self.name} can be set to "stop", not to {value!r}; to shear, put a rate to {rate}')

    def put(self, value: str, **kwargs: Any) -> None:
        """Stop the motor."""
        self.check_value(value)
        if value == "stop":
            self.parent.shear(0.0)


class Dwell(Quantity):
    """A wait in simulated seconds, without a change of shear."""

    def set(self, value: float, **kwargs: Any) -> Status:
        """Begin to wait.

        Raises
        ------
        ValueError
            If `value` is negative or not finite.
        """
        if not 0 <= value < np.inf:
            raise ValueError(f"{self.name} must be finite and not negative, got {value}")
        return self.parent.clock.later(value, lambda: self.put(float(value)))


class Rheometer(Device):
    """A rheometer in the manner of the MCR 301, with the sample in its Couette cell.

    A session starts as shear stops, at zero of the clock. While it is staged, the readings are refreshed five times a
    second of the wall clock, so that `stress` can be monitored; otherwise when they are read.

    Parameters
    ----------
    clock : SimClock
    seed : int
        Seed of the noise.
    yielding : Yielding, optional
        Yield events: the stress drops by each event's size and recovers within minutes. Without it the
        sample never yields.
    """

    shear_rate_setpoint = Component(ShearRateSetpoint, value=0.0, units="1/s", kind="config")
    mode = Component(Mode, value="stop", kind="config")
    dwell = Component(Dwell, value=0.0, units="s", kind="omitted")
    stress = Component(Quantity, value=0.0, units="Pa", kind="hinted")
    shear_rate = Component(Quantity, value=0.0, units="1/s")
    viscosity = Component(Quantity, value=0.0, units="Pa s")
    torque = Component(Quantity, value=0.0, units="mN m")
    temperature = Component(Quantity, value=25.0, units="degC")
    # Noise: a Couette cell has no surface on which the sample could push along the axis.
    normal_force = Component(Quantity, value=0.0, units="N")
    time_since_shear = Component(Quantity, value=0.0, units="s")
    shear_number = Component(Signal, value=0)

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        clock: SimClock,
        seed: int = 0,
        yielding: Yielding | None = None,
        **kwargs: Any,
    ) -> None:
        self.clock, self._yielding = clock, yielding
        self._rng = np.random.default_rng(seed)
        self._shear = Shear()
        self._ticking: threading.Event | None = None
        self._lock = threading.Lock()
        super().__init__(prefix, name=name, **kwargs)

    @property
    def age_s(self) -> float:
        """Return the simulated seconds since shear stopped, 0 during shear."""
        with self._lock:
            return self._shear.age_s(self.clock.now())

    def shear(self, rate: float) -> None:
        """Shear at a rate in 1/s from now on, or rest at 0."""
        with self._lock:
            self._shear = self._shear.change(rate, self.clock.now())
            self.shear_number.put(self._shear.number)
        Signal.put(self.shear_rate_setpoint, rate, force=True)
        Signal.put(self.mode, "rate" if rate else "stop", force=True)

    def stage(self) -> list[object]:
        """Start refreshing."""
        staged = super().stage()
        stop = self._ticking = threading.Event()
        threading.Thread(target=self._tick, args=(stop,), daemon=True).start()
        return staged

    def unstage(self) -> list[object]:
        """Stop refreshing."""
        if self._ticking is not None:
            self._ticking.set()
            self._ticking = None
        return super().unstage()

    def _tick(self, stop: threading.Event) -> None:
        while not stop.wait(TICK_S):
            self._refresh()

    def read(self) -> dict[str, Any]:
        """Measure and read."""
        self._refresh()
        return super().read()

    def _refresh(self) -> None:
        with self._lock:
            now = self.clock.now()
            values = self.measured(now) | {"time_since_shear": self._shear.age_s(now)}
            values |= {"temperature": 25 + self._rng.normal(0, 0.01), "normal_force": self._rng.normal(0, 0.01)}
            values["stress"] = values.pop("shear_stress")  # the last one, which may be monitored
            for name, value in values.items():
                getattr(self, name).put(value)

    def measured(self, now: float) -> dict[str, float]:
        """Return the readings at a time of the clock."""
        # Noise of the readings, each as in the published record.
        rate, stress = self._shear.rate, self._shear.stress(now)
        if rate:
            rate += self._rng.normal(0, 0.02)
            stress *= 1 + self._rng.normal(0, 0.01)
        else:
            rate = self._rng.normal(0, 4e-7)
            stress = (stress - self._dip(now)) * (1 + self._rng.normal(0, 2e-4)) + self._rng.normal(0, 0.05)
        torque = stress * TORQUE_PER_STRESS
        return {"shear_rate": rate, "shear_stress": stress, "viscosity": stress / rate, "torque": torque}

    def _dip(self, now: float) -> float:
        """Return the drop of the stress by recent events, in Pa."""
        if self._yielding is None:
            return 0.0
        age = self._shear.age_s(now)
        events = self._yielding.between(age - 8 * RECOVERY_S, age, self._shear.number)
        return sum(size * float(np.exp((when - age) / RECOVERY_S)) for when, size in events)
