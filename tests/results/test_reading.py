"""A store reads the metadata of many results exactly, whoever writes, and with few requests."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from tiled.catalog import orm
from tiled.queries import Key

from ainerd.results import AtlasRecord, ResultStore, _table, digest


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


def truth(ainerd):
    return {key: node.metadata["status"] for key, node in ainerd["results"].items()}


def test_only_results_that_may_have_changed_are_read_again(store, ainerd, put, asked):
    put(status="failed", reason="dark")
    retaken, last = put(status="failed", reason="full", retake=True), put()
    assert store.table(all=True)["status"].to_dict() == truth(ainerd)
    asked.clear()
    assert len(store.table(all=True)) == 3 and asked == [last, retaken]
    new = put()
    asked.clear()
    assert store.table(all=True)["status"].to_dict() == truth(ainerd) and asked == [last, new, retaken]


def test_results_of_another_process_are_seen(store, ainerd, record, analysis):
    other, begun = ResultStore(ainerd), record()
    for step in (
        lambda: other.begin(begun),
        lambda: other.fail(begun.key, "dark"),
        lambda: other.begin(begun),
        lambda: other.complete(begun.key, analysis(only=["tau"])),
        lambda: other.begin(record(parameters={"size": 1})),
    ):
        step()
        assert store.table(all=True)["status"].to_dict() == truth(ainerd)
    assert store.table(all=True).loc[begun.key, "beta"] == 0.25


def test_a_long_reading_is_in_pages(ainerd, put, monkeypatch):
    monkeypatch.setattr("ainerd.results._nodes.PAGE", 1)
    keys = [put(run_time=1.7e9 + i, status="computing" if i == 1 else "complete", embedding=[0.5, i]) for i in range(5)]
    store = ResultStore(ainerd)
    assert list(store.table(all=True).index) == keys
    ainerd["results"][keys[1]].update_metadata({"status": "complete"})
    table = store.table(all=True)
    assert list(table.index) == keys and set(table["status"]) == {"complete"}
    assert store.embeddings().to_numpy().tolist() == [[0.5, i] for i in range(5)]


@pytest.mark.parametrize("removed, added", [(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)])
def test_removed_results_are_gone(store, ainerd, put, removed, added):
    keys = [put() for _ in range(3)]
    assert len(store) == 3
    ainerd["results"].delete_contents(keys[removed], external_only=False)
    new = [put() for _ in range(added)]
    assert list(store.table(all=True).index) == [key for key in keys if key != keys[removed]] + new


def test_a_result_that_was_committed_late_is_seen(server, store, ainerd, put):
    """In PostgreSQL a transaction may be committed after one with a higher id."""
    first, late, last = put(), put(), put()
    with closing(sqlite3.connect(server.directory / "catalog.db", timeout=30)) as catalog:
        (row,) = catalog.execute("SELECT * FROM nodes WHERE key = ?", (late,)).fetchall()
    ainerd["results"].delete_contents(late, external_only=False)
    assert list(store.table(all=True).index) == [first, last]
    with closing(sqlite3.connect(server.directory / "catalog.db", timeout=30)) as catalog, catalog:
        catalog.execute(f"INSERT INTO nodes VALUES ({', '.join('?' * len(row))})", row)
    assert set(store.table(all=True).index) == {first, late, last}


def test_a_change_by_hand_is_seen_by_a_new_store(store, ainerd, put):
    key, _ = put(), put()
    assert store.table(all=True).loc[key, "status"] == "complete"
    ainerd["results"][key].update_metadata({"operator": "night shift"})
    assert list(ainerd["results"].search(Key("operator") == "night shift")) == [key]
    assert list(ResultStore(ainerd).search(operator="night shift").index) == [key]


def test_a_result_with_other_parameters_supersedes_the_former(server, ainerd, record, analysis):
    first, folder = record(run_time=1.7e9, event=1), server.directory / "results"
    writer, store = (ResultStore(ainerd, folder=folder) for _ in range(2))
    writer.complete(writer.begin(first), analysis(only=["tau"]))
    same, other = record(), first.changed(parameters={"size": 128})
    assert store.take(same) is None and store.take(first) == "complete"
    assert store.take(other) is None
    assert store.record(other.key).supersedes == first.key and store.record(same.key).supersedes is None


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
    made[1] = made[1].changed(status="failed", reason="dark", retake=True)
    for one in made:
        ainerd["results"].create_container(one.key, metadata=one.metadata(), specs=["AinerdResult"])
    other = ResultStore(ainerd, agent="a", digest=made[0].digest)
    other.add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={made[0].key: 3}))
    other.note("a bubble", raw_uid=made[2].raw_uid, scan="2")
    return made


@pytest.mark.parametrize("scope", [{}, {"agent": "a"}, {"agent": "b"}])
def test_a_known_table_takes_few_requests(ainerd, written, record, requests, scope):
    if scope:
        scope = scope | {"digest": digest(written[0].parameters)}
    store = ResultStore(ainerd, **scope)
    short = store.table(all=True).index[0][:8]
    for ask in (store.table, lambda: store.search(regime=3), lambda: len(store), lambda: store.key(short)):
        requests.clear()
        ask()
        assert {method for method, _ in requests} == {"GET"} and len(requests) <= 5
    later = record(status="complete", run_time=1.8e9, scan_id=9, agent=scope.get("agent", "a"))
    ainerd["results"].create_container(later.key, metadata=later.metadata(), specs=["AinerdResult"])
    ainerd["results"][written[1].key].update_metadata({"status": "complete", "retake": False})
    ResultStore(ainerd).note("dust", raw_uid=later.raw_uid, scan="9")
    ResultStore(ainerd, **scope).add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={later.key: 5}))
    table = store.table(all=True)
    assert table.equals(ResultStore(ainerd, **scope).table(all=True)) and table.loc[later.key, "note"] == "dust"
    assert table.loc[later.key, "regime"] == 5 and "failed" not in set(table["status"])


def test_the_indexes_for_postgresql_fit_the_queries_of_tiled():
    asked = orm.Node.metadata_[["tau_s"]].compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    text = INDEXES.read_text()
    assert f"({str(asked).removeprefix('nodes.')})" in text and text.count("(parent, (metadata #> '{") == 6
