"""A number with a unit."""

from typing import Any

from ophyd import Signal


class Quantity(Signal):
    """An ophyd signal that describes its unit."""

    def __init__(self, *args: Any, units: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._units = units

    def describe(self) -> dict[str, Any]:
        """Describe the signal, with `units`."""
        description = super().describe()
        description[self.name]["units"] = self._units
        return description
