"""All devices around one hidden sample and one clock, and the file that describes the instrument."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ainerd_xpcs.dynamics import Dynamics
from sim_devices._basics import SimClock
from sim_devices._beam import Attenuator, DetectorArm, Dose, Shutter, Source
from sim_devices._geometry import Geometry
from sim_devices._lambda750k import Lambda750k
from sim_devices._rheometer import Rheometer, Yielding
from sim_devices._rigaku import Rigaku
from sim_devices._sample import HiddenSample, hidden_sample
from sim_devices._scattering import Motion
from sim_devices._stage import Stage

# Options of the detector in a file.
OPTIONS = {
    "contrast", "count_rate", "dropped_share", "flicker_rms", "lost_share", "names_numbers", "rigaku", "speckle_px",
}  # fmt: skip


def read_hardware(path: Path) -> dict[str, Any]:
    """Read options of `SimulatedInstrument` from a file: `geometry`, and those of its detector.

    Parameters
    ----------
    path : Path
        A TOML with the table ``[geometry]``, whose keys are the attributes of `Geometry`, and the table
        ``[detector]``, with those parameters of `Lambda750k` that describe the instrument: `count_rate`,
        `contrast`, `speckle_px`, `flicker_rms`, `lost_share`, `dropped_share`, `names_numbers`; or with `rigaku`, see
        `SimulatedInstrument`.

    Raises
    ------
    ValueError
        If the file has other keys, or describes an impossible instrument.
    """
    try:
        tables = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    for table, known in (("geometry", {field.name for field in fields(Geometry)}), ("detector", OPTIONS)):
        if unknown := sorted(set(tables.get(table, {})) - known):
            raise ValueError(f"{path}: no {table}.{unknown[0]}: there are {', '.join(sorted(known))}")
    if unknown := sorted(set(tables) - {"geometry", "detector"}):
        raise ValueError(f"{path}: no {unknown[0]}: there are geometry and detector")
    given = {name: tuple(x) if isinstance(x, list) else x for name, x in tables.get("geometry", {}).items()}
    return {"geometry": Geometry(**given), **tables.get("detector", {})}


class SimulatedInstrument:
    """A complete simulated rheo-XPCS instrument.

    Shear stopped when the clock began. The shutter is closed. Only exposures count as dose, for the time of their
    frames, however long the shutter is open.

    Parameters
    ----------
    directory : Path
        Folder of the detector's files.
    geometry : Geometry
    sample : HiddenSample
    speed : float
        Simulated seconds in one second of the wall clock.
    seed : int
        Seed of speckle, photons, the sample's yielding, the rheometer's noise and the stage's errors.
    yielding : Yielding, optional
        Yield events of the sample; by default drawn from `seed`.
    rigaku : {"", "complete", "growing"}
        Whether the detector is a `Rigaku`, called rigaku500k, and whether its files grow while it counts; by default it
        is a `Lambda750k`.
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
        Devices to read as a run opens and closes.
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
        rigaku: str = "",
        names: Mapping[str, str] | None = None,
        **detector: Any,
    ) -> None:
        self.sample = sample or hidden_sample("inclusions")
        self.clock = SimClock(speed)
        geometry = geometry or Geometry()
        energy_keV = geometry.energy_keV

        known = list[str]()

        def called(name: str) -> str:
            known.append(name)
            return (names or {}).get(name, name)

        self.source = Source(name=called("source"), clock=self.clock, energy_keV=energy_keV)
        self.attenuator = Attenuator(name=called("attenuator"), clock=self.clock, energy_keV=energy_keV)
        self.shutter = Shutter(name=called("shutter"), clock=self.clock)
        self.stage = Stage(name=called("sample"), clock=self.clock, seed=seed)
        for axis in (self.stage.x, self.stage.y):
            axis.name = called(axis.name)
        self._yielding, self._dose = yielding or Yielding(seed), Dose()
        self.rheometer = self._new_rheometer(
            name=called("rheometer"), clock=self.clock, seed=seed, yielding=self._yielding
        )
        self.arm = DetectorArm(name=called("arm"))
        self.arm.distance.put(geometry.distance_m)
        self.arm.beam_center_row.put(geometry.beam_center_px[0])
        self.arm.beam_center_column.put(geometry.beam_center_px[1])
        if rigaku not in ("", "complete", "growing"):
            raise ValueError(f'rigaku must be "complete" or "growing", got {rigaku!r}')
        kind = partial(Rigaku, grows=rigaku == "growing") if rigaku else Lambda750k
        self.detector = kind(
            name=called("rigaku500k" if rigaku else "lambda750k"),
            directory=directory,
            geometry=geometry,
            clock=self.clock,
            sample_now=self._in_the_beam,
            transmission=self._transmission,
            seed=seed,
            **detector,
        )
        if unknown := [name for name in names or {} if name not in known]:
            raise ValueError(f"no device or axis is called {unknown[0]}: there are {', '.join(known)}")
        self.baseline: list[Any] = [self.source, self.attenuator, self.arm, self.rheometer.temperature]

    def _new_rheometer(self, **options: Any) -> Rheometer:
        return Rheometer(**options)

    def _transmission(self) -> float:
        """Return the intensity at the sample, relative to the maximum of the source."""
        return self.shutter.is_open * self.attenuator.transmission.get() * self.source.intensity()

    def _in_the_beam(self, began_s: float, duration_s: float, rng: np.random.Generator) -> Dynamics | Motion:
        """Return the dynamics in an exposure that begins now, and add its dose to the spot."""
        x, y = self.stage.x.true_position, self.stage.y.true_position
        beam_mm = self.source.beam_size_x.get() / 1000, self.source.beam_size_y.get() / 1000
        intensity = self._transmission()
        age_s, dose_s = self.rheometer.age_s, self._dose.at(x, y, beam_mm)
        self._dose.add(x, y, intensity * duration_s)
        events = self._yielding.between(age_s, age_s + duration_s, self.rheometer.shear_number.get())
        dynamics = self.sample.dynamics(x, y, age_s, duration_s, rng, dose_s=dose_s, events=events)
        if not (isinstance(dynamics, Dynamics) and intensity):
            return dynamics
        # A beam of a tenth of the intensity changes the sample as much in ten seconds as the full one in one.
        return replace(dynamics, beam_speedup=dynamics.beam_speedup * intensity, dose_s=dynamics.dose_s / intensity)

    def truth(self, x: float, y: float) -> str:
        """Return the name of the regime at a position: for tests and studies, never for the agent."""
        return self.sample.regime(x, y)
