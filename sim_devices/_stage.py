"""The sample stage: two axes that take their time, and do not stop quite where they were sent."""

from typing import Any

import numpy as np
from ophyd import Component, Device

from sim_devices._basics import Mover, Quantity, SimClock

RANGE_MM = (0.0, 10.0)
MIDDLE_MM = sum(RANGE_MM) / 2
ERROR_MM = 0.0005  # rms distance between where an axis was sent and where it stops
BACKLASH_MM = 0.005


class Axis(Mover):
    """A screw that carries the sample, with some play between them; it moves at its stage's velocity and clock.

    The reading is that of the screw. The sample, at `true_position`, follows when the play is used up: after a move up
    it agrees with the reading, after a move down it lags behind by the stage's `backlash`.
    """

    def __init__(self, *, number: int, parent: "Stage", **kwargs: Any) -> None:
        rng = np.random.default_rng((parent.seed, number))
        super().__init__(rng=rng, parent=parent, egu="mm", limits=RANGE_MM, init_pos=MIDDLE_MM, **kwargs)
        self.clock = parent.clock

    @property
    def velocity(self) -> Any:
        """Signal of the speed in mm/s, by the name it has in an EPICS motor."""
        return self.parent.velocity

    @property
    def speed(self) -> float:
        """Speed in mm/s."""
        return float(self.velocity.get())

    def _stops_at(self, position: float) -> float:
        return float(np.clip(position + self._rng.normal(0, ERROR_MM), *self.limits))

    def _show(self, value: float) -> None:
        super()._show(value)
        self.true_position = min(max(self.true_position, value), value + self.parent.backlash.get())
        self._set_position(value)


class Stage(Device):
    """The position of the beam on the sample, in mm.

    Parameters
    ----------
    clock : SimClock
        Travel takes simulated time.
    seed : int
        Seed of the errors at the end of a move.
    """

    x = Component(Axis, number=0, kind="hinted")
    y = Component(Axis, number=1, kind="hinted")
    velocity = Component(Quantity, value=1.0, units="mm/s", kind="config")
    backlash = Component(Quantity, value=BACKLASH_MM, units="mm", kind="config")

    def __init__(self, prefix: str = "", *, name: str, clock: SimClock, seed: int = 0, **kwargs: Any) -> None:
        self.clock, self.seed = clock, seed
        super().__init__(prefix, name=name, **kwargs)

    def stop(self, *, success: bool = False) -> None:
        """Stop both axes; ophyd itself stops only parts that are devices."""
        for axis in (self.x, self.y):
            axis.stop(success=success)
