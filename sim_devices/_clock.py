"""The clock of the simulated experiment."""

import threading
import time
from collections.abc import Callable

from ophyd.status import Status


class SimClock:
    """Simulated seconds since the clock was made; never goes back.

    Parameters
    ----------
    speed : float
        Simulated seconds in one second of the wall's clock.

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
        """Simulated seconds in one second of the wall's clock."""
        return self._speed

    def now(self) -> float:
        """Simulated seconds since the clock was made."""
        return (time.monotonic() - self._origin) * self.speed

    def wall(self, seconds: float) -> float:
        """How long `seconds` of simulated time last on the wall's clock."""
        return seconds / self.speed

    def later(self, seconds: float, action: Callable[[], None]) -> Status:
        """Status of something that takes simulated time: after `seconds`, `action` is called and the status is done."""
        status = Status()

        def ring() -> None:
            action()
            status.set_finished()

        timer = threading.Timer(self.wall(seconds), ring)
        timer.daemon = True
        timer.start()
        return status
