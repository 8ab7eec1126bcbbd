"""Where the pages read: agents, results, regimes, suggestions and the log of one campaign, as who asks may see them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import HTTPException

from ainerd.server.pages._access import Asked
from ainerd.server.pages._kept import Kept, Row, kept, newest, newest_id
from ainerd.server.pages._short import (
    ShortResult,
    is_final_line,
    is_final_result,
    is_final_suggestion,
    short_line,
    short_result,
    short_suggestion,
)

MOST_AGENTS = 100


@dataclass(frozen=True)
class AgentState:
    """What an agent last said of itself, and when."""

    key: str
    said: Mapping[str, Any]
    heard: float  # seconds since 1970, by the server's clock

    @property
    def name(self) -> str:
        """Of the agent."""
        return str(self.said.get("agent", ""))


@dataclass
class Sources:
    """A campaign: the node ``ainerd``, and what is read below it."""

    asked: Asked
    path: str
    node: Any
    results_node: Any
    agents: list[AgentState] = field(default_factory=list)

    @classmethod
    async def at(cls, asked: Asked, path: str) -> "Sources":
        """HTTPException 404 if there is no campaign at a path."""
        node = await asked.node(path)
        results = await asked.child(node, "results") if hasattr(node, "context") else None
        if results is None:
            raise HTTPException(404, f"there is no campaign at {path[:200]!r}")
        agents = await asked.child(node, "agents")
        found = [] if agents is None else await _states(agents)
        return cls(asked, path, node, results, sorted(found, key=lambda state: -state.heard))

    async def child(self, *parts: str) -> Any:
        """A node below; None if there is none for who asks."""
        return await self.asked.child(self.node, *parts)

    async def agent(self, name: str | None) -> AgentState:
        """The agent of a name; else the one heard of last, or that of the newest result."""
        if name is None and self.agents:
            return self.agents[0]
        found = next((state for state in self.agents if state.name == name), None)
        if found is not None:
            return found
        if name is None:
            results = await newest(self.results_node)
            name = str(results[0][2].get("agent", "")) if results else ""
        return AgentState("", {"agent": name}, 0.0)

    async def results(self) -> tuple[Kept, list[Row]]:
        """All results in the order they were made, of all agents."""
        store = kept(self.results_node, short_result, is_final_result)
        return store, await store.read(self.results_node)

    async def suggestions(self, agent: str) -> tuple[str, list[dict[str, Any]]]:
        """Suggestions of an agent, in the order they were made, and what changes with them."""
        node = await self.child("suggestions")
        if node is None:
            return "", []
        store = kept(node, short_suggestion, is_final_suggestion)
        rows = await store.read(node)
        return f"{store.generation}-{store.version}", [r.said for r in rows if r.said["agent"] in (None, agent)]

    async def lines(self) -> tuple[str, list[Row]]:
        """Lines of the log in their order, of all; and the generation they are of."""
        node = await self.child("log")
        if node is None:
            return "", []
        store = kept(node, short_line, is_final_line)
        return store.generation, await store.read(node)

    async def labels(self) -> tuple[int, Mapping[str, int]]:
        """Regime of each result by its key, as the newest atlas has it, and the number of that atlas's node."""
        node = await self.child("atlas")
        if node is None or not (newest_atlas := await newest_id(node)):
            return 0, {}
        known = _labels.get(node.context)
        if known is None or known[0] != newest_atlas:
            ((_, _, said),) = await newest(node)
            found = said.get("labels")
            labels = {k: x for k, x in found.items() if isinstance(x, int)} if isinstance(found, dict) else {}
            known = _labels[node.context] = newest_atlas, labels
        return known


# Of the newest atlas of each catalogue, and its number.
_labels: "WeakKeyDictionary[Any, tuple[int, Mapping[str, int]]]" = WeakKeyDictionary()


async def _states(node: Any) -> list[AgentState]:
    rows = await kept(node, _said, lambda said: False).read(node)
    rows = sorted(rows, key=lambda row: row.updated)[-MOST_AGENTS:]
    return [AgentState(row.key, row.said, row.updated.replace(tzinfo=UTC).timestamp()) for row in rows]


def _said(key: str, said: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return said if isinstance(said.get("agent"), str) else None


def kinds(results: Sequence[ShortResult], labels: Sequence[int | None]) -> dict[int, str]:
    """Of each regime the known kind that most of its results are like, where the technique says so."""
    counted: dict[int, Counter[str]] = {}
    for result, label in zip(results, labels, strict=True):
        if label is not None and label >= 0 and result.kind:
            counted.setdefault(label, Counter())[result.kind] += 1
    most = {label: count.most_common(1)[0] for label, count in counted.items()}
    return {label: kind for label, (kind, n) in most.items() if 2 * n > counted[label].total()}
