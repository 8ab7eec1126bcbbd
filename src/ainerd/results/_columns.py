"""Metadata of many nodes as columns: a hundred thousand are held and searched without an object for each."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

Metadata = Mapping[str, Any]
FindProblem = Callable[[Metadata], str | None]

POINT = "embedding"
_SCALARS = {str, int, float, bool}  # the types in JSON and msgpack; isinstance would take twice as long


@dataclass(frozen=True)
class Nested:
    """Values other than scalars: each distinct JSON text once, and its index for each node (-1: no value)."""

    codes: NDArray[np.int32]
    texts: Sequence[str]

    @cached_property
    def values(self) -> list[Any]:
        """The parsed texts, followed by None for nodes without a value."""
        return [*map(parse_json, self.texts), None]


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
    nested : dict of str to Nested
        Other values, by name.
    problems : dict of str to str
        Why nodes cannot be shown, by key; such a node has no values here.
    """

    frame: pd.DataFrame
    number: NDArray[np.int64]
    sizes: NDArray[np.int64]
    points: NDArray[np.float32]
    nested: dict[str, Nested]
    problems: dict[str, str]

    @classmethod
    def of(
        cls,
        nodes: Mapping[str, Metadata],
        find_problem: FindProblem | None = None,
        number: NDArray[np.int64] | None = None,
    ) -> Self:
        """Make columns of metadata by key; `find_problem` returns why a node cannot be shown, or None."""
        rows, points = list[dict[str, Any]](), list[Any]()
        coded: dict[str, tuple[list[int], dict[str, int]]] = {}
        problems = {}
        for i, (key, metadata) in enumerate(nodes.items()):
            if find_problem is not None and (problem := find_problem(metadata)) is not None:
                problems[key], metadata = problem, {}
            rows.append({name: x for name, x in metadata.items() if type(x) in _SCALARS})
            points.append(metadata.get(POINT) or ())
            for name, x in metadata.items():
                if type(x) not in _SCALARS and x is not None and name != POINT:
                    codes, texts = coded.setdefault(name, ([], {}))
                    codes += [-1] * (i - len(codes))
                    codes.append(texts.setdefault(_json(x), len(texts)))
        nested = {
            name: Nested(np.array(codes + [-1] * (len(nodes) - len(codes)), np.int32), list(texts))
            for name, (codes, texts) in coded.items()
        }
        return cls(
            pd.DataFrame(rows, index=pd.Index(list(nodes), name="key", dtype=object)),
            np.arange(len(nodes)) if number is None else number,
            np.array([*map(len, points)], np.int64),
            np.concatenate([np.array(point, np.float32) for point in points if point] or [np.zeros(0, np.float32)]),
            nested,
            problems,
        )

    @classmethod
    def joined(cls, parts: Sequence["Columns"]) -> "Columns":
        """Concatenate columns."""
        parts = [part for part in parts if len(part)] or list(parts[:1])
        if len(parts) == 1:
            return parts[0]
        lengths = [len(part) for part in parts]
        names = dict.fromkeys(name for part in parts for name in part.frame)
        columns = {name: _concatenate([part.frame.get(name) for part in parts], lengths) for name in names}
        index = pd.Index(np.concatenate([part.frame.index.to_numpy() for part in parts]), name="key", dtype=object)
        nested = dict.fromkeys(name for part in parts for name in part.nested)
        return cls(
            pd.DataFrame(columns, index=index, copy=False),
            np.concatenate([part.number for part in parts]),
            np.concatenate([part.sizes for part in parts]),
            np.concatenate([part.points for part in parts]),
            {name: _concatenate_nested([part.nested.get(name) for part in parts], lengths) for name in nested},
            {key: problem for part in parts for key, problem in part.problems.items()},
        )

    def __len__(self) -> int:
        return len(self.number)

    def at(self, mask: NDArray[np.bool_]) -> "Columns":
        """Select nodes by a mask, shape (n,); returns the same object if it selects all."""
        if mask.all():
            return self
        frame = self.frame[mask]
        return Columns(
            frame,
            self.number[mask],
            self.sizes[mask],
            self.points[np.repeat(mask, self.sizes)],
            {name: Nested(nested.codes[mask], nested.texts) for name, nested in self.nested.items()},
            {key: problem for key, problem in self.problems.items() if key in frame.index} if self.problems else {},
        )

    def column(self, name: str) -> NDArray[Any]:
        """Return the scalars of a name, shape (n,); NaN where a node has none."""
        return self.frame[name].to_numpy() if name in self.frame else np.full(len(self), np.nan)

    def values(self, name: str) -> list[Any]:
        """Return the nested values of a name, one for each node; None where a node has no value."""
        if (nested := self.nested.get(name)) is None:
            return [None] * len(self)
        return [nested.values[code] for code in nested.codes]

    def distinct(self, name: str) -> list[Any]:
        """Return the distinct nested values of a name, in the order of the nodes."""
        if (nested := self.nested.get(name)) is None:
            return []
        codes, first = np.unique(nested.codes, return_index=True)
        return [nested.values[codes[i]] for i in np.argsort(first) if codes[i] >= 0]


def parse_json(text: str) -> Any:
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


def _concatenate(columns: Sequence[pd.Series | None], lengths: Sequence[int]) -> NDArray[Any]:
    """Concatenate columns with the dtypes that pandas would give; NaN for a column that is missing."""
    arrays = [
        np.full(n, np.nan) if column is None else column.to_numpy() for column, n in zip(columns, lengths, strict=True)
    ]
    kinds = {array.dtype.kind for array in arrays}
    if len(kinds) > 1 and not kinds <= set("iuf"):
        arrays = [array.astype(object) for array in arrays]
    return np.concatenate(arrays)


def _concatenate_nested(parts: Sequence[Nested | None], lengths: Sequence[int]) -> Nested:
    texts: dict[str, int] = {}
    codes = []
    for part, n in zip(parts, lengths, strict=True):
        if part is None:
            codes.append(np.full(n, -1, np.int32))
            continue
        new_codes = [texts.setdefault(text, len(texts)) for text in part.texts]
        codes.append(np.array([*new_codes, -1], np.int32)[part.codes])
    return Nested(np.concatenate(codes), list(texts))
