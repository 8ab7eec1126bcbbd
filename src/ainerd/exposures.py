"""Exposures as data: the modes of a detector, its attenuators, and the dose that a sample may get."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

Positive = Annotated[FiniteFloat, Field(gt=0)]
STEPS = (1.0, 2.0, 5.0)  # frame times that are proposed, in each decade
KEV_J, PER_UM2, PER_GRAM = 1.602176634e-16, 1e12, 0.1  # keV in J; 1/um2 in 1/m2; cm2/g in m2/kg


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
