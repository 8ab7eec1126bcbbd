"""A figure reads from Tiled only what it draws."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ainerd.technique import Technique
from ainerd.views import read_scene

BOUNDS = {"sample_x": (0.0, 10.0)}


class Store:
    """Results with the arrays ``small`` and ``large`` (but for number 2) and a series; each reading is noted."""

    def __init__(self, n):
        self.n, self.read = n, []

    def table(self, **_):
        columns = {"status": "complete", "regime": 0, "novel": False, "sample_x": 1.0}
        table = pd.DataFrame(columns, index=[f"run-{i}" for i in range(self.n)])
        table = table.astype({"regime": "Int64", "novel": "boolean"})
        table.attrs["series"] = ["T"]
        return table

    def embeddings(self):
        points = np.arange(self.n, dtype=float)[:, None] ** 2  # the newest is like the one before
        return pd.DataFrame(points, index=[f"run-{i}" for i in range(self.n)])

    def load(self, keys, names):
        for key in keys:
            present = names & ({"large", "T"} if key == "run-2" else {"small", "large", "T"})
            self.read += [(key, name) for name in present]
            arrays = {name: np.full(3, len(self.read)) for name in present - {"T"}}
            tables = {name: pd.DataFrame({name: [300.0, 301.0], "time": [0.0, 5.0]}) for name in present & {"T"}}
            yield SimpleNamespace(key=key, metadata={"series": {"T": 2}}, arrays=arrays, tables=tables)

    def taken(self):
        taken, self.read = sorted(self.read), []
        return taken


@pytest.fixture
def technique(monkeypatch):
    drawn = SimpleNamespace(arrays={"strip": ["small"], "gallery": ["large"]})
    monkeypatch.setattr("ainerd.views._scene.panels", lambda name: drawn if name == "toy" else None)
    known = Technique()
    known.name, known.alpha = "toy", 0.1
    return known


def of_run(i, *more):
    return [(f"run-{i}", name) for name in ("T", *more)]


def test_large_arrays_are_read_for_two_runs(technique):
    store = Store(4)
    scene = read_scene(store, technique, BOUNDS)
    small = [of_run(0, "small"), of_run(1, "small"), of_run(2, "large"), of_run(3, "large", "small")]
    assert store.taken() == sorted(sum(small, []))
    assert {key: sorted(arrays) for key, arrays in scene.arrays.items()} == {
        "run-0": ["small"], "run-1": ["small"], "run-2": ["large"], "run-3": ["large", "small"]
    }  # fmt: skip
    assert scene.series["run-1"]["T"].tolist() == [[0, 5], [300, 301]] and scene.alpha == 0.1
