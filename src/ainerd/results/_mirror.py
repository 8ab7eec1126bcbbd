"""Metadata of many nodes kept at hand, and brought up to date with little more than what changed."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tiled.client.container import Container

from ainerd.results._columns import Columns, Wrong
from ainerd.results._nodes import PAGE, Node, Search, nodes_from, nodes_named, read_named, read_nodes
from ainerd.results._patience import waiting
from ainerd.results._snapshot import Snapshot

Metadata = Mapping[str, Any]

_AT_ONCE = 5000  # of the nodes of a first reading, before they become columns: as objects they take a tenth of a MB


class Mirror:
    """What the children of a container say, exact each time it is read, whoever writes.

    That rests on two rules: a child that is final does not change, and Tiled lists children in the order they were
    made. So a reading asks for the last child known and what follows it, and for those that were not final. If the
    last one known is not where it was, or not as it was, something was removed, or two were made in the same moment:
    then all since the snapshot are read anew, and everything, if that does not help. `final` are the statuses that do
    not change any more; without it no child changes. A first reading finds most in the `snapshot`.
    """

    def __init__(
        self,
        container: Container,
        final: Sequence[str] | None = None,
        snapshot: Snapshot | None = None,
        wrong: Wrong | None = None,
    ) -> None:
        self._container, self._final, self._snapshot, self._wrong = container, final, snapshot, wrong
        self._is_read = False
        self._lock = threading.Lock()
        self._empty()

    def read(self) -> Columns:
        """Of all children; the same object as long as nothing changes."""
        with self._lock:
            if self._is_read:
                self._update()
            else:
                with waiting("reading what is in the catalogue"):
                    if self._snapshot is not None and (kept := self._snapshot.load()) is not None:
                        self._keep(kept)
                    self._update()
                self._is_read = True
            assert self._all is not None
            return self._all

    def searches(self) -> list[Search]:
        """What the next reading asks, as far as that is known; nothing before the first."""
        with self._lock:
            n = len(self._kept) + len(self._later)
            if not self._is_read or not n:
                return []
            last = next(reversed(self._later), None) or self._kept.frame.index[-1]
            named = nodes_named(self._container, [key for key in self._not_final() if key != last])
            return [nodes_from(self._container, n - 1), *named]

    @property
    def known(self) -> Columns | None:
        """What the last reading gave, without asking; None before the first."""
        return self._all if self._is_read else None

    def forget(self) -> None:
        """Have the next reading read everything."""
        with self._lock:
            self._start_over()

    def _empty(self) -> None:
        self._kept = Columns.of({})  # the first children, most of them as they are
        self._open = set[str]()  # of these, those that are not final
        self._changed = dict[str, Metadata]()  # of these, what has changed since
        self._later = dict[str, Metadata]()  # the children after these
        self._all: Columns | None = None

    def _start_over(self) -> None:
        self._empty()
        if self._snapshot is not None:
            self._snapshot.drop()

    def _update(self) -> None:
        seen = set[str]()
        for key, said in self._news(seen):
            seen.add(key)
            is_kept = key in self._open or (len(self._kept) and key == self._kept.frame.index[-1])
            known = self._changed if is_kept else self._later
            if known.get(key) != said and not (is_kept and key not in known and self._says(key, said)):
                known[key], self._all = said, None
            if is_kept and self._is_final(said):
                self._open.discard(key)
            if len(self._later) >= _AT_ONCE:
                self._fold()
        if len(self._later) >= PAGE:
            self._fold()
        if self._snapshot is not None and len(self._kept) - self._snapshot.n >= PAGE:
            if not self._snapshot.append(self._kept):
                self._snapshot = None
        if self._all is None:
            self._all = self._joined()

    def _news(self, seen: set[str]) -> Iterator[Node]:
        """The last child known, those after it, and those that were not final."""
        yield from self._following()
        yield from read_named(self._container, [key for key in self._not_final() if key not in seen])

    def _following(self) -> Iterator[Node]:
        n, n_kept = len(self._kept) + len(self._later), len(self._kept)
        if self._later:
            following = read_nodes(self._container, n - 1)
            first = next(following, None)
            key, known = next(reversed(self._later.items()))
            if first is not None and first[0] == key and (first[1] == known or not self._is_final(known)):
                yield first
                yield from following
                return
            self._later, self._all = {}, None
        if n_kept:
            following = read_nodes(self._container, n_kept - 1)
            first = next(following, None)
            if first is not None and first[0] == self._kept.frame.index[-1] and self._may_say(*first):
                yield first
                yield from following
                return
        if n:
            self._start_over()
        yield from read_nodes(self._container)

    def _may_say(self, key: str, said: Metadata) -> bool:
        """Whether the last of the kept ones may say this now: what is final does not change."""
        if key in self._open:
            return True
        return self._changed[key] == said if key in self._changed else self._says(key, said)

    def _says(self, key: str, said: Metadata) -> bool:
        """Whether the last of the kept ones says this."""
        return self._kept.says_as_last(key, Columns.of({key: said}, self._wrong))

    def _not_final(self) -> list[str]:
        return [*sorted(self._open), *(key for key, said in self._later.items() if not self._is_final(said))]

    def _is_final(self, said: Metadata) -> bool:
        return self._final is None or said.get("status") in self._final

    def _keep(self, kept: Columns) -> None:
        self._kept, self._all = kept, None
        if self._final is not None:
            is_final = kept.frame["status"].isin(self._final) if "status" in kept.frame else np.zeros(len(kept), bool)
            self._open = {*kept.frame.index[~np.asarray(is_final)]} - {
                key for key, said in self._changed.items() if self._is_final(said)
            }

    def _fold(self) -> None:
        """Make those after the kept ones columns, too."""
        number = len(self._kept) + np.arange(len(self._later))
        later, self._later = Columns.of(self._later, self._wrong, number), {}
        self._keep(Columns.joined([self._kept, later]))

    def _joined(self) -> Columns:
        kept, n = self._kept, len(self._kept)
        parts = [Columns.of(self._later, self._wrong, n + np.arange(len(self._later)))]
        if self._changed:
            number = kept.frame.index.get_indexer(pd.Index([*self._changed]))
            parts.append(Columns.of(self._changed, self._wrong, number))
            kept = kept.at(~np.isin(np.arange(n), number))
        return Columns.joined([kept, *parts])
