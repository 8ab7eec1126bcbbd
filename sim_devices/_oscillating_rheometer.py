"""The rheometer that shears to and fro, and its record, which flies beside the detector."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from ophyd import Component
from ophyd.status import Status

from sim_devices._basics import Quantity
from sim_devices._oscillation import Oscillation, SoftSolid, recorded
from sim_devices._rheometer import TORQUE_PER_STRESS, Rheometer


class SetPoint(Quantity):
    """Amplitude, frequency, or rest before an oscillation; setting one begins a new oscillation."""

    def put(self, value: float, **kwargs: Any) -> None:
        """Set the value and begin to oscillate, or rest at an amplitude of 0."""
        super().put(float(value), **kwargs)
        self.parent.begin()


class OscillatingRheometer(Rheometer):
    """A rheometer that can also shear to and fro, with a record of time, strain and stress.

    The record is flown: it begins at `kickoff`, and `collect_pages` gives its points since the last time, at even times
    of the simulated clock. Their key ``…_gate`` has the time of the detector's first frame since `kickoff`, by the gate
    that the detector sends, and NaN before.

    Parameters
    ----------
    material : SoftSolid, optional
        Material that is strained.
    points : int
        Of the record in a cycle.
    noise : float
        Of strain and stress in the record, as a share of their amplitudes.
    """

    strain = Component(Quantity, value=0.0, units="")
    frequency = Component(SetPoint, value=1.0, units="Hz", limits=(1e-3, 100.0))
    rest = Component(SetPoint, value=0.0, units="s", limits=(0.0, 1e6))
    strain_amplitude = Component(SetPoint, value=0.0, units="1", limits=(0.0, 10.0))

    def __init__(
        self,
        prefix: str = "",
        *,
        material: SoftSolid | None = None,
        points: int = 20,
        noise: float = 0.01,
        **kwargs: Any,
    ) -> None:
        self._material, self._points, self._noise = material or SoftSolid(), points, noise
        self._oscillation: Oscillation | None = None
        self._gate_s, self._recorded_s = np.nan, 0.0
        super().__init__(prefix, **kwargs)

    @property
    def oscillation(self) -> Oscillation | None:
        """The oscillation on the simulated clock; None at rest and in steady shear."""
        return self._oscillation

    def begin(self) -> None:
        """Rest for the time `rest`, then oscillate by the set points; an amplitude of 0 ends an oscillation."""
        if amplitude := self.strain_amplitude.get():
            self.oscillate(self.frequency.get(), ((1.0, amplitude),), self.rest.get())
        elif self._oscillation is not None:
            self.shear(0.0)

    def oscillate(
        self, frequency_hz: float, steps: tuple[tuple[float, float], ...], rest_s: float = 0.0
    ) -> Oscillation:
        """Oscillate after a rest, with the cycles and amplitudes of these steps, until `shear` is called.

        Returns
        -------
        Oscillation
            On the simulated clock.
        """
        oscillation = Oscillation(frequency_hz=frequency_hz, steps=steps, begin_s=self.clock.now() + rest_s)
        self.shear(0.0)
        with self._lock:
            self._oscillation = oscillation
        return oscillation

    def shear(self, rate: float) -> None:
        """Shear at a rate in 1/s from now on, or rest at 0; an oscillation ends."""
        with self._lock:
            self._oscillation = None
        super().shear(rate)

    def next_turn(self, now: float) -> float:
        """Return when the strain is largest next; `now` without an oscillation."""
        if self._oscillation is None:
            return now
        cycle = float(self._oscillation.cycle(now))
        return self._oscillation.begin_s + (np.ceil(cycle - 0.25) + 0.25) / self._oscillation.frequency_hz

    def open_gate(self, at_s: float) -> None:
        """Take the time of the detector's first frame."""
        self._gate_s = float(at_s)

    def kickoff(self) -> Status:
        """Begin a record."""
        self._gate_s, self._recorded_s = np.nan, self.clock.now()
        return _done()

    def complete(self) -> Status:
        """End the record."""
        return _done()

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """Yield the points of the record since the last time, in one page: RunEngines check each document."""
        every = 1 / (self._points * self.frequency.get())
        begin, now = self._recorded_s, self.clock.now()
        n = int((now - begin) / every)
        t_s = begin + every * np.arange(n)
        self._recorded_s = begin + every * n
        strain, stress = np.zeros((2, n))
        if (oscillation := self._oscillation) is not None:
            strain, stress = recorded(oscillation, self._material, t_s, noise=self._noise, rng=self._rng)
        if n:
            stamps = (time.time() + self.clock.wall(1.0) * (t_s - now)).tolist()
            columns = t_s.tolist(), strain.tolist(), stress.tolist(), [self._gate_s] * n
            data = dict(zip(self._columns, columns, strict=True))
            yield {"time": stamps, "data": data, "timestamps": dict.fromkeys(data, stamps)}

    @property
    def _columns(self) -> tuple[str, ...]:
        return tuple(f"{self.name}_record_{name}" for name in ("time", "strain", "stress", "gate"))

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Describe the points of the record."""
        units = dict(zip(self._columns, ("s", "", "Pa", "s"), strict=True))
        return {
            f"{self.name}_record": {
                name: {"source": f"SIM:{name}", "dtype": "number", "shape": [], "units": unit}
                for name, unit in units.items()
            }
        }

    def measured(self, now: float) -> dict[str, float]:
        """Return the readings at a time of the clock."""
        oscillation = self._oscillation
        self.strain.put(0.0 if oscillation is None else float(oscillation.strain(now)))
        if oscillation is None:
            return super().measured(now)
        rate, stress = float(oscillation.rate(now)), float(self._material.stress(oscillation, now))
        stress *= 1 + self._rng.normal(0, 0.01)
        return {
            "shear_rate": rate,
            "shear_stress": stress,
            "viscosity": stress / rate if rate else 0.0,
            "torque": stress * TORQUE_PER_STRESS,
        }


def _done() -> Status:
    status = Status()
    status.set_finished()
    return status
