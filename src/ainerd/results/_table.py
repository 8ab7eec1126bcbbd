"""The table of the children of a container: their metadata in memory, updated by reading little more than changed.

Metadata are kept as columns, also in a file: a hundred thousand nodes without an object for each.
"""

import json
import logging
import os
import sys
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Self

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import infer_dtype
from tiled.client.container import Container

from ainerd.jobs import waiting
from ainerd.results._nodes import PAGE, get_ours, read_named, read_nodes

logger = logging.getLogger(__name__)

Metadata = Mapping[str, Any]
Notes = Sequence[Metadata]
FindProblem = Callable[[Metadata], str | None]

_AT_ONCE = 16 * PAGE  # nodes of a first reading; as objects they take half a GB
_GROWTH = 20  # a file is written again when its table has grown by one in so many
POINT = "embedding"
_SCALAR, _MIXED, _NESTED = "scalar ", "mixed ", "nested "  # before the name of a column in a file
_MOST_FILES = 20  # of catalogs, in a folder
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


def save_snapshot(path: Path, columns: Columns, state: Mapping[str, Any]) -> None:
    """Write columns and a state in JSON to a file of this user, in one step; if that is impossible, do nothing.

    The file holds a checksum and a table in Parquet, with a row for each node.
    """
    points = np.split(columns.points, np.cumsum(columns.sizes)[:-1])[: len(columns)]
    parts: dict[str, Any] = {"number": columns.number, "points": points}
    for name, column in columns.frame.items():
        if column.dtype != object or infer_dtype(column) in ("string", "boolean", "empty"):
            parts[f"{_SCALAR}{name}"] = column
        else:  # a column of Parquet has values of one type
            parts[f"{_MIXED}{name}"] = [None if pd.isna(value) else json.dumps(value) for value in column.tolist()]
    parts |= {f"{_NESTED}{name}": column for name, column in columns.nested.items()}
    table = pd.DataFrame(parts, columns.frame.index, copy=False)
    table.attrs = {"state": state}
    content = table.to_parquet(compression="zstd")
    with suppress(OSError):
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=path.stem, delete=False) as part:
            part.write(zlib.crc32(content).to_bytes(4, "little") + content)
        os.replace(part.name, path)
        for old in sorted(path.parent.glob("results-*"), key=os.path.getmtime)[:-_MOST_FILES]:
            old.unlink()


def load_snapshot(path: Path) -> tuple[Columns, dict[str, Any]] | None:
    """Return the columns and the state in a file of `save_snapshot`; None without a file, or if it is damaged."""
    from pyarrow import default_memory_pool
    from pyarrow.parquet import read_table

    try:
        file = memoryview(path.read_bytes())
        if zlib.crc32(file[4:]).to_bytes(4, "little") != file[:4]:
            raise ValueError("the checksum does not fit")
        table = read_table(BytesIO(file[4:])).to_pandas(split_blocks=True, self_destruct=True)
        columns, state = _columns_in(table), table.attrs["state"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    default_memory_pool().release_unused()  # it would keep as much memory as the results take
    return columns, state


def _columns_in(table: pd.DataFrame) -> Columns:
    frame, nested = dict[str, Any](), dict[str, Any]()
    for name in table.columns.drop(["number", "points"]):
        values = table[name].to_numpy()
        if values.dtype == object:
            values[pd.isna(values)] = np.nan
        if name.startswith(_MIXED):
            values = np.array([*(json.loads(x) if isinstance(x, str) else x for x in values), None], object)[:-1]
        (nested if name.startswith(_NESTED) else frame)[name.partition(" ")[2]] = values
    return Columns(
        pd.DataFrame(frame, table.index, copy=False),
        pd.DataFrame(nested, table.index, copy=False),
        table["number"].to_numpy(),
        np.array([*map(len, table["points"])], np.int64),
        np.concatenate([np.zeros(0, np.float32), *table["points"]]),
    )


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
    """The metadata of the children of a container, exact at each reading, with any writers.

    A reading requests the changes since the cursor of the last one. A server with our pages answers that in one
    request. Another server is asked for nodes, which takes a few requests more and relies on two rules: a final child
    that has its regime does not change, and Tiled lists children in the order of creation. So the last known child and
    those after it are requested, and those that may still change. If the last known child has moved or changed, one was
    removed, or two were created at the same moment: then everything is read again.

    Parameters
    ----------
    container : tiled.client.container.Container
    valid : NodeFilter
        Leaves out children.
    final : sequence of str, optional
        Statuses that do not change any more. Without it no child changes.
    campaign : tiled.client.container.Container, optional
        ``client["ainerd"]``, for our route ``changes``.
    file : path, optional
        A file of this machine in which a first reading finds most children: a cache, never the truth.
    """

    def __init__(
        self,
        container: Container,
        valid: NodeFilter,
        final: Sequence[str] | None = None,
        campaign: Container | None = None,
        file: Path | None = None,
    ) -> None:
        self._container, self._valid, self._final = container, valid, final
        self._campaign, self._file = campaign, file
        self._lock = threading.Lock()
        self.answer: Mapping[str, Any] = {}  # the last answer of our route, without nodes
        self._clear()

    def read(self, **parameters: Any) -> Columns:
        """Return the metadata of all valid children; the same object as long as nothing changes.

        `parameters` go to our route.
        """
        with self._lock:
            if self._cursor:
                self._update(parameters)
            else:
                with waiting("reading the catalog"):
                    self._load()
                    self._update(parameters)
            return self._all

    @property
    def known(self) -> Columns | None:
        """The result of the last reading; None before the first."""
        return self._all if self._cursor and not self.answer.get("more") else None

    def forget(self) -> None:
        """Make the next reading read everything."""
        with self._lock:
            self._clear()
            if self._file is not None:
                self._file.unlink(missing_ok=True)

    def _clear(self) -> None:
        self._all = Columns.of({})
        self._valid.problems.clear()
        self._cursor: Mapping[str, Any] = {}
        self._last: Mapping[str, Metadata] = {}  # the nodes of the last answer, which may come again
        self._open = set[str]()  # keys of the children that are not final
        self._n_saved = 0  # children in the file

    def _load(self) -> None:
        loaded = None if self._file is None else load_snapshot(self._file)
        if loaded is not None:
            self._all, state = loaded
            self._cursor = state["cursor"]
            self._valid.note(state["problems"])
            columns = (self._all.column(name).astype(object) for name in ("status", "awaits_regime"))
            rows = zip(self._all.frame.index, *columns, strict=True)
            open_ = {key for key, status, since in rows if self._is_open(status, since)}
            self._open = open_ | self._valid.problems.keys()
            self._n_saved = len(self._all)

    def _update(self, parameters: Mapping[str, Any]) -> None:
        is_done = False
        while not is_done:
            answer = self._ask_route(parameters) or self._ask_nodes()
            nodes = dict(zip(answer["keys"], answer["metadata"], strict=True))
            if answer["whole"]:
                self._clear()
            self._take({key: metadata for key, metadata in nodes.items() if self._last.get(key) != metadata})
            self.answer = {name: x for name, x in answer.items() if name not in ("keys", "metadata")}
            self._cursor, self._last, is_done = answer["cursor"], nodes if len(nodes) < PAGE else {}, not answer["more"]
        n = len(self._all)
        if self._file is not None and n - self._n_saved >= max(PAGE, n // _GROWTH):
            save_snapshot(self._file, self._all, {"cursor": self._cursor, "problems": self._valid.problems})
            self._n_saved = n

    def _take(self, nodes: Mapping[str, Metadata]) -> None:
        if not nodes:
            return
        valid, keys = self._valid(nodes), self._all.frame.index
        index = keys.get_indexer(pd.Index([*valid], dtype=object))
        number = self._all.number.max(initial=-1) + np.cumsum(index < 0)
        number[index >= 0] = self._all.number[index[index >= 0]]
        kept = self._all.at(~keys.isin([*nodes]))
        self._all = Columns.joined([kept, Columns.of(valid, number)])
        self._open -= nodes.keys()
        self._open |= {key for key, x in nodes.items() if self._is_open(x.get("status"), x.get("awaits_regime"))}

    def _is_open(self, status: Any, awaits_regime: Any) -> bool:
        return self._final is not None and (status not in self._final or isinstance(awaits_regime, str))

    def _ask_route(self, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the answer of our route; None if the server does not have it."""
        if self._campaign is None:
            return None
        since = {} if "metadata" in self._cursor else self._cursor  # the cursor of `_ask_nodes` has another form
        answer = get_ours(self._campaign, "changes", {"since": json.dumps(since), **parameters})
        return None if answer is None else dict(parse_json(answer.content))

    def _ask_nodes(self) -> dict[str, Any]:
        """Return the same answer from the nodes; the cursor holds the last child."""
        n, key, metadata = (self._cursor.get(name) for name in ("n", "key", "metadata"))
        first, whole = max((n or 0) - 1, 0), not self._cursor
        following = list(islice(read_nodes(self._container, first), _AT_ONCE))
        if n and following[:1] != [(key, metadata)] and not (key in self._open and key in dict(following[:1])):
            first, whole = 0, True
            following = list(islice(read_nodes(self._container), _AT_ONCE))
        nodes, more = dict(following), len(following) == _AT_ONCE
        if not (more or whole):
            nodes |= read_named(self._container, sorted(self._open - nodes.keys()))
        if following:
            key, metadata = following[-1]
        cursor = {"n": first + len(following), "key": key, "metadata": metadata}
        return {"cursor": cursor, "keys": [*nodes], "metadata": [*nodes.values()], "whole": whole, "more": more}
