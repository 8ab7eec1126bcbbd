"""The table of the children of a container: their metadata in memory, updated by reading little more than changed."""

import json
import threading
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd.results._columns import Columns, FindProblem, load_snapshot, parse_json, save_snapshot
from ainerd.results._nodes import PAGE, get, read_named, read_nodes
from ainerd.results._progress import waiting

Metadata = Mapping[str, Any]

_AT_ONCE = 16 * PAGE  # nodes of a first reading; as objects they take half a GB
_GROWTH = 20  # a file is written again when its table has grown by one in so many


class Table:
    """The metadata of the children of a container, exact at each reading, whoever writes.

    A reading requests what changed since the cursor of the last one. A server with our pages answers that in one
    request. Another server is asked for nodes, which takes a few requests more and relies on two rules: a final child
    does not change, and Tiled lists children in the order of creation. So the last known child and those after it are
    requested, and those that were not final. If the last known child has moved or changed, one was removed, or two
    were created at the same moment: then everything is read again.

    Parameters
    ----------
    container : tiled.client.container.Container
    final : sequence of str, optional
        Statuses that do not change any more. Without it no child changes.
    find_problem : callable, optional
        As for `Columns.of`.
    route : str, optional
        Address of our route for changes.
    file : path, optional
        A file of this machine in which a first reading finds most children: a cache, never the truth.
    """

    def __init__(
        self,
        container: Container,
        final: Sequence[str] | None = None,
        find_problem: FindProblem | None = None,
        route: str | None = None,
        file: Path | None = None,
    ) -> None:
        self._container, self._final, self._find_problem = container, final, find_problem
        self._route, self._file = route, file
        self._lock = threading.Lock()
        self.answer: Mapping[str, Any] = {}  # the last answer of our route, without nodes
        self._clear()

    def read(self, **parameters: Any) -> Columns:
        """Return the metadata of all children; the same object as long as nothing changes.

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
        self._cursor: Mapping[str, Any] = {}
        self._last: Mapping[str, Metadata] = {}  # the nodes of the last answer, which may come again
        self._open = set[str]()  # keys of the children that are not final
        self._n_saved = 0  # children in the file

    def _load(self) -> None:
        loaded = None if self._file is None else load_snapshot(self._file)
        if loaded is not None:
            self._all, self._cursor = loaded
            statuses = zip(self._all.frame.index, self._all.column("status"), strict=True)
            self._open, self._n_saved = {key for key, status in statuses if self._is_open(status)}, len(self._all)

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
            save_snapshot(self._file, self._all, self._cursor)
            self._n_saved = n

    def _take(self, nodes: Mapping[str, Metadata]) -> None:
        if not nodes:
            return
        n, index = len(self._all), self._all.frame.index.get_indexer(pd.Index([*nodes], dtype=object))
        is_new = index < 0
        number = n + np.cumsum(is_new) - 1
        number[~is_new] = self._all.number[index[~is_new]]
        kept = self._all.at(~np.isin(np.arange(n), index))
        self._all = Columns.joined([kept, Columns.of(nodes, self._find_problem, number)])
        self._open -= nodes.keys()
        self._open |= {key for key, metadata in nodes.items() if self._is_open(metadata.get("status"))}

    def _is_open(self, status: Any) -> bool:
        return self._final is not None and status not in self._final

    def _ask_route(self, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the answer of our route; None if the server does not have it."""
        if self._route is None:
            return None
        try:
            query = {"since": json.dumps(self._cursor), **parameters}
            return dict(parse_json(get(self._container, self._route, query).content))
        except ClientError as error:
            if error.response.status_code not in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
                raise
        self._route = None
        return None

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
