"""Positions of actuators, with their units, and local times."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

DIGITS, FEWEST = 3, 2  # significant digits, and the fewest decimals
MOST = 6  # most decimals; smaller numbers are written with powers of ten


def coordinate(x: float) -> str:
    """Return a coordinate as text: ``3.25``, and ``0.00412`` for a motor in metres."""
    decimals = FEWEST
    if x and math.isfinite(x):
        decimals = max(FEWEST, DIGITS - 1 - math.floor(math.log10(abs(x))))
    return f"{x:.{decimals}f}" if decimals <= MOST else f"{x:.{DIGITS - 1}e}"


def place(position: Mapping[str, float], units: Mapping[str, str]) -> str:
    """Return a position as text: ``(3.25, 1.00) mm``; each number has its own unit if the units differ."""
    shared = {units.get(name, "") for name in position}
    if len(shared) == 1:
        return f"({', '.join(map(coordinate, position.values()))}) {shared.pop()}".rstrip()
    return f"({', '.join(_with_unit(x, units.get(name)) for name, x in position.items())})"


def named_place(position: Mapping[str, float], units: Mapping[str, str]) -> str:
    """Return a position with the names of the actuators: ``sample_x 3.25 mm, sample_y 1.00 mm``."""
    return ", ".join(f"{name} {_with_unit(x, units.get(name))}" for name, x in position.items())


def _with_unit(x: float, unit: str | None) -> str:
    return f"{coordinate(x)} {unit or ''}".rstrip()


def here(times: Any) -> Any:
    """Convert a pandas Timestamp with a time zone, or the ``.dt`` of a Series of them, to local time."""
    return times.tz_convert(datetime.now().astimezone().tzinfo)
