"""Times at the clock on the wall."""

from datetime import datetime
from typing import Any


def here(times: Any) -> Any:
    """A pandas Timestamp with a time zone, or the ``.dt`` of a Series of them, in local time."""
    return times.tz_convert(datetime.now().astimezone().tzinfo)
