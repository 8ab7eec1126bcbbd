"""The folder of a campaign opens elsewhere after ``cp -a``: the addresses of its own files do not name its place."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pyarrow
import pytest
from tiled.structures.array import ArrayStructure
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Asset, DataSource

from ainerd.config import Storage
from ainerd.results import ResultRecord, ResultStore
from ainerd.server import EmbeddedServer, open_catalog
from ainerd.technique import Analysis

N = 4


def add(store, i):
    about = {"technique": "nobodys", "agent": "here", "parameters": {"k": 3}, "positions": {"sample_x": float(i)}}
    record = ResultRecord(raw_uid=f"run-{i}", scan_id=i, run_time=1.7e9 + i, **about)
    key = store.begin(record)
    arrays = {"centers": np.full((3, 4), float(i))}
    store.complete(key, Analysis(embedding=np.array([i, 1.0], np.float32), novelty_p=None, arrays=arrays))
    return key


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a copy of a campaign whose own folder was renamed."""
    folder = tmp_path_factory.mktemp("a campaign")  # a space in its name
    frames = tmp_path_factory.mktemp("frames")
    with h5py.File(frames / "one.h5", "w") as file:
        file["data"] = np.arange(24).reshape(2, 3, 4)
    with EmbeddedServer.start(folder / "tiled", readable_storage=[frames]) as server:
        raw, ainerd = open_catalog(server.client())
        storage = Storage(directory=folder / "tiled", frames=[])
        files = ResultStore(ainerd, folder=storage.result_files, seen_as=storage.results_seen_as)
        keys = [add(store, i) for i, store in enumerate([ResultStore(ainerd), files] * (N // 2))]
        raw.write_table(pd.DataFrame({"stress": [1.0, 2.0]}), key="readings")  # in a file
        table = raw.create_appendable_table(  # in the database of tables
            pyarrow.schema({"t": pyarrow.float64()}), key="events"
        )
        table.append_partition(0, pyarrow.table({"t": [0.5, 1.5]}))
        asset = Asset(data_uri=(frames / "one.h5").as_uri(), is_directory=False, parameter="data_uris", num=0)
        content = {"mimetype": "application/x-hdf5", "parameters": {"dataset": "data"}, "assets": [asset]}
        shape = ArrayStructure.from_array(np.empty((2, 3, 4), int))
        source = DataSource(structure_family="array", structure=shape, management="external", **content)
        raw.new(StructureFamily.array, [source], key="frames")
    shutil.copytree(folder / "tiled", folder / "copied")
    (folder / "tiled").rename(folder / "gone")
    return folder, frames, keys


def test_a_copied_folder_opens_anywhere(home, tmp_path):
    folder, frames, keys = home
    shutil.copytree(folder / "copied", tmp_path / "on a stick")
    with EmbeddedServer.start(tmp_path / "on a stick", readable_storage=[frames]) as server:
        client = server.client()
        store = ResultStore(client["ainerd"])
        assert set(keys) == set(store.table("complete").index)
        for i, key in enumerate(keys):
            assert (store.array(key, "centers") == i).all()
        assert store.similar(keys[0], 3).index.tolist() == keys[1:4]
        assert client["raw", "readings"].read()["stress"].tolist() == [1.0, 2.0]
        assert client["raw", "events"].read()["t"].tolist() == [0.5, 1.5]
        assert client["raw", "frames"].read().ravel().tolist() == list(range(24))
        add(store, 10_000)  # and the campaign may go on
        for node in (
            client["ainerd/results", keys[0], "centers"],
            client["ainerd/results", keys[1]],
            client["raw/events"],
        ):
            assert str(folder) not in node.data_sources()[0].assets[0].data_uri
