"""A temperature controller: it ramps, settles, and reads back what the sensor says."""

import threading
import time
from typing import Any

import numpy as np
from ophyd import SoftPositioner
from ophyd.utils import LimitError

from sim_devices._clock import SimClock

UPDATE_S = 0.02
NOISE_K = 0.01  # of the sensor


class TemperatureController(SoftPositioner):
    """Temperature of the sample in K; a move is done once it has been reached and has settled.

    Parameters
    ----------
    clock : SimClock
    rate_k_per_s : float
        Of a ramp.
    settle_s : float
        How long it waits at the end of one.
    seed : int
        Of the sensor's noise.

    Attributes
    ----------
    true_position : float
        Temperature of the sample: for the simulation, in no document.
    """

    def __init__(
        self,
        *,
        clock: SimClock,
        rate_k_per_s: float = 0.1,
        settle_s: float = 60.0,
        limits: tuple[float, float] = (10.0, 320.0),
        init_pos: float = 180.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(egu="K", limits=limits, source="SIM", **kwargs)
        self.rate_k_per_s, self.settle_s, self._clock = rate_k_per_s, settle_s, clock
        self._rng = np.random.default_rng(seed)
        self._position = self.true_position = init_pos
        self._halt = threading.Event()

    def check_value(self, pos: float) -> None:
        """Raise `LimitError` if it cannot be reached."""
        low, high = self.limits
        if not low <= pos <= high:
            raise LimitError(f"{self.name} must be from {low} to {high} K, got {pos}")

    def _setup_move(self, position: float, status: Any) -> None:
        self._halt.set()  # a ramp in progress gives way
        self._halt = threading.Event()
        self._started_moving = self._moving = True
        self._run_subs(sub_type=self.SUB_START, timestamp=time.time())
        threading.Thread(target=self._ramp, args=(float(position), self._halt), daemon=True).start()

    def _ramp(self, target: float, halt: threading.Event) -> None:
        begin, start = time.monotonic(), self.true_position
        duration = self._clock.wall(abs(target - start) / self.rate_k_per_s)
        while (elapsed := time.monotonic() - begin) < duration:
            self._show(start + (target - start) * elapsed / duration)
            if halt.wait(min(UPDATE_S, duration - elapsed)):
                return
        self._show(target)
        if halt.wait(self._clock.wall(self.settle_s)):
            return
        self._show(target)
        self._moving = False
        self._done_moving()

    def _show(self, temperature: float) -> None:
        self.true_position = temperature
        self._set_position(temperature + self._rng.normal(0, NOISE_K))

    def stop(self, *, success: bool = False) -> None:
        """Stay at the temperature there is; a ramp under way fails."""
        self._halt.set()
        self._moving = False
        super().stop(success=success)
