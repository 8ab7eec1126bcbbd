"""Records of results, configurations, suggestions, atlases and log lines, and the keys of their nodes in Tiled.

The metadata of a node are flat where a person filters: positions and summary numbers are top-level keys, so that
``Key("sample_x") > 3`` works with a plain Tiled client. Unknown values (None, NaN and infinity) are left out.
"""

import hashlib
import json
import math
import platform
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    create_model,
    model_validator,
)

from ainerd import __version__
from ainerd.words import storable, utc_now

FINAL = ("complete", "partial")  # statuses of results that do not change any more
USABLE = (*FINAL, "growing")
LATEST_S = 9.2e9  # seconds since 1970: in the year 2261, the last that pandas counts in ns
PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "numba", "pyFAI", "h5py", "tiled", "bluesky")
Metadata = Mapping[str, Any]  # of a node of Tiled: plain values
_STORED = object()  # the context of metadata that a catalog holds: they are plain already
_RESULTS = uuid.UUID("dc3e2379-5c58-5457-8cb3-b797fe6eabe7")  # uuid5(NAMESPACE_URL, "ainerd/results")


def digest(parameters: Mapping[str, object]) -> str:
    """Return the digest of everything that changes the numbers of a result.

    It is the first 16 hexadecimal digits of the SHA-256 of the canonical JSON: the order of keys does not matter.

    Raises
    ------
    ValueError
        If the parameters are not plain JSON values, or NaN is among them.

    Examples
    --------
    >>> digest({"size": 256, "alpha": 0.05}) == digest({"alpha": 0.05, "size": 256})
    True
    """
    try:
        text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"parameters must be plain JSON values without NaN: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: object) -> Any:
    """Convert nested numpy values to Python, NaN and infinity to None, and values beyond Tiled's JSON to text."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value) if abs(value) < 10**80 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, Mapping):
        return {storable(key) if isinstance(key, str) else key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _checked_time(text: str) -> str:
    try:
        datetime.fromisoformat(text).astimezone(UTC)  # ValueError if it is not a time
    except OverflowError:
        raise ValueError(f"{text[:40]} lies before the year 1 or after 9999, UTC") from None
    return text


def _without_none(values: object) -> object:
    return {name: value for name, value in values.items() if value is not None} if isinstance(values, dict) else values


Numbers = Annotated[dict[str, float], BeforeValidator(_without_none)]
Scalars = Annotated[dict[str, bool | int | float | str], BeforeValidator(_without_none)]
Time = Annotated[float, Field(ge=-LATEST_S, le=LATEST_S)]
Stamp = Annotated[str, Field(max_length=50), AfterValidator(_checked_time)]  #: UTC, ISO 8601
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Status = Literal["computing", "complete", "partial", "growing", "failed"]
STATUSES = get_args(Status)


_POSITION = TypeAdapter(dict[str, Annotated[float, Field(strict=True, allow_inf_nan=False)]])


class Record(BaseModel):
    """A strict record; the mappings named in `_flat` become top-level keys of the metadata."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    _flat: ClassVar[tuple[str, ...]] = ()
    _needed: ClassVar[tuple[str, ...]] = ("created",)  # for a node to be shown
    _types: ClassVar[type[BaseModel]]  # of metadata: those of the record, and only required fields must be there

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        fields: dict[str, Any] = {"digest": (str | None, None)}
        for name, field in cls.model_fields.items():
            kind = list[str] if name in cls._flat else Annotated[field.annotation, None, *field.metadata]
            fields[name] = (kind, ...) if name in cls._needed else (kind | None, None)
        cls._types = create_model(cls.__name__, __config__=ConfigDict(strict=True, allow_inf_nan=False), **fields)

    @classmethod
    def problem(cls, metadata: Metadata) -> str | None:
        """Return why a node with these metadata would spoil a table or the start of an agent; None if it would not."""
        try:
            cls._types.model_validate(dict(metadata))
            _POSITION.validate_python({name: metadata.get(name) for name in metadata.get("positions") or ()})
        except ValidationError as error:
            name = error.errors(include_url=False, include_context=False)[0]["loc"][0]
            value = metadata.get(str(name))
            return f"it has no {name}" if value is None else f"{name} is {str(value)[:60]!r}"
        return None

    @model_validator(mode="before")
    @classmethod
    def _make_plain(cls, data: object, info: ValidationInfo) -> object:
        return data if info.context is _STORED else plain(data)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        taken = set(type(self).model_fields) | {"digest"}
        for field in self._flat:
            for name in getattr(self, field):
                if name in taken or not name or set(name) & set("./"):
                    raise ValueError(
                        f"{field}: {name!r} is taken, empty, or has a dot or a slash; give it another name"
                    )
                taken.add(name)
        return self

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the node: JSON values without NaN and None."""
        metadata = self.model_dump(exclude_none=True)
        for field in self._flat:
            metadata |= metadata[field] | {field: list(metadata[field])}
        return metadata

    @classmethod
    def from_metadata(cls, metadata: Metadata) -> Self:
        """Return the record that `metadata` was made from."""
        record = {name: metadata[name] for name in cls.model_fields if name in metadata}
        for field in cls._flat:
            record[field] = {name: metadata[name] for name in record[field]}
        return cls.model_validate(record, context=_STORED)

    def changed(self, **changes: object) -> Self:
        """Return a validated copy with some fields changed."""
        return type(self).model_validate(self.model_dump() | changes)


@cache
def _versions() -> dict[str, str]:
    versions = {"name": "ainerd", "version": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # an analyst's install
            continue
    return versions


class _OfParameters(Record):
    """A record of the results of certain parameters."""

    parameters: dict[str, Any]

    @property
    def digest(self) -> str:
        """Digest of the parameters."""
        return digest(self.parameters)

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the node, with the digest."""
        return super().metadata() | {"digest": self.digest}


class ResultRecord(_OfParameters):
    """Metadata of one result.

    Examples
    --------
    >>> record = store.record(store.key(3))
    >>> record.positions, record.units["sample_x"], record.summary["tau_s"], record.novelty_p
    ({'sample_x': 3.0}, 'mm', 4.0, 0.01)
    >>> store.record(store.key(6)).reason
    'zero photons in the bins: is the shutter open?'
    """

    _flat = ("positions", "summary", "start")
    _needed = ("status", "raw_uid")

    status: Status = "computing"  #: partial: fewer frames than announced; growing: the series is not closed yet
    reason: str | None = None  #: why it failed, or has no numbers yet
    retake: bool | None = None  #: it failed through no fault of the data, and is analysed again at the next start
    raw_uid: str  #: uid of the start document of the run
    raw_path: str | None = None  #: of the run in Tiled
    scan_id: Whole | None = None
    run_time: Time | None = None  #: of the run, in seconds since 1970
    event: Whole | None = Field(default=None, ge=1)  #: for a result of one event: its number in the run, from 1
    n_events: Whole | None = None  #: that the run announced, for a result of one event
    event_time: Time | None = None  #: when the event was read, in seconds since 1970
    exposure_time: Time | None = None  #: start of the exposure of the event, in seconds since 1970
    exposure_time_err: float | None = None  #: s by which it may have begun earlier, if its event alone has a time
    series_id: str | None = None  #: for a result of a series of runs: its key and value, ``ramp=cooling 1``
    raw_uids: list[str] | None = None  #: the runs in a series
    start: Scalars = Field(default_factory=dict)  #: fields of the start document; top-level keys of the metadata
    suggestion_id: str | None = None  #: the suggestion that led to the run
    access_tags: list[str] | None = None  #: of the run; the nodes of the result get them
    supersedes: str | None = None  #: key of an earlier result of this unit and agent, with other parameters or files
    technique: str
    agent: str  #: that made the result
    files_digest: str | None = None  #: of the files that the run names and that change its numbers; part of the key
    created: Stamp = Field(default_factory=utc_now)  #: when the analysis began
    software: dict[str, Any] = Field(default_factory=lambda: dict(_versions()))  #: versions behind the numbers
    model: dict[str, Any] = Field(default_factory=dict)  #: {name, sha256}
    calibration: dict[str, Any] = Field(default_factory=dict)  #: {id, n, alpha}
    positions: Numbers = Field(default_factory=dict)  #: of each motor during the run; top-level keys of the metadata
    n_frames: Whole | None = Field(default=None, ge=0)
    frame_time_s: float | None = Field(default=None, gt=0)  #: time from one frame to the next
    embedding: list[float] | None = Field(default=None, min_length=1)  #: the point in the latent space
    novelty_p: float | None = Field(default=None, ge=0, le=1)  #: conformal p-value; absent if nothing is claimed
    novel: bool | None = None  #: whether ``novelty_p <= calibration["alpha"]``
    own_p: float | None = Field(default=None, ge=0, le=1)  #: p-value against earlier exposures of the agent
    own_regimes: list[int] | None = None  #: regimes that ``own_p`` compares with, as they were numbered then
    spot_chi2: float | None = None  #: reduced chi square beside the last exposure of the same spot
    spot_chi2_p: float | None = None  #: and its p-value
    regime_chi2: float | None = None  #: the same beside the mean of others of its regime
    regime_chi2_p: float | None = None
    regime: Whole | None = Field(default=None, ge=-1)  #: the label that the agent gave it; -1 is unassigned
    atlas_version: int | None = None  #: of the atlas that gave ``regime``
    left_out: str | None = None  #: who left it out of the regimes, and why
    awaits_regime: Stamp | None = None  #: when the result was written, until it has its regime
    summary: Scalars = Field(default_factory=dict)  #: numbers of the technique and series; top-level keys
    units: dict[str, str] = Field(default_factory=dict)  #: of positions, summary and arrays; "1": none
    sentences: list[str] | None = None  #: the verdict, and the sentences of the technique on the numbers
    arrays: dict[str, list[int]] = Field(default_factory=dict)  #: shapes of the arrays in a complete result
    series: dict[str, int] = Field(default_factory=dict)  #: number of rows of each series
    tables: dict[str, int] = Field(default_factory=dict)  #: number of rows of each of the technique's tables

    @staticmethod
    def identity_of(
        raw_uid: str, event: int | None = None, series_id: str | None = None, files_digest: str | None = None
    ) -> str:
        """Return the identity of a unit: a run, an event of it, or a series by a key and its value, ``ramp=up 1``."""
        if series_id is not None:
            return f"series/{series_id}"
        identity = raw_uid if event is None else f"{raw_uid}/{event}"
        return f"{identity}:{files_digest}" if files_digest else identity

    @classmethod
    def key_of(
        cls,
        parameters: Mapping[str, object],
        raw_uid: str = "",
        event: int | None = None,
        series_id: str | None = None,
        files_digest: str | None = None,
    ) -> str:
        """Return the key of the result of a unit with these parameters: a uuid5, so that a replay finds the result."""
        identity = cls.identity_of(raw_uid, event, series_id, files_digest)
        return str(uuid.uuid5(_RESULTS, storable(f"{identity}:{digest(parameters)}")))

    @property
    def key(self) -> str:
        """Key of the node under ``ainerd/results``."""
        return self.key_of(self.parameters, self.raw_uid, self.event, self.series_id, self.files_digest)


class ConfigurationRecord(_OfParameters):
    """Metadata that all results with the same parameters share.

    Attributes
    ----------
    technique : str
    created : str
        UTC, ISO 8601.
    parameters : dict
        Everything that changes the numbers; its `digest` is the key.
    instrument : dict
        The instrument, such as ``distance_m`` and ``energy_keV``.
    units : dict of str to str
        Units of the arrays.
    arrays : dict of str to list of int
        Shapes of the arrays, once they are all written.

    Examples
    --------
    >>> record = ConfigurationRecord(
    ...     technique="toy", parameters=store.record(store.key(3)).parameters, instrument={"distance_m": 5.0}
    ... )
    >>> _ = store.add_configuration(record, {"weight": np.array([0.2, 0.8])}, {"weight": ("bin",)})
    >>> store[3].configuration.metadata["instrument"], store[3].configuration["weight"].read()
    ({'distance_m': 5.0}, array([0.2, 0.8]))
    """

    technique: str
    created: Stamp = Field(default_factory=utc_now)
    instrument: Scalars = Field(default_factory=dict)
    units: dict[str, str] = Field(default_factory=dict)
    arrays: dict[str, list[int]] = Field(default_factory=dict)


class SuggestionRecord(Record):
    """A position that an agent or a person proposes, and its status.

    Examples
    --------
    >>> id = store.add_suggestion(SuggestionRecord(positions={"sample_x": 3.5}, reason="a scratch"))
    >>> _ = store.set_status(id, "rejected", "a bubble", by="ada")
    >>> asked = store.suggestion(id)
    >>> asked.status, asked.status_reason, asked.status_by
    ('rejected', 'a bubble', 'ada')
    """

    _flat = ("positions",)
    _needed = ("id", "created", "terms")

    id: str = Field(default_factory=lambda: str(uuid.uuid4()))  #: key of the node under ``ainerd/suggestions``
    created: Stamp = Field(default_factory=utc_now)
    agent: str | None = None  #: the agent that owns it
    positions: Numbers  #: by motor; top-level keys of the metadata
    reason: str  #: why there, in one sentence
    terms: Numbers = Field(default_factory=dict)  #: the numbers behind the reason
    known: dict[str, str] = Field(default_factory=dict)  #: what the agent knew when it was made, by label
    status: Literal["proposed", "accepted", "taken", "measured", "failed", "rejected", "withdrawn", "superseded"] = (
        "proposed"
    )
    status_reason: str | None = None  #: why it was not measured
    status_by: str | None = None  #: who set the status: the name of an agent or a person, or "person"
    status_time: Stamp | None = None  #: when
    raw_uid: str | None = None  #: the run that measured it


class AtlasRecord(Record):
    """The regimes of an agent's results after one refit.

    Examples
    --------
    >>> atlas = store.newest_atlas()
    >>> atlas.n_regimes, [atlas.labels[store.key(scan)] for scan in (1, 2, 3, 4, 5)]
    (2, [0, 0, 1, 1, 0])
    """

    version: int | None = Field(default=None, ge=1)  #: given by the store, one more than the newest
    created: Stamp = Field(default_factory=utc_now)
    n_regimes: int = Field(ge=0)
    supported_range: tuple[int, int] = Field(strict=False)  #: fewest and most regimes that the data support
    agent: str | None = None  #: the agent whose results were refitted
    digest: str | None = None  #: of the parameters of these results
    labels: dict[str, int]  #: regime of each result by its key, those of other agents too; -1 is unassigned
    names: dict[str, dict[str, str]] = Field(default_factory=dict)  #: of regimes, from people, by agent and number
    left_out: dict[str, str] = Field(default_factory=dict)  #: who left results out of the regimes and why, by key


class LogRecord(Record):
    """One line of the log.

    Examples
    --------
    >>> store.logbook("run-3")["text"].tolist()
    ['scan 3: tau 4 s']
    """

    _flat = ("ids",)

    created: Stamp = Field(default_factory=utc_now)
    text: str
    agent: str | None = None  #: the agent that wrote it; absent from lines of a person
    by: str | None = None  #: sender of the decision, as in `Command.by`; absent if the agent decided
    ids: Scalars = Field(default_factory=dict)  #: related keys such as ``raw_uid``; top-level keys of the metadata
