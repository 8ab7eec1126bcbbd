"""Numbers of the settings within what is plausible in their units."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)  # hashable, as pydantic wants it
class Within:
    """Refuses a number outside its range, and says what it may be in another unit; for `pydantic.AfterValidator`.

    Attributes
    ----------
    low, high : float
    unit : str
        Of the number and of its limits; empty for a plain one.
    others : mapping of str to float
        Factors to this unit from those that are taken for it.
    above, below : bool
        Whether the limits themselves are refused.
    """

    low: float
    high: float
    unit: str = ""
    others: Mapping[str, float] = field(default_factory=dict)
    above: bool = False
    below: bool = False

    def __call__(self, value: float) -> float:
        """The value; ValueError if it is out of range or not a number."""
        if self._holds(value):
            return value
        unit = f" {self.unit}" if self.unit else ""
        limits = (
            f"{'above' if self.above else 'at least'} {self.low:g} and "
            f"{'below' if self.below else 'at most'} {self.high:g}{unit}"
        )
        meant = [
            f"; if {value:g} is in {u}, give {value * x:.6g}" for u, x in self.others.items() if self._holds(value * x)
        ]
        raise ValueError(f"must be {limits}, got {value:g}{(meant or [''])[0]}")

    def _holds(self, value: float) -> bool:
        return self.low <= value <= self.high and not (
            (self.above and value == self.low) or (self.below and value == self.high)
        )
