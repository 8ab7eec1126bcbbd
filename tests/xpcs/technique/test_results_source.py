"""`ainerd watch --source results:…`: each result file of another program once, whatever happens to it or to us."""

import shutil
import threading
import time

import h5py
import numpy as np
import pytest

from agents.rheo_xpcs import TOML
from ainerd.agent import build_observer
from ainerd.cli.reanalysis import documents_of_many
from ainerd.config import Settings
from ainerd.documents import Run
from ainerd.results import ResultStore, explain, validate
from ainerd.server import open_catalog
from ainerd_xpcs.technique import MapFile, _results
from ainerd_xpcs.technique._results import ResultFiles
from tests.containers import new_container
from tests.xpcs.technique import map_files
from tests.xpcs.technique.map_files import FRAME_S, T

pytestmark = pytest.mark.usefixtures("part_of_bank")

SMALL = TOML.with_name("small.toml")
READINGS = {"sample_x": "/entry/sample/position_x", "sample_y": "/entry/sample/position_y"}
LATE_S = 0.6


def write(path, *, tau=30, layout=map_files.boost_corr, x=3.0, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    map_files.write(path, layout, map_files.correlations(map_files.movie(seed, tau=tau)))
    with h5py.File(path, "r+") as file:
        for name, value in {"x": x, "y": 7000.0}.items():
            file[f"entry/sample/position_{name}"] = value
        file["entry/sample/position_y"].attrs["units"] = "um"
    return path


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


class Pipeline:
    """A folder in which results appear, and agents that follow it in a catalogue of its own."""

    def __init__(self, folder, server):
        self.data, self.folder = folder / "data", folder
        self.data.mkdir()
        self.client = new_container(server.client(), folder.name)
        self.raw, ainerd = open_catalog(self.client)
        self.settings = Settings.load(SMALL)
        self.settings.storage.directory, self.settings.storage.frames = folder / "tiled", [self.data]
        self.settings.storage.late_s = LATE_S
        self.settings.acquisition.readings = READINGS
        self.settings.acquisition.units = {"sample_x": "mm", "sample_y": "mm"}
        self.store = ResultStore(ainerd, agent=self.settings.name)
        self._close = []

    def follow(self, source=None):
        observer, stop = build_observer(self.settings, self.client), threading.Event()
        observer.quiet = True
        source = ResultFiles(str(self.data)) if source is None else source
        thread = threading.Thread(target=observer.follow, args=(source, stop), daemon=True)
        thread.start()

        def close():
            stop.set()
            thread.join(30)
            assert not thread.is_alive()
            assert observer.drain()
            observer.close()

        self._close.append(close)
        return observer, close

    def table(self):
        return self.store.table(columns="all").sort_values("file")


@pytest.fixture
def pipeline(tmp_path, server, monkeypatch):
    monkeypatch.setattr(_results, "SETTLED_S", 0.1)
    monkeypatch.setattr(_results, "LOOK_S", 0.02)
    found = Pipeline(tmp_path, server)
    yield found
    for close in found._close:
        close()


def test_a_file_becomes_a_point_a_regime_and_a_next_position(pipeline):
    observer, _ = pipeline.follow()
    first = observer.suggest()
    for seed, tau in enumerate((8, 8, 8, 300, 300, 300)):
        write(pipeline.data / "Twotime" / f"run_{seed}.hdf", tau=tau, x=1.0 + seed, seed=seed)
    shutil.copy(pipeline.data / "Twotime" / "run_0.hdf", pipeline.data / "the same.hdf")
    until(lambda: observer.concluded == 6)
    until(lambda: len(pipeline.raw) == 6)
    table = pipeline.table()
    assert set(table["status"]) == {"complete"} and len(table) == 6 and validate(pipeline.store) == []
    assert list(table["sample_x"]) == [1, 2, 3, 4, 5, 6] and set(table["sample_y"]) == {7.0}  # mm
    regimes = table["regime"].to_list()
    assert regimes[:3] == [regimes[0]] * 3 and regimes[3:] == [regimes[3]] * 3 and regimes[0] != regimes[3]
    record = pipeline.store.record(table.index[4])
    assert (record.n_frames, record.frame_time_s) == (T, pytest.approx(FRAME_S))
    assert "there is no p-value: the maps are of another program" in explain(record)
    with MapFile(pipeline.data / "Twotime" / "run_4.hdf") as file:
        np.testing.assert_array_equal(pipeline.store.array(record.key, "c2"), np.array(list(file.maps())))
    again = observer.suggest()
    assert again != first and any(again[name] != first[name] for name in ("sample_x", "sample_y"))
    # the run names the file, and is analysed from it again
    run = pipeline.raw[record.raw_uid]
    assert run.metadata["start"]["result_file"]["path"] == str(pipeline.data / "Twotime" / "run_4.hdf")
    (documents,) = documents_of_many(pipeline.raw, [record.raw_uid])
    assert dict(documents)["stream_resource"]["mimetype"] == Run.mimetypes["XPCS_RESULT"]
    assert pipeline.store[record.key].to_xarray()["c2"].sizes["roi"] == 3  # the settings have another number of bins
