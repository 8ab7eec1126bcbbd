"""The sections of the TOML that are the same for all techniques, and a function that reads a technique's section."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from ainerd.config._errors import SettingsError, dotted, problems_of, short

S = TypeVar("S", bound=BaseModel)


class Section(BaseModel):
    """A section of the TOML; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


def read_section(model: type[S], values: Mapping[str, Any], name: str) -> S:
    """Validate the section `name` of the TOML and return it.

    Raises SettingsError with one line for each problem, which names the key.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        if not values:
            needs = ", ".join(dotted(e["loc"]) for e in error.errors())
            raise SettingsError(f"there is no section [{name}], which needs {needs}") from None
        raise SettingsError("\n".join(f"{name}.{problem}" for problem in problems_of(error, model))) from None


def read_map(path: Path, name: str) -> NDArray[Any]:
    """Return the array, (rows, columns), in the .npy file of the key `name`. A ValueError names key and file."""
    if not path.is_file():
        raise ValueError(f"{name}: there is no {path}")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{name}: {path} is not a .npy: {error}") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2:
        raise ValueError(f"{name}: {path} must hold an array of (rows, columns)")
    return array


class Detector(Section):
    """Data keys of the detector in the documents."""

    image: str = Field(min_length=1)  #: data key of the frames
    n_frames: str = ""  #: configuration key of the frames of an exposure; empty if the detector has none
    frame_time_s: str = ""  #: configuration key of the time between frames, in s; empty if the detector has none


class Steering(Section):
    """Limits and options of the suggestions."""

    bounds: dict[str, tuple[float, float]]  #: limits by the names of the actuators, which share one unit
    smallest_feature: float | None = Field(default=None, gt=0)  #: radius of the smallest region to find
    beam_size: float | None = Field(default=None, gt=0)  #: distance at which a novel spot is measured again
    dose_limit: int = Field(default=1, ge=1)  #: exposures that a spot of the size of the beam may get
    age: str = ""  #: name in `recorded.readings` of the sample's age in s: ageing is not mistaken for regions
    seed: int = 0
    review: bool = False  #: whether plans measure only suggestions that a person took on a page
    review_timeout_s: float = Field(default=3600.0, gt=0)  #: how long a plan waits for such a suggestion

    @field_validator("bounds", mode="before")
    @classmethod
    def _are_limits(cls, bounds: Any) -> Any:
        if not isinstance(bounds, Mapping) or not bounds:
            raise ValueError(
                f"limits by the actuators' names are needed, such as sample_x = [0.0, 10.0], got {bounds!r}"
            )
        for name, limits in bounds.items():
            if not name or set(name) & set("./"):
                raise ValueError(f"{name!r} is not a name of an actuator: it has a dot or a slash, or is empty")
            numbers = isinstance(limits, list | tuple) and len(limits) == 2
            if not numbers or not all(type(x) in (int, float) and abs(x) <= sys.float_info.max for x in limits):
                raise ValueError(f"{name} needs two numbers, such as [0.0, 10.0], got {short(limits)}")
            low, high = limits
            if low == high:
                raise ValueError(f"{name} has no width: [{low:g}, {high:g}]")
            if low > high:
                raise ValueError(f"{name} is the wrong way round, did you mean [{high:g}, {low:g}]?")
        return bounds

    @model_validator(mode="after")
    def _lengths_fit(self) -> Self:
        widest = max(high - low for low, high in self.bounds.values())
        for name in ("smallest_feature", "beam_size"):
            length = getattr(self, name)
            if length is not None and length > widest:
                raise ValueError(f"{name} = {length:g} is wider than the bounds ({widest:g}): is it in their unit?")
        return self


class Recorded(Section):
    """Readings of a run to keep besides its frames: names in the result, and data keys."""

    series: dict[str, str] = {}  #: monitored during the run
    readings: dict[str, str] = {}  #: read once
    start: dict[str, str] = {}  #: keys of the start document, besides sample, user, proposal and plan
    units: dict[str, str] = {}  #: of all these

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if both := [name for name in self.series if name in self.readings]:
            raise ValueError(f"{both[0]!r} is a series and a reading: give one another name")
        return self


class Storage(Section):
    """Places of data."""

    uri: str = ""  #: address of a Tiled server; empty for the embedded one
    api_key: SecretStr = SecretStr("")  #: from the environment (AINERD_STORAGE__API_KEY), not in a file
    directory: Path  #: for the embedded server, and for documents that Tiled did not accept
    frames: list[Path]  #: folders that frames may be read from
    late_s: float = Field(default=5.0, ge=0)  #: how long after the end of a run its frames may come
    live: bool = True  #: whether open pages show the run in progress

    @field_validator("uri")
    @classmethod
    def _is_address(cls, uri: str) -> str:
        if uri and not uri.startswith(("http://", "https://")):
            shown = uri.partition("?")[0]
            raise ValueError(f"{shown!r} is not an address, did you mean 'http://{shown.rpartition('//')[2]}'?")
        return uri
