"""Local times."""

from datetime import datetime
from typing import Any


def here(times: Any) -> Any:
    """Convert a pandas Timestamp with a time zone, or the ``.dt`` of a Series of them, to local time."""
    return times.tz_convert(datetime.now().astimezone().tzinfo)
