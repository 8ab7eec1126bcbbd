"""Read agents, results, regimes, suggestions and the log of one campaign, as far as the caller may see them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import HTTPException

from ainerd.server._access import Caller
from ainerd.server.pages._node_cache import NodeCache, Row, newest, newest_key, node_cache
from ainerd.server.pages._summaries import summarize_line, summarize_result, summarize_suggestion

MOST_AGENTS = 100


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
