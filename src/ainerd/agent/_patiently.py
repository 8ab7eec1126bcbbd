"""Steps of a start, which wait for Tiled."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from ainerd.config import SettingsError
from ainerd.results import FORBIDDEN, Away, Refused, translated

PAUSE_S = 30.0  # longest pause before another attempt
T = TypeVar("T")


def patiently(step: Callable[[], T]) -> T:
    """Return the result of a step of the start. While Tiled is away, say it in one line, and try again later.

    Raises SettingsError, in one line, if Tiled refuses the request or its key.
    """
    pause_s = 0.0
    while True:
        try:
            with translated():
                return step()
        except (Away, Refused) as error:
            if isinstance(error, Refused) or error.status in FORBIDDEN:
                raise SettingsError(f"storage: Tiled refuses what the agent needs: {error}") from None
            if not pause_s:
                print(f"ainerd: waiting for Tiled, Ctrl-C ends the start: {error}", file=sys.stderr, flush=True)
            pause_s = min(2 * pause_s or 1.0, PAUSE_S)
        time.sleep(pause_s)
