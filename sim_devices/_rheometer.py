"""The rheometer: stress that relaxes after shear has stopped, or a record played back."""

import csv
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Device

from sim_devices._clock import SimClock
from sim_devices._quantity import Quantity

TICK_S = 0.2
TORQUE_PER_STRESS = 4.326e-3  # mN·m / Pa, the measuring cell's
COLUMNS = ("time", "shear_rate", "shear_stress", "viscosity", "torque")
RESTING_PA = 87.0
RELAXING = ((22376.0, 1.2), (150.0, 9.3), (65.0, 62.0))  # Pa, s: fitted to the record of Horwath et al. (2024)
DIP_EVERY_S = 60.0


class Rheometer(Device):
    """What the rheometer shows while the sample relaxes.

    Staged, it refreshes itself five times a second of the wall's clock, so that `stress` can be monitored.

    Parameters
    ----------
    clock : SimClock
    seed : int
        Of the noise, and of when the sample yields a little.
    """

    stress = Component(Quantity, value=0.0, units="Pa", kind="hinted")
    shear_rate = Component(Quantity, value=0.0, units="1/s")
    viscosity = Component(Quantity, value=0.0, units="Pa s")
    torque = Component(Quantity, value=0.0, units="mN m")
    temperature = Component(Quantity, value=25.0, units="degC")
    time_since_shear = Component(Quantity, value=0.0, units="s")

    def __init__(self, prefix: str = "", *, name: str, clock: SimClock, seed: int = 0, **kwargs: Any) -> None:
        self._clock, self._seed = clock, seed
        self._rng = np.random.default_rng(seed)
        self._record: dict[str, NDArray[np.float64]] | None = None
        self._record_began = 0.0
        self._ticking: threading.Event | None = None
        self._lock = threading.Lock()
        super().__init__(prefix, name=name, **kwargs)

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
            now = self._clock.now()
            stress, rate, viscosity, torque = self._played_back(now) if self._record else self._relaxing(now)
            self.time_since_shear.put(now)
            self.shear_rate.put(rate)
            self.viscosity.put(viscosity)
            self.torque.put(torque)
            self.temperature.put(25 + self._rng.normal(0, 0.01))
            self.stress.put(stress)

    def _relaxing(self, age_s: float) -> tuple[float, float, float, float]:
        stress = RESTING_PA + sum(size * np.exp(-age_s / time) for size, time in RELAXING)
        for number in {int(age_s // DIP_EVERY_S), max(int(age_s // DIP_EVERY_S) - 1, 0)}:
            rng = np.random.default_rng((self._seed, 1 + number))
            since = age_s - (number + rng.uniform()) * DIP_EVERY_S
            stress -= rng.uniform(0.3, 1.8) * np.exp(-since / 15) * (since > 0)
        stress = float(stress * (1 + self._rng.normal(0, 2e-4)) + self._rng.normal(0, 0.05))
        rate = float(self._rng.normal(0, 4e-7))
        return stress, rate, stress / rate, stress * TORQUE_PER_STRESS

    def _played_back(self, now: float) -> tuple[float, ...]:
        time = self._record["time"][0] + now - self._record_began
        names = ("shear_stress", "shear_rate", "viscosity", "torque")
        return tuple(float(np.interp(time, self._record["time"], self._record[name])) for name in names)

    def replay(self, path: Path | str) -> None:
        """Play a record back from now on, in simulated time; after its end the last values stay.

        Parameters
        ----------
        path : path-like
            CSV with the columns time (s), shear_rate (1/s), shear_stress (Pa), viscosity (Pa s) and torque (mN m).

        Raises
        ------
        ValueError
            If the file cannot be read, lacks a column, or its times do not increase.
        """
        record = _read_record(Path(path))
        with self._lock:
            self._record, self._record_began = record, self._clock.now()


def _read_record(path: Path) -> dict[str, NDArray[np.float64]]:
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            rows, found = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read the rheometer record {path}: {error}") from error
    if missing := [name for name in COLUMNS if name not in found]:
        raise ValueError(f"the rheometer record {path} has no column {', '.join(missing)}; it has {', '.join(found)}")
    record = {}
    for name in COLUMNS:
        try:
            record[name] = np.array([float(row[name]) for row in rows])
        except (TypeError, ValueError) as error:
            raise ValueError(f"column {name} of the rheometer record {path} holds something not a number") from error
    if not rows or np.any(np.diff(record["time"]) <= 0):
        raise ValueError(f"column time of the rheometer record {path} must hold at least one time and increase")
    return record
