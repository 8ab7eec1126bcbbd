"""How long nothing came, where somebody looked."""

import time

LONGEST_S = 10.0  # between two looks; what is longer was a process that was suspended, or a server that was away


class Quiet:
    """Seconds in which one looked and nothing came.

    A process that was suspended, with the whole machine say, has not looked: when it goes on, what it follows may have
    been suspended, too, and counts as there.
    """

    def __init__(self) -> None:
        self.over()

    def over(self) -> None:
        """Something came."""
        self._seconds, self._looked = 0.0, time.monotonic()

    def look(self) -> float:
        """Nothing came; returns for how long."""
        now = time.monotonic()
        self._seconds += min(now - self._looked, LONGEST_S)
        self._looked = now
        return self._seconds
