"""Check nodes: those whose metadata somebody changed by hand are left out of tables, and `validate` checks them all."""

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, ValidationError
from tiled.client.container import Container

from ainerd.results._columns import Columns
from ainerd.results._nodes import PAGE, read_nodes, read_shapes
from ainerd.results._records import (
    FINAL,
    AtlasRecord,
    ConfigurationRecord,
    LogRecord,
    Record,
    ResultRecord,
    Status,
    SuggestionRecord,
    Time,
)

if TYPE_CHECKING:
    from ainerd.results._store import ResultStore

logger = logging.getLogger(__name__)

Metadata = Mapping[str, Any]

_LONG = timedelta(hours=1)
_KINDS: dict[str, tuple[str, type[Record]]] = {
    "results": ("result", ResultRecord),
    "suggestions": ("suggestion", SuggestionRecord),
    "atlas": ("atlas", AtlasRecord),
    "log": ("log line", LogRecord),
    "configurations": ("configuration", ConfigurationRecord),
}


def validate(ainerd: "Container | ResultStore") -> list[str]:
    """Check every node that agents wrote in ``client["ainerd"]``, or in a store of it; nothing is changed.

    Returns
    -------
    list of str
        A sentence for each problem; empty without problems. Each complete result costs a request of some 20 ms.
    """
    return list(_problems(ainerd if isinstance(ainerd, Container) else ainerd.container))


def _problems(ainerd: Container) -> Iterator[str]:
    nodes = {name: dict(read_nodes(ainerd[name])) if name in ainerd else None for name in _KINDS}
    parent = ainerd.parent
    runs = set(parent["raw"].keys().page_size(PAGE)) if "raw" in parent else None
    if runs is None:
        yield "there is no container raw beside ainerd: runs are not looked up"
    for name, (kind, model) in _KINDS.items():
        if nodes[name] is None and name != "configurations":  # which is made with the first configuration
            yield f"there is no container {name}: ainerd.server.open_catalog(client) makes it"
        for key, metadata in (nodes[name] or {}).items():
            try:
                record = model.from_metadata(metadata)
            except (ValidationError, KeyError) as error:
                yield f"{kind} {key} does not parse: {_first(error)}"
                continue
            yield from (f"{kind} {key} {problem}" for problem in _problems_of_record(record, key))
            if isinstance(record, ResultRecord):
                missing = _missing_references(record, nodes["results"] or {}, runs)
                contents = _problems_of_contents(ainerd["results"], key, record) if record.status in FINAL else ()
                yield from (f"{kind} {key} {problem}" for problem in (*missing, *contents))
            elif isinstance(record, AtlasRecord):
                unknown = sorted(set(record.labels) - set(nodes["results"] or {}))
                yield from (f"{kind} {key} labels the result {label}, which is not there" for label in unknown)


def _problems_of_record(record: Record, key: str) -> Iterator[str]:
    if isinstance(record, ResultRecord | ConfigurationRecord):
        right = record.key if isinstance(record, ResultRecord) else record.digest
        if key != right:
            yield f"should have the key {right} by its parameters"
    if isinstance(record, SuggestionRecord) and record.status == "measured" and not record.raw_uid:
        yield "was measured, but does not name the run"
    if isinstance(record, ConfigurationRecord) and not record.arrays:
        yield "has no arrays: an agent that starts with these parameters writes them"
    if not isinstance(record, ResultRecord):
        return
    if record.status == "failed" and not record.reason:
        yield "failed, but gives no reason"
    if record.status == "computing":
        begun = datetime.fromisoformat(record.created)
        if datetime.now(UTC) - begun > _LONG:
            yield f"has been computing since {begun:%Y-%m-%d %H:%M} UTC: agent.catch_up() analyses its run again"
    if record.status in FINAL and not record.embedding:
        yield "is complete, but has no embedding"
    numbers = record.positions | {name: x for name, x in record.summary.items() if not isinstance(x, str | bool)}
    if without := sorted(set(numbers) - set(record.units)):
        yield f"has numbers without a unit: {', '.join(without)}"


def _missing_references(record: ResultRecord, results: Metadata, runs: set[str] | None) -> Iterator[str]:
    if runs is not None and record.raw_uid not in runs:
        yield f"is of run {record.raw_uid}, which is not in raw"
    if record.supersedes is not None and record.supersedes not in results:
        yield f"supersedes {record.supersedes}, which is not there"


def _problems_of_contents(results: Container, key: str, record: ResultRecord) -> Iterator[str]:
    """Compare the arrays and tables in a complete result with its metadata."""
    if not record.arrays:
        yield "is complete, but lists no arrays"
    shapes = read_shapes(results, key)
    for name, shape in record.arrays.items():
        if name not in shapes:
            yield f"has no array {name}"
        elif shapes[name] != shape:
            yield f"has {name} of shape {shapes[name]}, but its metadata have {shape}"
    yield from (f"has no table {name}" for name in (*record.series, *record.tables) if name not in shapes)


def _first(error: ValidationError | KeyError) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


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
