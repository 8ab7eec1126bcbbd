"""The route that writes results as files, and how plain Tiled reads and writes results."""

import asyncio
import io
import json
import subprocess
import sys
import uuid
from types import SimpleNamespace

import h5py
import httpx
import msgpack
import numpy as np
import pytest
from tiled.client import from_uri
from tiled.client.utils import ClientError
from tiled.server import SimpleTiledServer
from tiled.utils import path_from_uri

from ainerd.results import ResultRecord, ResultStore
from ainerd.server import open_catalog, result_files
from ainerd.technique import Analysis

C2 = np.arange(24.0).reshape(2, 3, 4)


@pytest.fixture
def results(server):
    return open_catalog(server.client().create_container(f"files-{uuid.uuid4()}"))[1]["results"]


def of_hdf5(make):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        make(file)
    return buffer.getvalue()


def whole(file):
    file["c2"] = C2
    file["c2"].attrs["dims"] = "roi,t1,t2"
    group = file.create_group("bins")
    group["q"], group["fit"] = np.arange(2.0), np.array(["α".encode(), b"none"])


def put(results, key, file=b"", **changes):
    return send(results, described(key, **changes), file)


def described(key, **changes):
    """Return a result as JSON."""
    specs = [{"name": "AinerdResult", "version": "1.0"}]
    given = {"key": key, "metadata": {"status": "complete"}, "specs": specs, "unless": []}
    return json.dumps(given | changes)


def send(results, entry, file=b"", *, length=None, url=None):
    """Send a result with its file."""
    head = entry.encode()
    headers = {"x-metadata-length": str(len(head)) if length is None else length, "content-type": "application/x-hdf5"}
    return results.context.http_client.put(url or address(results), content=head + file, headers=headers)


def address(results):
    return results.item["links"]["self"].replace("/api/v1/metadata", "/custom/ainerd/results", 1)


def test_a_result_file_becomes_arrays_with_named_dimensions_and_tables(results):
    assert put(results, "one").json() == {"found": None, "written": True}
    assert list(results["one"]) == []
    assert put(results, "one", of_hdf5(whole)).json() == {"found": "complete", "written": True}
    node = results["one"]
    assert sorted(node) == ["bins", "c2"] and node.metadata["status"] == "complete"
    assert np.array_equal(node["c2"].read(), C2) and node["c2"].dims == ("roi", "t1", "t2")
    assert np.array_equal(node["c2"][1, :, 2], C2[1, :, 2])
    assert node["bins"].read().to_dict("list") == {"fit": ["α", "none"], "q": [0.0, 1.0]}
    kept = put(results, "one", metadata={"status": "failed"}, unless=["complete"])
    assert kept.json() == {"found": "complete", "written": False}
    assert results["one"].metadata["status"] == "complete" and "c2" in results["one"]


PLAIN = """
import sys
from tiled.adapters.hdf5 import HDF5Adapter
plain = HDF5Adapter.from_uris(sys.argv[1])
print([plain["c2"].read().tolist(), plain["bins"]["q"].read().tolist()])
"""


def test_plain_tiled_reads_a_result_file(results):
    put(results, "two", of_hdf5(whole))
    (source,) = results["two"].data_sources()
    command = [sys.executable, "-c", PLAIN, source.assets[0].data_uri]  # without our corrections of Tiled
    assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout) == [C2.tolist(), [0, 1]]
    with h5py.File(path_from_uri(source.assets[0].data_uri)) as file:
        assert file["bins/fit"][0].decode() == "α"


def test_a_deleted_result_can_be_written_again(results):
    for _ in range(2):
        assert put(results, "three", of_hdf5(whole)).json()["written"]
        results.delete_contents("three", recursive=True, external_only=False)
    assert "three" not in results


def test_a_result_begun_as_nodes_is_replaced_by_a_file(results):
    results.create_container("four", metadata={"status": "computing"}, specs=["AinerdResult"]).write_array(
        np.zeros(3), key="c2"
    )
    assert put(results, "four", of_hdf5(whole), unless=["complete"]).json() == {"found": "computing", "written": True}
    assert np.array_equal(results["four", "c2"].read(), C2)


def test_a_plain_tiled_server_gets_a_node_for_each_array(tmp_path):
    dims = {"c2": ("a", "b", "c")}
    analysis = Analysis(embedding=np.zeros(2, np.float32), novelty_p=None, arrays={"c2": C2}, dims=dims)
    record = ResultRecord(raw_uid=str(uuid.uuid4()), technique="t", agent="a", parameters={})
    with SimpleTiledServer(tmp_path) as server:
        client = from_uri(server.uri)
        store = ResultStore(open_catalog(client)[1])
        key = store.begin(record)
        assert store.complete(key, analysis, series={"x": ([0.0, 1.0], [2.0, 3.0])})
        node = client["ainerd/results", key]
        assert node["c2"].dims == dims["c2"] and np.array_equal(node["c2"].read(), C2)
        assert store.rows(key, "x")["x"].tolist() == [2, 3] and store.status(key) == "complete"
        client.context.http_client.close()


def leads_out(file):
    file["c2"] = h5py.ExternalLink("/etc/passwd", "/")


def leads_round(file):
    file["c2"] = h5py.SoftLink("/bins")


def is_virtual(file):
    layout = h5py.VirtualLayout((3,), float)
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (3,))
    file.create_virtual_dataset("c2", layout)


def is_elsewhere(file):
    file.create_dataset("c2", (3,), float, external=[("/etc/passwd", 0, 24)])


def is_deep(file):
    file["a/b/c"] = np.zeros(3)


@pytest.mark.parametrize("make", [leads_out, leads_round, is_virtual, is_elsewhere, is_deep])
def test_a_file_with_links_is_refused(results, make):
    answer = put(results, "five", of_hdf5(make))
    assert answer.status_code == 422 and "c2 is" in answer.text or "b is" in answer.text
    assert "five" not in results


def unpacks(file):
    file.create_dataset("c2", (20_000, 10_000), "f8", chunks=(1000, 1000), compression="gzip")
    file.create_dataset("table/q", (200_000_000,), "f8", chunks=(100_000,), compression="gzip")
    file["tau"] = np.arange(3.0)


@pytest.mark.fault("A result of kilobytes unpacks to gigabytes", "It is not read at once")
def test_a_result_that_unpacks_to_gigabytes_is_not_packed(results):
    file = of_hdf5(unpacks)
    assert len(file) < 30_000 and put(results, "large", file).json()["written"]
    url = address(results).replace("/ainerd/results/", "/ainerd/contents/", 1).removesuffix("/results")
    for names, expected in (([], None), (["c2"], None), (["table"], None), (["tau"], {"tau"})):
        answer = results.context.http_client.get(url, params={"keys": ["large"], "names": names})
        (packed,) = msgpack.unpackb(answer.read())
        assert (packed if packed is None else {*msgpack.unpackb(packed)[1]}) == expected
    assert results["large/c2"][:2, :3].shape == (2, 3)
    with pytest.raises(ClientError, match="400"):
        results["large/table"].read()
    key = {"format": "application/x-hdf5"}  # a download of all
    assert results.context.http_client.get(results["large"].item["links"]["full"], params=key).status_code == 400


@pytest.mark.parametrize("key", ["..%2Fsix", "a.b", "", "%2e%2e"])
def test_an_invalid_key_is_refused(results, key):
    assert put(results, key).status_code in (404, 405, 422)


def test_a_body_without_a_result_is_refused(results):
    assert "no result in the body" in put(results, "seven", b"not HDF5").text
    named = [{"specs": [{"name": name}]} for name in ([None], [], 1, "x" * 256)]
    for wrong in (*named, {"specs": [{"nome": 1}]}, {"metadata": 3}, {"unless": None}):
        assert put(results, "seven", **wrong).status_code == 422
    assert results.context.http_client.put(address(results), content=b"{}").status_code == 422
    assert "seven" not in results


def test_writing_needs_a_key(server, results):
    with httpx.Client(trust_env=False) as http:
        assert http.put(address(results), content=b"{}", headers={"x-metadata-length": "2"}).status_code == 401
    assert not len(results)


@pytest.mark.fault("Somebody sends a result that would break every table", "It is refused; the table stays")
def test_metadata_that_tiled_cannot_return_are_refused(results):
    put(results, "good")
    deep = "[" * 300 + "]" * 300
    for value in ("NaN", "Infinity", "1e999", r'"\ud800"', r'"a\u0000"', deep, "[" * 10**5):
        entry = described("bad", metadata={"status": "complete", "x": 0}).replace('"x": 0', f'"x": {value}')
        assert send(results, entry).status_code == 422, value[:20]
    entry = described("bad", metadata={"status": "complete", "x": 0}).replace('"x": 0', '"x": 1' + "0" * 30)
    assert send(results, entry).status_code == 200 and results["bad"].metadata["x"] == 1e30
    for length in ("-1", str(len(entry) + 3), "1e3", ""):
        assert send(results, entry, length=length).status_code == 422
    assert put(results, "k" * 201).status_code == 422
    assert set(results) == {"good", "bad"}


def test_a_damaged_file_is_refused(results):
    def with_texts(file):
        file["c2"], file.attrs["names"] = C2, ["a", "b"]

    whole = of_hdf5(with_texts)
    begin = whole.index(b"GCOL")
    for damaged in (whole[: begin + 20], whole[:-1], whole[:8] + b"\x09" + whole[9:]):
        assert put(results, "nine", damaged).status_code == 422
    assert put(results, "nine", whole).status_code == 200


@pytest.mark.fault("A result is uploaded to the path of another node", "It is refused; nothing is replaced or deleted")
def test_only_results_are_replaced(results):
    put(results, "good")
    results.create_container("other", metadata={"status": "x"}).write_array(np.zeros(3), key="a")
    root = address(results)
    for path in (root.removesuffix("/results"), root.removesuffix("/ainerd/results") + "/raw", f"{root}//x"):
        assert send(results, described("new"), url=path).status_code in (404, 405, 422), path
    assert put(results, "other").status_code == 422
    assert set(results) == {"good", "other"} and "a" in results["other"]


@pytest.mark.fault(
    "The server is killed between the file and the metadata of a result that is begun again",
    "The result keeps its arrays until it is written again",
)
def test_a_result_that_is_begun_again_keeps_its_arrays_until_its_metadata_change(tmp_path, monkeypatch):
    path = tmp_path / "key.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = [1, 2, 3]

    async def answer(*_, **__):
        return node

    async def ends(**_):
        raise ConnectionError("the server ends here")

    node = SimpleNamespace(
        specs=[SimpleNamespace(name=result_files.OURS)],
        node=SimpleNamespace(data_sources=[1]),
        metadata=lambda: {"status": "partial"},
        replace_metadata=ends,
    )
    monkeypatch.setattr(result_files, "has_child", answer)
    monkeypatch.setattr(result_files, "_file_path", lambda *_: path)
    begun_again = result_files._Upload("key", {"status": "computing"}, [], ["complete"], [])
    with pytest.raises(ConnectionError):
        asyncio.run(result_files._put(SimpleNamespace(node=answer), None, [], begun_again, memoryview(b"")))
    with h5py.File(path) as file:
        assert file["numbers"][()].tolist() == [1, 2, 3]
