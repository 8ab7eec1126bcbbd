"""Copies of a campaign in progress open elsewhere: those of `ainerd archive`, and those of `cp -r`."""

import json
import shutil
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import h5py
import httpx
import numpy as np
import pandas as pd
import pyarrow
import pytest
from tiled.structures.array import ArrayStructure
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Asset, DataSource

from ainerd.cli import main
from ainerd.results import ResultRecord, ResultStore
from ainerd.server import EmbeddedServer, ServerError, archive, open_catalog
from ainerd.technique import Analysis

N = 12
PROFILE = Path(__file__).parents[2] / "profiles" / "rheo_xpcs" / "agent.toml"


def add(store, i):
    record = ResultRecord(
        raw_uid=f"run-{i}",
        scan_id=i,
        run_time=1.7e9 + i,
        technique="nobodys",
        agent="here",
        parameters={"k": 3},
        positions={"sample_x": float(i)},
    )
    key = store.begin(record)
    arrays = {"centers": np.full((3, 4), float(i))}
    store.complete(key, Analysis(embedding=np.array([i, 1.0], np.float32), novelty_p=None, arrays=arrays))
    return key


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a campaign whose server has ended, and with copies of both kinds."""
    folder = tmp_path_factory.mktemp("a campaign")  # a space in its name
    frames = folder / "frames"
    frames.mkdir()
    with h5py.File(frames / "one.h5", "w") as file:
        file["data"] = np.arange(24).reshape(2, 3, 4)
    with EmbeddedServer.start(folder / "tiled", readable_storage=[frames]) as server:
        raw, ainerd = open_catalog(server.client())
        store = ResultStore(ainerd)
        keys = [add(store, i) for i in range(N)]
        raw.write_table(pd.DataFrame({"stress": [1.0, 2.0]}), key="readings")  # in a file
        table = raw.create_appendable_table(  # in the database of tables
            pyarrow.schema({"t": pyarrow.float64()}), key="events"
        )
        table.append_partition(0, pyarrow.table({"t": [0.5, 1.5]}))
        asset = Asset(data_uri=(frames / "one.h5").as_uri(), is_directory=False, parameter="data_uris", num=0)
        source = DataSource(
            structure_family=StructureFamily.array,
            structure=ArrayStructure.from_array(np.empty((2, 3, 4), int)),
            mimetype="application/x-hdf5",
            parameters={"dataset": "data"},
            management="external",
            assets=[asset],
        )
        raw.new(StructureFamily.array, [source], key="frames")
        stop = threading.Event()

        def write():
            i = N
            while not stop.is_set():
                add(store, i)
                i += 1

        writing = threading.Thread(target=write)
        writing.start()
        try:
            live = archive(folder / "tiled", folder / "live", frames=[frames])
        finally:
            stop.set()
            writing.join()
        assert live.frames == 1 and live.missing == []
    shutil.copytree(folder / "tiled", folder / "copied")
    (folder / "tiled").rename(folder / "gone")
    frames.rename(folder / "gone frames")
    return folder, keys


def addresses(directory):
    with closing(sqlite3.connect(directory / "catalog.db")) as catalog:
        return {uri for (uri,) in catalog.execute("SELECT data_uri FROM assets WHERE data_uri IS NOT NULL")}


def test_a_copy_made_by_hand_is_archived_with_the_addresses_of_its_own_files(home, tmp_path):
    folder, _ = home  # the catalog in "copied" still has the addresses of a folder that is gone
    archived = archive(folder / "copied", tmp_path / "again")
    assert archived.files > N and archived.frames == 0
    known = addresses(tmp_path / "again")
    assert f"duckdb://localhost/{tmp_path / 'again'}/storage.duckdb" in known
    paths = {Path(unquote(httpx.URL(uri).path)) for uri in known if uri.startswith("file:")}
    missing = [path for path in paths if not path.exists()]
    assert missing == [folder / "frames" / "one.h5"]
    assert all(path.is_relative_to(tmp_path) for path in paths - {*missing})


def test_an_archive_opens_in_any_folder(home, tmp_path):
    folder, keys = home
    shutil.copytree(folder / "live", tmp_path / "on a stick")  # moved again
    with EmbeddedServer.start(tmp_path / "on a stick") as server:
        client = server.client()
        store = ResultStore(client["ainerd"])
        table = store.table("complete")
        assert set(keys) <= set(table.index)
        for i, key in enumerate(keys):
            assert (store.array(key, "centers") == i).all()
        assert store.similar(keys[0], 3).index.tolist() == keys[1:4]
        assert client["raw", "readings"].read()["stress"].tolist() == [1.0, 2.0]
        assert client["raw", "events"].read()["t"].tolist() == [0.5, 1.5]
        assert client["raw", "frames"].read().ravel().tolist() == list(range(24))
        assert len(pd.read_csv(store.export(tmp_path / "all.csv"))) >= N
        with h5py.File(store.export(tmp_path / "all.h5")) as file:
            assert set(keys) <= set(file)
        add(store, 10_000)  # and the campaign may go on


def test_archive_reports_errors_and_files_that_it_does_not_copy(home, tmp_path, monkeypatch, capsys):
    folder, _ = home
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for source, to, message in (
        (tmp_path, tmp_path / "x", "has no catalog of an embedded server"),
        (folder / "gone", tmp_path / "full", "exists and is not empty: give another name"),
        (folder / "gone", folder / "gone" / "data" / "x", "is inside the other"),
    ):
        with pytest.raises(ServerError, match=message):
            archive(source, to)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1e6, 1e6, 1000))
        with pytest.raises(ServerError, match="GB are free there; without --frames it is less"):
            archive(folder / "gone", tmp_path / "new", frames=[folder])
    assert not (tmp_path / "new").exists()

    def said(*arguments):
        monkeypatch.setattr(sys, "argv", ["ainerd", "archive", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        return ended.value.code, found.out + found.err

    for name in ("AINERD_STORAGE__URI", "AINERD_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    assert (
        "is not an embedded server: ask its administrator" in said(tmp_path / "new", "--tiled", "http://127.0.0.1:9")[1]
    )
    assert "no server is named: give --tiled" in said(tmp_path / "new")[1]
    (folder / "gone" / "unwritten" / "results").mkdir(parents=True)
    (folder / "gone" / "unwritten" / "results" / "1.jsonl").touch()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(shutil, "copy2", lambda path, to: (_ for _ in ()).throw(OSError("full")))
        archive(folder / "gone", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    without = said(tmp_path / "new", "--tiled", folder / "gone", "--frames")[1]
    assert "--frames copies files below storage.frames of an instrument: give its .toml with --config" in without
    monkeypatch.setenv("AINERD_STORAGE__FRAMES", json.dumps([str(folder / "frames")]))
    code, text = said(tmp_path / "new", "--tiled", folder / "gone", "--frames", "--config", PROFILE)
    assert code == 0 and f"to open it: ainerd serve {tmp_path / 'new'}" in text
    # The source was moved and not served since.
    assert not [uri for uri in addresses(tmp_path / "new") if f"{folder}/tiled" in uri]
    assert "one.h5" in text and "1 runs wait on disk and are not in the copy" in text


def test_frame_files_of_the_same_name_stay_apart_and_linked_files_are_listed(tmp_path):
    for name in ("x/2-a", "x/a", "x/data", "x/linked", "y/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"] = np.zeros(3)
    with h5py.File(tmp_path / "x" / "data.h5", "a") as file:
        file.create_dataset("raw", (3,), "u1", external=[("data.raw", 0, 3)])
    with h5py.File(tmp_path / "x" / "2-a.h5", "a") as file:
        layout = h5py.VirtualLayout((3,), float)
        layout[:] = h5py.VirtualSource("data.h5", "data", (3,))
        file.create_virtual_dataset("entry/virtual", layout)
        file["entry/link"] = h5py.ExternalLink("linked.h5", "data")
        file["entry/copied"] = h5py.ExternalLink("a.h5", "data")
    (tmp_path / "x" / "private.h5").symlink_to(tmp_path / "z.h5")
    (tmp_path / "z.h5").write_bytes(b"private")
    known = [tmp_path / name for name in ("x/2-a.h5", "x/a.h5", "y/a.h5", "gone.h5", "x/private.h5", "z.h5")]
    (tmp_path / "home" / "data" / "frames" / "0").mkdir(parents=True)  # a campaign that was archived before
    with closing(sqlite3.connect(tmp_path / "home" / "catalog.db")) as catalog, catalog:
        catalog.execute("CREATE TABLE assets (data_uri TEXT)")
        catalog.executemany("INSERT INTO assets VALUES (?)", [(f"file://localhost{path}",) for path in known])
    (tmp_path / "home" / "storage.duckdb").touch()
    archived = archive(tmp_path / "home", tmp_path / "copy", frames=[tmp_path / "x", tmp_path / "y"])
    names = ("frames/1/2-a.h5", "frames/1/a.h5", "frames/2/a.h5")
    copies = [tmp_path / "copy" / "data" / name for name in names]
    assert archived.frames == 3 and all(path.is_file() for path in copies)
    assert addresses(tmp_path / "copy") == {f"file://localhost{path}" for path in (*copies, *known[3:])}
    assert not [path for path in (tmp_path / "copy").rglob("*") if path.is_file() and path.read_bytes() == b"private"]
    x = tmp_path / "x"
    assert archived.refused == [known[4], known[5]]
    assert archived.missing == [known[3], x / "data.h5", x / "data.raw", x / "linked.h5"]
