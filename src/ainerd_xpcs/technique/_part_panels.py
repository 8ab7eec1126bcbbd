"""Drawings and sentences of the parts of an exposure, found by entry points, also in a light install."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Protocol

from numpy.typing import NDArray


class PartPanels(Protocol):
    """Drawings and sentences of a part; a module that needs numpy, pandas and matplotlib only."""

    arrays: Sequence[str]  # of a result, for `plot`; a result without the first one has no such part
    table: str  # of a result, for `plot`
    quantities: Sequence[str]  # names of numbers, as in `ainerd.technique.Panels`

    def plot(self, figure: Any, arrays: Mapping[str, NDArray[Any]], table: Any) -> None:
        """Draw a result below its maps."""

    def sentences(self, values: Mapping[str, Any]) -> Sequence[str]:
        """Describe the summary of a result."""


@cache
def part_panels() -> list[PartPanels]:
    """Return the drawings of the installed parts."""
    return [entry.load() for entry in entry_points(group="ainerd_xpcs.panels")]
