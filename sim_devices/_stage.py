"""The sample stage: two axes that take their time, and do not stop quite where they were sent."""

import threading
import time
from typing import Any

import numpy as np
from ophyd import Component, Device, SoftPositioner
from ophyd.utils import LimitError

from sim_devices._clock import SimClock
from sim_devices._quantity import Quantity

UPDATE_S = 0.02
RANGE_MM = (0.0, 10.0)
MIDDLE_MM = sum(RANGE_MM) / 2
ERROR_MM = 0.0005  # rms distance between where an axis was sent and where it stops
BACKLASH_MM = 0.005


class Axis(SoftPositioner):
    """A screw that carries the sample, with some play between them; it moves at its stage's velocity and clock.

    The reading is that of the screw. The sample follows when the play is used up: after a move up it agrees with the
    reading, after a move down it lags behind by the stage's `backlash`.

    Attributes
    ----------
    true_position : float
        Position of the sample in mm, for the simulation only; no document holds it.
    """

    def __init__(self, *, init_pos: float, number: int, **kwargs: Any) -> None:
        super().__init__(source="SIM", **kwargs)
        self._position = self.true_position = init_pos
        self._rng = np.random.default_rng((self.parent.seed, number))
        self._halt = threading.Event()

    @property
    def velocity(self) -> Any:
        """Signal of the speed in mm/s, by the name it has in an EPICS motor."""
        return self.parent.velocity

    def check_value(self, pos: float) -> None:
        """Raise `LimitError` if the axis cannot reach the value."""
        low, high = self.limits
        if not low <= pos <= high:
            raise LimitError(f"{self.name} cannot go to {pos} {self.egu}: its limits are {low} to {high} {self.egu}")

    def _setup_move(self, position: float, status: Any) -> None:
        self._halt.set()  # ends a move in progress
        self._halt = threading.Event()
        self._started_moving = self._moving = True
        self._run_subs(sub_type=self.SUB_START, timestamp=time.time())
        stops_at = float(np.clip(position + self._rng.normal(0, ERROR_MM), *self.limits))
        threading.Thread(target=self._travel, args=(stops_at, self._halt), daemon=True).start()

    def _travel(self, target: float, halt: threading.Event) -> None:
        begin, start = time.monotonic(), self._position
        duration = self.parent.clock.wall(abs(target - start) / self.parent.velocity.get())
        while (elapsed := time.monotonic() - begin) < duration:
            self._set_position(start + (target - start) * elapsed / duration)
            if halt.wait(min(UPDATE_S, duration - elapsed)):
                return
        self._set_position(target)
        self._moving = False
        self._done_moving()

    def _set_position(self, value: float, **kwargs: Any) -> None:
        self.true_position = min(max(self.true_position, value), value + self.parent.backlash.get())
        super()._set_position(value, **kwargs)

    def stop(self, *, success: bool = False) -> None:
        """Stop the axis; a move in progress fails."""
        self._halt.set()
        self._moving = False
        super().stop(success=success)


class Stage(Device):
    """The position of the beam on the sample, in mm.

    Parameters
    ----------
    clock : SimClock
        Travel takes simulated time.
    seed : int
        Seed of the errors at the end of a move.
    """

    x = Component(Axis, number=0, egu="mm", limits=RANGE_MM, init_pos=MIDDLE_MM, kind="hinted")
    y = Component(Axis, number=1, egu="mm", limits=RANGE_MM, init_pos=MIDDLE_MM, kind="hinted")
    velocity = Component(Quantity, value=1.0, units="mm/s", kind="config")
    backlash = Component(Quantity, value=BACKLASH_MM, units="mm", kind="config")

    def __init__(self, prefix: str = "", *, name: str, clock: SimClock, seed: int = 0, **kwargs: Any) -> None:
        self.clock, self.seed = clock, seed
        super().__init__(prefix, name=name, **kwargs)

    def stop(self, *, success: bool = False) -> None:
        """Stop both axes; ophyd itself stops only parts that are devices."""
        for axis in (self.x, self.y):
            axis.stop(success=success)
