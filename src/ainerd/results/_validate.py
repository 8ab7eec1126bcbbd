"""What is wrong with the results in a catalogue, in sentences."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError
from tiled.client.container import Container

from ainerd.results._nodes import PAGE, read_nodes, read_shapes
from ainerd.results._record import Record
from ainerd.results._records import FINAL, AtlasRecord, ConfigurationRecord, LogRecord, ResultRecord, SuggestionRecord
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


def validate(ainerd: Container | ResultStore) -> list[str]:
    """Check every node that agents wrote in ``client["ainerd"]``, or a store of it; nothing is changed.

    Returns
    -------
    list of str
        A sentence for each problem; empty if there is none. Each complete result costs a request, some 20 ms.
    """
    container = ainerd.container if isinstance(ainerd, ResultStore) else ainerd
    return list(_findings(container))


def _findings(ainerd: Container) -> Iterator[str]:
    nodes = {name: dict(read_nodes(ainerd[name])) if name in ainerd else None for name in _KINDS}
    beside = ainerd.parent
    runs = set(beside["raw"].keys().page_size(PAGE)) if "raw" in beside else None
    if runs is None:
        yield "there is no container raw beside ainerd: runs are not looked up"
    for name, (what, model) in _KINDS.items():
        found = nodes[name]
        if found is None and name != "configurations":  # that is made with the first one
            yield f"there is no container {name}: ainerd.server.open_catalog(client) makes it"
        for key, metadata in (found or {}).items():
            try:
                record = model.from_metadata(metadata)
            except (ValidationError, KeyError) as error:
                yield f"{what} {key} does not parse: {_first(error)}"
                continue
            yield from (f"{what} {key} {problem}" for problem in _of_record(record, key))
            if isinstance(record, ResultRecord):
                dangling = _dangling(record, nodes["results"] or {}, runs)
                inside = _inside(ainerd["results"], key, record) if record.status in FINAL else ()
                yield from (f"{what} {key} {problem}" for problem in (*dangling, *inside))
            elif isinstance(record, AtlasRecord):
                unknown = sorted(set(record.labels) - set(nodes["results"] or {}))
                yield from (f"{what} {key} labels the result {label}, which is not there" for label in unknown)


def _of_record(record: Record, key: str) -> Iterator[str]:
    """What a record alone shows."""
    if isinstance(record, ResultRecord | ConfigurationRecord):
        right = record.key if isinstance(record, ResultRecord) else record.digest
        if key != right:
            yield f"should have the key {right} by its parameters"
    if isinstance(record, SuggestionRecord) and record.status == "measured" and not record.raw_uid:
        yield "was measured, but does not say by which run"
    if isinstance(record, ConfigurationRecord) and not record.arrays:
        yield "has no arrays: an agent that starts with these parameters writes them"
    if not isinstance(record, ResultRecord):
        return
    if record.status == "failed" and not record.reason:
        yield "failed, but does not say why"
    if record.status == "computing":
        begun = datetime.fromisoformat(record.created)
        if datetime.now(UTC) - begun > _LONG:
            yield f"has been computing since {begun:%Y-%m-%d %H:%M} UTC: agent.catch_up() analyses its run again"
    if record.status in FINAL and not record.embedding:
        yield "is complete, but has no embedding"
    numbers = record.positions | {name: x for name, x in record.summary.items() if not isinstance(x, str | bool)}
    if without := sorted(set(numbers) - set(record.units)):
        yield f"has numbers without a unit: {', '.join(without)}"


def _dangling(record: ResultRecord, results: Metadata, runs: set[str] | None) -> Iterator[str]:
    """What a record names that is not there."""
    if runs is not None and record.raw_uid not in runs:
        yield f"is of run {record.raw_uid}, which is not in raw"
    if record.supersedes is not None and record.supersedes not in results:
        yield f"supersedes {record.supersedes}, which is not there"


def _inside(results: Container, key: str, record: ResultRecord) -> Iterator[str]:
    """What is inside a complete result, against what it says."""
    if not record.arrays:
        yield "is complete, but says nothing of its arrays"
    shapes = read_shapes(results, key)
    for name, shape in record.arrays.items():
        if name not in shapes:
            yield f"has no array {name}"
        elif shapes[name] != shape:
            yield f"has {name} of shape {shapes[name]}, and says {shape}"
    yield from (f"has no table {name}" for name in (*record.series, *record.tables) if name not in shapes)


def _first(error: ValidationError | KeyError) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
