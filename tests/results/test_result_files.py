"""A result is one HDF5 file registered with Tiled, on an unpatched server and on the embedded one."""

import logging
import threading
import uuid
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

from ainerd.results import ResultStore
from ainerd.server import open_catalog
from tests.containers import new_container

ARRAYS = {
    "c2": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "half": np.arange(3, dtype=np.float16),
    "seen": np.array([True, False]),
    "names": np.array(["α", "none"]),
    "scalar": np.array(3.5),
    "phase": np.array([1 + 2j]),
    "tau": np.arange(4.0),
}
BINS = {"q": np.arange(3.0), "fit": np.array(["ok", "", "über"]), "used": np.array([True, False, True])}
LATE = {"stress": ([0.0, 1.0], [2.0, 3.0])}


@pytest.fixture(scope="module")
def unpatched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpatched")
    with SimpleTiledServer(folder / "tiled", readable_storage=[folder / "the results"]) as server:
        client = from_uri(server.uri)
        yield client, folder / "the results"
        client.context.http_client.close()


@pytest.fixture(params=["unpatched", "embedded"])
def place(request):
    """The container ``ainerd`` of a new catalog, and a folder that its server reads."""
    if request.param == "unpatched":
        client, folder = request.getfixturevalue("unpatched")
    else:
        server = request.getfixturevalue("server")
        client, folder = server.client(), server.directory / "results"
    return open_catalog(new_container(client, f"files-{uuid.uuid4()}"))[1], folder


@pytest.fixture
def whole(analysis):
    dims = {"c2": ("roi", "t1", "t2"), "tau": ("tau",)}
    return replace(analysis(), arrays=ARRAYS, dims=dims, tables={"bins": BINS, "empty": {"x": np.zeros(0)}})


def assert_whole(result):
    assert {*result.arrays} == {*ARRAYS} and {*result.tables} == {"bins", "empty", "stress"}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(result.arrays[name], array, strict=True)
    assert result.c2.dims == ("roi", "t1", "t2") and result.half.dims is None
    pd.testing.assert_frame_equal(result.tables["bins"], pd.DataFrame(BINS), check_dtype=False)
    assert result.tables["empty"].empty and result.tables["stress"]["stress"].tolist() == [2.0, 3.0]


def sends_no_file(response):
    if "/asset/bytes/" in response.url.path:
        response.status_code = 403


def test_a_result_is_one_file_that_tiled_reads(place, record, whole):
    ainerd, folder = place
    store, asked = ResultStore(ainerd, folder=folder), []
    key = store.begin(record())
    hooks = ainerd.context.http_client.event_hooks["request"]
    hooks.append(asked.append)
    assert store.complete(key, whole, series=LATE)
    hooks.remove(asked.append)
    assert [request.method for request in asked] == ["GET", "PUT"]
    (path,) = folder.rglob(f"{key}*")
    with h5py.File(path) as file:
        assert file["c2"].attrs["dims"] == "roi,t1,t2" and file["bins/fit"][2].decode() == "über"
        np.testing.assert_array_equal(file["c2"], ARRAYS["c2"])
    node = ainerd["results", key]
    assert node.metadata["status"] == "complete" and sorted(node["bins"]) == ["fit", "q", "used"]
    np.testing.assert_array_equal(node["c2"][1, :, 2], ARRAYS["c2"][1, :, 2])
    assert node.rows("bins")["q"].tolist() == [0, 1, 2]
    other = store.begin(record())
    store.complete(other, whole, series=LATE)
    for hooks in ([], [sends_no_file]):  # the file, or array by array
        ainerd.context.http_client.event_hooks["response"] += hooks
        results = [*store.load([key, other])]
        assert [result.key for result in results] == [key, other]
        for result in results:
            assert_whole(result)
        (some,) = store.load([key], ["bins"])
        assert {*some} == {"bins", "tau"}  # a coordinate comes along
    ainerd.context.http_client.event_hooks["response"].remove(sends_no_file)


@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")  # of texts
@pytest.mark.parametrize("place", ["unpatched"], indirect=True)  # the other one reads all folders of tests
def test_arrays_are_nodes_where_the_server_cannot_read_the_folder(place, record, whole, tmp_path, caplog):
    ainerd, folder = place
    store = ResultStore(ainerd, folder=tmp_path / "elsewhere")
    with caplog.at_level(logging.WARNING):
        keys = [store.begin(record()) for _ in range(2)]
    assert caplog.text.count("each array of a result is a node") == 1
    assert store.complete(keys[1], whole, series=LATE)
    (result,) = store.load(keys[1:])
    assert_whole(result)
    assert ainerd["results", keys[1], "c2"].dims == ("roi", "t1", "t2")
    begun = ResultStore(ainerd, folder=folder)
    assert begun.complete(keys[0], whole, series=LATE)  # another session goes on with a file
    (result,) = begun.load(keys[:1])
    assert_whole(result)
    assert [*folder.rglob(f"{keys[0]}.h5")]


@pytest.mark.parametrize("place", ["embedded"], indirect=True)
@pytest.mark.fault("An agent is killed while it writes a result", "A later one completes it; it is there once")
def test_a_result_of_a_killed_agent_is_completed(place, record, whole):
    ainerd, folder = place
    one = record()
    key = ResultStore(ainerd, folder=folder).begin(one)
    (path,) = folder.rglob(f"{key}.h5")
    path.with_suffix(".1.part").write_bytes(b"half")
    for store in (ResultStore(ainerd), ResultStore(ainerd, folder=folder)):  # as nodes, and as a file again
        assert store.take(one) is None and store.status(key) == "computing"
        assert [*ainerd["results"]] == [key] and not [*ainerd["results", key]]
    path.unlink()  # also if its file is lost
    assert store.take(one) is None and store.complete(key, whole, series=LATE)
    assert store.take(one) == "complete" and not store.complete(key, whole)
    assert_whole(*store.load([key]))
    ainerd["results"].delete_contents(key, external_only=False)
    assert store.take(one) is None and not [*ainerd["results", key]]
    assert store.fail(key, "dark") and store.take(one) is None


@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_a_series_is_read_while_its_file_is_replaced(place, record, analysis):
    ainerd, folder = place
    store = ResultStore(ainerd, folder=folder)
    key, read, stop = store.begin(record()), [], threading.Event()
    store.complete(key, replace(analysis(), arrays={"n": np.full(10_000, 0.0)}, dims={}), status="growing")

    def look():
        while not stop.is_set():
            read.append(set(ainerd["results", key, "n"].read()))

    reader = threading.Thread(target=look)
    reader.start()
    for n in range(1, 8):
        store.complete(key, replace(analysis(), arrays={"n": np.full(10_000, float(n))}, dims={}), status="growing")
    stop.set()
    reader.join()
    assert all(len(values) == 1 for values in read) and len(read) > 2
    assert store.close(key) and store.array(key, "n")[0] == 7
