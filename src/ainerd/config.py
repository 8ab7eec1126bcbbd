"""Settings of one instrument: a TOML file, overridden by the environment."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class SettingsError(ValueError):
    """The settings do not fit; the message names the key and the file."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Detector(_Section):
    """Data keys of the detector in the documents.

    Attributes
    ----------
    image : str
        Data key of the frames.
    n_frames, frame_time_s : str
        Configuration keys of the number of frames and of the time between them (seconds).
    """

    image: str
    n_frames: str
    frame_time_s: str


class PartitionSettings(_Section):
    """Geometry and bins; see `ainerd.xpcs.Partition.annular`.

    Attributes
    ----------
    detector : str
        pyFAI's name, or empty for a plain one of `shape` and `pixel_um`.
    mask : Path or None
        A .npy of booleans, True where a pixel must not be used.
    """

    detector: str = ""
    shape: tuple[int, int] | None = None
    pixel_um: float = 55.0
    beam_center_px: tuple[float, float]
    distance_m: float = Field(gt=0)
    energy_keV: float = Field(gt=0)
    q_range_inv_nm: tuple[float, float]
    n_q: int = Field(default=1, ge=1)
    n_phi: int = Field(default=18, ge=1)
    beamstop_px: float = Field(default=0.0, ge=0)
    mask: Path | None = None


class AnalysisSettings(_Section):
    """How a run is analysed.

    Attributes
    ----------
    contrast : float
        Speckle contrast beta of the instrument, measured on a static sample.
    reduction, sigma, diagonal, normalization
        As in `ainerd.xpcs.TwoTimeReducer`.
    encoder : str
        "pca", "ours", or a path of weights.
    denoiser : str
        What takes the noise off the maps that are kept beside the measured ones: as `encoder`, or "none".
    bank : Path or None
        What novelty is calibrated against, as ``ainerd calibrate`` writes it; without it the one that is shipped.
    alpha : float
        An exposure is called novel if its p-value is at most this.
    """

    contrast: float = Field(gt=0, le=1)
    reduction: Literal["area", "gaussian", "decimate"] = "area"
    sigma: float | None = None
    diagonal: Literal["poisson", "neighbour", "raw"] = "poisson"
    normalization: Literal["smoothed", "paper", "symmetric"] = "smoothed"
    encoder: str = "pca"
    denoiser: str = "ours"
    bank: Path | None = None
    alpha: float = Field(default=0.05, gt=0, lt=1)


class Shear(_Section):
    """One step of a pre-shear.

    Attributes
    ----------
    rate : float
        Shear rate, 1/s.
    duration_s : float
    """

    rate: float
    duration_s: float = Field(gt=0)


class Steering(_Section):
    """Where the agent may go, and what it does there before an exposure.

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
        Which of ``beside.readings`` is the time since shear stopped, in s: regimes that age are then not taken for
        regions. Empty: not known.
    seed : int
    preshear : list of Shear
        Steps by which the sample is sheared afresh at each position; none: it is left alone.
    """

    bounds: dict[str, tuple[float, float]]
    smallest_feature: float | None = Field(default=None, gt=0)
    beam_size: float | None = Field(default=None, gt=0)
    dose_limit: int = Field(default=1, ge=1)
    age: str = ""
    seed: int = 0
    preshear: list[Shear] = []


class Beside(_Section):
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


class Storage(_Section):
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
    """Everything that `ainerd.instrument.build_agent` needs to know of an instrument.

    The environment overrides the file: ``AINERD_ANALYSIS__ALPHA=0.01``.
    """

    model_config = SettingsConfigDict(env_prefix="AINERD_", env_nested_delimiter="__", extra="forbid")

    name: str
    detector: Detector
    partition: PartitionSettings
    analysis: AnalysisSettings
    steering: Steering
    beside: Beside = Beside()
    storage: Storage

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
            settings = cls(**tomllib.loads(path.read_text()))
        except OSError as err:
            raise SettingsError(f"cannot read {path}: {err.strerror}") from None
        except tomllib.TOMLDecodeError as err:
            raise SettingsError(f"{path} is no TOML: {err}") from None
        except ValidationError as err:
            problems = "\n".join(f"{path}: {_dotted(e['loc'])}: {e['msg']}" for e in err.errors())
            raise SettingsError(problems) from None
        settings._anchor(path.parent.resolve())
        return settings

    def _anchor(self, folder: Path) -> None:
        storage, partition, analysis = self.storage, self.partition, self.analysis
        storage.directory = (folder / storage.directory).resolve()
        storage.frames = [(folder / frames).resolve() for frames in storage.frames]
        if partition.mask is not None:
            partition.mask = (folder / partition.mask).resolve()
        if analysis.bank is not None:
            analysis.bank = (folder / analysis.bank).resolve()


def _dotted(location: tuple[Any, ...]) -> str:
    return ".".join(map(str, location))
