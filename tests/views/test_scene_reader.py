"""A figure reads from Tiled only what it draws, and nothing twice."""

from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ainerd.technique import Landmarks, Technique
from ainerd.views import SceneReader

BOUNDS = {"sample_x": (0.0, 10.0)}


class Store:
    """Results with the arrays ``small`` and ``large`` (but for number 2) and a series; each reading is noted."""

    def __init__(self, n):
        self.n, self.read, self.last = n, [], "complete"

    def table(self):
        status = ["complete"] * (self.n - 1) + [self.last]
        columns = {"status": status, "regime": 0, "novel": False, "sample_x": 1.0}
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


def test_large_arrays_are_read_once_and_for_two_runs(technique):
    store = Store(4)
    reader = SceneReader(store, technique, BOUNDS)
    scene = reader.read()
    small = [of_run(0, "small"), of_run(1, "small"), of_run(2, "large"), of_run(3, "large", "small")]
    assert store.taken() == sorted(sum(small, []))
    assert {key: sorted(arrays) for key, arrays in scene.arrays.items()} == {
        "run-0": ["small"], "run-1": ["small"], "run-2": ["large"], "run-3": ["large", "small"]
    }  # fmt: skip
    assert scene.series["run-1"]["T"].tolist() == [[0, 5], [300, 301]] and scene.alpha == 0.1
    assert reader.read().arrays.keys() == scene.arrays.keys() and store.taken() == []
    store.n = 5
    assert sorted(reader.read().arrays["run-3"]) == ["large", "small"]
    assert store.taken() == sorted(of_run(4, "large", "small"))
    assert "large" not in reader.read().arrays["run-2"]  # let go of


def test_only_the_newest_results_are_read(technique):
    store = Store(70)
    scene = SceneReader(store, technique, BOUNDS).read()
    assert list(scene.arrays) == [f"run-{i}" for i in range(10, 70)] == list(scene.series)
    assert [name for _, name in store.taken()].count("large") == 2


def test_a_growing_result_is_read_again(technique):
    store = Store(2)
    store.last = "growing"
    reader = SceneReader(store, technique, BOUNDS)
    reader.read(), store.taken()
    reader.read()
    assert store.taken() == sorted(of_run(1, "large", "small"))


def test_only_series_are_read_without_panels_and_landmarks(technique):
    store, bare = Store(2), Technique()
    bare.name, bare.alpha = "bare", 0.1
    scene = SceneReader(store, bare, BOUNDS).read()
    assert store.taken() == sorted(of_run(0) + of_run(1))
    assert scene.panels is None and scene.landmarks is None and scene.arrays == {"run-0": {}, "run-1": {}}
    known = Landmarks(embeddings=np.ones((1, 1), np.float32), names=["a"])
    technique.landmarks = lambda: known
    assert SceneReader(store, technique, BOUNDS).read().landmarks is known


def test_two_threads_read_scenes_of_different_results(technique):
    """A worker redraws the figure while a person saves a panel: neither loses what it reads."""
    store = Store(2)
    reader, load, is_reading, go_on, scenes = SceneReader(store, technique, BOUNDS), store.load, Event(), Event(), []

    def slow(keys, names):
        is_reading.set()
        assert go_on.wait(60)
        yield from load(keys, names)

    store.load = slow
    worker = Thread(target=lambda: scenes.append(reader.read()))
    worker.start()
    assert is_reading.wait(60)
    store.load, store.n = load, 70  # the other scene has other results: none of run-0
    newer = reader.read()
    go_on.set()
    worker.join()
    assert "run-0" not in newer.arrays and sorted(newer.arrays["run-69"]) == ["large", "small"]
    assert {key: sorted(arrays) for key, arrays in scenes[0].arrays.items()} == {
        "run-0": ["large", "small"], "run-1": ["large", "small"]
    }  # fmt: skip
