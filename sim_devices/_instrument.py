"""All the devices around one hidden sample and one clock."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ainerd.dynamics import Dynamics
from sim_devices._beam import Attenuator, DetectorArm, Dose, Shutter, Source
from sim_devices._clock import SimClock
from sim_devices._geometry import Geometry
from sim_devices._lambda750k import Lambda750k
from sim_devices._rheometer import Rheometer
from sim_devices._sample import HiddenSample
from sim_devices._samples import hidden_sample
from sim_devices._scattering import Motion
from sim_devices._stage import Stage
from sim_devices._yielding import Yielding


class SimulatedInstrument:
    """A rheo-XPCS instrument in a box.

    Shear stopped when the clock began. The shutter is closed. Only exposures count as dose, for as long as their frames
    say, however long the shutter is open.

    Parameters
    ----------
    directory : Path
        Where the detector writes.
    geometry : Geometry
    sample : HiddenSample
    speed : float
        Simulated seconds in one second of the wall's clock.
    seed : int
        Of speckle, photons, the sample's yielding, the rheometer's noise and the stage's errors.
    yielding : Yielding, optional
        When the sample yields; by default as `seed` has it.
    names : mapping of str to str, optional
        Other names for devices and axes: ``{"lambda750k": "eiger", "sample_x": "stage_h"}``.
    **detector
        Options of `Lambda750k`, such as `count_rate` and `contrast`.

    Attributes
    ----------
    detector : Lambda750k
    arm : DetectorArm
    stage : Stage
    rheometer : Rheometer
    source : Source
    attenuator : Attenuator
    shutter : Shutter
    clock : SimClock
    sample : HiddenSample
    baseline : list of devices
        What is worth reading as a run opens and closes.
    """

    def __init__(
        self,
        *,
        directory: Path,
        geometry: Geometry | None = None,
        sample: HiddenSample | None = None,
        speed: float = 20.0,
        seed: int = 0,
        yielding: Yielding | None = None,
        names: Mapping[str, str] | None = None,
        **detector: Any,
    ) -> None:
        self.sample = sample or hidden_sample("inclusions")
        self.clock = SimClock(speed)
        geometry = geometry or Geometry()
        energy_keV = geometry.energy_keV

        def called(name: str) -> str:
            return (names or {}).get(name, name)

        self.source = Source(name=called("source"), clock=self.clock, energy_keV=energy_keV)
        self.attenuator = Attenuator(name=called("attenuator"), clock=self.clock, energy_keV=energy_keV)
        self.shutter = Shutter(name=called("shutter"), clock=self.clock)
        self.stage = Stage(name=called("sample"), clock=self.clock, seed=seed)
        for axis in (self.stage.x, self.stage.y):
            axis.name = called(axis.name)
        self._yielding, self._dose = yielding or Yielding(seed), Dose()
        self.rheometer = Rheometer(name=called("rheometer"), clock=self.clock, seed=seed, yielding=self._yielding)
        self.arm = DetectorArm(name=called("arm"))
        self.arm.distance.put(geometry.distance_m)
        self.arm.beam_center_row.put(geometry.beam_center_px[0])
        self.arm.beam_center_column.put(geometry.beam_center_px[1])
        self.detector = Lambda750k(
            name=called("lambda750k"),
            directory=directory,
            geometry=geometry,
            clock=self.clock,
            sample_now=self._in_the_beam,
            transmission=self._transmission,
            seed=seed,
            **detector,
        )
        self.baseline: list[Any] = [self.source, self.attenuator, self.arm, self.rheometer.temperature]

    def _transmission(self) -> float:
        """Intensity at the sample, as a share of the most that the source gives."""
        return self.shutter.is_open * self.attenuator.transmission.get() * self.source.intensity()

    def _in_the_beam(self, began_s: float, duration_s: float, rng: np.random.Generator) -> Dynamics | Motion:
        """What the detector sees in an exposure that begins now; the spot gets its dose."""
        x, y = self.stage.x.true_position, self.stage.y.true_position
        beam_mm = self.source.beam_size_x.get() / 1000, self.source.beam_size_y.get() / 1000
        intensity = self._transmission()
        age_s, dose_s = self.rheometer.age_s, self._dose.at(x, y, beam_mm)
        self._dose.add(x, y, intensity * duration_s)
        events = self._yielding.between(age_s, age_s + duration_s, self.rheometer.shear_number.get())
        dynamics = self.sample.dynamics(x, y, age_s, duration_s, rng, dose_s=dose_s, events=events)
        if not (isinstance(dynamics, Dynamics) and intensity):
            return dynamics
        # A beam weakened to a tenth does in ten seconds what the full one does in one.
        return replace(dynamics, beam_speedup=dynamics.beam_speedup * intensity, dose_s=dynamics.dose_s / intensity)

    def truth(self, x: float, y: float) -> str:
        """Name of the regime at a position: for tests and benchmarks, never for the agent."""
        return self.sample.regime(x, y)
