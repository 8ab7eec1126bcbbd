"""Many results in one request: the same as one by one, exactly once, whatever is refused or killed in between."""

import os
import shutil
import signal
import warnings

import httpx
import numpy as np
import pytest
from tiled.client import from_uri

from ainerd.results import ResultStore, _writing
from ainerd.server import embedded_server, open_catalog, result_files, serving
from tests.killed import killed


def write(store, records, analysis, **options):
    """Write results, and return their keys."""
    keys = [store.begin(record) for record in records]
    for seed, key in enumerate(keys):
        assert store.complete(key, analysis(seed=seed), series={"stress": ([0.0, 1.0], [2.0, 3.0])}, **options)
    return keys


@pytest.fixture
def requests(store):
    """The requests of the store's client."""
    hooks, seen = store.container.context.http_client.event_hooks, []
    hooks["request"].append(seen.append)
    yield seen
    hooks["request"].remove(seen.append)


def contents(store, keys):
    """Return status, numbers and arrays of results."""
    return [
        (one.metadata["status"], one.metadata["embedding"], {name: x.tobytes() for name, x in one.arrays.items()})
        for one in store.load(keys)
    ]


def test_many_results_take_one_request_and_are_the_same(store, record, analysis, requests):
    one_by_one = write(store, [record() for _ in range(4)], analysis)
    with store.together():
        requests.clear()
        together = write(store, [record() for _ in range(4)], analysis)
        assert not requests and not {*together} & {*store.container["results"]}
        requests.clear()
    assert [each.method for each in requests] == ["PUT"]
    assert contents(store, together) == contents(store, one_by_one)
    assert (store.table()["status"] == "complete").all() and len(store) == 8
    assert store.series(together[0], "stress")["stress"].tolist() == [2, 3]


def test_results_that_exist_stay(ainerd, store, record, analysis, requests):
    first, second = record(), record()
    (key,) = write(store, [first], analysis)
    before = store.record(key)
    other = ResultStore(ainerd)
    with other.together() as refused:
        assert other.take(first) == "complete" and other.take(second) is None
        (late,) = write(store, [second], analysis)  # by another process at the same time
        assert other.complete(late, analysis(seed=9))
    assert not refused and store.record(key) == before and len(store) == 2
    assert np.array_equal(store.array(late, "g2"), analysis(seed=0).arrays["g2"])


def test_many_bytes_are_sent_at_once(store, record, analysis, requests, monkeypatch):
    monkeypatch.setattr(_writing, "MOST_BYTES", 3 * analysis().arrays["c2"].nbytes)
    with store.together():
        requests.clear()
        write(store, [record() for _ in range(6)], analysis)
        assert requests
    assert len(store) == 6


@pytest.mark.fault(
    "Tiled refuses one of many results written together", "It fails with the reason; the others are there"
)
def test_a_refused_result_fails_alone(store, record, analysis, monkeypatch):
    bundle = _writing.bundle
    monkeypatch.setattr(_writing, "bundle", lambda *what: b"no HDF5" if "stress" in what[0] else bundle(*what))
    with store.together() as refused:
        good = [store.begin(record()) for _ in range(3)]
        bad = store.begin(record())
        for key in (good[0], bad, *good[1:]):
            series = {"stress": ([0.0], [1.0])} if key == bad else {}
            assert store.complete(key, analysis(), series=series)
    assert [*refused] == [bad] and "no result in the body" in refused[bad]
    assert store.table()["status"].to_dict() == dict.fromkeys(good, "complete") | {bad: "failed"}
    assert store.record(bad).retake and store.record(bad).embedding is None


@pytest.mark.usefixtures("as_nodes")
def test_on_a_server_without_the_route_they_are_nodes(store, record, analysis):
    with store.together():
        keys = write(store, [record() for _ in range(2)], analysis)
    assert (store.table()["status"] == "complete").all() and "c2" in store.container["results", keys[0]]


def test_a_server_that_goes_away_gets_them_when_it_is_back(store, record, analysis, monkeypatch):
    put, away = _writing.put_bundles, [True]

    def put_if_there(results, bundles):
        if away[0]:
            raise httpx.ConnectError("away")
        return put(results, bundles)

    monkeypatch.setattr(_writing, "put_bundles", put_if_there)
    monkeypatch.setattr(_writing, "LATE_S", -1.0)
    with store.together():
        with pytest.raises(httpx.ConnectError):
            store.begin(record())
        assert store.seems_away
        away[0] = False
        write(store, [record()], analysis)
    assert sorted(store.table()["status"]) == ["complete", "computing"]


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """The folder of a server that has ended, with an empty catalogue."""
    folder = tmp_path_factory.mktemp("empty") / "tiled"
    with embedded_server(folder) as server:
        open_catalog(server.client())
    return folder


@pytest.mark.fault(
    "The Tiled server is killed (-9) between two of many results that are written in one request",
    "Sent again, each is there once; none is written twice, none is half",
)
@pytest.mark.parametrize("step", ["a file is written", "a node is made"])
def test_a_server_killed_in_the_middle_of_a_request(empty, tmp_path, record, analysis, step):
    n, folder = 5, shutil.copytree(empty, tmp_path / "tiled")
    key = (folder / "api_key").read_text()

    def serve_and_die():
        left, write_file, put_one = [3], result_files._write, result_files._put

        def count():
            left[0] -= 1
            left[0] or os.kill(os.getpid(), signal.SIGKILL)

        def write_and_die(*arguments):
            write_file(*arguments)
            count()

        async def put_and_die(*arguments):
            answer = await put_one(*arguments)
            count()
            return answer

        if step == "a file is written":
            result_files._write = write_and_die
        else:
            result_files._put = put_and_die
        warnings.simplefilter("ignore")  # of alembic, which the server's own process does not turn into errors
        with serving(folder, api_key=key) as dying:
            store = ResultStore(from_uri(dying.uri, api_key=key)["ainerd"])
            with store.together():
                write(store, records, analysis)

    records = [record() for _ in range(n)]
    killed(serve_and_die)
    with embedded_server(folder) as server:
        store = ResultStore(server.client()["ainerd"])
        assert len(store.table()) == 2 + (step == "a node is made")
        created = store.table()["created"]
        with store.together():
            for seed, each in enumerate(records):
                if store.take(each) is None:
                    store.complete(each.key, analysis(seed=seed))
        assert store.table()["status"].tolist() == ["complete"] * n
        assert store.table()["created"][created.index].equals(created)
        expected = [analysis(seed=seed).arrays["g2"] for seed in range(n)]
        assert np.array_equal([store.array(each.key, "g2") for each in records], expected)
        assert len([*(folder / "data").rglob("*.h5")]) == n
