"""Values by id, held as columns."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Rows:
    """A row of values for each id, in the order of arrival; one object for each would take a kilobyte.

    A column is made with its first values, which set its dtype and shape.
    """

    def __init__(self) -> None:
        self._row: dict[str, int] = {}
        self._is_there = np.zeros(0, bool)  # with room for more; removed ones leave gaps
        self._end = 0
        self._columns: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, id: object) -> bool:
        return id in self._row

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    @property
    def ids(self) -> NDArray[np.object_]:
        """All ids, (n,)."""
        return np.array([*self._row, None], object)[:-1]

    def add(self, ids: Sequence[str], **values: ArrayLike) -> None:
        """Set values (n, …) of n ids. A known id keeps its place; of an id that comes twice the last values count."""
        new = [id for id in dict.fromkeys(ids) if id not in self._row]
        if self._end + len(new) > len(self._is_there):
            self._make_room(len(new))
        self._is_there[self._end : self._end + len(new)] = True
        self._row |= zip(new, range(self._end, self._end + len(new)), strict=True)
        self._end += len(new)
        rows = [self._row[id] for id in ids]
        for name, some in values.items():
            some = np.asarray(some)
            if name not in self._columns:
                self._columns[name] = np.empty((len(self._is_there), *some.shape[1:]), some.dtype)
            self._columns[name][rows] = some

    def remove(self, id: str) -> None:
        """Remove an id, if it is there."""
        row = self._row.pop(id, None)
        if row is not None:
            self._is_there[row] = False

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column (n, …), not to be changed; KeyError if it has no values."""
        column = self._columns[name][: self._end]
        return column if len(self) == self._end else column[self._is_there[: self._end]]

    def of(self, id: str, name: str) -> Any:
        """Return one value of an id; raise KeyError if the id is unknown."""
        return self._columns[name][self._row[id]]

    def place(self, id: str) -> int:
        """Return the row number of an id; raise KeyError if the id is unknown."""
        return int(np.count_nonzero(self._is_there[: self._row[id]]))

    def give(self, name: str, values: ArrayLike) -> None:
        """Set a known column for all ids."""
        self._columns[name][: self._end][self._is_there[: self._end]] = values

    def _make_room(self, more: int) -> None:
        room = 16 + 3 * (len(self) + more) // 2
        for name in self._columns:
            column, old = np.empty((room, *self._columns[name].shape[1:]), self._columns[name].dtype), self[name]
            column[: len(old)] = old
            self._columns[name] = column
        self._row = {id: i for i, id in enumerate(self._row)}
        self._is_there, self._end = np.arange(room) < len(self), len(self)
