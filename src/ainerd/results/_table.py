"""The children of a container as a table in memory, updated by reading little more than what changed."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pandas as pd
from tiled.client.container import Container

from ainerd.jobs import waiting
from ainerd.results._nodes import read_named, read_nodes
from ainerd.results._records import Metadata

logger = logging.getLogger(__name__)

Notes = Sequence[Metadata]
FindProblem = Callable[[Metadata], str | None]

POINT = "embedding"


def frame_of(nodes: Mapping[str, Metadata], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return metadata by key as a table of Python objects, NaN for a missing value; it has at least these columns."""
    frame = pd.DataFrame([*nodes.values()], pd.Index([*nodes], name="key", dtype=object), dtype=object)
    return frame.reindex(columns=[*dict.fromkeys([*columns, *frame])])


class NodeFilter:
    """Leaves out the nodes that have a problem, and logs each problem once; `kind` names the nodes in the log."""

    def __init__(self, kind: str, find_problem: FindProblem) -> None:
        self._kind, self._find_problem = kind, find_problem
        self.problems: dict[str, str] = {}

    def __call__(self, nodes: Mapping[str, Metadata]) -> dict[str, Metadata]:
        """Return the nodes without a problem."""
        problems = {key: problem for key, metadata in nodes.items() if (problem := self._find_problem(metadata))}
        for key, problem in problems.items():
            if self.problems.get(key) != problem:
                logger.warning("%s %s is left out: %s", self._kind, key, problem)
        self.problems = {key: x for key, x in self.problems.items() if key not in nodes} | problems
        return {key: metadata for key, metadata in nodes.items() if key not in problems}


class NodeTable:
    """The metadata of the children of a container in memory, with any writers.

    A first reading takes all pages of the server's search. A later one takes the last known child and those after it,
    and by their keys those that may still change. This relies on two rules: Tiled lists children in the order of
    creation, and a final child that has its regime does not change, unless `may_change` names it. If the last known
    child has moved or changed, one was removed, or two were created at the same moment: then everything is read again.

    Parameters
    ----------
    container : tiled.client.container.Container
    valid : NodeFilter
        Leaves out children.
    columns : sequence of str
        Columns that the table has in any case.
    final : sequence of str, optional
        Statuses that do not change any more. Without it no child changes.
    """

    def __init__(
        self, container: Container, valid: NodeFilter, columns: Sequence[str] = (), final: Sequence[str] | None = None
    ) -> None:
        self._container, self._valid, self._columns, self._final = container, valid, columns, final
        self._lock = threading.Lock()
        self._is_read, self._n = False, 0  # whether anything was read, and children on the server
        self._clear()

    def read(self) -> pd.DataFrame:
        """Return the metadata of all valid children, by creation; the same object as long as nothing changes.

        Its index is ``key``. Children with the same nested value share one object.
        """
        with self._lock:
            if not self._is_read or not self._read_from(max(self._n - 1, 0)):
                self._clear()
                with waiting("reading the catalog"):
                    self._read_from(0)
                self._is_read = True
            return self._frame

    @property
    def known(self) -> pd.DataFrame | None:
        """The result of the last reading; None before the first."""
        return self._frame if self._is_read else None

    def may_change(self, key: str) -> None:
        """Read a final child again at the next reading. Other processes do not learn of its change."""
        with self._lock:
            self._open.setdefault(key, {})

    def _clear(self) -> None:
        self._frame = frame_of({}, self._columns)
        self._valid.problems.clear()
        self._is_read, self._n = False, 0
        self._last: tuple[str, Metadata] = "", {}
        self._open = dict[str, Metadata]()  # children that may change, by key
        self._shared = dict[bytes, Any]()  # nested values by their JSON

    def _read_from(self, first: int) -> bool:
        """Read the children from a number on, and those that may have changed.

        Returns False if the last known child is not the first of them.
        """
        nodes = {key: self._row(metadata) for key, metadata in read_nodes(self._container, first)}
        last, row = self._last
        if last and (nodes.get(last) != row and last not in self._open or next(iter(nodes), "") != last):
            return False
        self._n = first + len(nodes)
        self._last = next(reversed(nodes.items()), self._last)
        named = read_named(self._container, sorted(self._open.keys() - nodes.keys()))
        self._take(nodes | {key: self._row(metadata) for key, metadata in named}, {last: row, **self._open})
        return True

    def _row(self, metadata: Metadata) -> Metadata:
        """Return metadata with the objects of equal nested values."""
        row = {name: x for name, x in metadata.items() if x is not None}
        for name, value in row.items():
            if name != POINT and not isinstance(value, str | int | float):
                row[name] = self._shared.setdefault(orjson.dumps(value), value)
        return row

    def _take(self, nodes: Mapping[str, Metadata], known: Mapping[str, Metadata]) -> None:
        """Add children, or replace those that differ from what is known of them."""
        nodes = {key: metadata for key, metadata in nodes.items() if known.get(key) != metadata}
        if not nodes:
            return
        new, old = frame_of(self._valid(nodes)), self._frame
        both = pd.concat([old.drop(index=[*nodes], errors="ignore").astype(object), new])
        order = old.index.append(new.index).unique()
        self._frame = both.reindex(order[order.isin(both.index)]).infer_objects()
        for key, metadata in nodes.items():
            self._open.pop(key, None)
            if self._final is not None and self._is_open(metadata):
                self._open[key] = metadata

    def _is_open(self, metadata: Metadata) -> bool:
        is_final = metadata.get("status") in (self._final or ())
        return not is_final or bool(metadata.get("awaits_regime") or metadata.get("retake"))
