"""What a store reads of many results is exact, whoever writes, and little."""

import math

import numpy as np
import pandas as pd
import pytest
from tiled.queries import Key

from ainerd.results import ResultStore, _mirror
from ainerd.results._columns import Columns, parse_json
from ainerd.results._snapshot import Snapshot, pack, unpack


@pytest.fixture
def put(ainerd, record):
    """Write a result without arrays, in one request, as another process would; returns its key."""

    def write(**changes):
        made = record(**{"status": "complete", "embedding": [0.0], **changes})
        ainerd["results"].create_container(made.key, metadata=made.metadata(), specs=["AinerdResult"])
        return made.key

    return write


@pytest.fixture
def asked(monkeypatch):
    """Keys of the results that came over the wire."""
    keys = []

    def noted(read):
        def reading(*args):
            for node in read(*args):
                keys.append(node[0])
                yield node

        return reading

    for name in ("read_nodes", "read_named"):
        monkeypatch.setattr(_mirror, name, noted(getattr(_mirror, name)))
    return keys


def truth(ainerd):
    return {key: node.metadata["status"] for key, node in ainerd["results"].items()}


def test_only_what_may_have_changed_is_read_again(store, ainerd, put, asked):
    first, failed, last = put(), put(status="failed", reason="dark"), put()
    assert store.table()["status"].to_dict() == truth(ainerd)
    asked.clear()
    assert len(store.table()) == 3 and asked == [last, failed]
    new = put()
    asked.clear()
    assert store.table()["status"].to_dict() == truth(ainerd) and asked == [last, new, failed]
    assert first not in asked


def test_what_another_process_writes_is_seen(store, ainerd, record, analysis):
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


@pytest.mark.parametrize("removed, added", [(0, 1), (1, 2), (2, 0)])
def test_removed_results_are_gone(store, ainerd, put, removed, added):
    keys = [put() for _ in range(3)]
    assert len(store) == 3
    ainerd["results"].delete_contents(keys[removed], external_only=False)
    new = [put() for _ in range(added)]
    assert list(store.table().index) == [key for key in keys if key != keys[removed]] + new


def test_a_last_result_that_was_made_again_has_the_others_read_anew(store, ainerd, put):
    first, last = put(), put(raw_uid="again", n_frames=8)
    assert store.table()["n_frames"].to_dict()[last] == 8
    node = ainerd["results"][first]
    node.replace_metadata({**node.metadata, "status": "computing"})
    ainerd["results"].delete_contents(last, external_only=False)
    assert put(raw_uid="again", n_frames=9) == last
    table = store.table()
    assert table["status"].to_dict() == {first: "computing", last: "complete"} and table["n_frames"][last] == 9


def test_a_first_reading_takes_most_from_the_snapshot(ainerd, put, asked, monkeypatch):
    monkeypatch.setattr(_mirror, "PAGE", 3)
    keys = [put(), put(status="computing"), put()]
    assert len(ResultStore(ainerd).table()) == 3 and "snapshots" in ainerd
    keys.append(put())
    ainerd["results"][keys[1]].update_metadata({"status": "complete"})
    asked.clear()
    store = ResultStore(ainerd)
    assert store.table()["status"].to_dict() == truth(ainerd)
    assert asked == [keys[2], keys[3], keys[1]]
    ainerd["results"].delete_contents(keys[0], external_only=False)
    assert set(ResultStore(ainerd).table().index) == set(keys[1:]) == set(store.table().index)
    assert list(Snapshot(ainerd).load().frame.index) == keys[1:]


def test_files_of_a_snapshot_are_few_and_take_each_other_up(ainerd):
    said = {f"key{i}": {"scan_id": i, "units": {"x": "mm"}, "embedding": [i, 0.5]} for i in range(9)}
    writer = Snapshot(ainerd)
    for end in (5, 6, 7, 9):
        assert writer.append(Columns.of(dict(list(said.items())[:end])))
    assert [*ainerd["snapshots"]] == ["000000000-000000005", "000000005-000000009"]
    reader = Snapshot(ainerd)
    assert same(reader.load(), Columns.of(said))
    more = Columns.of(said | {"key9": {"scan_id": 9}})
    assert writer.append(more) and writer.append(more) and same(Snapshot(ainerd).load(), more)
    ainerd["snapshots"].delete_contents(["000000000-000000005"], external_only=False)
    assert Snapshot(ainerd).load() is None


@pytest.mark.parametrize("n", [4, 5])
def test_a_long_first_reading_is_kept(ainerd, put, monkeypatch, n):
    monkeypatch.setattr(_mirror, "PAGE", 2)
    monkeypatch.setattr(_mirror, "_FOLD_AT", 2)
    keys = [put(run_time=1.7e9 + i) for i in range(n)]
    assert list(ResultStore(ainerd).table().index) == keys
    assert list(Snapshot(ainerd).load().frame.index) == keys[: n // 2 * 2]
    assert list(ResultStore(ainerd).table().index) == keys


@pytest.mark.fault("a file of the snapshot is half written, or damaged", "it is made anew; the table is exact")
def test_a_snapshot_that_cannot_be_read_is_made_anew(ainerd, put, monkeypatch):
    monkeypatch.setattr(_mirror, "PAGE", 2)
    keys = [put(), put()]
    assert list(ResultStore(ainerd).table().index) == keys
    assert list(Snapshot(ainerd).load().frame.index) == keys
    for damage in (lambda file: 0 * file, lambda file: file[:3], lambda file: np.append(file, np.uint8(1))):
        file = ainerd["snapshots"].values().first().read()
        ainerd["snapshots"].delete_contents(["000000000-000000002"], external_only=False)
        ainerd["snapshots"].write_array(damage(file), key="000000000-000000002")
        assert list(ResultStore(ainerd).table().index) == keys
        assert list(Snapshot(ainerd).load().frame.index) == keys


def test_a_store_that_may_not_write_reads_without_a_snapshot(server, ainerd, put, monkeypatch):
    monkeypatch.setattr(_mirror, "PAGE", 2)
    keys = [put(), put()]
    monkeypatch.setattr("ainerd.results._snapshot.create_node", refuse)
    store = ResultStore(ainerd)
    assert list(store.table().index) == keys and "snapshots" not in ainerd
    assert list(store.table().index) == keys


def refuse(container, *args, **kwargs):
    """What Tiled does with a key that may only read."""
    from tiled.client.utils import handle_error

    response = container.context.http_client.post(container.uri, headers={"Authorization": "Apikey 00"}, json={})
    handle_error(response)


def test_a_hand_made_change_is_seen_after_a_refresh(store, ainerd, put):
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


def test_what_a_result_supersedes_is_asked_for_by_key_and_only_if_it_can_be(ainerd, record, analysis):
    first = record(run_time=1.7e9, event=1)
    writer = ResultStore(ainerd)
    writer.complete(writer.begin(first), analysis(only=["tau"]))
    store, requests = ResultStore(ainerd), []
    assert len(store.table()) == 1
    hooks = ainerd.context.http_client.event_hooks
    hooks["request"].append(requests.append)
    same, other = record(), first.changed(parameters={"size": 128})
    assert store.take(same) is None and [request.method for request in requests] == ["PUT"]
    assert store.take(first) == "complete"
    requests.clear()
    assert store.take(other) is None
    hooks["request"].remove(requests.append)
    assert [request.method for request in requests] == ["GET", "PUT"]
    assert first.key in requests[0].url.params["filter[keys_filter][condition][keys]"]
    assert store.record(other.key).supersedes == first.key and store.record(same.key).supersedes is None


SAID = {
    "a": {"n": 1, "x": 1.5, "flag": True, "text": "ä\n", "units": {"x": "mm"}, "embedding": [0.5, -0.0, 2.0**100]},
    "b": {"n": 2**40, "mixed": "one", "units": {"x": "mm"}, "names": ["x", None], "embedding": [0.1], "none": None},
    "c": {"mixed": 2, "x": -1, "flag": False, "units": {}, "embedding": None},
    "d": {},
}


def test_a_file_of_a_snapshot_holds_what_it_was_made_of():
    columns = Columns.of(SAID)
    found = unpack(pack(columns), 0)
    assert same(found, columns)
    assert found.values("units") == [{"x": "mm"}, {"x": "mm"}, {}, None] and found.distinct("names") == [["x", None]]
    assert found.sizes.tolist() == [3, 1, 0, 0]
    np.testing.assert_array_equal(found.points, np.float32([0.5, -0.0, 2.0**100, 0.1]))
    assert found.column("mixed").tolist()[1:3] == ["one", 2] and found.column("n").tolist()[:2] == [1, 2**40]
    nothing = Columns.of({})
    assert same(unpack(pack(nothing), 0), nothing)


def test_columns_of_parts_are_those_of_all():
    keys = [*SAID]
    for cut in range(5):
        parts = [Columns.of({key: SAID[key] for key in some}) for some in (keys[:cut], keys[cut:])]
        joined = Columns.joined(parts)
        assert same(joined, Columns.of(SAID), numbered=False)
        mask = np.array([key in "ac" for key in keys])
        assert same(joined.at(mask), Columns.of({key: SAID[key] for key in "ac"}), numbered=False)
    assert math.isnan(parse_json('["a", NaN]')[1])


def same(a, b, numbered=True):
    """Whether two columns say the same of the same nodes."""
    names = {*a.frame, *b.frame}
    frames = [
        one.frame.reindex(columns=sorted(names)).astype(object).where(lambda x: x.notna(), None) for one in (a, b)
    ]
    pd.testing.assert_frame_equal(*frames)
    assert all(a.values(name) == b.values(name) for name in {*a.nested, *b.nested})
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_array_equal(a.sizes, b.sizes)
    return not numbered or (a.number.tolist() == b.number.tolist() and a.problems == b.problems)
