"""Read one campaign, as far as the caller may see it: agents, results, regimes, suggestions and the log.

Results, suggestions and log lines are summaries: short, plain and bounded, whoever wrote their metadata.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from fastapi import HTTPException

from ainerd.results import LogRecord, ResultRecord, SuggestionRecord, scan_text
from ainerd.server._access import Caller
from ainerd.server.pages._node_cache import NodeCache, Row, newest, newest_key, node_cache
from ainerd.technique import panels

MOST_AGENTS = 100
LONGEST = 600  # characters of a text
MOST_NUMBERS = 24  # of a result, besides its position
_ALSO_SEARCHED = ("sample", "user", "proposal", "plan")

Metadata = Mapping[str, Any]


class ResultSummary:
    """A result as the pages show it; `quantities` are the numbers that are shown over time."""

    __slots__ = (
        "agent", "digest", "duration", "embedding", "event", "frames", "key", "kind", "novel", "p", "positions",
        "quantities", "raw_uids", "reason", "regime", "sample", "scan", "scan_id", "status", "supersedes", "t",
        "technique", "text", "units",
    )  # fmt: skip

    def __init__(self, key: str, metadata: Metadata) -> None:
        get = metadata.get
        self.key, self.status, self.agent = key, metadata["status"], get("agent", "")
        self.digest, self.technique = get("digest", ""), get("technique", "")
        self.scan_id, self.event = get("scan_id"), get("event")
        self.scan = scan_text(self.scan_id, self.event)
        self.t = get("event_time", get("run_time"))
        self.p, self.novel, self.regime = get("novelty_p"), get("novel"), get("regime")
        self.frames, self.kind = get("n_frames"), text(get("nearest_known"))
        frame_s = number(get("frame_time_s"))
        self.duration = None if frame_s is None or self.frames is None else frame_s * self.frames
        self.positions = {name[:60]: float(metadata[name]) for name in list(get("positions") or ())[:6]}
        self.reason, self.sample = text(get("reason")), text(get("sample"))
        self.supersedes = get("supersedes")
        self.raw_uids = tuple(get("raw_uids") or (get("raw_uid"),))
        embedding = get("embedding")
        self.embedding: Any = None if embedding is None else np.asarray(embedding, np.float32)
        self.units = _shared_units(tuple(sorted((get("units") or {}).items())))
        names = quantity_names(self.technique, get("series") or {})
        self.quantities = {name: x for name in names if (x := number(get(name))) is not None}
        words = (self.scan, key, self.status, self.technique, self.reason, *(get(name) for name in _ALSO_SEARCHED))
        self.text = " ".join(str(word)[:LONGEST] for word in words if word).casefold()


def summarize_result(key: str, metadata: Metadata) -> ResultSummary | None:
    """Return the summary of a result; None if it cannot be shown."""
    return None if ResultRecord.problem(metadata) else ResultSummary(key, metadata)


def summarize_suggestion(key: str, metadata: Metadata) -> dict[str, Any] | None:
    """Return the summary of a suggestion; None if it cannot be shown."""
    if SuggestionRecord.problem(metadata):
        return None
    texts = ("reason", "status", "status_by", "status_reason", "proposed_by")
    return {
        "id": key,
        "agent": metadata.get("agent"),
        "position": {text(name): number(metadata.get(name)) for name in list(metadata.get("positions") or ())[:6]},
        "terms": numbers(metadata["terms"]),
        "created": seconds(metadata.get("created")),
        "status_time": seconds(metadata.get("status_time")),
        "principal": metadata.get("principal"),
        **{name: text(metadata.get(name)) for name in texts},
    }


def summarize_line(key: str, metadata: Metadata) -> dict[str, Any] | None:
    """Return the summary of a log line, with `note` and `raw_uid` of a person's note; None if it cannot be shown."""
    if LogRecord.problem(metadata):
        return None
    is_note = metadata.get("kind") == "note"
    return {
        "key": key,
        "t": seconds(metadata["created"]),
        **{name: text(metadata.get(name)) for name in ("text", "agent", "result")},
        **({"note": text(metadata.get("note")), "raw_uid": metadata.get("raw_uid")} if is_note else {}),
    }


def quantity_names(technique: str, series: Iterable[str]) -> list[str]:
    """Return the numbers shown of each result: those of the technique, and the mean of each series."""
    own = map(str, getattr(panels(technique), "quantities", ()))
    return [*own, *(f"{name}_mean" for name in series)][:MOST_NUMBERS]


@lru_cache
def _shared_units(units: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return one object for all results that have the same units."""
    return {name[:60]: unit[:20] for name, unit in units[:200]}


def text(value: Any) -> str | None:
    """Return a text of at most `LONGEST` characters; None for None."""
    if value is None:
        return None
    value = str(value)
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


def number(value: Any) -> float | None:
    """Return a finite number as float, and None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def numbers(values: Any) -> dict[str, float]:
    """Return the finite numbers among named values."""
    named = {str(name)[:60]: number(x) for name, x in dict(values).items()}
    return {name: x for name, x in list(named.items())[:MOST_NUMBERS] if x is not None}


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def seconds(stamp: Any) -> float | None:
    """Return a time in ISO 8601 as seconds since 1970."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class AgentState:
    """The last report of an agent, and when the server received it."""

    key: str
    metadata: Mapping[str, Any]
    heard: float  # seconds since 1970, by the server's clock

    @property
    def name(self) -> str:
        """Name of the agent."""
        return str(self.metadata.get("agent", ""))


@dataclass
class CampaignReader:
    """The node ``ainerd`` of a campaign and the nodes below it."""

    caller: Caller
    path: str
    node: Any
    results_node: Any
    agents: list[AgentState] = field(default_factory=list)

    @classmethod
    async def open(cls, caller: Caller, path: str) -> "CampaignReader":
        """Return the campaign at a path; HTTPException 404 if it does not exist."""
        node = await caller.node(path)
        results = await caller.child(node, "results") if hasattr(node, "context") else None
        if results is None:
            raise HTTPException(404, f"there is no campaign at {path[:200]!r}")
        agents = await caller.child(node, "agents")
        states = [] if agents is None else await _states(agents)
        return cls(caller, path, node, results, sorted(states, key=lambda state: -state.heard))

    async def child(self, *parts: str) -> Any:
        """Return a node below this one; None if it does not exist or the caller may not see it."""
        return await self.caller.child(self.node, *parts)

    async def agent(self, name: str | None) -> AgentState:
        """Return the agent of a name; without a name the one that reported last, or that of the newest result."""
        if name is None and self.agents:
            return self.agents[0]
        state = next((state for state in self.agents if state.name == name), None)
        if state is not None:
            return state
        if name is None:
            results = await newest(self.results_node)
            name = str(results[0][2].get("agent", "")) if results else ""
        return AgentState("", {"agent": name}, 0.0)

    async def results(self) -> tuple[NodeCache, list[Row]]:
        """Return all results of all agents in the order in which they were created, and their cache."""
        cache = node_cache(self.results_node, summarize_result)
        return cache, await cache.read(self.results_node)

    async def suggestions(self, agent: str) -> tuple[str, list[dict[str, Any]]]:
        """Return the suggestions of an agent in the order in which they were created, and a version."""
        node = await self.child("suggestions")
        if node is None:
            return "", []
        cache = node_cache(node, summarize_suggestion)
        rows = await cache.read(node)
        return f"{cache.generation}-{cache.version}", [
            row.summary for row in rows if row.summary["agent"] in (None, agent)
        ]

    async def lines(self) -> tuple[str, list[Row]]:
        """Return the generation of the cache of the log, and all lines in their order."""
        node = await self.child("log")
        if node is None:
            return "", []
        cache = node_cache(node, summarize_line)
        return cache.generation, await cache.read(node)

    async def labels(self) -> tuple[int, Mapping[str, int]]:
        """Return the node id of the newest atlas, and the regime of each result by its key."""
        node = await self.child("atlas")
        if node is None or not (atlas_id := (await newest_key(node))[0]):
            return 0, {}
        known = _labels.get(node.context)
        if known is None or known[0] != atlas_id:
            ((_, _, metadata),) = await newest(node)
            labels = metadata.get("labels")
            valid = {k: x for k, x in labels.items() if isinstance(x, int)} if isinstance(labels, dict) else {}
            known = _labels[node.context] = atlas_id, valid
        return known


_labels: "WeakKeyDictionary[Any, tuple[int, Mapping[str, int]]]" = WeakKeyDictionary()  # of the newest atlas


async def _states(node: Any) -> list[AgentState]:
    rows = await node_cache(node, _agent_metadata).read(node)
    rows = sorted(rows, key=lambda row: row.updated)[-MOST_AGENTS:]
    return [AgentState(row.key, row.summary, row.updated.replace(tzinfo=UTC).timestamp()) for row in rows]


def _agent_metadata(key: str, metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return metadata if isinstance(metadata.get("agent"), str) else None
