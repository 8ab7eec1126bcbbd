"""A number with a unit."""

from typing import Any

from ophyd import Signal


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
            raise ValueError(f"{self.name} must be from {low} to {high} {self._units}".rstrip() + f", got {value}")

    def describe(self) -> dict[str, Any]:
        """Describe the signal, with `units`."""
        description = super().describe()
        description[self.name]["units"] = self._units
        return description
