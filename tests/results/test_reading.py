"""A store reads the metadata of many results exactly, whoever writes, and with few requests."""

import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from sqlalchemy.dialects import postgresql
from tiled.catalog import orm
from tiled.queries import Key

from ainerd.results import AtlasRecord, ResultStore, _table, digest
from ainerd.results._nodes import our_route
from ainerd.results._table import Columns, load_snapshot, parse_json, save_snapshot


@pytest.fixture
def put(ainerd, record):
    """Write a result without arrays, in one request, as another process would; returns its key."""

    def write(**changes):
        made = record(**{"status": "complete", "embedding": [0.0], **changes})
        ainerd["results"].create_container(made.key, metadata=made.metadata(), specs=["AinerdResult"])
        return made.key

    return write


@pytest.fixture
def foreign(monkeypatch):
    """A server without our route for changes."""
    monkeypatch.setattr(_table.NodeTable, "_ask_route", lambda self, parameters: None)


@pytest.fixture(params=["our server", "foreign server"])
def any_server(request):
    if request.param == "foreign server":
        request.getfixturevalue("foreign")


@pytest.fixture
def asked(foreign, monkeypatch):
    """Keys of the results that were requested from a foreign server."""
    keys = []

    def noted(read):
        def reading(*args):
            for node in read(*args):
                keys.append(node[0])
                yield node

        return reading

    for name in ("read_nodes", "read_named"):
        monkeypatch.setattr(_table, name, noted(getattr(_table, name)))
    return keys


@pytest.fixture
def saved(monkeypatch, tmp_path):
    """Files of the cache of this machine, written from two results on."""
    monkeypatch.setattr(_table, "PAGE", 2)
    monkeypatch.setattr("ainerd.results._writing.user_cache_path", lambda name: tmp_path / "cache")
    return lambda: list((tmp_path / "cache").glob("*"))


def truth(ainerd):
    return {key: node.metadata["status"] for key, node in ainerd["results"].items()}


def test_only_results_that_may_have_changed_are_read_again(store, ainerd, put, asked):
    first, failed, last = put(), put(status="failed", reason="dark"), put()
    assert store.table()["status"].to_dict() == truth(ainerd)
    asked.clear()
    assert len(store.table()) == 3 and asked == [last, failed]
    new = put()
    asked.clear()
    assert store.table()["status"].to_dict() == truth(ainerd) and asked == [last, new, failed]
    assert first not in asked


def test_results_of_another_process_are_seen(any_server, store, ainerd, record, analysis):
    other, begun = ResultStore(ainerd), record()
    for step in (
        lambda: other.begin(begun),
        lambda: other.fail(begun.key, "dark"),
        lambda: other.begin(begun),
        lambda: other.complete(begun.key, analysis(only=["tau"])),
        lambda: other.begin(record(parameters={"size": 1})),
    ):
        step()
        assert store.table()["status"].to_dict() == truth(ainerd)
    assert store.table().loc[begun.key, "beta"] == 0.25


@pytest.mark.parametrize("removed, added", [(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)])
def test_removed_results_are_gone(any_server, store, ainerd, put, removed, added):
    keys = [put() for _ in range(3)]
    assert len(store) == 3
    ainerd["results"].delete_contents(keys[removed], external_only=False)
    new = [put() for _ in range(added)]
    assert list(store.table().index) == [key for key in keys if key != keys[removed]] + new


def test_a_result_that_was_committed_late_is_seen(server, store, ainerd, put):
    """In PostgreSQL a transaction may be committed after one with a higher id."""
    first, late, last = put(), put(), put()
    with closing(sqlite3.connect(server.directory / "catalog.db", timeout=30)) as catalog:
        (row,) = catalog.execute("SELECT * FROM nodes WHERE key = ?", (late,)).fetchall()
    ainerd["results"].delete_contents(late, external_only=False)
    assert list(store.table().index) == [first, last]
    with closing(sqlite3.connect(server.directory / "catalog.db", timeout=30)) as catalog, catalog:
        catalog.execute(f"INSERT INTO nodes VALUES ({', '.join('?' * len(row))})", row)
    assert set(store.table().index) == {first, late, last} and not store._rows.answer["whole"]


def test_all_results_are_read_again_if_the_last_one_was_recreated(any_server, store, ainerd, put):
    first, last = put(), put(raw_uid="again", n_frames=8)
    assert store.table()["n_frames"].to_dict()[last] == 8
    node = ainerd["results"][first]
    node.replace_metadata({**node.metadata, "status": "computing"})
    ainerd["results"].delete_contents(last, external_only=False)
    assert put(raw_uid="again", n_frames=9) == last
    table = store.table()
    assert table["status"].to_dict() == {first: "computing", last: "complete"} and table["n_frames"][last] == 9


def test_a_first_reading_takes_most_from_the_snapshot(ainerd, put, saved, asked):
    keys = [put(), put(status="computing"), put()]
    assert len(ResultStore(ainerd).table()) == 3
    (file,) = saved()
    assert file.stat().st_mode & 0o777 == 0o600
    keys.append(put())
    ainerd["results"][keys[1]].update_metadata({"status": "complete"})
    asked.clear()
    store = ResultStore(ainerd)
    assert store.table()["status"].to_dict() == truth(ainerd)
    assert asked == [keys[2], keys[3], keys[1]]
    ainerd["results"].delete_contents(keys[0], external_only=False)
    assert set(ResultStore(ainerd).table().index) == set(keys[1:]) == set(store.table().index)
    columns, _ = load_snapshot(file)
    assert list(columns.frame.index) == keys[1:]


@pytest.mark.parametrize("n", [3, 4, 5])
def test_a_long_reading_in_parts_is_saved(any_server, ainerd, put, saved, monkeypatch, n):
    monkeypatch.setattr(_table, "_AT_ONCE", 2)
    monkeypatch.setattr("ainerd.results._nodes.PAGE", 1)
    keys = [put(run_time=1.7e9 + i, status="failed" if i == 1 else "complete") for i in range(n)]
    assert list(ResultStore(ainerd).table().index) == keys
    columns, _ = load_snapshot(*saved())
    assert list(columns.frame.index[np.argsort(columns.number)]) == keys
    ainerd["results"][keys[1]].update_metadata({"status": "complete"})
    later = put(run_time=1.8e9)
    table = ResultStore(ainerd).table()
    assert list(table.index) == [*keys, later] and set(table["status"]) == {"complete"}


@pytest.mark.fault("A file of the snapshot is half written or damaged", "It is rebuilt; the table is exact")
def test_a_damaged_snapshot_is_rebuilt(any_server, ainerd, put, saved):
    keys = [put(), put()]
    for damage in (lambda file: file, lambda file: bytes(len(file)), lambda file: file[:3], lambda file: file + b"1"):
        assert list(ResultStore(ainerd).table().index) == keys
        (file,) = saved()
        assert list(load_snapshot(file)[0].frame.index) == keys
        file.write_bytes(damage(file.read_bytes()))


def test_a_snapshot_of_another_catalog_is_not_used(any_server, ainerd, put, saved):
    keys = [put(), put()]
    assert list(ResultStore(ainerd).table().index) == keys
    ainerd["results"].delete_contents(keys, external_only=False)
    new = [put(), put(), put()]
    assert list(ResultStore(ainerd).table().index) == new


def test_a_store_without_a_cache_folder_reads_as_well(ainerd, put, saved, tmp_path):
    (tmp_path / "cache").write_text("a file")
    keys = [put(), put()]
    store = ResultStore(ainerd)
    assert list(store.table().index) == keys == list(store.table().index)


def test_our_server_sends_edits_by_hand_too(store, ainerd, put):
    key, _ = put(), put()
    assert len(store.table()) == 2
    ainerd["results"][key].update_metadata({"operator": "night shift"})
    assert list(store.search(operator="night shift").index) == [key]


def test_a_table_stays_the_same_object_until_something_changes(any_server, store, put):
    put()
    assert store._read() is store._read()
    put()
    assert len(store.table()) == 2


def test_a_change_by_hand_is_seen_after_a_refresh(foreign, store, ainerd, put):
    key, _ = put(), put()
    assert store.table().loc[key, "status"] == "complete"
    ainerd["results"][key].update_metadata({"operator": "night shift"})
    assert list(ainerd["results"].search(Key("operator") == "night shift")) == [key]
    store.refresh()
    assert list(store.search(operator="night shift").index) == [key]


def test_the_log_is_read_once(store, asked):
    store.log("one")
    store.log("two")
    assert store.logbook()["text"].to_list() == ["one", "two"]
    store.log("three")
    asked.clear()
    assert store.logbook()["text"].to_list() == ["one", "two", "three"] and len(asked) == 2


def test_a_superseded_result_is_looked_for_only_if_there_can_be_one(ainerd, record, analysis):
    first = record(run_time=1.7e9, event=1)
    writer = ResultStore(ainerd)
    writer.complete(writer.begin(first), analysis(only=["tau"]))
    store, requests = ResultStore(ainerd), []
    assert len(store.table()) == 1
    hooks = ainerd.context.http_client.event_hooks
    hooks["request"].append(requests.append)
    same, other = record(), first.changed(parameters={"size": 128})
    assert store.take(same) is None and store.take(first) == "complete"
    assert [request.method for request in requests] == ["PUT", "PUT"]
    requests.clear()
    assert store.take(other) is None
    hooks["request"].remove(requests.append)
    assert [request.method for request in requests] == ["GET", "PUT"] and "/changes/" in requests[0].url.path
    assert store.record(other.key).supersedes == first.key and store.record(same.key).supersedes is None


SAID = {
    "a": {"n": 1, "x": 1.5, "flag": True, "text": "ä\n", "units": {"x": "mm"}, "embedding": [0.5, -0.0, 2.0**100]},
    "b": {"n": 2**40, "mixed": "one", "units": {"x": "mm"}, "names": ["x", None], "embedding": [0.1], "none": None},
    "c": {"mixed": 2, "x": -1, "flag": False, "units": {}, "embedding": None},
    "d": {},
}


def test_a_snapshot_file_round_trip(tmp_path):
    columns, file = Columns.of(SAID), tmp_path / "results-1.parquet"
    save_snapshot(file, columns, {"n": 4})
    unpacked, state = load_snapshot(file)
    assert same(unpacked, columns) and state == {"n": 4}
    assert unpacked.values("units") == [{"x": "mm"}, {"x": "mm"}, {}, None] and unpacked.distinct("names") == [
        ["x", None]
    ]
    assert unpacked.sizes.tolist() == [3, 1, 0, 0]
    np.testing.assert_array_equal(unpacked.points, np.float32([0.5, -0.0, 2.0**100, 0.1]))
    assert unpacked.column("mixed").tolist()[1:3] == ["one", 2] and unpacked.column("n").tolist()[:2] == [
        1,
        2**40,
    ]
    nothing = Columns.of({})
    save_snapshot(file, nothing, {})
    assert same(load_snapshot(file)[0], nothing)


def test_joined_columns_equal_those_of_all_nodes():
    keys = [*SAID]
    for cut in range(5):
        parts = [Columns.of({key: SAID[key] for key in some}) for some in (keys[:cut], keys[cut:])]
        joined = Columns.joined(parts)
        assert same(joined, Columns.of(SAID), numbered=False)
        mask = np.array([key in "ac" for key in keys])
        assert same(joined.at(mask), Columns.of({key: SAID[key] for key in "ac"}), numbered=False)
    assert math.isnan(parse_json('["a", NaN]')[1])


def same(a, b, numbered=True):
    """Return whether two columns are equal."""
    names = {*a.frame, *b.frame}
    frames = [
        one.frame.reindex(columns=sorted(names)).astype(object).where(lambda x: x.notna(), None) for one in (a, b)
    ]
    pd.testing.assert_frame_equal(*frames)
    assert all(a.values(name) == b.values(name) for name in {*a.nested, *b.nested})
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_array_equal(a.sizes, b.sizes)
    return not numbered or a.number.tolist() == b.number.tolist()


INDEXES = Path(__file__).resolve().parents[2] / "docs/how-to/files/tiled/indexes.sql"


@pytest.fixture
def requests(ainerd):
    """Method and path of each request."""
    seen = []
    hooks = ainerd.context.http_client.event_hooks["request"]

    def note(request):
        seen.append((request.method, request.url.path))

    hooks.append(note)
    yield seen
    hooks.remove(note)


@pytest.fixture
def written(ainerd, record):
    """Some results of two agents, one failed, and a note, by another process."""
    made = [record(status="complete", run_time=1.7e9 + i, scan_id=i, agent="ab"[i % 2]) for i in range(4)]
    made[1] = made[1].changed(status="failed", reason="dark")
    for one in made:
        ainerd["results"].create_container(one.key, metadata=one.metadata(), specs=["AinerdResult"])
    other = ResultStore(ainerd, agent="a", digest=made[0].digest)
    other.add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={made[0].key: 3}))
    other.note("a bubble", raw_uid=made[2].raw_uid, scan="2")
    return made


@pytest.mark.parametrize("scope", [{}, {"agent": "a"}, {"agent": "b"}])
def test_a_known_table_takes_one_request(ainerd, written, record, requests, scope):
    if scope:
        scope = scope | {"digest": digest(written[0].parameters)}
    store, plain = ResultStore(ainerd, **scope), ResultStore(ainerd, **scope)
    plain._rows._campaign = None
    assert store.table().equals(plain.table())
    short = store.table().index[0][:8]
    for ask in (store.table, lambda: store.search(regime=3), lambda: len(store), lambda: store.key(short)):
        requests.clear()
        ask()
        assert [method for method, _ in requests] == ["GET"] and "/changes/" in requests[0][1]
    later = record(status="complete", run_time=1.8e9, scan_id=9, agent=scope.get("agent", "a"))
    ainerd["results"].create_container(later.key, metadata=later.metadata(), specs=["AinerdResult"])
    ainerd["results"][written[1].key].update_metadata({"status": "complete"})
    ResultStore(ainerd).note("dust", raw_uid=later.raw_uid, scan="9")
    ResultStore(ainerd, **scope).add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={later.key: 5}))
    table = store.table()
    assert table.equals(plain.table()) and table.loc[later.key, "note"] == "dust"
    assert table.loc[later.key, "regime"] == 5 and "failed" not in set(table["status"])


@pytest.mark.parametrize("since", ["", "[]", '{"last": -1}', '{"last": 5, "n": 5}', '{"written": "2030-01-01T00:00Z"}'])
def test_all_results_answer_an_invalid_cursor(ainerd, written, since):
    http, url = ainerd.context.http_client, our_route(ainerd, "changes")
    answer = http.get(url, params={"since": since}).json()
    assert answer["whole"] and answer["keys"] == [one.key for one in written] and "notes" not in answer
    assert http.get(url.replace("/ainerd", "/nothing")).status_code == 404
    nobody = httpx.get(url, headers={"authorization": "Apikey 00"}, trust_env=False)
    assert nobody.status_code in (401, 403)


def test_all_results_are_read_again_if_the_clock_of_the_server_went_back(ainerd, written, monkeypatch):
    http, url = ainerd.context.http_client, our_route(ainerd, "changes")
    cursor = http.get(url).json()["cursor"]
    assert not http.get(url, params={"since": json.dumps(cursor)}).json()["whole"]
    assert http.get(url, params={"since": json.dumps(cursor | {"at": cursor["at"] + 3600})}).json()["whole"]


def test_many_results_are_loaded_in_one_request_and_like_nodes(store, ainerd, record, analysis, requests, monkeypatch):
    keys = []
    for seed in range(3):
        keys.append(store.begin(record()))
        store.complete(keys[-1], analysis(seed=seed), series={"stress": ([0.0, 1.0], [2.0, 3.0])})
    requests.clear()
    ours, some = [*store.load(keys)], [*store.load(keys[::-1], ["g2", "stress"])]
    assert len(requests) == 2 and all("/contents/" in path for _, path in requests)
    assert [{*result} for result in some] == 3 * [{"g2", "stress"}] and some[0].key == keys[-1]
    assert [[*result] for result in store.load(keys, ())] == [[], [], []]
    nobody = httpx.get(our_route(ainerd, "contents"), params={"keys": keys}, trust_env=False)
    assert nobody.status_code in (401, 403)
    with pytest.raises(KeyError, match="no result 'nothing'"):
        [*store.load(["nothing"])]
    monkeypatch.setattr("ainerd.results._files.get_ours", lambda *args: None)
    for one, other in zip(ours, store.load(keys), strict=True):
        assert one.metadata == other.metadata
        assert {n: x.dims for n, x in one.items()} == {n: x.dims for n, x in other.items()}
        np.testing.assert_equal(one.arrays, other.arrays)
        pd.testing.assert_frame_equal(one["stress"].read(), other["stress"].read())


def test_a_server_is_asked_once_for_a_route_that_it_lacks(store, record, analysis, requests, monkeypatch):
    key = store.begin(record())
    store.complete(key, analysis())
    monkeypatch.setattr(
        "ainerd.results._nodes.our_route", lambda *of: our_route(*of).replace("/ainerd/", "/lacking/", 1)
    )
    for _ in range(3):
        assert [*store.table().index] == [key] and [one.key for one in store.load([key])] == [key]
    asked = [path.split("/")[3] for _, path in requests if path.startswith("/custom/lacking/")]
    assert asked == ["changes", "contents"]


def test_the_indexes_for_postgresql_fit_the_queries_of_tiled():
    asked = orm.Node.metadata_[["tau_s"]].compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    text = INDEXES.read_text()
    assert f"({str(asked).removeprefix('nodes.')})" in text and text.count("(parent, (metadata #> '{") == 6
