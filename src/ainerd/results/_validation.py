"""Check all nodes that agents wrote in a catalog."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from tiled.client.container import Container

from ainerd.results._nodes import PAGE, read_nodes
from ainerd.results._records import (
    FINAL,
    AtlasRecord,
    ConfigurationRecord,
    LogRecord,
    Record,
    ResultRecord,
    SuggestionRecord,
)
from ainerd.words import first_problem

if TYPE_CHECKING:
    from ainerd.results._store import ResultStore

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
        A sentence for each problem; empty without problems. Each complete result costs two requests of some 10 ms.

    Examples
    --------
    >>> validate(client["ainerd"])
    []
    >>> _ = client["ainerd/log"].create_container("odd")  # by something else than an agent
    >>> validate(client["ainerd"])
    ["log line odd does not parse: 'ids' is missing"]
    >>> _ = client["ainerd/log"].delete_contents("odd")
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
                what = f"{error} is missing" if isinstance(error, KeyError) else first_problem(error)
                yield f"{kind} {key} does not parse: {what}"
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
    parts = dict(results[key].items())
    for name, shape in record.arrays.items():
        if name not in parts:
            yield f"has no array {name}"
        elif (actual := list(getattr(parts[name], "shape", ()))) != shape:
            yield f"has {name} of shape {actual}, but its metadata have {shape}"
    yield from (f"has no table {name}" for name in (*record.series, *record.tables) if name not in parts)
