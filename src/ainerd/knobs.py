"""Knobs: quantities that a campaign changes, with range, unit, length and cost of a change."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

READBACK = 1e-6  # share of its range by which a readback may differ from its setpoint
NOISE = 1e-3  # share of its range within which a reading has not changed: thermometers are noisy
Positive = Annotated[FiniteFloat, Field(gt=0)]


class Knob(BaseModel):
    """A quantity that a campaign changes: a motor, a temperature, or the sample of a holder.

    A knob with a cost is changed before those without, and alone.

    Attributes
    ----------
    range : (float, float)
        Limits.
    unit : str
    length : float, optional
        Radius along this knob of the smallest region that must not be missed. Distances are counted in lengths, so
        that knobs of different units can be compared.
    speed : float, optional
        Change per second.
    settle_s : float
        Time to wait after a change.
    direction : str
        ``up`` or ``down`` for a knob that must not be turned back, else ``any``.
    values : tuple of float
        The only values that it takes; empty if it takes all in its range.
    apart : bool
        Whether its values have nothing in common, as the samples of a holder: each has a map of its own.

    Examples
    --------
    >>> Knob(range=(20, 80), unit="degC", length=5.0).length
    5.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    range: tuple[FiniteFloat, FiniteFloat]
    unit: str = ""
    length: Positive | None = None
    speed: Positive | None = None
    settle_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    direction: Literal["any", "up", "down"] = "any"
    values: tuple[FiniteFloat, ...] = ()
    apart: bool = False

    @model_validator(mode="before")
    @classmethod
    def _range_of_values(cls, given: object) -> object:
        """Take the range from the values, if there is none."""
        if isinstance(given, Mapping) and (limits := range_of(given)) is not None:
            return {**given, "range": limits}
        return given

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        low, high = self.range
        if len(self.values) == 1:
            raise ValueError(f"values needs two or more, got {list(self.values)}")
        if not low < high:
            raise ValueError(f"range needs two limits, the lower one first, got [{low:g}, {high:g}]")
        if list(self.values) != sorted(set(self.values)):
            raise ValueError(f"values must increase, got {list(self.values)}")
        if self.values and not low <= self.values[0] < self.values[-1] <= high:
            raise ValueError(f"values must lie in the range, got {list(self.values)}")
        if self.apart and not self.values:
            raise ValueError("apart needs values: the samples of a holder, such as [1, 2, 3]")
        return self

    @property
    def slack(self) -> float:
        """Largest difference of a reading from its setpoint that is no change."""
        return NOISE * (self.range[1] - self.range[0])

    @property
    def costs(self) -> bool:
        """Whether a change takes time that is known here."""
        return bool(self.speed or self.settle_s)

    def seconds(self, now: float, then: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the time of a change from `now` to each of `then`, (n,), with the time to settle."""
        change = np.abs(then - now)
        moving = change / self.speed if self.speed else np.zeros(len(change))
        return np.asarray(np.where(change > self.slack, moving + self.settle_s, 0.0))

    def objection(self, now: float, then: float) -> str | None:
        """Return the reason why the knob must not go from `now` to `then`; None if it may. `now` may be NaN."""
        low, high = self.range
        if not low <= then <= high:
            return f"lies outside its range, {low:g} to {high:g}"
        if self.values and then not in self.values:
            return f"is not one of its values, {', '.join(f'{x:g}' for x in self.values)}"
        if {"any": 0.0, "up": now - then, "down": then - now}[self.direction] > self.slack:
            return f"lies behind {now:g}, and it only goes {self.direction}"
        return None


def range_of(given: Mapping[str, object]) -> Any:
    """Return the range of a knob as it is given, or that of its values; None if it has neither.

    Examples
    --------
    >>> range_of({"values": [1.0, 3.0, 2.0]})
    (1.0, 3.0)
    """
    values = given.get("values")
    if given.get("range") is None and isinstance(values, list | tuple) and values:
        if all(isinstance(x, int | float) for x in values):
            return min(values), max(values)
    return given.get("range")


def lengths(knobs: Mapping[str, Knob]) -> dict[str, float]:
    """Return the length of each knob, 1 for all if none has one.

    Raises ValueError if some have a length, or if units differ and one has none.

    Examples
    --------
    >>> x, T = Knob(range=(0, 10), unit="mm", length=1.0), Knob(range=(20, 80), unit="degC", length=5.0)
    >>> lengths({"x": x, "T": T})
    {'x': 1.0, 'T': 5.0}
    """
    units = {knob.unit for knob in knobs.values() if not knob.apart}
    without = [name for name, knob in knobs.items() if knob.length is None and not knob.apart]
    with_length = any(knob.length is not None for knob in knobs.values())
    if without and (with_length or len(units) > 1):
        named = ", ".join(f"{name} ({knob.unit or 'no unit'})" for name, knob in knobs.items())
        raise ValueError(f"{without[0]} needs a length, to compare it with the others: {named}")
    return {name: 1.0 if knob.length is None else knob.length for name, knob in knobs.items()}


def order_of_change(knobs: Mapping[str, Knob]) -> list[str]:
    """Return the names of the knobs with a cost, the slowest first.

    Examples
    --------
    >>> stage, oven = Knob(range=(0, 10)), Knob(range=(20, 80), settle_s=600.0)
    >>> order_of_change({"sample_x": stage, "T": oven})
    ['T']
    """
    across = {name: float(knob.seconds(knob.range[0], np.array([knob.range[1]]))[0]) for name, knob in knobs.items()}
    return sorted((name for name, knob in knobs.items() if knob.costs), key=lambda name: -across[name])
