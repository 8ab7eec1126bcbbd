"""The clock of the simulated experiment, numbers with a unit, and axes that move in simulated time."""

import heapq
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import numpy as np
from ophyd import Signal, SoftPositioner
from ophyd.status import Status
from ophyd.utils import InvalidState, LimitError, UnknownStatusFailure

UPDATE_S = 0.02


class SimClock:
    """A clock of simulated seconds, which never goes back.

    Parameters
    ----------
    speed : float
        Simulated seconds in one second of the wall clock.

    Raises
    ------
    ValueError
        If `speed` is not positive.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be positive, got {speed}")
        self.speed, self._origin = speed, time.monotonic()
        self._due: list[tuple[float, int, Callable[[], None], Status]] = []  # the earliest first
        self._number, self._lock = count(), threading.Lock()
        self._acting = threading.Lock()  # during an action, which may be slow

    def now(self) -> float:
        """Return the simulated seconds since the clock was made."""
        return (time.monotonic() - self._origin) * self.speed

    def wall(self, seconds: float) -> float:
        """Return the length of simulated `seconds` on the wall clock."""
        return seconds / self.speed

    def later(self, seconds: float, action: Callable[[], None]) -> Status:
        """Call `action` after simulated `seconds`, and return a status that is done then, or fails if it raises."""
        status, wait_s = Status(), self.wall(seconds)
        timer = threading.Timer(wait_s, self._ring)
        timer.daemon = True
        with self._lock:
            heapq.heappush(self._due, (time.monotonic() + wait_s, next(self._number), action, status))
        timer.start()
        return status

    def _ring(self) -> None:
        """Do the action that is due first. Timers that end close together may ring in another order."""
        with self._acting:
            with self._lock:
                *_, action, status = heapq.heappop(self._due)
            try:
                action()
            except Exception as error:
                status.set_exception(error)
                return
        status.set_finished()


class Quantity(Signal):
    """An ophyd signal that describes its unit, and refuses values outside its limits.

    Parameters
    ----------
    units : str
    limits : (float, float), optional
        Allowed values, limits included.
    """

    def __init__(self, *args: Any, units: str, limits: tuple[float, float] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._units, self._limits = units, limits

    def check_value(self, value: Any, **kwargs: Any) -> None:
        """Raise ValueError if `value` is outside the limits."""
        super().check_value(value, **kwargs)
        if self._limits is not None and not self._limits[0] <= value <= self._limits[1]:
            low, high = (f"{limit:g}" for limit in self._limits)
            unit = "" if self._units == "1" else self._units
            raise ValueError(f"{self.name} must be from {low} to {high} {unit}".rstrip() + f", got {value}")

    def describe(self) -> dict[str, Any]:
        """Describe the signal, with `units`."""
        description = super().describe()
        description[self.name]["units"] = self._units
        return description


class Mover(SoftPositioner):
    """A positioner that moves in simulated time; a move ends when it has settled.

    Parameters
    ----------
    init_pos : float
    rng : numpy.random.Generator
        Draws its errors.

    Attributes
    ----------
    true_position : float
        For the simulation only; no document holds it.
    """

    clock: SimClock
    speed: float
    settle_s = 0.0

    def __init__(self, *, init_pos: float, rng: np.random.Generator, **kwargs: Any) -> None:
        super().__init__(source="SIM", **kwargs)
        self._position = self.true_position = self._reached = init_pos
        self._rng, self._halt = rng, threading.Event()
        self._status: Any = None  # of the newest move

    def check_value(self, pos: float) -> None:
        """Raise `LimitError` if the value cannot be reached."""
        low, high = self.limits
        if not low <= pos <= high:
            raise LimitError(f"{self.name} cannot go to {pos} {self.egu}: its limits are {low} to {high} {self.egu}")

    def _setup_move(self, position: float, status: Any) -> None:
        self._halt.set()  # ends a move in progress
        self._halt, self._status = threading.Event(), status
        # ophyd forgets subscribers after a move; the status of a next move that has begun by then would never end
        self._reset_sub(self._SUB_REQ_DONE)
        self._started_moving = self._moving = True
        self._run_subs(sub_type=self.SUB_START, timestamp=time.time())
        threading.Thread(target=self._travel, args=(self._stops_at(position), self._halt, status), daemon=True).start()

    def _stops_at(self, position: float) -> float:
        return float(position)

    def _travel(self, target: float, halt: threading.Event, status: Any) -> None:
        begin, start = time.monotonic(), self._reached
        duration = self.clock.wall(abs(target - start) / self.speed)
        while (elapsed := time.monotonic() - begin) < duration:
            self._show(start + (target - start) * elapsed / duration)
            if halt.wait(min(UPDATE_S, duration - elapsed)):
                return
        self._show(target)
        if halt.wait(self.clock.wall(self.settle_s)):
            return
        self._show(target)
        self._moving = False
        self._run_subs(sub_type=self.SUB_DONE)
        _end(status, success=True)

    def _show(self, value: float) -> None:
        self._reached = value

    def stop(self, *, success: bool = False) -> None:
        """Stop; a move in progress fails."""
        self._halt.set()
        self._moving = False
        super().stop(success=success)
        if self._status is not None:
            _end(self._status, success=success)


def _end(status: Any, *, success: bool) -> None:
    """End a move, unless it has ended."""
    with suppress(InvalidState):
        if success:
            status.set_finished()
        else:
            status.set_exception(UnknownStatusFailure("the move was stopped"))
