"""Many runs in one answer: it has a limit, after which each run is read by itself."""

import asyncio
from types import SimpleNamespace

import msgpack
import pandas as pd

from ainerd.server import _bulk
from ainerd.server.internals import Descendant


class Table:
    """The adapter of a table with a column of that many bytes."""

    structure_family = "table"

    def __init__(self, size):
        self.size = size

    async def read(self):
        return pd.DataFrame({"x": [b"." * self.size]})


def test_an_answer_of_many_runs_has_a_limit(monkeypatch):
    sizes = {"a": 300, "b": 400, "c": 9_000, "d": 10}
    spec = SimpleNamespace(name="BlueskyRun", version="3.0")
    node = SimpleNamespace(specs=[spec], metadata=dict, structure_family="container")

    async def read(*_):
        stream = {name: Descendant(node, {"t": Descendant(Table(n), {})}) for name, n in sizes.items()}
        return {name: Descendant(node, {"primary": each}) for name, each in stream.items()}

    async def found(*_, **scopes):
        return None

    monkeypatch.setattr(_bulk, "read_grandchildren", read)
    monkeypatch.setattr(_bulk, "MOST_IN_ANSWER", 9_000)
    caller = SimpleNamespace(node=found, has_policy=False)
    answer = asyncio.run(_bulk.runs("raw", caller, [*sizes, "none"]))
    runs = msgpack.unpackb(answer.body)
    assert [run is not None for run in runs] == [True, True, False, False, False] and len(answer.body) <= 9_000
    assert len(runs[0]["streams"][0][3]["t"][0]) > 300
