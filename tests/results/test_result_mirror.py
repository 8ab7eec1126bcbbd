"""What a store reads of many results is exact, whoever writes, and little."""

import json

import pyarrow
import pytest
from tiled.queries import Key

from ainerd.results import ResultStore, _mirror
from ainerd.results._snapshot import Snapshot, _packed, _read, _unpacked


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


def test_a_first_reading_takes_most_from_the_snapshot(ainerd, put, asked, monkeypatch):
    monkeypatch.setattr(_mirror, "PAGE", 3)
    keys = [put(), put(status="computing"), put()]
    assert len(ResultStore(ainerd).table()) == 3 and "snapshot" in ainerd
    keys.append(put())
    ainerd["results"][keys[1]].update_metadata({"status": "complete"})
    asked.clear()
    store = ResultStore(ainerd)
    assert store.table()["status"].to_dict() == truth(ainerd)
    assert asked == [keys[2], keys[3], keys[1]]
    ainerd["results"].delete_contents(keys[0], external_only=False)
    assert set(ResultStore(ainerd).table().index) == set(keys[1:]) == set(store.table().index)
    table = ainerd["snapshot"].read()
    assert set(table["key"]) - {""} == set(keys[1:])


def test_rows_of_a_snapshot_come_in_any_order(ainerd):
    said = {f"key{i}": {"scan_id": i, "units": {}} for i in range(4)}
    snapshot = Snapshot(ainerd)
    assert snapshot.append(dict(list(said.items())[2:]), 2) and snapshot.append(dict(list(said.items())[:2]), 0)
    assert list(snapshot.load().items()) == list(said.items())


def test_a_snapshot_of_an_earlier_version_is_made_anew(ainerd, put, monkeypatch):
    monkeypatch.setattr(_mirror, "PAGE", 2)
    old = pyarrow.table({"key": ["", "gone"], "common": ["a", "a"], "said": ['{"names": [], "said": {}}', "[]"]})
    ainerd.create_appendable_table(old.schema, key="snapshot").append_partition(0, old)
    keys = [put(), put()]
    assert list(ResultStore(ainerd).table().index) == keys
    assert set(ainerd["snapshot"].read()["key"]) - {""} == set(keys)


def test_a_store_that_may_not_write_reads_without_a_snapshot(server, ainerd, put, monkeypatch):
    monkeypatch.setattr(_mirror, "PAGE", 2)
    keys = [put(), put()]
    monkeypatch.setattr(type(ainerd), "create_appendable_table", refuse)
    store = ResultStore(ainerd)
    assert list(store.table().index) == keys and "snapshot" not in ainerd
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


@pytest.mark.parametrize(
    ("point", "is_short"),
    [([0.5, -0.0, 2.0**100], True), ([0.1, 0.5], False), ([1, 0.5], False), (None, False), ([], False), (["a"], False)],
)
def test_a_point_in_a_snapshot_is_what_it_was(point, is_short):
    own = {"scan_id": 3, "embedding": point, "regime": 0}
    packed = _packed(own)
    assert isinstance(packed.get("embedding as float32"), str) == is_short
    values = json.loads(json.dumps(list(packed.values())))
    assert _unpacked(values, [*packed], {"units": {}}) == own | {"units": {}}


def test_a_snapshot_with_nan_is_read():
    assert _read('["a", NaN]')[0] == "a"
