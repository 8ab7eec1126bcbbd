"""Metadata of many nodes kept at hand, and brought up to date with little more than what changed."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from tiled.client.container import Container

from ainerd.results._nodes import PAGE, read_named, read_nodes
from ainerd.results._patience import waiting
from ainerd.results._snapshot import Snapshot

Metadata = Mapping[str, Any]
Nodes = dict[str, Metadata]


class Mirror:
    """What the children of a container say, exact each time it is read, whoever writes.

    That rests on two rules: a child that is final does not change, and Tiled lists children in the order they were
    made. So a reading asks for the last child known and what follows it, and for those that were not final. If the
    last one known is not where it was, something was removed, and everything is read anew. `is_final` says whether a
    child with these metadata will not change any more; a first reading finds most of it in the `snapshot`.
    """

    def __init__(
        self, container: Container, is_final: Callable[[Metadata], bool], snapshot: Snapshot | None = None
    ) -> None:
        self._container, self._is_final, self._snapshot = container, is_final, snapshot
        self._known: Nodes | None = None
        self._n_kept = 0  # how many of them are in the snapshot
        self._lock = threading.Lock()

    def read(self) -> Nodes:
        """Metadata by key, in the order the children were made; the same object as long as nothing changes."""
        with self._lock:
            if self._known is None:
                with waiting("reading what is in the catalogue"):
                    known = {} if self._snapshot is None else self._snapshot.load()
                    self._n_kept = len(known)
                    self._known = self._updated(known)
            else:
                self._known = self._updated(self._known)
            known = self._known
            if self._snapshot is not None and len(known) - self._n_kept >= PAGE:
                rows = dict(list(known.items())[self._n_kept :])
                if self._snapshot.append(rows, self._n_kept):
                    self._n_kept = len(known)
                else:
                    self._snapshot = None
            return known

    @property
    def known(self) -> Nodes | None:
        """What the last reading gave, without asking; None before the first."""
        return self._known

    def forget(self) -> None:
        """Have the next reading read everything."""
        with self._lock:
            self._start_over()

    def _updated(self, known: Nodes) -> Nodes:
        last = next(reversed(known.items()), None)
        following = dict(read_nodes(self._container, max(len(known) - 1, 0)))
        if last is not None:
            key, said = last
            if next(iter(following), None) != key or (self._is_final(said) and following[key] != said):
                self._start_over()
                return dict(read_nodes(self._container))
        not_final = [key for key, said in known.items() if not self._is_final(said) and key not in following]
        found = dict(read_named(self._container, not_final)) | following
        changed = {key: said for key, said in found.items() if known.get(key) != said}
        return {**known, **changed} if changed else known

    def _start_over(self) -> None:
        self._known, self._n_kept = {}, 0
        if self._snapshot is not None:
            self._snapshot.drop()
