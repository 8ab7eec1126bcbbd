"""What is kept of a result, a configuration, a suggestion, an atlas and a log line."""

import platform
import uuid
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from pydantic import Field

from ainerd import __version__
from ainerd.results._keys import digest, event_identity, result_key, series_identity
from ainerd.results._record import Numbers, Record, Scalars, utc_now
from ainerd.results._sound import LATEST_S

Time = Annotated[float, Field(ge=-LATEST_S, le=LATEST_S)]
FINAL = ("complete", "partial")  # statuses of results that do not change any more
USABLE = (*FINAL, "growing")
PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "numba", "pyFAI", "h5py", "tiled", "bluesky")


@cache
def _versions() -> dict[str, str]:
    found = {"name": "ainerd", "version": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # an analyst's install
            continue
    return found


class ResultRecord(Record):
    """What is said of one run.

    Attributes
    ----------
    status : {"computing", "complete", "partial", "growing", "failed"}
        Partial: of fewer frames than were announced. Growing: of a series that is not closed.
    reason : str
        Why it failed, or has no numbers yet.
    retake : bool
        True if it failed through no fault of the data: the agent analyses the run again when it starts next.
    raw_uid, raw_path, scan_id, run_time
        The run: uid of its start document, its path in Tiled, its number, its time in seconds since 1970.
    event, event_time : int, float
        Number of the event in the run, from 1, and when it was read, in seconds since 1970, if the result is of one.
    series_id, raw_uids : str, list of str
        Key and value by which a series of runs is known (``ramp=cooling 1``), and the runs in the result.
    start : dict
        What was asked of the start document, such as ``sample``, ``user``, ``proposal`` and ``plan``; top-level keys
        of the metadata.
    suggestion_id : str
        The suggestion that led to the run.
    supersedes : str
        Key of the result of the same run that this one is to replace: the same agent's, with other parameters.
    technique, agent : str
        Who said it.
    created : str
        When the analysis began, UTC, ISO 8601.
    parameters : dict
        Everything that changes the numbers; `digest` of it is part of the key.
    software, model, calibration : dict
        What said it: {name, version} and the version of Python and of each package the numbers come from,
        {name, sha256}, and {id, n, alpha}.
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
        Units of positions, summary and arrays; "1" is a number without one.
    arrays : dict of str to list of int
        Shapes of the arrays in a complete result.
    series, tables : dict of str to int
        Rows of the series in a complete result, and of the technique's tables.
    """

    _flat = ("positions", "summary", "start")

    status: Literal["computing", "complete", "partial", "growing", "failed"] = "computing"
    reason: str | None = None
    retake: bool | None = None
    raw_uid: str
    raw_path: str | None = None
    scan_id: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    run_time: Time | None = None
    event: int | None = Field(default=None, ge=1)
    event_time: Time | None = None
    series_id: str | None = None
    raw_uids: list[str] | None = None
    start: Scalars = Field(default_factory=dict)
    suggestion_id: str | None = None
    supersedes: str | None = None
    technique: str
    agent: str
    created: str = Field(default_factory=utc_now)
    parameters: dict[str, Any]
    software: dict[str, Any] = Field(default_factory=lambda: dict(_versions()))
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
    arrays: dict[str, list[int]] = Field(default_factory=dict)
    series: dict[str, int] = Field(default_factory=dict)
    tables: dict[str, int] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of the parameters."""
        return digest(self.parameters)

    @property
    def identities(self) -> list[str]:
        """What it is of, as `result_key` takes it; of a first event also its run, as earlier versions had it."""
        if self.series_id is not None:
            return [series_identity(self.series_id)]
        if self.event is None:
            return [self.raw_uid]
        return [event_identity(self.raw_uid, self.event), *([self.raw_uid] if self.event == 1 else [])]

    @property
    def key(self) -> str:
        """Key of the node under ``ainerd/results``."""
        return result_key(self.identities[0], self.parameters)

    def metadata(self) -> dict[str, Any]:
        """Metadata of the node, with the digest."""
        return super().metadata() | {"digest": self.digest}


class ConfigurationRecord(Record):
    """What the results with the same parameters have in common.

    Attributes
    ----------
    technique : str
    created : str
        UTC, ISO 8601.
    parameters : dict
        Everything that changes the numbers; `digest` of it is the key.
    instrument : dict
        What is known of it, such as ``distance_m`` and ``energy_keV``.
    units : dict of str to str
        Units of the arrays.
    arrays : dict of str to list of int
        Shapes of the arrays, once they are all written.
    """

    technique: str
    created: str = Field(default_factory=utc_now)
    parameters: dict[str, Any]
    instrument: Scalars = Field(default_factory=dict)
    units: dict[str, str] = Field(default_factory=dict)
    arrays: dict[str, list[int]] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of the parameters: key of the node under ``ainerd/configurations``."""
        return digest(self.parameters)

    def metadata(self) -> dict[str, Any]:
        """Metadata of the node, with the digest."""
        return super().metadata() | {"digest": self.digest}


class SuggestionRecord(Record):
    """Where to look next, and what became of it."""

    _flat = ("positions",)

    id: str = Field(default_factory=lambda: str(uuid.uuid4()))  #: key of the node under ``ainerd/suggestions``
    created: str = Field(default_factory=utc_now)  #: UTC, ISO 8601
    agent: str | None = None  #: whose it is
    positions: Numbers  #: by motor; top-level keys of the metadata
    reason: str  #: why there, in one sentence
    terms: Numbers = Field(default_factory=dict)  #: the numbers behind the reason
    status: Literal["proposed", "accepted", "measured", "failed", "rejected", "withdrawn", "superseded"] = "proposed"
    status_reason: str | None = None  #: why, where it was not measured
    status_by: str | None = None  #: who gave it that status: an agent's name, a person's, or "person"
    status_time: str | None = None  #: when, UTC, ISO 8601
    raw_uid: str | None = None  #: the run that measured it
    proposed_by: str | None = None  #: who proposed it, if not the agent: a person must take it before it is measured
    principal: str | None = None  #: on a server with accounts, who wrote it there: they cannot approve it themselves


class AtlasRecord(Record):
    """The regimes of an agent's results, as one refit saw them."""

    version: int | None = Field(default=None, ge=1)  #: given by the store, one more than the newest
    created: str = Field(default_factory=utc_now)  #: UTC, ISO 8601
    n_regimes: int = Field(ge=0)
    supported_range: tuple[int, int] = Field(strict=False)  #: fewest and most regimes the data speak for
    agent: str | None = None  #: whose results were refitted
    digest: str | None = None  #: of the parameters of these results
    labels: dict[str, int]  #: regime of each result by its key, those of other agents too; -1 is unassigned


class LogRecord(Record):
    """One line of the log."""

    _flat = ("ids",)

    created: str = Field(default_factory=utc_now)  #: UTC, ISO 8601
    text: str
    agent: str | None = None  #: whose line it is; absent from those of a person
    ids: Scalars = Field(default_factory=dict)  #: what it is about, such as ``raw_uid``; top-level keys of the metadata
