"""The queue: suggestions that wait for their measurement, in its order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bluesky_adaptive.protocols import ID_KEY

UNTAKEN = "nobody has taken a suggestion on a page"


@dataclass(frozen=True)
class Ready:
    """A suggestion that waits for its measurement. The checkpoint keeps it if a person chose it."""

    suggestion: dict[str, Any]
    created: str = ""  # when a person chose it; empty for a suggestion of the explorer
    taken_by: str | None = None  # the person who took it

    @property
    def id(self) -> str:
        """Id of the suggestion."""
        return str(self.suggestion[ID_KEY])


class Queue:
    """The points of people, or, without any, the suggestion of the explorer.

    Parameters
    ----------
    review : bool
        Whether only suggestions that a person took are measured.

    Attributes
    ----------
    version : int
        It grows with each change.
    """

    def __init__(self, review: bool) -> None:
        self._waiting: list[Ready] = []
        self._review, self.version = review, 0

    def __iter__(self) -> Iterator[Ready]:
        return iter(list(self._waiting))

    @property
    def first(self) -> Ready | None:
        """The suggestion that is measured next: in review the first that a person took, if there is one."""
        waiting = list(self._waiting)
        taken = [each for each in waiting if each.taken_by is not None] if self._review else []
        return next(iter([*taken, *waiting]), None)

    @property
    def own(self) -> Ready | None:
        """The explorer's suggestion, if it waits."""
        return next((each for each in self if not each.created), None)

    def get(self, id: str) -> Ready | None:
        """Return the suggestion with this id, if it waits."""
        return next((each for each in self if each.id == id), None)

    def put(self, ready: Ready) -> None:
        """Add a suggestion at the end; one with the same id is replaced, and its place stays."""
        ids = [each.id for each in self._waiting]
        place = ids.index(ready.id) if ready.id in ids else len(ids)
        self._waiting[place : place + 1] = [ready]
        self.version += 1

    def remove(self, id: str) -> Ready | None:
        """Remove a suggestion, and return it if it was there."""
        if (gone := self.get(id)) is not None:
            self._waiting = [each for each in self._waiting if each.id != id]
            self.version += 1
        return gone

    def reorder(self, order: Sequence[str]) -> None:
        """Put the points with these ids first; ValueError if one does not wait, is not a person's, or comes twice."""
        first = [self.get(id) for id in order]
        for id, each in zip(order, first, strict=True):
            if each is None or not each.created:
                raise ValueError(f"{id[:60]!r} does not wait in the queue: it was measured, rejected or withdrawn")
        if len(set(order)) < len(order):
            raise ValueError("a point is named twice")
        self._waiting = [*filter(None, first), *(each for each in self if each.id not in order)]
        self.version += 1

    def place(self, id: str) -> str:
        """Return when a point is measured, in words."""
        waiting = [each for each in self if not self._review or each.taken_by is not None or each.id == id]
        before = next(i for i, each in enumerate(waiting) if each.id == id)
        when = "it is measured next" if not before else f"it is number {before + 1} in the queue"
        return f"{when}, once a person takes it" if self._review and waiting[before].taken_by is None else when
