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
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ainerd import DEFAULT_TECHNIQUE
from ainerd.knobs import ExposureOptions, Knob, lengths, range_of
from ainerd.technique import names

__all__ = [
    "Acquisition", "Detector", "Recorded", "Section", "Settings", "SettingsError", "Steering", "Storage", "read_map",
    "read_section", "read_toml",
]  # fmt: skip

PREFIX = "AINERD_"
S = TypeVar("S", bound=BaseModel)


DAY_S = 86_400.0
REMOVED = {  # keys of the TOML
    "storage.when_full": "plans wait while a disk has less room than storage.least_free_mb",
    "steering.age": "regimes that follow from each other in time are a path, whatever the next position is",
}
FARTHEST = 1e9  # of a position: beyond it, differences of positions lose their digits


class Section(BaseModel):
    """A section of the TOML; unknown keys are refused.

    Examples
    --------
    >>> class MineSettings(Section):
    ...     alpha: float = 0.05
    >>> read_section(MineSettings, {"alpha": 0.01}, "mine").alpha
    0.01
    >>> read_section(MineSettings, {"alfa": 0.01}, "mine")
    Traceback (most recent call last):
        ...
    ainerd.config.SettingsError: mine.alfa: unknown key, did you mean 'alpha'?
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def read_section(model: type[S], values: Mapping[str, Any], name: str) -> S:
    """Validate the section `name` of the TOML and return it.

    Raises SettingsError with one line for each problem, which names the key.

    Examples
    --------
    >>> read_section(Detector, {"image": "lambda750k_image"}, "detector").image
    'lambda750k_image'
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        if not values:
            needs = ", ".join(dotted(e["loc"]) for e in error.errors())
            raise SettingsError(f"there is no section [{name}], which needs {needs}") from None
        raise SettingsError("\n".join(problems_of(error, model, at=(name,)))) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file, without the byte order mark that some editors write before them.

    Raises ValueError if it is not TOML; the message does not name the file.

    Examples
    --------
    >>> path = folder / "mine.toml"
    >>> _ = path.write_text('name = "mine"', encoding="utf-8-sig")
    >>> read_toml(path)
    {'name': 'mine'}
    """
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8: save the file in that encoding") from None


def read_map(path: Path, name: str) -> NDArray[Any]:
    """Return the array, (rows, columns), in the .npy file of the key `name`. A ValueError names key and file.

    Examples
    --------
    >>> path = folder / "roi.npy"
    >>> np.save(path, np.ones((4, 6), np.int64))
    >>> read_map(path, "xpcs.roi_map").shape
    (4, 6)
    """
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
    """Data keys of the detector in the documents.

    Examples
    --------
    >>> read_section(Detector, {"image": "lambda750k_image", "n_frame": "frames"}, "detector")
    Traceback (most recent call last):
        ...
    ainerd.config.SettingsError: detector.n_frame: unknown key, did you mean 'n_frames'?
    """

    image: str = Field(min_length=1)  #: data key of the frames
    n_frames: str = ""  #: configuration key of the frames of an exposure; empty if the detector has none
    frame_time_s: str = ""  #: configuration key of the time between frames, in s; empty if the detector has none
    frame_number: str = ""  #: data key, or /dataset in the file, of the detector's number of each frame
    ticks: str = ""  #: the same of times, in s or ticks of frame_time_s, if frames come at any times
    pixel_order: Literal["", "rows", "columns"] = ""  #: of a Rigaku detector: how a module numbers its pixels
    flags: dict[str, float] = {}  #: readings that report faults, by data key, with the largest value without a fault

    @model_validator(mode="after")
    def _numbered_once(self) -> Self:
        if self.frame_number and self.ticks:
            raise ValueError("frame_number and ticks are both given: leave one of them out")
        if self.frame_number == self.image:
            raise ValueError(f"frame_number = {self.image!r} is the key of the frames themselves")
        return self

    @property
    def number(self) -> str:
        """The one of `frame_number` and `ticks` that is not empty."""
        return self.frame_number or self.ticks


class Steering(Section):
    """Limits and options of the suggestions.

    Examples
    --------
    >>> read_section(Steering, {"bounds": {"sample_x": [0, 10]}, "beam_size": 20}, "steering")
    Traceback (most recent call last):
        ...
    ainerd.config.SettingsError: steering: beam_size = 20 is wider than the bounds (10): is it in their unit?
    """

    bounds: dict[str, tuple[float, float]]  #: limits by the names of the actuators, which share one unit
    knobs: dict[str, Knob] = {}  #: in place of bounds, with unit, length, cost and direction of each
    exposure: ExposureOptions | None = None  #: modes of the detector, attenuators and limits of dose
    policy: str = "new_regimes"  #: how positions are chosen: a name, or "module:function"
    smallest_feature: float | None = Field(default=None, gt=0)  #: radius of the smallest region to find
    elongation: float = Field(default=1.0, ge=1)  #: how many times as long as wide such a region may be
    beam_size: float | None = Field(default=None, gt=0)  #: size of a spot; in lengths, if the knobs have lengths
    dose_limit: int = Field(default=1, ge=1)  #: exposures that a spot of the size of the beam may get
    seed: int = 0
    shared_s: float = Field(default=0.0, ge=0)  #: how long a proposal of another session counts; 0: there is no other
    partners: list[str] = []  #: agents of other techniques on this sample: what is novel to them is measured here, too
    enough: float | None = Field(default=None, gt=0, lt=0.5)  #: relative error at which plans end an exposure early
    review: bool = False  #: whether plans measure only suggestions that a person took on a page
    review_timeout_s: float = Field(default=3600.0, gt=0)  #: how long a plan waits for such a suggestion

    @model_validator(mode="before")
    @classmethod
    def _bounds_of_knobs(cls, given: Any) -> Any:
        """Take the bounds from the ranges of the knobs."""
        knobs = given.get("knobs") if isinstance(given, Mapping) else None
        if not isinstance(knobs, Mapping) or not knobs:
            return given
        ranges = {name: range_of(dict(knob)) for name, knob in knobs.items() if isinstance(knob, Mapping | Knob)}
        if "bounds" in given and _plain(given["bounds"]) != _plain(ranges):
            raise ValueError("bounds and knobs are both given: write the limits as the range of each knob")
        return {**given, "bounds": {name: limits for name, limits in ranges.items() if limits}}

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
            if max(abs(low), abs(high)) > FARTHEST:
                raise ValueError(f"{name} is limited to ±{FARTHEST:g}, got {short(limits)}: is the unit right?")
            if low == high:
                raise ValueError(f"{name} has no width: [{low:g}, {high:g}]")
            if low > high:
                raise ValueError(f"{name} is the wrong way round, did you mean [{high:g}, {low:g}]?")
        return bounds

    @model_validator(mode="after")
    def _lengths_fit(self) -> Self:
        lengths(self.knobs)
        if self.exposure is not None:
            if self.beam_size is None:
                raise ValueError("exposure needs beam_size: exposures closer than it share their dose")
            if unknown := [name for name in self.exposure.spot if name not in self.bounds]:
                raise ValueError(f"exposure.spot: there is no knob {unknown[0]!r}, only {', '.join(self.bounds)}")
        if any(knob.length for knob in self.knobs.values()):
            if self.smallest_feature is not None:
                raise ValueError("smallest_feature: the lengths of the knobs take its place, leave it out")
            return self
        widest = max(high - low for low, high in self.bounds.values())
        for name in ("smallest_feature", "beam_size"):
            length = getattr(self, name)
            if length is not None and length > widest:
                raise ValueError(f"{name} = {length:g} is wider than the bounds ({widest:g}): is it in their unit?")
        return self


def _plain(bounds: Any) -> Any:
    """Return bounds with lists in place of tuples."""
    return (
        {name: [*x] if isinstance(x, tuple) else x for name, x in bounds.items()}
        if isinstance(bounds, dict)
        else bounds
    )


class Recorded(Section):
    """Readings of a run to keep besides its frames: names in the result, and data keys.

    Examples
    --------
    >>> read_section(Recorded, {"series": {"load": "cell_load"}, "readings": {"load": "cell_mean"}}, "recorded")
    Traceback (most recent call last):
        ...
    ainerd.config.SettingsError: recorded: series.load is also in readings, rename one of them
    """

    series: dict[str, str] = {}  #: monitored during the run
    readings: dict[str, str] = {}  #: read once
    start: dict[str, str] = {}  #: keys of the start document, besides sample, user, proposal and plan
    units: dict[str, str] = {}  #: of all these

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if both := [name for name in self.series if name in self.readings]:
            raise ValueError(f"series.{both[0]} is also in readings, rename one of them")
        return self


class Acquisition(Section):
    """Places in the files of acquisitions from which documents take their values, for the source ``folder:PATH``.

    The defaults are those of APS 8-ID. Paths are those of datasets in ``NAME_metadata.hdf``.

    Examples
    --------
    >>> read_section(Acquisition, {"columns": {"load": "load_N"}}, "acquisition")
    Traceback (most recent call last):
        ...
    ainerd.config.SettingsError: acquisition: columns need record, the pattern of the CSV, such as "*rheo*.csv"
    """

    dataset: str = "/entry/data/data"  #: of the frames in NAME.h5
    frame_time_s: str = "/entry/instrument/detector_1/frame_time"  #: path of the time from frame to frame
    n_frames: str = ""  #: path of the number of frames; empty if those in the file are all
    began: str = "/entry/start_time"  #: path of the time of the first frame
    readings: dict[str, str] = {}  #: paths of numbers, by data key
    start: dict[str, str] = {"qmap_file": "/entry/instrument/detector_1/qmap_file"}  #: by key of the start document
    units: dict[str, str] = {}  #: of readings, which are converted
    record: str = ""  #: pattern of the CSV beside the frames; empty if there is none
    record_time: str = "time_s"  #: its column of times
    record_zero: str = ""  #: path of its clock's time at the first frame; empty if it shows dates, or epoch seconds
    record_ahead_s: float = 0.0  #: how far its clock is ahead of that of the frames
    columns: dict[str, str] = {}  #: of the CSV, by data key

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if both := [name for name in self.readings if name in self.columns]:
            raise ValueError(f"readings.{both[0]} is also in columns, give one of them another data key")
        if unknown := [name for name in self.units if name not in {*self.readings, *self.columns}]:
            raise ValueError(f"units.{unknown[0]}: no reading or column has that data key")
        if self.columns and not self.record:
            raise ValueError('columns need record, the pattern of the CSV, such as "*rheo*.csv"')
        return self


class Storage(Section):
    """Places of data.

    Examples
    --------
    >>> storage = Storage(directory=folder / "tiled", frames=[])
    >>> storage.create_directory()
    >>> oct(storage.directory.stat().st_mode)[-3:]  # nobody else reads it
    '700'
    """

    uri: str = ""  #: address of a Tiled server; empty for the embedded one
    api_key: SecretStr = SecretStr("")  #: from the environment (AINERD_STORAGE__API_KEY), not in a file
    directory: Path  #: for the embedded server, and for documents that Tiled did not accept
    frames: list[Path]  #: folders that frames may be read from
    late_s: float = Field(default=5.0, ge=0, le=DAY_S)  #: how long after the end of a run its frames may come
    least_free_mb: float = Field(default=1000.0, ge=0)  #: room that the disks should have before an exposure, in MB
    live: bool = True  #: whether open pages show the run in progress
    hosts: list[str] = []  #: names by which a proxy asks for the embedded server, beside those of this machine
    group_reads: bool = False  #: whether the group of a new `directory` may read it, too (mode 750 instead of 700)

    def create_directory(self) -> None:
        """Create `directory` for its owner, or also for its group to read; one that exists keeps its permissions.

        The folder of documents below it is for the owner alone. No folder can be written by others, whatever the umask.
        SettingsError if one cannot be created.
        """
        try:
            for parent in [each for each in self.directory.parents if not each.exists()][::-1]:
                parent.mkdir(0o755, exist_ok=True)
            is_new = not self.directory.exists()
            self.directory.mkdir(0o700, exist_ok=True)
            if is_new:
                self.directory.chmod(0o750 if self.group_reads else 0o700)
            (self.directory / "unwritten").mkdir(0o700, exist_ok=True)
        except OSError as error:
            why = error.strerror
            raise SettingsError(f"cannot create storage.directory {self.directory}: {why}") from None

    @field_validator("uri")
    @classmethod
    def _is_address(cls, uri: str) -> str:
        if uri and not uri.startswith(("http://", "https://")):
            shown = uri.partition("?")[0]
            raise ValueError(f"{shown!r} is not an address, did you mean 'http://{shown.rpartition('//')[2]}'?")
        return uri


class Settings(BaseSettings):
    """All settings of an instrument, for `ainerd.agent.build_agent`.

    The environment overrides the file: ``AINERD_STEERING__SEED=1``, ``AINERD_RHEO_XPCS__ALPHA=0.01``.

    Attributes
    ----------
    name : str
        Name of the agent.
    technique : str
        Name of an installed technique, see `ainerd.technique.names`.
    section : dict
        The technique's own section. It may be changed before an agent is built.
    folder : Path
        Folder of the file; relative paths start there.

    Examples
    --------
    >>> settings = Settings.load("profiles/rheo_xpcs/small.toml")
    >>> settings.technique, settings.detector.image, settings.steering.bounds
    ('rheo_xpcs', 'lambda750k_image', {'sample_x': (0.0, 10.0), 'sample_y': (0.0, 10.0)})
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid")

    name: str = Field(min_length=1)
    technique: str = DEFAULT_TECHNIQUE
    detector: Detector
    steering: Steering
    recorded: Recorded = Recorded()
    acquisition: Acquisition = Acquisition()
    storage: Storage
    webhook: SecretStr = SecretStr("")  #: address that gets messages; it may hold a token
    _section: dict[str, Any] = {}
    _folder: Path = Path()
    _file: Path | None = None

    @property
    def section(self) -> dict[str, Any]:
        """The technique's own section."""
        return self._section

    @property
    def folder(self) -> Path:
        """Folder of the file."""
        return self._folder

    @property
    def file(self) -> Path | None:
        """The file; None for settings that were not read from one."""
        return self._file

    @property
    def units(self) -> dict[str, str]:
        """Units of the actuators, by name, where they are given."""
        of_knobs = {name: knob.unit for name, knob in self.steering.knobs.items() if knob.unit}
        return of_knobs | {name: unit for name, unit in self.recorded.units.items() if name in self.steering.bounds}

    @property
    def unit(self) -> str:
        """Unit that all actuators share; empty if they have several."""
        units = {self.units.get(name, "") for name in self.steering.bounds}
        return units.pop() if len(units) == 1 else ""

    @field_validator("webhook")
    @classmethod
    def _is_web_address(cls, webhook: SecretStr) -> SecretStr:
        import httpx  # most settings have none

        try:
            url = httpx.URL(webhook.get_secret_value())
            is_address = not str(url) or (url.scheme in ("http", "https") and bool(url.host))
        except httpx.InvalidURL:
            is_address = False
        if not is_address:
            raise ValueError("it is not the address of a web server: give https://host/path")
        return webhook

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if self.steering.exposure is not None and not (self.detector.n_frames and self.detector.frame_time_s):
            raise ValueError("steering.exposure: it needs detector.n_frames and detector.frame_time_s, which it sets")
        if self.name in self.steering.partners:
            raise ValueError(f"steering.partners: {self.name!r} is the name of this agent itself")
        known = [*self.steering.bounds, *self.recorded.series, *self.recorded.readings]
        for name in self.recorded.units:
            if name not in known:
                raise ValueError(f"recorded.units.{name}: nothing has that name{alternatives(name, known)}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment override the file."""
        return env_settings, init_settings

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a TOML file; its relative paths start in its own folder.

        Raises SettingsError with one line for each problem, which names the file and the key.
        """
        path = Path(path)
        try:
            settings = cls.of(read_toml(path), path.parent)
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror}{files_near(path)}") from None
        except SettingsError as error:
            raise error.in_file(path) from None
        except (ValueError, RecursionError) as error:  # RecursionError: lists nested too deep
            raise SettingsError(f"{path} is not TOML: {error}") from None
        settings._file = path  # noqa: SLF001
        return settings

    @classmethod
    def of(cls, given: Mapping[str, Any], folder: Path) -> Self:
        """Make settings from the tables of a TOML file, overridden by the environment; see `tables`.

        Raises SettingsError with one line for each problem, which names the key.
        """
        given = dict(given)
        technique = os.environ.get(f"{PREFIX}TECHNIQUE") or str(given.get("technique", DEFAULT_TECHNIQUE))
        section = given.pop(technique, {})
        if not isinstance(section, dict):
            raise SettingsError(f"{technique}: must be a section [{technique}]")
        if private := [name for name in given if name.startswith("_")]:  # pydantic options, which would read files
            raise SettingsError(f"{private[0]}: unknown key")
        if problems := _misplaced({name: x for name, x in given.items() if name not in cls.model_fields}, technique):
            raise SettingsError("\n".join(problems))
        try:
            settings = cls(**given)
        except ValidationError as error:
            raise SettingsError("\n".join(problems_of(error, cls, technique))) from None
        except ValueError as error:  # a variable is not JSON
            raise SettingsError(_not_json(error)) from None
        settings._section = _overridden(section, f"{PREFIX}{technique.upper()}__")
        if problems := [*unusable_values({**settings.model_dump(), technique: settings._section})]:
            raise SettingsError("\n".join(problems))
        settings._folder = folder.resolve()
        storage = settings.storage
        storage.directory = (settings._folder / storage.directory).resolve()
        storage.frames = [(settings._folder / frames).resolve() for frames in storage.frames]
        if any(frames == Path(frames.anchor) for frames in storage.frames):
            raise SettingsError("storage.frames: / would let a run read every file of this machine: name the folders")
        return settings

    def tables(self) -> dict[str, Any]:
        """Return the settings without the API key, as tables of plain values for `of` on another machine."""
        return {**self.model_dump(mode="json", exclude={"storage": {"api_key"}}), self.technique: self.section}


def _misplaced(sections: Mapping[str, Any], technique: str) -> list[str]:
    """Return the problems of sections, in file or environment, that are neither general nor of this technique."""
    nested = [variable for variable in os.environ if variable.startswith(PREFIX) and "__" in variable]
    variables = {variable: variable.removeprefix(PREFIX).partition("__")[0].lower() for variable in nested}
    known_names = {*Settings.model_fields, technique.lower(), *names()}
    unknown = {name: f"[{name}]" if isinstance(value, Mapping) else name for name, value in sections.items()}
    unknown |= {name: variable for variable, name in variables.items() if name not in known_names}
    if sections and technique not in names():
        return [f"technique: {technique!r} is not installed{alternatives(technique, names())}"]
    known = [*Settings.model_fields, technique]
    return [
        f"{where}: technique is {technique!r}, remove the section or write technique = {name!r}"
        if name in names()
        else f"{where}: unknown {'key' if where == name else 'section'}{alternatives(name, known)}"
        for name, where in unknown.items()
    ]


def _overridden(section: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return a section overridden by the environment. Values of the environment are JSON or else text."""
    table = deepcopy(dict(section))
    for variable in sorted(name for name in os.environ if name.startswith(prefix)):
        inner, *outer, last = table, *variable[len(prefix) :].split("__")
        for name in outer:
            inner = inner.setdefault(_known_key(name, inner), {})
            if not isinstance(inner, dict):
                raise SettingsError(f"{variable}: {name.lower()} is not a table")
        text = os.environ[variable]
        try:
            inner[_known_key(last, inner)] = json.loads(text)
        except ValueError:
            inner[_known_key(last, inner)] = text
    return table


def _known_key(name: str, table: Mapping[str, Any]) -> str:
    """Return the key of a table that matches a name in any case, or else the name in lower case."""
    return next((key for key in table if key.lower() == name.lower()), name.lower())


def _not_json(error: ValueError) -> str:
    """Return a message that names the environment variable whose value is not JSON."""
    text = getattr(error.__cause__, "doc", None)
    variables = [name for name, value in os.environ.items() if name.startswith(PREFIX) and value == text]
    if not variables:
        return f"the environment: {error}"
    shown = "the value" if any("STORAGE" in name for name in variables) else short(text)  # the API key is in it
    return f'{variables[0]}: {shown} is not JSON; a list is \'["a", "b"]\', a table \'{{"a": 1}}\''


class SettingsError(ValueError):
    """Raised if the settings are invalid; the message names the key and the file.

    Examples
    --------
    >>> Settings.load(folder / "agent.toml")
    Traceback (most recent call last):
        ...
    ainerd.config.SettingsError: cannot read ...agent.toml: No such file or directory
    """

    def in_file(self, path: Path) -> Self:
        """Return the error with the name of the file in each line."""
        return type(self)("\n".join(f"{path}: {line}" for line in str(self).splitlines()))


def problems_of(
    error: ValidationError, model: type[BaseModel], technique: str = "", at: tuple[str, ...] = ()
) -> list[str]:
    """Return one line ``key: problem`` for each invalid value of a model whose own key is `at`."""
    problems = []
    for e in error.errors():
        message = e["msg"].removeprefix("Value error, ")
        if e["type"] not in ("missing", "extra_forbidden", "value_error") and not {"storage", "webhook"} & {*e["loc"]}:
            # neither the key of a server nor the token in an address
            message += f", got {short(e['input'])}"
        where = (*at, *e["loc"])
        if dotted(where) in REMOVED:
            message = f"was removed: {REMOVED[dotted(where)]}"
        elif e["type"] == "extra_forbidden":
            message = "unknown key" + alternatives(str(e["loc"][-1]), _keys(model, e["loc"][:-1]))
            if technique and "did you mean" not in message:
                message += f"; a key of the technique goes to [{technique}]"
        problems.append(f"{dotted(where)}: {message}" if where else message)
    return problems


def unusable_values(value: Any, at: tuple[Any, ...] = ()) -> Iterator[str]:
    """Yield one line for each value that is invalid in any setting: text that a path cannot contain, or a huge integer.

    An integer is too large if it does not fit into a float.
    """
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from unusable_values(each, (*at, name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from unusable_values(each, at)
    elif isinstance(value, str | Path) and any(x == "\0" or "\ud800" <= x <= "\udfff" for x in str(value)):
        yield f"{dotted(at)}: has NUL, or half of a surrogate pair, in its text"
    elif isinstance(value, int) and abs(value) > sys.float_info.max:
        yield f"{dotted(at)}: the integer has more than {sys.float_info.max_10_exp} digits"


def _keys(model: Any, location: tuple[Any, ...]) -> list[str]:
    """Return the keys of the section at a location; empty if it is not a section."""
    for name in location:
        field = getattr(model, "model_fields", {}).get(name)
        model = None if field is None else field.annotation
    return list(getattr(model, "model_fields", {}))


def alternatives(key: str, known: list[str]) -> str:
    """Return the end of a message, with the most similar key or all known keys."""
    close = difflib.get_close_matches(key, known, 1)
    return f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}" * bool(known)


def files_near(path: Path) -> str:
    """Return the end of a message, with a settings file near a path that is not a settings file."""
    folder = path if path.is_dir() else path.parent
    files = {file.name: file for file in sorted(folder.glob("*.toml")) if ".instrument" not in file.suffixes}
    similar = [*files] if path.is_dir() else difflib.get_close_matches(path.name, files, 1)
    return f", did you mean {files[similar[0]]}?" if similar else ""


def short(value: Any) -> str:
    """Return a value as text of at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def dotted(location: tuple[Any, ...]) -> str:
    """Return a location as ``section.key``."""
    return ".".join(map(str, location))
