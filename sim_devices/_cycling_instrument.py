"""The instrument with a rheometer that oscillates, and a sample that moves with it."""

from dataclasses import replace
from typing import Any

import numpy as np

from sim_devices._cycling import Cycled
from sim_devices._instrument import SimulatedInstrument
from sim_devices._oscillating_rheometer import OscillatingRheometer
from sim_devices._oscillation import Oscillation, SoftSolid

REST = Oscillation(frequency_hz=1.0, steps=((1.0, 0.0),))


class CyclingInstrument(SimulatedInstrument):
    """A `SimulatedInstrument` whose sample is sheared to and fro, the same at each position.

    The rheometer triggers the detector: the middle of the first frame of an acquisition is at a turn of the strain.
    Each oscillation begins with a fresh sample.

    Parameters
    ----------
    cycled : Cycled, optional
        The sample; its oscillation is that of the rheometer.
    **options
        Those of `SimulatedInstrument`.
    """

    rheometer: OscillatingRheometer

    def __init__(self, *, cycled: Cycled | None = None, **options: Any) -> None:
        self.cycled = cycled or Cycled(family="yielding", oscillation=REST, diffusion_nm2=35.0, yield_strain=0.1)
        super().__init__(triggered=self._triggered, **options)

    def _new_rheometer(self, **options: Any) -> OscillatingRheometer:
        options.pop("yielding")
        return OscillatingRheometer(material=SoftSolid(yield_strain=self.cycled.yield_strain), **options)

    def _triggered(self, now_s: float) -> float:
        half_s = self.detector.cam.exposure_s / 2
        turn_s = self.rheometer.next_turn(now_s + half_s)
        self.rheometer.open_gate(turn_s)
        return float(turn_s - half_s)

    def _in_the_beam(self, began_s: float, duration_s: float, rng: np.random.Generator) -> Cycled:
        oscillation = self.rheometer.oscillation or REST
        return replace(self.cycled, oscillation=replace(oscillation, begin_s=oscillation.begin_s - began_s))
