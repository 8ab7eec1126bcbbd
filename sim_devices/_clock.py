"""The clock of the simulated experiment."""

import threading
import time
from collections.abc import Callable

from ophyd.status import Status


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
        self._speed = speed
        self._origin = time.monotonic()

    @property
    def speed(self) -> float:
        """Simulated seconds in one second of the wall clock."""
        return self._speed

    def now(self) -> float:
        """Return the simulated seconds since the clock was made."""
        return (time.monotonic() - self._origin) * self.speed

    def wall(self, seconds: float) -> float:
        """Return the length of simulated `seconds` on the wall clock."""
        return seconds / self.speed

    def later(self, seconds: float, action: Callable[[], None]) -> Status:
        """Call `action` after simulated `seconds`, and return a status that is done then."""
        status = Status()

        def ring() -> None:
            action()
            status.set_finished()

        timer = threading.Timer(self.wall(seconds), ring)
        timer.daemon = True
        timer.start()
        return status
