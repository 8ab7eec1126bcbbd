"""Read one campaign, as far as the caller may see it: agents, results, regimes, suggestions and the log.

Results, suggestions and log lines are kept in memory as the same columns that a `ResultStore` reads. Of thousands, each
request reads only those that were written since the last one.
"""

import asyncio
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import numpy as np
import numpy.typing as npt
import pandas as pd
from fastapi import HTTPException

from ainerd.results import Columns, LogRecord, ResultRecord, SuggestionRecord
from ainerd.results.commands import seen
from ainerd.server.internals import Caller, Child, Cursor, newest, newest_key, read_changes, visible_keys
from ainerd.technique import panels
from ainerd.words import scan_text

MOST_AGENTS = 100
LONGEST = 600  # characters of a text
MOST_MOTORS, MOST_NUMBERS = 6, 100  # of results
MOST_REFITS = 300  # that are read for an earlier moment
REFIT_S = 5.0  # after a result, until its refit is written

Metadata = Mapping[str, Any]


@dataclass(frozen=True)
class NodeRows:
    """Nodes in the order of creation, which their numbers are the ids of, without those that cannot be shown."""

    columns: Columns
    changed: npt.NDArray[np.int64]  #: version in which each node was read as it is
    version: int = 0  #: grows by one with each reading that finds a change
    generation: str = ""  #: another one if all nodes were read anew

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def keys(self) -> "pd.Index[str]":
        """Keys of the nodes."""
        return self.columns.frame.index

    def at(self, mask: npt.NDArray[np.bool_]) -> "NodeRows":
        """Select nodes by a mask."""
        return replace(self, columns=self.columns.at(mask), changed=self.changed[mask])

    def of(self, agent: str) -> "NodeRows":
        """Select the nodes of an agent, and those of nobody."""
        agents = self.columns.frame.get("agent")
        return self if agents is None else self.at(((agents == agent) | agents.isna()).to_numpy())

    def last(self, n: int) -> "NodeRows":
        """Select the newest nodes."""
        return self.at(np.arange(len(self)) >= len(self) - n)

    def scans(self) -> list[str]:
        """Return the number of each scan, or its result file, as text."""
        return [*map(scan_text, *(self.columns.column(name).tolist() for name in ("scan_id", "event", "file")))]

    def times(self) -> npt.NDArray[np.float64]:
        """Return the time of each result in seconds since 1970."""
        run_time, event_time = (self.columns.column(name).astype(float) for name in ("run_time", "event_time"))
        return np.where(np.isnan(event_time), run_time, event_time)

    def known(self, lines: "NodeRows") -> npt.NDArray[np.float64]:
        """Return when each result became known: with its line of the log, at the latest at the end of its exposure."""
        stamps = zip(lines.columns.column("result").tolist(), lines.columns.column("created").tolist(), strict=True)
        logged = {key: seconds(stamp) for key, stamp in reversed([*stamps]) if isinstance(key, str)}
        end = self.times() + np.nan_to_num(self.numbers("frame_time_s") * self.numbers("n_frames"))
        return np.asarray(np.fmin(end, np.array([logged.get(key) for key in self.keys], dtype=float)))

    def regimes(self, labels: "pd.Series[float]") -> npt.NDArray[np.float64]:
        """Return the regime of each result by the newest atlas, or else the one that it got at first."""
        now = labels.reindex(self.keys).to_numpy()
        return np.where(np.isnan(now), self.columns.column("regime").astype(float), now)

    def texts(self, name: str) -> list[str | None]:
        """Return the texts of a name."""
        return [None if x != x else text(x) for x in self.columns.column(name).tolist()]

    def numbers(self, name: str) -> npt.NDArray[np.float32]:
        """Return numbers with seven digits, which are enough for a picture; NaN for anything else."""
        with np.errstate(over="ignore"):
            values = np.array(pd.to_numeric(self.columns.column(name), errors="coerce"), np.float32)
        values[~np.isfinite(values)] = np.nan
        return values

    def quantities(self) -> list[str]:
        """Return the names of the numbers shown of results: those of their techniques, and the mean of each series."""
        techniques = dict.fromkeys(reversed(self.texts("technique")))
        own = [str(name) for technique in techniques for name in getattr(panels(str(technique)), "quantities", ())]
        series = [f"{name}_mean" for some in self.columns.distinct("series") for name in some]
        names = [*dict.fromkeys([*own, *series])][:MOST_NUMBERS]
        return [name for name in names if np.isfinite(self.numbers(name)).any()]

    def motors(self) -> list[str]:
        """Return the motors of results."""
        names = dict.fromkeys(name for some in self.columns.distinct("positions") for name in some)
        return [name for name in names if len(name) <= LONGEST][:MOST_MOTORS]

    def units(self) -> dict[str, str]:
        """Return the units of motors and quantities."""
        units = {name: unit[:20] for some in self.columns.distinct("units") for name, unit in some.items()}
        return {name: units[name] for name in (*self.motors(), *self.quantities()) if name in units}

    def metadata(self) -> list[tuple[str, dict[str, Any]]]:
        """Return key and metadata of each node, without embeddings."""
        nested = {str(name): self.columns.values(str(name)) for name in self.columns.nested}
        rows = zip(self.keys, self.columns.frame.to_dict("records"), strict=True)
        return [
            (key, {str(name): x for name, x in row.items() if x == x} | {name: x[i] for name, x in nested.items()})
            for i, (key, row) in enumerate(rows)
        ]


NOTHING = NodeRows(Columns.of({}), np.zeros(0, np.int64))


class Container:
    """The children of one container in memory; `find_problem` returns why a child cannot be shown, or None."""

    def __init__(self, find_problem: Callable[[Metadata], str | None]) -> None:
        self._find_problem = find_problem
        self._lock = asyncio.Lock()
        self._rows = NOTHING
        self._cursor = Cursor()
        self._last: dict[int, str] = {}  # metadata of the last answer by id, which may come again

    async def read(self, node: Any) -> NodeRows:
        """Return the children that the caller who obtained `node` may see."""
        async with self._lock, node.context.session() as db:
            more = True
            while more:
                cursor, children, whole, more = await read_changes(db, node.node.id, self._cursor)
                if whole:
                    self._rows, self._last = replace(NOTHING, generation=secrets.token_hex(4)), {}
                new = [child for child in children if self._last.get(child.id) != child.text]
                # In a thread: the first result of a technique imports the technique's panels.
                rows = await anyio.to_thread.run_sync(self._joined, new) if new else self._rows
                self._rows, self._cursor, self._last = rows, cursor, {child.id: child.text for child in children}
        keys = await visible_keys(node)
        return rows if keys is None else rows.at(rows.keys.isin(keys))

    def _joined(self, new: list[Child]) -> NodeRows:
        ids = [child.id for child in new]
        kept = self._rows.at(~np.isin(self._rows.columns.number, ids))
        nodes = {child.key: (child.id, child.metadata) for child in new}
        valid = {key: node for key, node in nodes.items() if self._find_problem(node[1]) is None}
        number = np.array([id for id, _ in valid.values()], np.int64)
        columns = Columns.joined([kept.columns, Columns.of({k: x for k, (_, x) in valid.items()}, number=number)])
        version = self._rows.version + 1
        changed = np.concatenate([kept.changed, np.full(len(valid), version)])
        order = np.argsort(columns.number)
        return replace(kept, columns=_reordered(columns, order), changed=changed[order], version=version)


def _reordered(columns: Columns, order: npt.NDArray[np.intp]) -> Columns:
    if (np.diff(order) > 0).all():
        return columns
    sizes = columns.sizes[order]
    shift = (np.cumsum(columns.sizes) - columns.sizes)[order] - (np.cumsum(sizes) - sizes)
    points = columns.points[np.repeat(shift, sizes) + np.arange(sizes.sum())]
    return Columns(columns.frame.iloc[order], columns.nested.iloc[order], columns.number[order], sizes, points)


def summarize_suggestion(key: str, metadata: Metadata, state: "AgentState") -> dict[str, Any]:
    """Return a suggestion as the pages show it; its metadata must have no `SuggestionRecord.problem`.

    ``seen`` is the digest that a verdict sends back, with the settings in the state of the agent.
    """
    position = {text(name): number(metadata.get(name)) for name in list(metadata.get("positions") or ())[:6]}
    terms, reason = numbers(metadata["terms"]), text(metadata.get("reason"))
    return {
        "id": key,
        "agent": metadata.get("agent"),
        "position": position,
        "terms": terms,
        "reason": reason,
        "seen": seen(
            {str(name): x for name, x in position.items()}, reason, terms, text(state.metadata.get("settings"))
        ),
        "created": seconds(metadata.get("created")),
        "status_time": seconds(metadata.get("status_time")),
        **{name: text(metadata.get(name)) for name in ("status", "status_by", "status_reason")},
    }


def text(value: Any) -> str | None:
    """Return a text of at most `LONGEST` characters; None for None."""
    if value is None:
        return None
    line = str(value)
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


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
    reported: float  # seconds since 1970, by the server's clock

    @property
    def name(self) -> str:
        """Name of the agent."""
        return str(self.metadata.get("agent", ""))


class CampaignReader:
    """The node ``ainerd`` of a campaign and the nodes below it."""

    def __init__(self, caller: Caller, path: str, node: Any, results: Any) -> None:
        self.caller, self.path, self.node, self._results = caller, path, node, results
        self.agents: list[AgentState] = []  # the one that reported last is the first

    @classmethod
    async def open(cls, caller: Caller, path: str) -> "CampaignReader":
        """Return the campaign at a path; HTTPException 404 if it does not exist."""
        node = await caller.node(path)
        results = await caller.child(node, "results") if hasattr(node, "context") else None
        if results is None:
            raise HTTPException(404, f"there is no campaign at {path[:200]!r}")
        return cls(caller, path, node, results)

    async def child(self, *parts: str) -> Any:
        """Return a node below this one; None if it does not exist or the caller may not see it."""
        return await self.caller.child(self.node, *parts)

    async def agent(self, name: str | None) -> AgentState:
        """Return the agent of a name; without a name the one that reported last, or that of the newest result."""
        node = await self.child("agents")
        children = [] if node is None else await newest(node, MOST_AGENTS)
        states = [
            AgentState(each.key, each.metadata, each.written.replace(tzinfo=UTC).timestamp()) for each in children
        ]
        known = [state for state in states if isinstance(state.metadata.get("agent"), str)]
        self.agents = sorted(known, key=lambda state: -state.reported)
        state = next((state for state in self.agents if name in (None, state.name)), None)
        if state is not None:
            return state
        if name is None:
            name = next((str(child.metadata.get("agent", "")) for child in await newest(self._results)), "")
        return AgentState("", {"agent": name}, 0.0)

    async def results(self) -> NodeRows:
        """Return the results of all agents."""
        return await _container(self._results, ResultRecord.problem).read(self._results)

    async def suggestions(self, state: AgentState, n: int) -> list[dict[str, Any]]:
        """Return the last suggestions of an agent, oldest first."""
        node = await self.child("suggestions")
        if node is None:
            return []
        rows = await _container(node, SuggestionRecord.problem).read(node)
        return [summarize_suggestion(key, x, state) for key, x in rows.of(state.name).last(n).metadata()]

    async def lines(self) -> NodeRows:
        """Return all lines of the log."""
        node = await self.child("log")
        return NOTHING if node is None else await _container(node, LogRecord.problem).read(node)

    async def notes(self) -> list[dict[str, Any]]:
        """Return the metadata of the notes of people, oldest first, with short texts."""
        lines = await self.lines()
        notes = lines.at(lines.columns.column("kind") == "note").metadata()
        return [{**metadata, "note": text(metadata.get("note"))} for _, metadata in notes]

    async def labels(self) -> tuple[int, "pd.Series[float]"]:
        """Return the node id of the newest atlas, and the regime of each result by its key."""
        node = await self.child("atlas")
        if node is None or not (atlas_id := (await newest_key(node))[0]):
            return 0, pd.Series(dtype=float)
        known = _labels.get(node.context)
        if known is None or known[0] != atlas_id:
            (atlas,) = await newest(node)
            valid = {key: x for key, x in mapping(atlas.metadata.get("labels")).items() if isinstance(x, int)}
            known = _labels[node.context] = atlas.id, pd.Series(valid, dtype=float)
        return known

    async def refits(self, agent: str | None, n: int) -> list[tuple[float, Metadata]]:
        """Return time and metadata of the last refits, of an agent or of all, oldest first."""
        node = await self.child("atlas")
        known = [] if node is None else [each.metadata for each in reversed(await newest(node, n))]
        ours = [each for each in known if agent is None or each.get("agent") in (None, agent)]
        timed = [(seconds(each.get("created")), each) for each in ours if isinstance(each.get("labels"), dict)]
        return [(created, each) for created, each in timed if created is not None]

    async def labels_at(self, time: float) -> "pd.Series[float]":
        """Return the regime of each result by its key as it was known at a time, in seconds since 1970."""
        before = [each for created, each in await self.refits(None, MOST_REFITS) if created <= time + REFIT_S]
        labels = before[-1]["labels"] if before else {}
        return pd.Series({key: x for key, x in labels.items() if isinstance(x, int)}, dtype=float)


_labels: "WeakKeyDictionary[Any, tuple[int, pd.Series[float]]]" = WeakKeyDictionary()  # of the newest atlas
_containers: "WeakKeyDictionary[Any, dict[int, Container]]" = WeakKeyDictionary()  # of each catalog, by node id


def _container(node: Any, find_problem: Callable[[Metadata], str | None]) -> Container:
    return _containers.setdefault(node.context, {}).setdefault(node.node.id, Container(find_problem))
