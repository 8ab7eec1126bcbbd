"""The table of the children of a container: their metadata in memory, updated by reading little more than changed.

Metadata are kept as columns: a hundred thousand nodes without an object for each.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.jobs import waiting
from ainerd.results._nodes import PAGE, Node, read_named, read_nodes

logger = logging.getLogger(__name__)

Metadata = Mapping[str, Any]
Notes = Sequence[Metadata]
FindProblem = Callable[[Metadata], str | None]

_AT_ONCE = 16 * PAGE  # nodes of a first reading; as objects they take half a GB
POINT = "embedding"
_SCALARS = {str, int, float, bool}  # the types in JSON and msgpack; isinstance would take twice as long


@dataclass(frozen=True, eq=False)
class Columns:
    """Metadata of nodes, in any order.

    Attributes
    ----------
    frame : pandas.DataFrame, shape (n, …)
        Scalars by name, index ``key``; NaN where a node has no value.
    number : ndarray of int, shape (n,)
        Position of each node in the order of creation.
    sizes, points : ndarray of int, shape (n,), and of float32
        Number of components of each embedding, and the components of all embeddings, concatenated.
    nested : pandas.DataFrame, shape (n, …)
        Other values by name, as JSON: nodes with the same value share one text.
    """

    frame: pd.DataFrame
    nested: pd.DataFrame
    number: NDArray[np.int64]
    sizes: NDArray[np.int64]
    points: NDArray[np.float32]
    _known: dict[str, tuple[NDArray[np.intp], list[Any]]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, nodes: Mapping[str, Metadata], number: NDArray[np.int64] | None = None) -> Self:
        """Make columns of metadata by key."""
        rows, texts, points = list[dict[str, Any]](), list[dict[str, str]](), list[Any]()
        for metadata in nodes.values():
            points.append(metadata.get(POINT) or ())
            others = {name: x for name, x in metadata.items() if type(x) not in _SCALARS and x is not None}
            rows.append({name: x for name, x in metadata.items() if type(x) in _SCALARS})
            texts.append({name: sys.intern(_json(x)) for name, x in others.items() if name != POINT})
        index = pd.Index(list(nodes), name="key", dtype=object)
        return cls(
            pd.DataFrame(rows, index=index),
            pd.DataFrame(texts, index=index),
            np.arange(len(nodes)) if number is None else number,
            np.array([*map(len, points)], np.int64),
            np.concatenate([np.zeros(0, np.float32), *(np.array(point, np.float32) for point in points if point)]),
        )

    @classmethod
    def joined(cls, parts: Sequence["Columns"]) -> "Columns":
        """Concatenate columns."""
        parts = [part for part in parts if len(part)] or list(parts[:1])
        if len(parts) == 1:
            return parts[0]
        return cls(
            _concatenate([part.frame for part in parts]),
            _concatenate([part.nested for part in parts]),
            np.concatenate([part.number for part in parts]),
            np.concatenate([part.sizes for part in parts]),
            np.concatenate([part.points for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.number)

    def at(self, mask: NDArray[np.bool_]) -> "Columns":
        """Select nodes by a mask, shape (n,); returns the same object if it selects all."""
        if mask.all():
            return self
        points = self.points[np.repeat(mask, self.sizes)]
        return Columns(self.frame[mask], self.nested[mask], self.number[mask], self.sizes[mask], points)

    def has(self, name: str) -> bool:
        """Return whether a node has metadata of this name; of ``model.name``, whether it has ``model``."""
        return name in self.frame or name.partition(".")[0] in self.nested

    def column(self, name: str) -> NDArray[Any]:
        """Return the scalars of a name, shape (n,); NaN where a node has none."""
        return self.frame[name].to_numpy() if name in self.frame else np.full(len(self), np.nan)

    def values(self, name: str) -> list[Any]:
        """Return the nested values of a name, one for each node; None where a node has no value."""
        codes, values = self._distinct(name)
        return [values[code] for code in codes]

    def distinct(self, name: str) -> list[Any]:
        """Return the distinct nested values of a name, in the order of the nodes."""
        return self._distinct(name)[1][:-1]

    def where(self, name: str, holds: Callable[[Any], bool]) -> NDArray[np.bool_]:
        """Select the nodes for whose nested value of a name a condition holds."""
        codes, values = self._distinct(name)
        return np.array([*map(holds, values[:-1]), False], bool)[codes]

    def _distinct(self, name: str) -> tuple[NDArray[np.intp], list[Any]]:
        """Return an index for each node into the distinct nested values of a name, which end with None."""
        if name not in self.nested:
            return np.full(len(self), -1), [None]
        if name not in self._known:
            codes, texts = pd.factorize(self.nested[name])
            self._known[name] = codes, [*map(parse_json, texts), None]
        return self._known[name]


def parse_json(text: str | bytes) -> Any:
    """Parse JSON, with NaN as Python's json writes it."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(value)


def _concatenate(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate frames with the dtypes that pandas would give; NaN for a column that is missing."""
    columns: dict[Any, NDArray[Any]] = {}
    for name in dict.fromkeys(name for frame in frames for name in frame):
        arrays = [frame[name].to_numpy() if name in frame else np.full(len(frame), np.nan) for frame in frames]
        kinds = {array.dtype.kind for array in arrays}
        if len(kinds) > 1 and not kinds <= set("iuf"):
            arrays = [array.astype(object) for array in arrays]
        columns[name] = np.concatenate(arrays)
    index = pd.Index(np.concatenate([frame.index.to_numpy() for frame in frames]), name="key", dtype=object)
    return pd.DataFrame(columns, index=index, copy=False)


class NodeFilter:
    """Leaves out the nodes that have a problem, and logs each problem once; `kind` names the nodes in the log."""

    def __init__(self, kind: str, find_problem: FindProblem) -> None:
        self._kind, self._find_problem = kind, find_problem
        self.problems: dict[str, str] = {}

    def __call__(self, nodes: Mapping[str, Metadata]) -> dict[str, Metadata]:
        """Return the nodes without a problem."""
        problems = {key: problem for key, metadata in nodes.items() if (problem := self._find_problem(metadata))}
        valid = {key: metadata for key, metadata in nodes.items() if key not in problems}
        self.note(problems)
        for key in self.problems.keys() & valid.keys():
            del self.problems[key]
        return valid

    def note(self, problems: Mapping[str, str]) -> None:
        """Log the problems that are new."""
        for key, problem in problems.items():
            if self.problems.get(key) != problem:
                logger.warning("%s %s is left out: %s", self._kind, key, problem)
        self.problems |= problems


class NodeTable:
    """The metadata of the children of a container in memory, exact at each reading, with any writers.

    A first reading takes all pages of the server's search. A later one takes the last known child and those after it,
    and by their keys those that may still change. This relies on two rules: Tiled lists children in the order of
    creation, and a final child that has its regime does not change. If the last known child has moved or changed, one
    was removed, or two were created at the same moment: then everything is read again.

    Parameters
    ----------
    container : tiled.client.container.Container
    valid : NodeFilter
        Leaves out children.
    final : sequence of str, optional
        Statuses that do not change any more. Without it no child changes.
    """

    def __init__(self, container: Container, valid: NodeFilter, final: Sequence[str] | None = None) -> None:
        self._container, self._valid, self._final = container, valid, final
        self._lock = threading.Lock()
        self._is_read = False
        self._n = 0  # children on the server
        self._clear()

    def read(self) -> Columns:
        """Return the metadata of all valid children; the same object as long as nothing changes."""
        with self._lock:
            if not self._is_read or not self._read_from(max(self._n - 1, 0)):
                self._clear()
                with waiting("reading the catalog"):
                    self._read_from(0)
                self._is_read = True
            return self._all

    @property
    def known(self) -> Columns | None:
        """The result of the last reading; None before the first."""
        return self._all if self._is_read else None

    def forget(self) -> None:
        """Make the next reading read everything."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._all = Columns.of({})
        self._valid.problems.clear()
        self._is_read, self._n = False, 0
        self._last: Node | None = None
        self._open = dict[str, Metadata]()  # children that may change, by key

    def _read_from(self, first: int) -> bool:
        """Read the children from a number on, and those that may have changed.

        Returns False if the last known child is not the first of them.
        """
        nodes, may_change = read_nodes(self._container, first), {*self._open}
        if self._last is not None:
            key, metadata = next(nodes, ("", {}))
            if key != self._last[0] or metadata != self._last[1] and key not in self._open:
                return False
            may_change.discard(key)
            self._take({key: metadata})
            self._last = key, metadata
        while some := [*islice(nodes, _AT_ONCE)]:
            self._take(dict(some))
            self._n, self._last = self._n + len(some), some[-1]
        self._take(dict(read_named(self._container, sorted(may_change))))
        return True

    def _take(self, nodes: Mapping[str, Metadata]) -> None:
        """Add children, or replace those that have changed."""
        known = {**self._open, **dict([self._last] if self._last else [])}
        nodes = {key: metadata for key, metadata in nodes.items() if known.get(key) != metadata}
        if not nodes:
            return
        valid, keys = self._valid(nodes), self._all.frame.index
        index = keys.get_indexer(pd.Index([*valid], dtype=object))
        number = self._all.number.max(initial=-1) + np.cumsum(index < 0)
        number[index >= 0] = self._all.number[index[index >= 0]]
        kept = self._all.at(~keys.isin([*nodes]))
        self._all = Columns.joined([kept, Columns.of(valid, number)])
        for key, metadata in nodes.items():
            self._open.pop(key, None)
            if self._final is not None and (metadata.get("status") not in self._final or metadata.get("awaits_regime")):
                self._open[key] = metadata
