"""All settings of an instrument."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ainerd import DEFAULT_TECHNIQUE
from ainerd.config._environment import PREFIX, no_json, overridden
from ainerd.config._sections import Detector, Recorded, Steering, Storage
from ainerd.config._wrong import SettingsError, beyond_use, meant, near, problems_of
from ainerd.technique import names

# Sections of earlier versions, and what they are called now.
_MOVED = {"partition": "rheo_xpcs.partition", "analysis": "rheo_xpcs", "beside": "recorded"}


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

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid")

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
                raise ValueError(f"recorded.units.{name}: nothing is called so{meant(name, known)}")
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
            raise SettingsError(f"cannot read {path}: {error.strerror}{near(path)}") from None
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
        technique = os.environ.get(f"{PREFIX}TECHNIQUE") or str(given.get("technique", DEFAULT_TECHNIQUE))
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
            raise SettingsError("\n".join(problems_of(error, cls, technique))) from None
        except ValueError as error:  # a variable that should be JSON and is not
            raise SettingsError(no_json(error)) from None
        settings._section = overridden(section, f"{PREFIX}{technique.upper()}__")
        if problems := [*beyond_use({**settings.model_dump(), technique: settings._section})]:
            raise SettingsError("\n".join(problems))
        settings._folder = folder.resolve()
        storage = settings.storage
        storage.directory = (settings._folder / storage.directory).resolve()
        storage.frames = [(settings._folder / frames).resolve() for frames in storage.frames]
        return settings

    def tables(self) -> dict[str, Any]:
        """The same as tables of plain values, for `of` on another machine; without the API key."""
        return {**self.model_dump(mode="json", exclude={"storage": {"api_key"}}), self.technique: self.section}


def _misplaced(sections: Mapping[str, Any], technique: str) -> list[str]:
    """What is wrong with sections that are neither everybody's nor the technique's, in the file or the environment."""
    variables = {
        v: v[len(PREFIX) :].partition("__")[0].lower() for v in os.environ if v.startswith(PREFIX) and "__" in v
    }
    everybodys = {*Settings.model_fields, technique.lower(), *names()}
    strange = {name: f"[{name}]" if isinstance(value, Mapping) else name for name, value in sections.items()}
    strange |= {name: variable for variable, name in variables.items() if name not in everybodys}
    if old := [f"{strange[name]} is now in [{new}]" for name, new in _MOVED.items() if name in strange]:
        return [f"of an earlier version: {', '.join(old)}"]
    if sections and technique not in names():
        return [f"technique: {technique!r} is not installed{meant(technique, names())}"]
    known = [*Settings.model_fields, technique]
    return [
        f"{where}: technique is {technique!r}, remove the section or write technique = {name!r}"
        if name in names()
        else f"{where}: unknown {'key' if where == name else 'section'}{meant(name, known)}"
        for name, where in strange.items()
    ]
