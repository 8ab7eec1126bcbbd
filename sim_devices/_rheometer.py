"""The rheometer: it shears the sample, shows the stress while that flows and relaxes, or plays a record back."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from ophyd import Component, Device, Signal
from ophyd.status import Status
from ophyd.utils import LimitError

from sim_devices._clock import SimClock
from sim_devices._quantity import Quantity
from sim_devices._rheology_record import RheologyRecord
from sim_devices._shear import RATES, Shear
from sim_devices._yielding import Yielding

TICK_S = 0.2
TORQUE_PER_STRESS = 4.326e-3  # mN·m / Pa, the measuring cell's
RECOVERY_S = 60.0  # about what the first dip of the published record takes


class ShearRateSetpoint(Quantity):
    """A rate shears the sample from now on, 0 lets it rest."""

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
    """What the motor does: ``"rate"`` while the shear rate is controlled, ``"stop"`` while the sample rests."""

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
    """How long to go on as it is: a number of seconds, reached when they have passed on the simulated clock."""

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

    A session starts as shear stops, at zero of the clock. Staged, the readings are refreshed five times a second of the
    wall's clock, so that `stress` can be monitored; unstaged, when they are read.

    Parameters
    ----------
    clock : SimClock
    seed : int
        Of the noise.
    yielding : Yielding, optional
        When the sample yields: the stress drops by each event's size and recovers within minutes. Without, it never
        does.
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
        self._record: RheologyRecord | None = None
        self._record_began = 0.0
        self._ticking: threading.Event | None = None
        self._lock = threading.Lock()
        super().__init__(prefix, name=name, **kwargs)

    @property
    def age_s(self) -> float:
        """Simulated seconds since shear stopped, now: 0 while it goes on."""
        with self._lock:
            return self._age_s(self.clock.now())

    def _age_s(self, now: float) -> float:
        return self._record.age_s(now - self._record_began) if self._record else self._shear.age_s(now)

    def shear(self, rate: float) -> None:
        """Shear at a rate in 1/s from now on, or rest at 0; a record that is played back ends."""
        with self._lock:
            self._shear, self._record = self._shear.change(rate, self.clock.now()), None
            self.shear_number.put(self._shear.number)
        Signal.put(self.shear_rate_setpoint, rate, force=True)
        Signal.put(self.mode, "rate" if rate else "stop", force=True)

    def replay(self, path: Path | str) -> None:
        """Play a record back from now on, in simulated time; after its end the last values stay.

        The time since shear stopped is the record's as well. Shearing ends it.

        Parameters
        ----------
        path : path-like
            CSV with the columns time (s), shear_rate (1/s), shear_stress (Pa), viscosity (Pa s) and torque (mN m).

        Raises
        ------
        ValueError
            If the file cannot be read, lacks a column, or its times do not increase.
        """
        record = RheologyRecord(path)
        with self._lock:
            self._record, self._record_began = record, self.clock.now()

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
            values = self._record.at(now - self._record_began) if self._record else self._measured(now)
            self.time_since_shear.put(self._age_s(now))
            self.shear_rate.put(values["shear_rate"])
            self.viscosity.put(values["viscosity"])
            self.torque.put(values["torque"])
            self.temperature.put(25 + self._rng.normal(0, 0.01))
            self.normal_force.put(self._rng.normal(0, 0.01))
            self.stress.put(values["shear_stress"])

    def _measured(self, now: float) -> dict[str, float]:
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
        """What recent events have taken from the stress, in Pa."""
        if self._yielding is None:
            return 0.0
        age = self._shear.age_s(now)
        events = self._yielding.between(age - 8 * RECOVERY_S, age, self._shear.number)
        return sum(size * float(np.exp((when - age) / RECOVERY_S)) for when, size in events)
