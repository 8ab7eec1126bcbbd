"""All settings of an instrument: a TOML file, overridden by the environment."""

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from ainerd import DEFAULT_TECHNIQUE
from ainerd.config._problems import SettingsError, alternatives, keys_at, problems_of, short
from ainerd.config._sections import Acquisition, Detector, Recorded, Steering, Storage
from ainerd.technique import names

PREFIX = "AINERD_"


class Settings(BaseModel):
    """All settings of an instrument, for `ainerd.agent.build_agent`.

    The environment overrides the file: ``AINERD_STEERING__DOSE_LIMIT=2``, ``AINERD_RHEO_XPCS__ALPHA=0.01``.

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

    model_config = ConfigDict(extra="forbid", validate_default=True)

    name: str = Field(min_length=1)
    technique: str = DEFAULT_TECHNIQUE
    detector: Detector
    steering: Steering
    recorded: Recorded = Recorded()
    acquisition: Acquisition = Acquisition()
    storage: Storage
    webhook: SecretStr = SecretStr("")  #: address that gets messages; it may hold a token
    _section: dict[str, object] = {}
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

    @property
    def units_of_keys(self) -> dict[str, str]:
        """Units of the positions and recorded readings, by data key, where they are given."""
        keys = {**dict(zip(self.steering.bounds, self.steering.bounds, strict=True)), **self.recorded.series}
        units = self.recorded.units | self.units
        return {key: units[name] for name, key in (keys | self.recorded.readings).items() if name in units}

    @field_validator("webhook")
    @classmethod
    def _is_web_address(cls, webhook: SecretStr) -> SecretStr:
        url = webhook.get_secret_value()
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("it is not the address of a web server: give https://host/path")
        return webhook

    @model_validator(mode="after")
    def _check_partners(self) -> Self:
        if self.name in self.steering.partners:
            raise ValueError(f"steering.partners: {self.name!r} is the name of this agent itself")
        return self

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a TOML file; its relative paths start in its own folder.

        Raises SettingsError with one line for each problem, which names the file and the key.
        """
        path = Path(path)
        try:
            return cls.of(tomllib.loads(path.read_text("utf-8-sig")), path.parent, path)  # some editors write a mark
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror}") from None
        except SettingsError as error:
            raise error.in_file(path) from None
        except RecursionError:
            raise SettingsError(f"{path}: lists or tables lie too deep in each other") from None
        except ValueError as error:
            raise SettingsError(f"{path} is not TOML: {error}") from None

    @classmethod
    def of(cls, given: Mapping[str, object], folder: Path, file: Path | None = None) -> Self:
        """Make settings from the tables of a TOML file, overridden by the environment; see `tables`.

        Raises SettingsError with one line for each problem, which names the key.
        """
        given = dict(given)
        technique = os.environ.get(f"{PREFIX}TECHNIQUE") or str(given.get("technique", DEFAULT_TECHNIQUE))
        known = {*cls.model_fields, technique}
        problems = _misplaced([name for name in given if name not in known], technique)
        given = _overridden({name: value for name, value in given.items() if name in known}, technique)
        section = given.pop(technique, {})
        if not isinstance(section, dict):
            problems.append(f"{technique}: must be a section [{technique}]")
        try:
            settings = cls(**given)
        except ValidationError as error:
            problems += problems_of(error, cls, technique, others=bool(problems))
        if not any(": unknown key" in line or line.startswith(("steering.bounds", "recorded")) for line in problems):
            problems += _units_of_nothing(given)  # else what they belong to may only be misspelt
        if problems:
            raise SettingsError("\n".join(problems))
        settings._section, settings._folder, settings._file = section, folder.resolve(), file
        storage, folder = settings.storage, settings._folder
        storage.directory = located(storage.directory, folder)
        if storage.results is not None:  # by a path that the server knows: its links stay
            storage.results = located(storage.results, folder, follow=False)
        storage.frames = [located(frames, folder) for frames in storage.frames]
        if any(frames == Path(frames.anchor) for frames in storage.frames):
            raise SettingsError("storage.frames: / would let a run read every file of this machine: name the folders")
        return settings


def _units_of_nothing(given: Mapping[str, object]) -> list[str]:
    """Return the problems of units for names that neither an actuator nor a reading of these tables has."""

    def names_in(section: str, *keys: str) -> list[str]:
        tables = [table.get(key) for key in keys if isinstance(table := given.get(section), dict)]
        return [name for table in tables if isinstance(table, dict) for name in table]

    known = names_in("steering", "bounds", "knobs") + names_in("recorded", "series", "readings")
    units = [name for name in names_in("recorded", "units") if name not in known]
    return [f"recorded.units.{name}: nothing has that name{alternatives(name, known)}" for name in units]


def _misplaced(given: Sequence[str], technique: str) -> list[str]:
    """Return the problems of keys that are neither general nor of this technique, in the file or the environment."""
    if given and technique not in names():
        return [f"technique: {technique!r} is not installed{alternatives(technique, names())}"]
    known, places = [*Settings.model_fields, technique], {name: name for name in given}
    for variable in filter(lambda name: name.startswith(PREFIX), os.environ):
        section, is_nested, _ = variable.removeprefix(PREFIX).lower().partition("__")
        if is_nested and section not in {*known, technique.lower(), *names()}:
            places[section] = variable
    return [
        f"{place}: technique is {technique!r}, remove the section or write technique = {name!r}"
        if name in names()
        else f"{place}: unknown key{alternatives(name, known)}"
        for name, place in places.items()
    ]


def _overridden(given: Mapping[str, Any], technique: str) -> dict[str, Any]:
    """Return the tables of a file, overridden by the environment.

    A key of the environment is one that a table has, in any case, or one of a section; the technique knows its own.
    pydantic-settings writes keys of tables in lower case, so that they would not be those of the file.
    Lists and tables are JSON, as are other values of the technique unless they are text.
    """
    tables = deepcopy(dict(given))
    for variable in sorted(name for name in os.environ if name.startswith(PREFIX)):
        inner, path = tables, tuple[str, ...]()
        *outer, last = variable.removeprefix(PREFIX).split("__")
        is_own, first = outer[:1] == [technique.upper()], (outer or [last])[0].lower()
        if not is_own and first not in Settings.model_fields:
            if meant := [name for name in (*Settings.model_fields, technique) if first.startswith(f"{name}_")]:
                raise SettingsError(f"{variable}: write two underscores after {PREFIX}{meant[0].upper()}")
            continue
        for name in outer:
            path = *path, _known_key(name, inner, path, is_own, variable)
            inner = inner.setdefault(path[-1], {})
            if not isinstance(inner, dict):
                raise SettingsError(f"{variable}: {name.lower()} is not a table")
        key, text = _known_key(last, inner, path, is_own, variable), os.environ[variable]
        before: object = inner.get(key)
        value: object = text
        if is_own or isinstance(before, dict | list) or text.startswith(("[", "{")):
            with suppress(ValueError):
                value = json.loads(text)
        if isinstance(before, dict | list) and isinstance(value, str):
            shown = "the value" if "STORAGE" in variable else short(text)  # the API key is in it
            raise SettingsError(f'{variable}: {shown} is not JSON; a list is \'["a", "b"]\', a table \'{{"a": 1}}\'')
        if not is_own and isinstance(before, dict) and isinstance(value, dict):
            value = before | value
        inner[key] = value
    return tables


def _known_key(name: str, table: Mapping[str, object], path: tuple[str, ...], is_own: bool, variable: str) -> str:
    """Return the key of a table that matches a name of a variable in any case."""
    known = [*table, *keys_at(Settings, path)]
    if match := [key for key in known if key.lower() == name.lower()]:
        return match[0]
    if not is_own:
        raise SettingsError(f"{variable}: unknown key{alternatives(name.lower(), known)}")
    return name.lower()


def located(path: Path, folder: Path, *, follow: bool = True) -> Path:
    """Return a path of the settings: ``~`` is a home, a relative one begins in `folder`; links are followed or stay.

    Raises SettingsError without such a home.

    Examples
    --------
    >>> from pathlib import Path
    >>> located(Path("masks/mask.h5"), Path("/data"))
    PosixPath('/data/masks/mask.h5')
    """
    try:
        path = folder / path.expanduser()
    except RuntimeError:
        raise SettingsError(f"{path}: {path.parts[0]} is not the home of anybody here") from None
    return path.resolve() if follow else path.absolute()
