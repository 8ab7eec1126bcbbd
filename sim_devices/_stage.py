"""The sample stage: two axes that take their time."""

import threading
import time
from typing import Any

from ophyd import Component, Device, SoftPositioner
from ophyd.utils import LimitError

from sim_devices._clock import SimClock
from sim_devices._quantity import Quantity
from sim_devices._sample import SIZE_MM

UPDATE_S = 0.02


class Axis(SoftPositioner):
    """A positioner that moves at its stage's velocity, on the stage's clock."""

    def __init__(self, *, init_pos: float, **kwargs: Any) -> None:
        super().__init__(source="SIM", **kwargs)
        self._position = init_pos
        self._halt = threading.Event()

    def check_value(self, pos: float) -> None:
        """Raise `LimitError` if the axis cannot go there."""
        low, high = self.limits
        if not low <= pos <= high:
            raise LimitError(f"{self.name} cannot go to {pos} {self.egu}: its limits are {low} to {high} {self.egu}")

    def _setup_move(self, position: float, status: Any) -> None:
        self._halt.set()  # a move in progress gives way
        self._halt = threading.Event()
        self._started_moving = self._moving = True
        self._run_subs(sub_type=self.SUB_START, timestamp=time.time())
        threading.Thread(target=self._travel, args=(position, self._halt), daemon=True).start()

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

    def stop(self, *, success: bool = False) -> None:
        """Stop where the axis is; a move under way fails."""
        self._halt.set()
        self._moving = False
        super().stop(success=success)


class Stage(Device):
    """Where on the sample the beam is, in mm.

    Parameters
    ----------
    clock : SimClock
        Travel takes simulated time.
    """

    x = Component(Axis, egu="mm", limits=(0.0, SIZE_MM), init_pos=SIZE_MM / 2, kind="hinted")
    y = Component(Axis, egu="mm", limits=(0.0, SIZE_MM), init_pos=SIZE_MM / 2, kind="hinted")
    velocity = Component(Quantity, value=1.0, units="mm/s", kind="config")

    def __init__(self, prefix: str = "", *, name: str, clock: SimClock, **kwargs: Any) -> None:
        self.clock = clock
        super().__init__(prefix, name=name, **kwargs)

    def stop(self, *, success: bool = False) -> None:
        """Stop both axes; ophyd itself stops only parts that are devices."""
        for axis in (self.x, self.y):
            axis.stop(success=success)
