"""Settings of one instrument: a TOML file, overridden by the environment.

The sections defined here are the same for all techniques. A technique validates its own section, such as
``[rheo_xpcs]``, with `read_section`.
"""

import difflib
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ainerd import DEFAULT_TECHNIQUE
from ainerd.technique import names

_PREFIX = "AINERD_"
# Sections of earlier versions, and what they are called now.
_MOVED = {"partition": "rheo_xpcs.partition", "analysis": "rheo_xpcs", "beside": "recorded"}


class SettingsError(ValueError):
    """The settings do not fit; the message names the key and the file."""


class Section(BaseModel):
    """A section of the TOML: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


S = TypeVar("S", bound=BaseModel)


def read_section(model: type[S], values: Mapping[str, Any], name: str) -> S:
    """The section `name` of the TOML, validated; SettingsError has a line a problem, each naming its key."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        if not values:
            needs = ", ".join(_dotted(e["loc"]) for e in error.errors())
            raise SettingsError(f"there is no section [{name}], which needs {needs}") from None
        raise SettingsError("\n".join(f"{name}.{problem}" for problem in _problems(error, model))) from None


def read_map(path: Path, name: str) -> NDArray[Any]:
    """The array of (rows, columns) in a .npy that the key `name` gives; ValueError names both."""
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
                raise ValueError(f"{name} needs two numbers, such as [0.0, 10.0], got {_short(limits)}")
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


class Settings(BaseSettings):
    """Everything that `ainerd.agent.build_agent` needs to know of an instrument.

    The environment overrides the file: ``AINERD_STEERING__SEED=1``, ``AINERD_RHEO_XPCS__ALPHA=0.01``.

    Attributes
    ----------
    name : str
        Of the agent.
    technique : str
        Name of an installed technique, see `ainerd.technique.names`.
    section : dict
        The technique's own section, as it is in the file; it may be changed before an agent is built.
    folder : Path
        Of the file: relative paths count from it.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid")

    name: str = Field(min_length=1)
    technique: str = DEFAULT_TECHNIQUE
    detector: Detector
    steering: Steering
    recorded: Recorded = Recorded()
    storage: Storage
    _section: dict[str, Any] = PrivateAttr(default_factory=dict)
    _folder: Path = PrivateAttr(default_factory=Path)

    @property
    def section(self) -> dict[str, Any]:
        """The technique's own section."""
        return self._section

    @property
    def folder(self) -> Path:
        """Folder of the file."""
        return self._folder

    @model_validator(mode="after")
    def _age_is_read(self) -> Self:
        age, readings = self.steering.age, self.recorded.readings
        if age and age not in readings:
            raise ValueError(f"steering.age: {age!r} is none of recorded.readings ({', '.join(readings) or 'empty'})")
        return self

    @model_validator(mode="after")
    def _units_are_of_something(self) -> Self:
        known = [*self.steering.bounds, *self.recorded.series, *self.recorded.readings]
        for name in self.recorded.units:
            if name not in known:
                raise ValueError(f"recorded.units.{name}: nothing is called so{_meant(name, known)}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file."""
        return env_settings, init_settings

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a TOML file; its relative paths count from its own folder.

        SettingsError has a line a problem, each naming the file and its key.
        """
        path = Path(path)
        try:
            return cls.of(tomllib.loads(path.read_text()), path.parent)
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror}{_near(path)}") from None
        except SettingsError as error:
            raise SettingsError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
        except (ValueError, RecursionError) as error:  # of TOML, of its characters, of lists too deep inside each other
            raise SettingsError(f"{path} is not TOML: {error}") from None

    @classmethod
    def of(cls, given: Mapping[str, Any], folder: Path) -> Self:
        """Settings from tables as a TOML file has them, overridden by the environment; see `tables`.

        SettingsError has a line a problem, each naming its key.
        """
        given = dict(given)
        technique = os.environ.get(f"{_PREFIX}TECHNIQUE") or str(given.get("technique", DEFAULT_TECHNIQUE))
        section = given.pop(technique, {})
        if not isinstance(section, dict):
            raise SettingsError(f"{technique}: must be a section [{technique}]")
        if private := [name for name in given if name.startswith("_")]:  # options of pydantic's, which read files
            raise SettingsError(f"{private[0]}: unknown key")
        if problems := _misplaced({name: x for name, x in given.items() if name not in cls.model_fields}, technique):
            raise SettingsError("\n".join(problems))
        try:
            settings = cls(**given)
        except ValidationError as error:
            raise SettingsError("\n".join(_problems(error, cls, technique))) from None
        except ValueError as error:  # a variable that should be JSON and is not
            raise SettingsError(_no_json(error)) from None
        settings._section = _overridden(section, f"{_PREFIX}{technique.upper()}__")
        if problems := [*_beyond_use({**settings.model_dump(), technique: settings._section})]:
            raise SettingsError("\n".join(problems))
        settings._folder = folder.resolve()
        storage = settings.storage
        storage.directory = (settings._folder / storage.directory).resolve()
        storage.frames = [(settings._folder / frames).resolve() for frames in storage.frames]
        return settings

    def tables(self) -> dict[str, Any]:
        """The same as tables of plain values, for `of` on another machine; without the API key."""
        return {**self.model_dump(mode="json", exclude={"storage": {"api_key"}}), self.technique: self.section}


def _beyond_use(value: Any, at: tuple[Any, ...] = ()) -> Iterator[str]:
    """Values that no setting can be, a line each: text that is in no path, a number that no float holds."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _beyond_use(each, (*at, name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _beyond_use(each, at)
    elif isinstance(value, str | Path) and any(x == "\0" or "\ud800" <= x <= "\udfff" for x in str(value)):
        yield f"{_dotted(at)}: has NUL, or half of a surrogate pair, in its text"
    elif isinstance(value, int) and abs(value) > sys.float_info.max:
        yield f"{_dotted(at)}: a whole number of more than {sys.float_info.max_10_exp} digits is none that is used"


def _misplaced(sections: Mapping[str, Any], technique: str) -> list[str]:
    """What is wrong with sections that are neither everybody's nor the technique's, in the file or the environment."""
    variables = {
        v: v[len(_PREFIX) :].partition("__")[0].lower() for v in os.environ if v.startswith(_PREFIX) and "__" in v
    }
    everybodys = {*Settings.model_fields, technique.lower(), *names()}
    strange = {name: f"[{name}]" if isinstance(value, Mapping) else name for name, value in sections.items()}
    strange |= {name: variable for variable, name in variables.items() if name not in everybodys}
    if old := [f"{strange[name]} is now in [{new}]" for name, new in _MOVED.items() if name in strange]:
        return [f"of an earlier version: {', '.join(old)}"]
    if sections and technique not in names():
        return [f"technique: {technique!r} is not installed{_meant(technique, names())}"]
    known = [*Settings.model_fields, technique]
    return [
        f"{where}: technique is {technique!r}, remove the section or write technique = {name!r}"
        if name in names()
        else f"{where}: unknown {'key' if where == name else 'section'}{_meant(name, known)}"
        for name, where in strange.items()
    ]


def _overridden(section: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """A section with what the environment says instead: JSON, or else text."""
    table = deepcopy(dict(section))
    for variable in sorted(name for name in os.environ if name.startswith(prefix)):
        inner, *outer, last = table, *variable[len(prefix) :].split("__")
        for name in outer:
            inner = inner.setdefault(_as_known(name, inner), {})
            if not isinstance(inner, dict):
                raise SettingsError(f"{variable}: {name.lower()} is not a table")
        text = os.environ[variable]
        try:
            inner[_as_known(last, inner)] = json.loads(text)
        except ValueError:
            inner[_as_known(last, inner)] = text
    return table


def _as_known(name: str, table: Mapping[str, Any]) -> str:
    """A key that is written in capitals, as the table has it."""
    return next((key for key in table if key.lower() == name.lower()), name.lower())


def _problems(error: ValidationError, model: type[BaseModel], technique: str = "") -> list[str]:
    """What is wrong with values, a line each: ``key: what``."""
    found = []
    for e in error.errors():
        message = e["msg"].removeprefix("Value error, ")
        if e["type"] not in ("missing", "extra_forbidden", "value_error") and "storage" not in e["loc"]:  # has the key
            message += f", got {_short(e['input'])}"
        if e["type"] == "extra_forbidden":
            message = "unknown key" + _meant(str(e["loc"][-1]), _keys(model, e["loc"][:-1]))
            if technique and "did you mean" not in message:
                message += f"; a key of the technique goes to [{technique}]"
        found.append(f"{_dotted(e['loc'])}: {message}" if e["loc"] else message)
    return found


def _keys(model: Any, location: tuple[Any, ...]) -> list[str]:
    """Keys of the section at a location, as far as that is a section."""
    for name in location:
        field = getattr(model, "model_fields", {}).get(name)
        model = None if field is None else field.annotation
    return list(getattr(model, "model_fields", {}))


def _meant(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}" * bool(known)


def _near(path: Path) -> str:
    """A settings file beside or in a path that is none."""
    if path.is_dir():
        found = [file for file in sorted(path.glob("*.toml")) if ".instrument" not in file.suffixes]
        return f", did you mean {found[0]}?" if found else ""
    there = {file.name: file for file in path.parent.glob("*.toml")}
    close = difflib.get_close_matches(path.name, there, 1)
    return f", did you mean {there[close[0]]}?" if close else ""


def _no_json(error: ValueError) -> str:
    """Which variable of the environment is to be JSON, and is not."""
    text = getattr(error.__cause__, "doc", None)
    wrong = [name for name, value in os.environ.items() if name.startswith(_PREFIX) and value == text]
    if not wrong:
        return f"the environment: {error}"
    shown = "the value" if any("STORAGE" in name for name in wrong) else _short(text)  # the API key is in it
    return f'{wrong[0]}: {shown} is no JSON; a list is \'["a", "b"]\', a table \'{{"a": 1}}\''


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _dotted(location: tuple[Any, ...]) -> str:
    return ".".join(map(str, location))
