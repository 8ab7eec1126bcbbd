"""A store reads the metadata of many results exactly, whoever writes, and with few requests."""

from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from tiled.catalog import orm

from ainerd.results import AtlasRecord, ResultStore, digest


def test_a_long_reading_is_in_pages(ainerd, put, monkeypatch):
    monkeypatch.setattr("ainerd.results._nodes.PAGE", 1)
    keys = [put(run_time=1.7e9 + i, status="computing" if i == 1 else "complete", embedding=[0.5, i]) for i in range(5)]
    store = ResultStore(ainerd)
    assert list(store.table(all=True).index) == keys
    ainerd["results"][keys[1]].update_metadata({"status": "complete"})
    table = store.table(all=True)
    assert list(table.index) == keys and set(table["status"]) == {"complete"}
    assert store.embeddings().to_numpy().tolist() == [[0.5, i] for i in range(5)]


def test_a_number_that_its_regime_changes_later_is_in_the_table(store, put):
    first, _, _ = (put(run_time=1.7e9 + i, summary={"tau_s": 1.4, "tau_s_or": 1.9}) for i in range(3))
    assert store.table(all=True)["tau_s_or"].notna().all()
    store.label(first, tau_s=1.9, tau_s_or=None)
    row = store.table(all=True).loc[first]
    assert row["tau_s"] == 1.9 and "tau_s_or" not in row.dropna()


@pytest.mark.parametrize("removed, added", [(0, 1), (2, 1)])
def test_removed_results_are_gone(store, ainerd, put, removed, added):
    keys = [put() for _ in range(3)]
    assert len(store) == 3
    ainerd["results"].delete_contents(keys[removed], external_only=False)
    new = [put() for _ in range(added)]
    assert list(store.table(all=True).index) == [key for key in keys if key != keys[removed]] + new


INDEXES = Path(__file__).resolve().parents[2] / "docs/how-to/files/tiled/indexes.sql"


@pytest.fixture
def requests(ainerd):
    seen = []
    hooks = ainerd.context.http_client.event_hooks["request"]
    hooks.append(seen.append)
    yield seen
    hooks.remove(seen.append)


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


@pytest.mark.parametrize("scope", [{}, {"agent": "b"}])
def test_a_known_table_takes_few_requests(ainerd, written, record, requests, scope):
    if scope:
        scope = scope | {"digest": digest(written[0].parameters)}
    store = ResultStore(ainerd, **scope)
    short = store.table(all=True).index[0][:8]
    for ask in (store.table, lambda: store.search(regime=3), lambda: len(store), lambda: store.key(short)):
        requests.clear()
        ask()
        assert {request.method for request in requests} == {"GET"} and len(requests) <= 5
        of_results = [request.url.params for request in requests if request.url.path.rstrip("/").endswith("/results")]
        assert {params.get("page[offset]", "3") for params in of_results} == {"3"}  # none is read again from the first
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
