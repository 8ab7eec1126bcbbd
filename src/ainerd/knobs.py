"""Settings of a measurement: knobs with range, unit, length and cost of a change; exposures with their dose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

READBACK = 1e-6  # share of its range by which a readback may differ from its setpoint
NOISE = 1e-3  # share of its range within which a reading has not changed: thermometers are noisy
Positive = Annotated[FiniteFloat, Field(gt=0)]
STEPS = (1.0, 2.0, 5.0)  # frame times that are proposed, in each decade
KEV_J, PER_UM2, PER_GRAM = 1.602176634e-16, 1e12, 0.1  # keV in J; 1/um2 in 1/m2; cm2/g in m2/kg


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
        if self.speed and self.table:
            raise ValueError("speed and table are given: leave one of them out")
        if [step for step, _ in self.table] != sorted({step for step, _ in self.table}):
            raise ValueError("the changes in table must increase")
        return self

    @property
    def slack(self) -> float:
        """Largest difference of a reading from its setpoint that is no change."""
        return NOISE * (self.range[1] - self.range[0])

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


class Mode(BaseModel):
    """A mode of the detector.

    Attributes
    ----------
    frame_time_s : (float, float)
        Shortest and longest time from frame to frame.
    frames : (int, int)
        Fewest and most frames of an exposure.

    Examples
    --------
    >>> Mode(frame_time_s=(0.001, 1.0), frames=(100, 20000)).frames
    (100, 20000)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    frame_time_s: tuple[Positive, Positive]
    frames: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        for name in ("frame_time_s", "frames"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} needs the lower limit first, got [{low:g}, {high:g}]")
        return self

    @property
    def frame_times_s(self) -> list[float]:
        """Frame times that are proposed: the shortest, and 1, 2 and 5 of each decade."""
        low, high = self.frame_time_s
        decades = (float(f"{step}e{decade}") for decade in range(-9, 6) for step in STEPS)
        return [low, *(time_s for time_s in decades if low < time_s <= high)]

    def holds(self, frame_time_s: float, n_frames: int) -> bool:
        """Return whether the mode has this frame time, but for a millionth, and number of frames."""
        (low, high), (fewest, most) = self.frame_time_s, self.frames
        return low * (1 - 1e-6) <= frame_time_s <= high * (1 + 1e-6) and fewest <= n_frames <= most


@dataclass(frozen=True, slots=True)
class Exposure:
    """Settings of an exposure: time from frame to frame in s, number of frames, and transmission of the attenuator.

    Examples
    --------
    >>> Exposure(frame_time_s=0.01, n_frames=1000, transmission=0.1).n_frames
    1000
    """

    frame_time_s: float
    n_frames: int
    transmission: float

    @property
    def seconds(self) -> float:
        """Length."""
        return self.frame_time_s * self.n_frames

    @property
    def text(self) -> str:
        """The settings in words."""
        return f"{self.n_frames} frames of {self.frame_time_s:g} s at transmission {self.transmission:.3g}"


class ExposureOptions(BaseModel):
    """The exposures that are allowed: modes, transmissions, flux, and limits of dose.

    Attributes
    ----------
    modes : tuple of Mode
    transmissions : tuple of float
        Those that the attenuator offers.
    longest_s : float
        Longest exposure.
    flux : float
        Photons per um² and second on the sample in the open beam, at most.
    counts_per_s : float
        Counts per pixel and second in the open beam: a start value, then learned from results.
    precision : float
        Relative error of tau that is aimed at.
    limit, limit_of_sample : float
        Most dose of a spot, and most of all spots together, in `unit`.
    unit : str
        ``photons/um2``, or ``Gy``, which needs `energy_keV` and `absorption_cm2_g` (mass energy absorption).
    overhead_s : float
        Time for which the shutter is open besides the frames.
    frame_exposure_s : str
        Configuration key of the time for which a frame counts, which is set to that from frame to frame; may be empty.
    spot : tuple of str
        Knobs that move the beam over the sample; empty: all. Of the others the dose does not depend.
    sample : str
        Name of the sample. Another name is another sample, without dose.

    Examples
    --------
    >>> mode = Mode(frame_time_s=(0.001, 1.0), frames=(100, 20000))
    >>> ExposureOptions(modes=[mode], flux=1e6, limit=1e9).transmissions
    (1.0,)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    modes: tuple[Mode, ...] = Field(min_length=1)
    transmissions: tuple[Annotated[Positive, Field(le=1)], ...] = Field(default=(1.0,), min_length=1)
    longest_s: Positive = 600.0
    flux: Positive
    counts_per_s: Positive = 100.0
    precision: Annotated[Positive, Field(lt=0.5)] = 0.1
    limit: Positive
    limit_of_sample: Positive | None = None
    unit: Literal["photons/um2", "Gy"] = "photons/um2"
    energy_keV: Positive | None = None  # noqa: N815
    absorption_cm2_g: Positive | None = None
    overhead_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    frame_exposure_s: str = ""
    spot: tuple[str, ...] = ()
    sample: str = ""

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if list(self.transmissions) != sorted(set(self.transmissions), reverse=True):
            raise ValueError(f"transmissions must decrease, got {list(self.transmissions)}")
        absorbs = self.energy_keV is not None and self.absorption_cm2_g is not None
        if self.unit == "Gy" and not absorbs:
            raise ValueError("Gy needs energy_keV and absorption_cm2_g")
        if self.unit != "Gy" and (self.energy_keV is not None or self.absorption_cm2_g is not None):
            raise ValueError('energy_keV and absorption_cm2_g are for unit = "Gy": leave them out')
        if not any(mode.frame_time_s[0] * mode.frames[0] <= self.longest_s for mode in self.modes):
            raise ValueError(f"longest_s = {self.longest_s:g} is shorter than the shortest exposure of each mode")
        return self

    @property
    def dose_per_s(self) -> float:
        """Dose of a second in the open beam."""
        if self.unit == "Gy":
            assert self.energy_keV is not None and self.absorption_cm2_g is not None
            return self.flux * PER_UM2 * self.energy_keV * KEV_J * self.absorption_cm2_g * PER_GRAM
        return self.flux

    def dose(self, exposure: Exposure) -> float:
        """Return the dose of an exposure, in `unit`."""
        return self.dose_per_s * exposure.transmission * (exposure.seconds + self.overhead_s)

    def objection(self, exposure: Exposure) -> str | None:
        """Return the reason why the detector cannot take an exposure; None if it can."""
        if not 0 < exposure.transmission <= 1:
            return f"a transmission must lie above 0 and at most at 1, got {exposure.transmission:g}"
        if not any(mode.holds(exposure.frame_time_s, exposure.n_frames) for mode in self.modes):
            return f"no mode of the detector has {exposure.n_frames} frames of {exposure.frame_time_s:g} s"
        if exposure.seconds > self.longest_s * (1 + 1e-6):
            return f"{exposure.seconds:g} s is longer than longest_s = {self.longest_s:g}"
        return None
