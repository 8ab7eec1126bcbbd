"""The sections that are the same for all techniques."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ainerd.config._section import Section
from ainerd.config._wrong import short


class Detector(Section):
    """Data keys of the detector in the documents."""

    image: str = Field(min_length=1)  #: data key of the frames
    n_frames: str = ""  #: configuration key of the frames of an exposure; empty where the detector does not say
    frame_time_s: str = ""  #: configuration key of the time between frames, in s; empty likewise


class Steering(Section):
    """Where the agent may go."""

    bounds: dict[str, tuple[float, float]]  #: limits by the actuators' names, which share one unit
    smallest_feature: float | None = Field(default=None, gt=0)  #: radius of a region that must not be missed
    beam_size: float | None = Field(default=None, gt=0)  #: how far beside a novel spot it is measured again
    dose_limit: int = Field(default=1, ge=1)  #: exposures that a spot of the size of the beam may get
    age: str = ""  #: which of `recorded.readings` is the sample's age in s, so that ageing is not taken for regions
    seed: int = 0
    review: bool = False  #: whether a plan measures only what a person took, on a page
    review_timeout_s: float = Field(default=3600.0, gt=0)  #: how long a plan waits for that

    @field_validator("bounds", mode="before")
    @classmethod
    def _are_limits(cls, bounds: Any) -> Any:
        if not isinstance(bounds, Mapping) or not bounds:
            raise ValueError(
                f"limits by the actuators' names are needed, such as sample_x = [0.0, 10.0], got {bounds!r}"
            )
        for name, limits in bounds.items():
            if not name or set(name) & set("./"):
                raise ValueError(f"{name!r} is no name of an actuator: it has a dot or a slash, or nothing")
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
    """What is kept of a run beside its frames: names in the result, and data keys."""

    series: dict[str, str] = {}  #: what is monitored during the run
    readings: dict[str, str] = {}  #: what is read once
    start: dict[str, str] = {}  #: keys of the start document, beside sample, user, proposal and plan
    units: dict[str, str] = {}  #: of all these

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if both := [name for name in self.series if name in self.readings]:
            raise ValueError(f"{both[0]!r} is a series and a reading: give one another name")
        return self


class Storage(Section):
    """Where data live."""

    uri: str = ""  #: of a Tiled server; empty for the embedded one
    api_key: SecretStr = SecretStr("")  #: by the environment (AINERD_STORAGE__API_KEY), not in a file
    directory: Path  #: of the embedded server, and of documents that could not be written
    frames: list[Path]  #: folders that frames may be read from
    late_s: float = Field(default=5.0, ge=0)  #: how long after the end of a run its frames may come
    live: bool = True  #: whether pages that are open see the run in progress fill in

    @field_validator("uri")
    @classmethod
    def _is_address(cls, uri: str) -> str:
        if uri and not uri.startswith(("http://", "https://")):
            shown = uri.partition("?")[0]
            raise ValueError(f"{shown!r} is no address, did you mean 'http://{shown.rpartition('//')[2]}'?")
        return uri
