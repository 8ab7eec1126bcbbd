"""All the devices around one hidden sample and one clock."""

from pathlib import Path

import numpy as np

from ainerd.dynamics import Dynamics
from sim_devices._clock import SimClock
from sim_devices._geometry import Geometry
from sim_devices._lambda750k import Lambda750k
from sim_devices._rheometer import Rheometer
from sim_devices._sample import HiddenSample
from sim_devices._stage import Stage


class SimulatedInstrument:
    """A rheo-XPCS instrument in a box.

    Parameters
    ----------
    directory : Path
        Where the detector writes.
    geometry : Geometry
    sample : HiddenSample
    speed : float
        Simulated seconds in one second of the wall's clock.
    seed : int
        Of speckle, photons and the rheometer's noise.
    count_rate : float
        Photons per pixel and second in the ring.
    contrast : float
        beta of the speckle.

    Attributes
    ----------
    detector : Lambda750k
    stage : Stage
    rheometer : Rheometer
    clock : SimClock
    sample : HiddenSample
    """

    def __init__(
        self,
        *,
        directory: Path,
        geometry: Geometry | None = None,
        sample: HiddenSample | None = None,
        speed: float = 20.0,
        seed: int = 0,
        count_rate: float = 5.0,
        contrast: float = 0.2,
    ) -> None:
        self.sample = sample or HiddenSample()
        self.clock = SimClock(speed)
        self.stage = Stage(name="sample", clock=self.clock)
        self.rheometer = Rheometer(name="rheometer", clock=self.clock, seed=seed)
        self.detector = Lambda750k(
            name="lambda750k",
            directory=directory,
            geometry=geometry or Geometry(),
            clock=self.clock,
            sample_now=self._in_the_beam,
            seed=seed,
            count_rate=count_rate,
            contrast=contrast,
        )

    def _in_the_beam(self, age_s: float, duration_s: float, rng: np.random.Generator) -> Dynamics:
        return self.sample.dynamics(self.stage.x.position, self.stage.y.position, age_s, duration_s, rng)

    def truth(self, x: float, y: float) -> str:
        """Name of the regime at a position: for tests and benchmarks, never for the agent."""
        return self.sample.regime(x, y)
