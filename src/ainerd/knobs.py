"""Knobs: the quantities that a campaign changes, each with a range, a unit, a length, and the cost of a change."""

import math
from collections.abc import Collection, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

READBACK = 1e-6  # share of its range by which a readback may differ from its setpoint
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
    table : tuple of (float, float)
        Pairs of a change and its seconds, in place of `speed`; between them the time is interpolated.
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
    table: tuple[tuple[Positive, Positive], ...] = ()
    direction: Literal["any", "up", "down"] = "any"
    values: tuple[FiniteFloat, ...] = ()
    apart: bool = False

    @model_validator(mode="before")
    @classmethod
    def _range_of_values(cls, given: Any) -> Any:
        """Take the range from the values, if there is none."""
        if isinstance(given, Mapping) and "cost" in given:
            raise ValueError("cost was removed: give the seconds of changes as table")
        if isinstance(given, Mapping) and (found := range_of(given)) is not None:
            return {**given, "range": found}
        return given

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        low, high = self.range
        if not low < high:
            raise ValueError(f"range needs two limits, the lower one first, got [{low:g}, {high:g}]")
        if list(self.values) != sorted(set(self.values)):
            raise ValueError(f"values must increase, got {list(self.values)}")
        if self.values and not low <= self.values[0] < self.values[-1] <= high:
            raise ValueError(f"values must lie in the range, and be two or more, got {list(self.values)}")
        if self.apart and not self.values:
            raise ValueError("apart needs values: the samples of a holder, such as [1, 2, 3]")
        if self.speed and self.table:
            raise ValueError("speed and table are given: leave one of them out")
        if [step for step, _ in self.table] != sorted({step for step, _ in self.table}):
            raise ValueError("the changes in table must increase")
        return self

    @property
    def costs(self) -> bool:
        """Whether a change takes time that is known here."""
        return bool(self.speed or self.table or self.settle_s)

    def seconds(self, now: float, then: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the time of a change from `now` to each of `then`, (n,), with the time to settle."""
        change = np.abs(then - now)
        moving = change / self.speed if self.speed else np.zeros(len(change))
        if self.table:
            steps, times = np.array(self.table).T
            moving = np.interp(change, [0.0, *steps], [0.0, *times]) * np.maximum(change / steps[-1], 1.0)
        return np.asarray(np.where(change > 0, moving + self.settle_s, 0.0))

    def objection(self, now: float, then: float) -> str | None:
        """Return the reason why the knob must not go from `now` to `then`; None if it may. `now` may be NaN."""
        low, high = self.range
        if not low <= then <= high:
            return f"lies outside its range, {low:g} to {high:g}"
        if self.values and then not in self.values:
            return f"is none of its values, {', '.join(f'{x:g}' for x in self.values)}"
        back = {"any": 0.0, "up": now - then, "down": then - now}[self.direction]
        if back > READBACK * (high - low):
            return f"lies behind {now:g}, and it only goes {self.direction}"
        return None


def load_named(name: str, group: str, known: Collection[str] = ()) -> Any:
    """Return the function or class of this name.

    Parameters
    ----------
    name : str
        An entry point of another package, or ``module:function``.
    group : str
        Of entry points.
    known : collection of str
        Names that need no entry point, for the message.

    Raises
    ------
    ValueError
        If no entry point has this name, or if the object cannot be loaded or called.

    Examples
    --------
    >>> load_named("math:log1p", "ainerd.policies").__name__
    'log1p'
    """
    found = find_named(name, group, known)
    try:
        loaded = found.load()
    except Exception as error:  # foreign code
        raise ValueError(f"{name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(loaded):
        raise ValueError(f"{name!r} is not a function, nor a class")
    return loaded


def find_named(name: str, group: str, known: Collection[str] = ()) -> EntryPoint:
    """Find what `load_named` loads, without running any code of it; ValueError if there is no such name or module."""
    others = {each.name: each for each in entry_points(group=group)}
    if name not in others and ":" not in name:
        names = ", ".join([*known, *others])
        raise ValueError(f"{name!r} is {f'none of {names}, nor' if names else 'not'} module:function")
    found = others.get(name, EntryPoint(name, name, group))
    package = found.value.partition(":")[0].partition(".")[0]
    if find_spec(package) is None:  # of the package alone: to find a module in it imports the package
        raise ValueError(f"{name!r} cannot be loaded: ModuleNotFoundError: No module named {package!r}")
    return found


def range_of(given: Mapping[str, Any]) -> Any:
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


def is_close(a: float, b: float, knob: Knob) -> bool:
    """Return whether two values of a knob are the same but for the readback.

    Examples
    --------
    >>> is_close(1.0, 1.0 + 1e-9, Knob(range=(0, 10)))
    True
    """
    return math.isclose(a, b, rel_tol=0.0, abs_tol=READBACK * (knob.range[1] - knob.range[0]))
