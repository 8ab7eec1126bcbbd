"""What is kept of a result, a suggestion, an atlas and a log line, as metadata of a Tiled node.

Metadata are flat where a person filters: positions and summary numbers are top-level keys, so that
``Key("sample_x") > 3`` works with nothing but Tiled. What is not known (NaN and infinity too) is absent.
"""

import math
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ainerd import __version__
from ainerd.results._keys import digest, result_key


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _plain(value: Any) -> Any:
    """Numpy to Python, NaN and infinity to None, in whatever nesting."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _known(values: Any) -> Any:
    return {name: value for name, value in values.items() if value is not None} if isinstance(values, dict) else values


Numbers = Annotated[dict[str, float], BeforeValidator(_known)]
Scalars = Annotated[dict[str, bool | int | float | str], BeforeValidator(_known)]


class _Record(BaseModel):
    """A strict record; the mappings named in `_flat` become top-level keys of the metadata."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    _flat: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _make_plain(cls, data: Any) -> Any:
        return _plain(data)

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
        """Metadata of the node: JSON values, no NaN, nothing that is None."""
        metadata = self.model_dump(exclude_none=True)
        for field in self._flat:
            metadata |= metadata[field] | {field: list(metadata[field])}
        return metadata

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """The record that `metadata` came from."""
        record = {name: metadata[name] for name in cls.model_fields if name in metadata}
        for field in cls._flat:
            record[field] = {name: metadata[name] for name in record[field]}
        return cls.model_validate(record)

    def changed(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated."""
        return type(self).model_validate(self.model_dump() | changes)


class ResultRecord(_Record):
    """What is said of one run.

    Attributes
    ----------
    status : {"computing", "complete", "failed"}
    reason : str
        Why it failed.
    raw_uid, raw_path, scan_id, run_time
        The run: uid of its start document, its path in Tiled, its number, its time in seconds since 1970.
    suggestion_id : str
        The suggestion that led to the run.
    technique, agent : str
        Who said it.
    created : str
        When it was written, UTC, ISO 8601.
    parameters : dict
        Everything that changes the numbers; `digest` of it is part of the key.
    software, model, calibration : dict
        What said it: {name, version}, {name, sha256} and {id, n, alpha}.
    positions : dict of str to float
        Where the run was taken, by motor; top-level keys of the metadata.
    n_frames : int
    frame_time_s : float
        Time from one frame to the next, in seconds.
    embedding : list of float
        The run as a point of the latent space.
    novelty_p : float
        Conformal p-value, 0 to 1; absent where the calibration makes no claim.
    novel : bool
        Whether ``novelty_p <= calibration["alpha"]``; absent with it.
    regime, atlas_version : int
        The label the run got (-1: unassigned), and the atlas that gave it.
    summary : dict
        The technique's own numbers and those of the series; top-level keys of the metadata.
    units : dict of str to str
        Units of positions, summary and arrays.
    """

    _flat = ("positions", "summary")

    status: Literal["computing", "complete", "failed"] = "computing"
    reason: str | None = None
    raw_uid: str
    raw_path: str | None = None
    scan_id: int | None = None
    run_time: float | None = None
    suggestion_id: str | None = None
    technique: str
    agent: str
    created: str = Field(default_factory=_now)
    parameters: dict[str, Any]
    software: dict[str, Any] = Field(default_factory=lambda: {"name": "ainerd", "version": __version__})
    model: dict[str, Any] = Field(default_factory=dict)
    calibration: dict[str, Any] = Field(default_factory=dict)
    positions: Numbers = Field(default_factory=dict)
    n_frames: int | None = Field(default=None, ge=0)
    frame_time_s: float | None = Field(default=None, gt=0)
    embedding: list[float] | None = None
    novelty_p: float | None = Field(default=None, ge=0, le=1)
    novel: bool | None = None
    regime: int | None = Field(default=None, ge=-1)
    atlas_version: int | None = None
    summary: Scalars = Field(default_factory=dict)
    units: dict[str, str] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of the parameters."""
        return digest(self.parameters)

    @property
    def key(self) -> str:
        """Key of the node under ``ainerd/results``."""
        return result_key(self.raw_uid, self.parameters)

    def metadata(self) -> dict[str, Any]:
        """Metadata of the node, with the digest."""
        return super().metadata() | {"digest": self.digest}


class SuggestionRecord(_Record):
    """Where to look next, and what became of it.

    Attributes
    ----------
    id : str
        Key of the node under ``ainerd/suggestions``.
    created : str
        UTC, ISO 8601.
    positions : dict of str to float
        By motor; top-level keys of the metadata.
    reason : str
        Why there, in one sentence.
    terms : dict of str to float
        The numbers behind the reason.
    fate : {"proposed", "accepted", "measured", "rejected", "failed"}
    fate_reason : str
        Why it was rejected or failed.
    raw_uid : str
        The run that measured it.
    """

    _flat = ("positions",)

    id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    created: str = Field(default_factory=_now)
    positions: Numbers
    reason: str
    terms: Numbers = Field(default_factory=dict)
    fate: Literal["proposed", "accepted", "measured", "rejected", "failed"] = "proposed"
    fate_reason: str | None = None
    raw_uid: str | None = None


class AtlasRecord(_Record):
    """The regimes of all runs, as one refit saw them.

    Attributes
    ----------
    version : int
        Given by the store, one more than the newest.
    created : str
        UTC, ISO 8601.
    n_regimes : int
    supported_range : tuple of int
        Fewest and most regimes the data speak for.
    labels : dict of str to int
        Regime of each result by its key; -1 is unassigned.
    """

    version: int | None = Field(default=None, ge=1)
    created: str = Field(default_factory=_now)
    n_regimes: int = Field(ge=0)
    supported_range: tuple[int, int] = Field(strict=False)
    labels: dict[str, int]


class LogRecord(_Record):
    """One line of the agent's log.

    Attributes
    ----------
    created : str
        UTC, ISO 8601.
    text : str
    ids : dict of str to str or number
        What it is about, such as ``raw_uid`` or ``suggestion_id``; top-level keys of the metadata.
    """

    _flat = ("ids",)

    created: str = Field(default_factory=_now)
    text: str
    ids: Scalars = Field(default_factory=dict)
