"""Find nodes whose metadata somebody changed by hand: they are left out, so that the others can still be shown."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, ValidationError

from ainerd.results._columns import Columns
from ainerd.results._records import Status, Time

logger = logging.getLogger(__name__)

Metadata = Mapping[str, Any]


def _check_stamp(text: str) -> str:
    datetime.fromisoformat(text)
    return text


_Number = Annotated[float, Field(allow_inf_nan=False)]
_Whole = Annotated[int, Field(gt=-(2**63), lt=2**63)]
_Stamp = Annotated[str, AfterValidator(_check_stamp)]


class _Metadata(BaseModel):
    """Types that tables and agents rely on; other names may hold anything."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Result(_Metadata):
    status: Status
    raw_uid: str
    agent: str | None = None
    digest: str | None = None
    technique: str | None = None
    reason: str | None = None
    suggestion_id: str | None = None
    supersedes: str | None = None
    created: _Stamp | None = None
    scan_id: _Whole | None = None
    event: _Whole | None = None
    n_frames: _Whole | None = None
    regime: _Whole | None = None
    run_time: Time | None = None
    event_time: Time | None = None
    novelty_p: _Number | None = None
    novel: bool | None = None
    embedding: Annotated[list[_Number], Field(min_length=1)] | None = None
    positions: list[str] | None = None
    raw_uids: list[str] | None = None
    units: dict[str, str] | None = None
    arrays: dict[str, Any] | None = None
    series: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None


class _Suggestion(_Metadata):
    id: str
    created: _Stamp
    status_time: _Stamp | None = None
    terms: dict[str, Any]


class _Line(_Metadata):
    created: _Stamp


class _Positions(RootModel[dict[str, _Number]]):
    model_config = ConfigDict(strict=True)


def result_problem(metadata: Metadata) -> str | None:
    """Return why the metadata of a result would spoil a table or the start of an agent; None if they are fine."""
    problem = _problem(_Result, metadata)
    if problem is None:
        positions = {name: metadata.get(name) for name in metadata.get("positions") or ()}
        problem = _problem(_Positions, positions)
    return problem


def suggestion_problem(metadata: Metadata) -> str | None:
    """Return why the metadata of a suggestion would spoil the table of suggestions; None if they are fine."""
    return _problem(_Suggestion, metadata)


def line_problem(metadata: Metadata) -> str | None:
    """Return why the metadata of a log line would spoil the log; None if they are fine."""
    return _problem(_Line, metadata)


def _problem(types: type[BaseModel], metadata: Metadata) -> str | None:
    try:
        types.model_validate(dict(metadata))
    except ValidationError as error:
        name = error.errors(include_url=False, include_context=False)[0]["loc"][0]
        value = metadata.get(str(name))
        return f"it has no {name}" if value is None else f"{name} is {str(value)[:60]!r}"
    return None


class ProblemFilter:
    """Leave out the nodes that have a problem, and log each problem once; `kind` names the nodes in the log."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._logged: dict[str, str] = {}

    def __call__(self, nodes: Columns) -> Columns:
        """Return the nodes without a problem; the same object if that is all of them."""
        for key, problem in nodes.problems.items():
            if self._logged.get(key) != problem:
                self._logged[key] = problem
                logger.warning("%s %s is left out: %s", self._kind, key, problem)
        return nodes.at(~nodes.frame.index.isin([*nodes.problems])) if nodes.problems else nodes
