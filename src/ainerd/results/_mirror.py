"""Metadata of many nodes kept in memory, and updated by reading little more than what changed."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tiled.client.container import Container

from ainerd.results._columns import Columns, FindProblem
from ainerd.results._nodes import PAGE, Node, Search, nodes_from, nodes_named, read_named, read_nodes
from ainerd.results._progress import waiting
from ainerd.results._snapshot import Snapshot

Metadata = Mapping[str, Any]

_FOLD_AT = 5000  # nodes of a first reading; as objects they take half a GB


class Mirror:
    """The metadata of the children of a container, exact at each reading, whoever writes.

    This relies on two rules: a final child does not change, and Tiled lists children in the order of creation. A
    reading requests the last known child and those after it, and those that were not final. If the last known child has
    moved or changed, one was removed, or two were created at the same moment: then everything since the snapshot is
    read again, and everything at all if that does not help.

    Parameters
    ----------
    container : tiled.client.container.Container
    final : sequence of str, optional
        Statuses that do not change any more. Without it no child changes.
    snapshot : Snapshot, optional
        Where a first reading finds most children.
    find_problem : callable, optional
        As for `Columns.of`.
    """

    def __init__(
        self,
        container: Container,
        final: Sequence[str] | None = None,
        snapshot: Snapshot | None = None,
        find_problem: FindProblem | None = None,
    ) -> None:
        self._container, self._final, self._snapshot, self._find_problem = container, final, snapshot, find_problem
        self._is_read = False
        self._lock = threading.Lock()
        self._clear()

    def read(self) -> Columns:
        """Return the metadata of all children; the same object as long as nothing changes."""
        with self._lock:
            if self._is_read:
                self._update()
            else:
                with waiting("reading what is in the catalogue"):
                    if self._snapshot is not None and (loaded := self._snapshot.load()) is not None:
                        self._set_old(loaded)
                    self._update()
                self._is_read = True
            assert self._all is not None
            return self._all

    def searches(self) -> list[Search]:
        """Return the searches of the next reading, as far as they are known; none before the first reading."""
        with self._lock:
            n = len(self._old) + len(self._recent)
            if not self._is_read or not n:
                return []
            last = next(reversed(self._recent), None) or self._old.frame.index[-1]
            named = nodes_named(self._container, [key for key in self._not_final() if key != last])
            return [nodes_from(self._container, n - 1), *named]

    @property
    def known(self) -> Columns | None:
        """The result of the last reading; None before the first."""
        return self._all if self._is_read else None

    def forget(self) -> None:
        """Make the next reading read everything."""
        with self._lock:
            self._start_over()

    def _clear(self) -> None:
        self._old = Columns.of({})  # the first children
        self._open = set[str]()  # the old ones that are not final
        self._changed = dict[str, Metadata]()  # the old ones that have changed since
        self._recent = dict[str, Metadata]()  # the children after the old ones
        self._all: Columns | None = None

    def _start_over(self) -> None:
        self._clear()
        if self._snapshot is not None:
            self._snapshot.drop()

    def _update(self) -> None:
        seen = set[str]()
        for key, metadata in self._read_changes(seen):
            seen.add(key)
            is_old = key in self._open or (len(self._old) and key == self._old.frame.index[-1])
            known = self._changed if is_old else self._recent
            if known.get(key) != metadata and not (is_old and key not in known and self._ends_with(key, metadata)):
                known[key], self._all = metadata, None
            if is_old and self._is_final(metadata):
                self._open.discard(key)
            if len(self._recent) >= _FOLD_AT:
                self._fold()
        if len(self._recent) >= PAGE:
            self._fold()
        if self._snapshot is not None and len(self._old) - self._snapshot.n >= PAGE:
            if not self._snapshot.append(self._old):
                self._snapshot = None
        if self._all is None:
            self._all = self._joined()

    def _read_changes(self, seen: set[str]) -> Iterator[Node]:
        """Yield the last known child, those after it, and those that were not final and not `seen`."""
        yield from self._read_following()
        yield from read_named(self._container, [key for key in self._not_final() if key not in seen])

    def _read_following(self) -> Iterator[Node]:
        n, n_old = len(self._old) + len(self._recent), len(self._old)
        if self._recent:
            following = read_nodes(self._container, n - 1)
            first = next(following, None)
            key, known = next(reversed(self._recent.items()))
            if first is not None and first[0] == key and (first[1] == known or not self._is_final(known)):
                yield first
                yield from following
                return
            self._recent, self._all = {}, None
        if n_old:
            following = read_nodes(self._container, n_old - 1)
            first = next(following, None)
            if first is not None and first[0] == self._old.frame.index[-1] and self._may_be_last(*first):
                yield first
                yield from following
                return
        if n:
            self._start_over()
        yield from read_nodes(self._container)

    def _may_be_last(self, key: str, metadata: Metadata) -> bool:
        """Return whether the last old child may have these metadata now: a final one does not change."""
        if key in self._open:
            return True
        return self._changed[key] == metadata if key in self._changed else self._ends_with(key, metadata)

    def _ends_with(self, key: str, metadata: Metadata) -> bool:
        return self._old.ends_with(Columns.of({key: metadata}, self._find_problem))

    def _not_final(self) -> list[str]:
        return [*sorted(self._open), *(key for key, metadata in self._recent.items() if not self._is_final(metadata))]

    def _is_final(self, metadata: Metadata) -> bool:
        return self._final is None or metadata.get("status") in self._final

    def _set_old(self, old: Columns) -> None:
        self._old, self._all = old, None
        if self._final is not None:
            is_final = np.isin(old.column("status").astype(object), self._final)
            self._open = {*old.frame.index[~is_final]} - {
                key for key, metadata in self._changed.items() if self._is_final(metadata)
            }

    def _fold(self) -> None:
        """Convert the recent children to columns."""
        self._set_old(Columns.joined([self._old, self._recent_columns()]))
        self._recent = {}

    def _recent_columns(self) -> Columns:
        return Columns.of(self._recent, self._find_problem, len(self._old) + np.arange(len(self._recent)))

    def _joined(self) -> Columns:
        old, parts = self._old, [self._recent_columns()]
        if self._changed:
            number = old.frame.index.get_indexer(pd.Index([*self._changed]))
            parts.append(Columns.of(self._changed, self._find_problem, number))
            old = old.at(~np.isin(np.arange(len(old)), number))
        return Columns.joined([old, *parts])
