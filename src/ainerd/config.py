"""Settings of one instrument: a TOML file, overridden by the environment.

What is here is the same for all techniques. A technique's own section, ``[rheo_xpcs]`` say, is handed to it as it is:
it validates that itself, with `read_section`.
"""

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

_PREFIX = "AINERD_"
# What earlier versions had, and what to write instead.
_MOVED = {
    "partition": "rename [partition] to [rheo_xpcs.partition]",
    "analysis": "rename [analysis] to [rheo_xpcs]",
    "beside": "rename [beside] to [recorded]",
}
_MOVED_STEERING = {"preshear": "move steering.preshear to the section [rheo_xpcs]"}


class SettingsError(ValueError):
    """The settings do not fit; the message names the key and the file."""


class Section(BaseModel):
    """A section of the TOML: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


S = TypeVar("S", bound=BaseModel)


def read_section(model: type[S], values: Mapping[str, Any], name: str) -> S:
    """The section `name` of the TOML, validated.

    Raises
    ------
    SettingsError
        In one line a problem, each naming its key, with the key that was meant where one is close.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsError("\n".join(f"{name}.{problem}" for problem in problems(error, model))) from None


def problems(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """What is wrong with values, a line each: ``key: what``, with the key that was meant where one is close."""
    return [f"{_dotted(e['loc'])}: {_meant(e, model) or e['msg']}" for e in error.errors()]


class Detector(Section):
    """Data keys of the detector in the documents.

    Attributes
    ----------
    image : str
        Data key of the frames.
    n_frames, frame_time_s : str
        Configuration keys of the number of frames of an exposure and of the time between them (seconds); empty where
        the detector does not say.
    """

    image: str
    n_frames: str = ""
    frame_time_s: str = ""


class Steering(Section):
    """Where the agent may go.

    Attributes
    ----------
    bounds : dict of str to (float, float)
        Limits by the actuators' names.
    smallest_feature : float or None
        Radius of the smallest region that must not be missed, in the actuators' unit.
    beam_size : float or None
        Size of a spot, in the actuators' unit: how far beside a novel spot it is measured again.
    dose_limit : int
        Exposures that a spot may get.
    age : str
        Which of ``recorded.readings`` is the age of the sample, in s: regimes that age are then not taken for regions.
        Empty: not known.
    seed : int
    """

    bounds: dict[str, tuple[float, float]]
    smallest_feature: float | None = Field(default=None, gt=0)
    beam_size: float | None = Field(default=None, gt=0)
    dose_limit: int = Field(default=1, ge=1)
    age: str = ""
    seed: int = 0


class Recorded(Section):
    """What is kept of a run beside its frames.

    Attributes
    ----------
    series : dict
        Name in the result: data key of what is monitored during the run.
    readings : dict
        Name in the result: data key of what is read once.
    units : dict
        Units, by name in the result.
    """

    series: dict[str, str] = {}
    readings: dict[str, str] = {}
    units: dict[str, str] = {}


class Storage(Section):
    """Where data live.

    Attributes
    ----------
    uri : str
        A Tiled server; empty for the embedded one.
    api_key : SecretStr
        Of that server; give it by the environment (AINERD_STORAGE__API_KEY), not in a file.
    directory : Path
        Of the embedded server, and of documents that could not be written.
    frames : list of Path
        Folders that frames may be read from.
    late_s : float
        How long after the end of a run its frames may come.
    """

    uri: str = ""
    api_key: SecretStr = SecretStr("")
    directory: Path
    frames: list[Path]
    late_s: float = Field(default=5.0, ge=0)


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
        The technique's own section, as it is in the file.
    folder : Path
        Of the file: relative paths count from it.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid")

    name: str
    technique: str = "rheo_xpcs"
    detector: Detector
    steering: Steering
    recorded: Recorded = Recorded()
    storage: Storage
    _section: dict[str, Any] = PrivateAttr(default_factory=dict)
    _folder: Path = PrivateAttr(default_factory=Path)

    @property
    def section(self) -> dict[str, Any]:
        """The technique's own section; it may be changed before an agent is built."""
        return self._section

    @property
    def folder(self) -> Path:
        """Folder of the file."""
        return self._folder

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
    def load(cls, path: Path | str) -> "Settings":
        """Read a TOML file; its relative paths count from its own folder.

        Raises
        ------
        SettingsError
            In one line a problem, each naming its key.
        """
        path = Path(path)
        try:
            given = tomllib.loads(path.read_text())
        except OSError as err:
            raise SettingsError(f"cannot read {path}: {err.strerror}") from None
        except tomllib.TOMLDecodeError as err:
            raise SettingsError(f"{path} is no TOML: {err}") from None
        moved = [todo for name, todo in _MOVED.items() if name in given]
        moved += [todo for name, todo in _MOVED_STEERING.items() if name in given.get("steering", {})]
        if moved:
            raise SettingsError(f"{path} is of an earlier version: {', '.join(moved)}")
        technique = os.environ.get(f"{_PREFIX}TECHNIQUE") or given.get(
            "technique", cls.model_fields["technique"].default
        )
        section = given.pop(technique, {})
        if not isinstance(section, dict):
            raise SettingsError(f"{path}: {technique}: must be a section [{technique}]")
        try:
            settings = cls(**given)
        except ValidationError as err:
            raise SettingsError("\n".join(f"{path}: {problem}" for problem in problems(err, cls))) from None
        settings._section = _overridden(section, f"{_PREFIX}{technique.upper()}__")
        settings._folder = path.parent.resolve()
        storage = settings.storage
        storage.directory = (settings._folder / storage.directory).resolve()
        storage.frames = [(settings._folder / frames).resolve() for frames in storage.frames]
        return settings


def _overridden(section: dict[str, Any], prefix: str) -> dict[str, Any]:
    """A section with what the environment says instead: JSON, or else text."""
    for variable, text in os.environ.items():
        if variable.upper().startswith(prefix):
            *outer, last = variable[len(prefix) :].lower().split("__")
            inner = section
            for name in outer:
                inner = inner.setdefault(name, {})
            try:
                inner[last] = json.loads(text)
            except ValueError:
                inner[last] = text
    return section


def _meant(error: Mapping[str, Any], model: type[BaseModel]) -> str | None:
    """That a key is unknown, and which was meant; None if it is something else that is wrong."""
    if error["type"] != "extra_forbidden":
        return None
    *outer, key = error["loc"]
    known: Any = model
    for name in outer:
        field = getattr(known, "model_fields", {}).get(name)
        known = None if field is None else field.annotation
    names = list(getattr(known, "model_fields", {}))
    close = difflib.get_close_matches(str(key), names, 1)
    return "unknown key" + (
        f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}" if names else ""
    )


def _dotted(location: tuple[Any, ...]) -> str:
    return ".".join(map(str, location))
