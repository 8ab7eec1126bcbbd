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
Wrong = Callable[[Metadata], str | None]

POINT = "embedding"
_SCALARS = {str, int, float, bool}  # of what JSON and msgpack give; isinstance would take twice as long


@dataclass(frozen=True)
class Nested:
    """What is no scalar: texts of JSON, each once, and for each node which of them it says (-1: none)."""

    codes: NDArray[np.int32]
    texts: Sequence[str]

    @cached_property
    def values(self) -> list[Any]:
        """What the texts say; None at last, which is that of nodes that say nothing."""
        return [*map(read_text, self.texts), None]


@dataclass(frozen=True, eq=False)
class Columns:
    """Metadata of nodes, in any order.

    Attributes
    ----------
    frame : pandas.DataFrame, shape (n, …)
        Scalars by name, index ``key``; NaN is what a node does not say.
    number : ndarray of int, shape (n,)
        Of each node, in the order they were made.
    sizes, points : ndarray of int, shape (n,), and of float32
        How many components of the embedding each has, and those of all one after the other.
    nested : dict of str to Nested
        What is no scalar, by name.
    problems : dict of str to str
        What is wrong with nodes, by key; such a node says nothing here.
    """

    frame: pd.DataFrame
    number: NDArray[np.int64]
    sizes: NDArray[np.int64]
    points: NDArray[np.float32]
    nested: dict[str, Nested]
    problems: dict[str, str]

    @classmethod
    def of(
        cls, nodes: Mapping[str, Metadata], wrong: Wrong | None = None, number: NDArray[np.int64] | None = None
    ) -> Self:
        """Of metadata by key; `wrong` says what is wrong with a node, None if nothing is."""
        rows, points = list[dict[str, Any]](), list[Any]()
        found: dict[str, tuple[list[int], dict[str, int]]] = {}
        problems = {}
        for i, (key, said) in enumerate(nodes.items()):
            if wrong is not None and (problem := problem_with(wrong, said)) is not None:
                problems[key], said = problem, {}
            rows.append({name: x for name, x in said.items() if type(x) in _SCALARS})
            points.append(said.get(POINT) or ())
            for name, x in said.items():
                if type(x) not in _SCALARS and x is not None and name != POINT:
                    codes, texts = found.setdefault(name, ([], {}))
                    codes += [-1] * (i - len(codes))
                    codes.append(texts.setdefault(_text(x), len(texts)))
        index = pd.Index(list(nodes), name="key", dtype=object)
        nested = {
            name: Nested(np.array(codes + [-1] * (len(nodes) - len(codes)), np.int32), list(texts))
            for name, (codes, texts) in found.items()
        }
        flat = np.concatenate([np.array(point, np.float32) for point in points if point] or [np.zeros(0, np.float32)])
        sizes = np.array([*map(len, points)], np.int64)
        if number is None:
            number = np.arange(len(nodes))
        return cls(pd.DataFrame(rows, index=index), number, sizes, flat, nested, problems)

    @classmethod
    def joined(cls, parts: Sequence["Columns"]) -> "Columns":
        """All of them, one after the other."""
        parts = [part for part in parts if len(part)] or list(parts[:1])
        if len(parts) == 1:
            return parts[0]
        lengths = [len(part) for part in parts]
        names = dict.fromkeys(name for part in parts for name in part.frame)
        columns = {name: _end_to_end([part.frame.get(name) for part in parts], lengths) for name in names}
        index = pd.Index(np.concatenate([part.frame.index.to_numpy() for part in parts]), name="key", dtype=object)
        several = dict.fromkeys(name for part in parts for name in part.nested)
        return cls(
            pd.DataFrame(columns, index=index, copy=False),
            np.concatenate([part.number for part in parts]),
            np.concatenate([part.sizes for part in parts]),
            np.concatenate([part.points for part in parts]),
            {name: _nested([part.nested.get(name) for part in parts], lengths) for name in several},
            {key: problem for part in parts for key, problem in part.problems.items()},
        )

    def __len__(self) -> int:
        return len(self.number)

    def at(self, mask: NDArray[np.bool_]) -> "Columns":
        """Only those nodes; the same object if that is all."""
        if mask.all():
            return self
        frame = self.frame[mask]
        return Columns(
            frame,
            self.number[mask],
            self.sizes[mask],
            self.points[np.repeat(mask, self.sizes)],
            {name: Nested(said.codes[mask], said.texts) for name, said in self.nested.items()},
            {key: problem for key, problem in self.problems.items() if key in frame.index} if self.problems else {},
        )

    def says_as_last(self, key: str, other: "Columns") -> bool:
        """Whether the last node has this key, and says what the only one of `other` says."""
        last = self.at(np.arange(len(self)) == len(self) - 1)
        if last.frame.index[0] != key or last.problems != other.problems or len(last) != len(other):
            return False
        names = {*last.frame, *other.frame}
        pairs = [(last.column(name)[0], other.column(name)[0]) for name in names]
        nested = {*last.nested, *other.nested}
        return (
            all(a == b or (pd.isna(a) and pd.isna(b)) for a, b in pairs)
            and all(last.values(name) == other.values(name) for name in nested)
            and np.array_equal(last.points, other.points)
        )

    def column(self, name: str) -> NDArray[Any]:
        """Scalars of a name; NaN where none is."""
        return self.frame[name].to_numpy() if name in self.frame else np.full(len(self), np.nan)

    def values(self, name: str) -> list[Any]:
        """What the nodes say that is no scalar; None where they say nothing."""
        if (said := self.nested.get(name)) is None:
            return [None] * len(self)
        return [said.values[code] for code in said.codes]

    def said(self, name: str) -> list[Any]:
        """What any node says of a name that is no scalar, each once, in the order of the nodes."""
        if (nested := self.nested.get(name)) is None:
            return []
        codes, first = np.unique(nested.codes, return_index=True)
        return [nested.values[codes[i]] for i in np.argsort(first) if codes[i] >= 0]


def read_text(text: str) -> Any:
    """What a text of JSON says, with NaN as json writes it."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _text(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # more than 64 bits
        return json.dumps(value)


def problem_with(wrong: Wrong, said: Metadata) -> str | None:
    """What is wrong with the metadata of a node; None if nothing is."""
    try:
        return wrong(said)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"


def _end_to_end(columns: Sequence[pd.Series | None], lengths: Sequence[int]) -> NDArray[Any]:
    """The columns, NaN for one that is not there, as pandas would have them."""
    arrays = [
        np.full(n, np.nan) if column is None else column.to_numpy() for column, n in zip(columns, lengths, strict=True)
    ]
    kinds = {array.dtype.kind for array in arrays}
    if len(kinds) > 1 and not kinds <= set("iuf"):
        arrays = [array.astype(object) for array in arrays]
    return np.concatenate(arrays)


def _nested(parts: Sequence[Nested | None], lengths: Sequence[int]) -> Nested:
    texts: dict[str, int] = {}
    codes = []
    for part, n in zip(parts, lengths, strict=True):
        if part is None:
            codes.append(np.full(n, -1, np.int32))
            continue
        here = [texts.setdefault(text, len(texts)) for text in part.texts]
        codes.append(np.array([*here, -1], np.int32)[part.codes])
    return Nested(np.concatenate(codes), list(texts))
