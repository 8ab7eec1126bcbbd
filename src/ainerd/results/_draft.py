"""The arrays and tables of a result that is being written; what an attempt before has left is written over."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import DataSource

from ainerd.results._nodes import is_conflict
from ainerd.technique import Layout

if TYPE_CHECKING:
    from tiled.client.array import ArrayClient  # imports dask and numba

ATTEMPTS = 5


class Draft:
    """What is written into one node."""

    def __init__(self, node: Container) -> None:
        self._node = node
        self._rooms: dict[str, tuple[ArrayClient, Layout]] = {}

    def make_room(self, layouts: Mapping[str, Layout]) -> None:
        """Make the nodes of arrays that will come: half of the work, done before they are there."""
        for name, layout in layouts.items():
            self._rooms[name] = self._room(name, layout), layout

    def write(self, name: str, array: ArrayLike, dims: tuple[str, ...] | None) -> None:
        """Write an array."""
        values = np.ascontiguousarray(array)
        layout = Layout.of(values, dims)
        room, expected = self._rooms.get(name, (None, None))
        if room is None or expected != layout:
            room = self._room(name, layout)
        room.write(values)

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table."""
        try:
            self._node.write_table(table, key=name)
        except ClientError as error:
            if not is_conflict(error):
                raise
            self._node.delete_contents(name, external_only=False)
            self._node.write_table(table, key=name)

    def _room(self, name: str, layout: Layout) -> ArrayClient:
        for _ in range(ATTEMPTS):
            try:
                return self._new(name, layout)
            except ClientError as error:
                if not is_conflict(error):
                    raise
            with suppress(KeyError):  # whoever failed at the same run has taken it away meanwhile
                old = self._node[name]
                if old.structure_family == "array" and (old.shape, old.dtype) == (layout.shape, np.dtype(layout.dtype)):
                    return old
                self._node.delete_contents(name, external_only=False)
        return self._new(name, layout)

    def _new(self, name: str, layout: Layout) -> ArrayClient:
        structure = ArrayStructure(
            shape=layout.shape,
            chunks=tuple((n,) for n in layout.shape),  # one, so that it is written in one request
            dims=layout.dims,
            data_type=BuiltinDtype.from_numpy_dtype(np.dtype(layout.dtype)),
        )
        source = DataSource(structure=structure, structure_family=StructureFamily.array)
        return self._node.new(StructureFamily.array, [source], key=name)


def series_table(name: str, times: ArrayLike, values: ArrayLike) -> pd.DataFrame:
    """A series as a table with the columns ``time`` and `name`."""
    columns: dict[str, NDArray[Any]] = {"time": np.asarray(times, float), name: np.asarray(values, float)}
    return pd.DataFrame(columns)
