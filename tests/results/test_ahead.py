"""What a table asks is one request on a server of ours, and gives what Tiled's own searches give."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy.dialects import postgresql
from tiled.catalog import orm

from ainerd.results import AtlasRecord, ResultStore, _mirror, digest
from ainerd.results._nodes import Prefetch, _page, newest_key_search, nodes_from, nodes_named

INDEXES = Path(__file__).resolve().parents[2] / "docs/how-to/files/tiled/indexes.sql"


@pytest.fixture
def requests(ainerd):
    """What is asked, as method and path."""
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
def test_a_table_that_was_read_is_one_request(ainerd, written, record, requests, scope):
    if scope:
        scope = scope | {"digest": digest(written[0].parameters)}
    store, plain = ResultStore(ainerd, **scope), ResultStore(ainerd, **scope)
    plain._prefetch._has_route = False
    assert store.table().equals(plain.table())
    short = store.table().index[0][:8]
    for ask in (store.table, lambda: store.search(regime=3), lambda: len(store), lambda: store.key(short)):
        requests.clear()
        ask()
        assert [method for method, _ in requests] == ["POST"] and "/several/" in requests[0][1]
    later = record(status="complete", run_time=1.8e9, scan_id=9, agent=scope.get("agent", "a"))
    ainerd["results"].create_container(later.key, metadata=later.metadata(), specs=["AinerdResult"])
    ainerd["results"][written[1].key].update_metadata({"status": "complete"})
    ResultStore(ainerd).note("dust", raw_uid=later.raw_uid, scan="9")
    ResultStore(ainerd, **scope).add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={later.key: 5}))
    table = store.table()
    assert table.equals(plain.table()) and table.loc[later.key, "note"] == "dust"
    assert table.loc[later.key, "regime"] == 5 and "failed" not in set(table["status"])


def test_pages_are_those_of_tiled(ainerd, written):
    results = ainerd["results"]
    keys = [one.key for one in written]
    for search in (
        nodes_from(results, 2),
        nodes_from(results, 9),
        nodes_from(results, agent="b", status="complete"),
        newest_key_search(results, agent="a"),
        newest_key_search(results, agent="c"),
        *nodes_named(results, [keys[3], keys[0], "none"]),
    ):
        tiled, (ours,) = _page(results, search), Prefetch(ainerd).pages([search.address]).values()
        assert [node["id"] for node in ours["data"]] == [node["id"] for node in tiled["data"]]
        said = [[node["attributes"].get("metadata") for node in found["data"]] for found in (ours, tiled)]
        assert said[0] == said[1] and (ours["links"]["next"] is None) == (tiled["links"]["next"] is None)


def test_what_follows_a_page_is_read(ainerd, written, monkeypatch):
    monkeypatch.setattr("ainerd.results._nodes.PAGE", 1)
    monkeypatch.setattr(_mirror, "PAGE", 1000)
    store = ResultStore(ainerd)
    assert len(store.table()) == 4
    ainerd["results"].delete_contents(written[3].key, external_only=False)
    assert set(store.table().index) == {one.key for one in written[:3]}


@pytest.mark.parametrize(
    "searches",
    [
        "results",
        [1],
        ["results?"] * 21,
        ["results?filter[fulltext][condition][text]=x"],
        ["results?page[limit]=1000"],
        ["results?page[offset]=-1"],
        ["results?filter[eq][condition][key]=a&filter[eq][condition][value]={"],
    ],
)
def test_what_is_not_answered_is_refused(ainerd, searches):
    http, url = ainerd.context.http_client, Prefetch(ainerd)._url
    assert http.post(url, json={"searches": searches}).status_code == 422
    assert http.post(url, json={"searches": ["none?", "none/of/these?"]}).json() == {"answers": [None, None]}
    nobody = httpx.post(f"{url}", json={"searches": []}, headers={"authorization": "Apikey 00"}, trust_env=False)
    assert nobody.status_code in (401, 403)


def test_the_indexes_for_postgresql_are_of_what_tiled_asks():
    asked = orm.Node.metadata_[["tau_s"]].compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    text = INDEXES.read_text()
    assert f"({str(asked).removeprefix('nodes.')})" in text and text.count("(parent, (metadata #> '{") == 6
