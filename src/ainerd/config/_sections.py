"""The sections of the TOML that are the same for all techniques."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from ainerd.config._problems import SettingsError
from ainerd.knobs import Knob, lengths, range_of
from ainerd.processes import inside
from ainerd.words import plain_address

DAY_S = 86_400.0
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
    ainerd.config._problems.SettingsError: mine.alfa: unknown key, did you mean 'alpha'?
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


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
    ainerd.config._problems.SettingsError: detector.n_frame: unknown key, did you mean 'n_frames'?
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
    ainerd.config._problems.SettingsError: steering: beam_size = 20 is wider than the bounds (10): is it in their unit?
    """

    bounds: dict[str, tuple[float, float]] = Field(min_length=1)  #: limits by the actuators' names, in one unit
    knobs: dict[str, Knob] = {}  #: in place of bounds, with unit, length, cost and direction of each
    policy: str = "new_regimes"  #: how positions are chosen: a name, or "module:function"
    smallest_feature: float | None = Field(default=None, gt=0)  #: radius of the smallest region to find
    beam_size: float | None = Field(default=None, gt=0)  #: size of a spot; in lengths, if the knobs have lengths
    dose_limit: int = Field(default=1, ge=1)  #: exposures that a spot of the size of the beam may get
    partners: list[str] = []  #: agents of other techniques on this sample: their novel positions are measured here, too
    review: bool = False  #: whether only suggestions are measured that a person took on a page

    @model_validator(mode="before")
    @classmethod
    def _bounds_of_knobs(cls, given: Any) -> Any:
        """Take the bounds from the ranges of the knobs."""
        knobs = given.get("knobs") if isinstance(given, Mapping) else None
        if not isinstance(knobs, Mapping) or not knobs:
            return given
        if "bounds" in given:
            raise ValueError("bounds and knobs are both given: write the limits as the range of each knob")
        ranges = {name: range_of(dict(knob)) for name, knob in knobs.items() if isinstance(knob, Mapping | Knob)}
        return {**given, "bounds": {name: limits for name, limits in ranges.items() if limits}}

    @field_validator("bounds")
    @classmethod
    def _are_limits(cls, bounds: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in bounds.items():
            if not name or set(name) & set("./"):
                raise ValueError(f"{name!r} is not a name of an actuator: it has a dot or a slash, or is empty")
            if max(abs(low), abs(high)) > FARTHEST:
                raise ValueError(f"{name} is limited to ±{FARTHEST:g}, got [{low:g}, {high:g}]: is the unit right?")
            if low >= high:
                raise ValueError(f"{name} needs two limits, the lower one first, got [{low:g}, {high:g}]")
        return bounds

    @model_validator(mode="after")
    def _lengths_fit(self) -> Self:
        lengths(self.knobs)
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


class Recorded(Section):
    """Readings of a run to keep besides its frames: names in the result, and data keys.

    Examples
    --------
    >>> read_section(Recorded, {"series": {"load": "cell_load"}, "readings": {"load": "cell_mean"}}, "recorded")
    Traceback (most recent call last):
        ...
    ainerd.config._problems.SettingsError: recorded: series.load is also in readings, rename one of them
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
    ainerd.config._problems.SettingsError: acquisition: columns need record, the pattern of the CSV, such as ...
    """

    readings: dict[str, str] = {}  #: paths of numbers, by data key
    start: dict[str, str] = {"qmap_file": "/entry/instrument/detector_1/qmap_file"}  #: by key of the start document
    record: str = ""  #: pattern of the CSV beside the frames; empty if there is none
    record_zero: str = ""  #: path of its clock's time at the first frame; empty if it shows dates, or epoch seconds
    columns: dict[str, str] = {}  #: of the CSV, by data key; that of ``time`` has the times, by default ``time_s``

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if both := [name for name in self.readings if name in self.columns]:
            raise ValueError(f"readings.{both[0]} is also in columns, give one of them another data key")
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
    directory: Path  #: for the embedded server, and for raw runs that Tiled did not take
    frames: list[Path]  #: folders that frames may be read from
    late_s: float = Field(default=5.0, ge=0, le=DAY_S)  #: how long after the end of a run its frames may come
    results: Path | None = None  #: folder for the files of results, which the server at `uri` reads by the same path

    @property
    def unwritten(self) -> Path:
        """Backup directory of `TiledWriter`. Each server has its own: the runs are not for another one."""
        kept, uri = self.directory / "unwritten", self.uri.partition("?")[0].strip("/")
        return kept / re.sub(r"[^\w.-]+", "_", uri)[-200:] if uri else kept

    @property
    def result_files(self) -> Path | None:
        """Folder for the files of results; None if the server at `uri` reads no folder of this machine."""
        return self.results if self.uri else self.directory.resolve() / "results"

    @property
    def results_seen_as(self) -> Path | None:
        """The path of that folder for the server; None if it is the same."""
        return None if self.uri else inside(self.directory.resolve()) / "results"

    def create_directory(self) -> None:
        """Create `directory` for its owner alone; one that exists keeps its permissions.

        Raises SettingsError if it cannot be created.
        """
        try:
            self.directory.mkdir(0o700, parents=True, exist_ok=True)
            self.unwritten.mkdir(0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"cannot create storage.directory {self.directory}: {error.strerror}") from None

    @field_validator("uri")
    @classmethod
    def _is_address(cls, uri: str) -> str:
        if uri and not uri.startswith(("http://", "https://")):
            shown = plain_address(uri)
            raise ValueError(f"{shown!r} is not an address, did you mean 'http://{shown.rpartition('//')[2]}'?")
        return uri
