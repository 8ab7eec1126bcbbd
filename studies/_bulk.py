"""Results read many at a time and one by one."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tiled.client.container import Container

from ainerd.results import ResultStore
from ainerd.server import connect, embedded_server, open_catalog
from ainerd.views import read_report
from studies._catalogue import add_with_maps
from studies._tools import Row, seconds

ROUTE = "/custom/ainerd/contents/"


class Requests:
    """The requests of a client: how many, and how long the server worked on them, in ms."""

    def __init__(self, client: Container, *, one_by_one: bool = False) -> None:
        self._hooks = client.context.http_client.event_hooks
        self._one_by_one = one_by_one
        self.n, self.server_ms = 0, 0.0

    def __enter__(self) -> "Requests":
        self._hooks["request"].append(self._ask)
        self._hooks["response"].append(self._answer)
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks["request"].remove(self._ask)
        self._hooks["response"].remove(self._answer)

    def _ask(self, request: httpx.Request) -> None:
        if self._one_by_one and ROUTE in request.url.path:  # as on a server that has only Tiled's own routes
            request.url = request.url.copy_with(path="/custom/nothing")

    def _answer(self, response: httpx.Response) -> None:
        self.n += 1
        timing = re.search(r"\bapp;dur=([\d.]+)", response.headers.get("server-timing", ""))
        self.server_ms += float(timing[1]) if timing else 0.0


def read(folder: Path, n: int, rounds: int) -> Iterator[Row]:
    """Yield the times of reading `n` results at once, and one by one as on a server without our route."""
    with embedded_server(folder) as server:
        _, ainerd = open_catalog(server.client())
        for i in range(n):
            add_with_maps(ainerd, i)
        files = (folder / f"{i}.h5" for i in range(10_000))
        questions: dict[str, Callable[[ResultStore], Any]] = {
            "g2 as xarray": lambda store: store.to_xarray("g2"),
            "export to one file": lambda store: store.export(next(files)),
            "all arrays and tables": lambda store: [*store.load([*store])],
            "report": read_report,
        }
        # two clients, because a client remembers missing routes
        clients = {how: connect(server.uri, server.api_key) for how in ("at once", "one by one")}
        for question, ask in questions.items():
            row: Row = {"question": question}
            for how, client in clients.items():
                store = ResultStore(open_catalog(client)[1])
                with Requests(client, one_by_one=how == "one by one") as requests:
                    ask(store)
                    requests.n, requests.server_ms = 0, 0.0
                    took = [seconds(partial(ask, store)) for _ in range(rounds)]
                row |= {f"{how} (s)": float(np.median(took)), f"{how}, requests": requests.n / rounds}
                row |= {f"{how}, server (s)": requests.server_ms / rounds / 1e3}
            yield row | {"times faster": float(row["one by one (s)"]) / float(row["at once (s)"])}
