"""The schema, as a catalogue shows it: what is checked, what is linked, what is shared."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from tiled.client.metadata_update import DELETE_KEY

from ainerd.results import AtlasRecord, ConfigurationRecord, SuggestionRecord, _provenance, link_provenance, validate

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/results.md").read_text()


def test_a_good_catalogue_has_no_findings(night):
    _, store, _ = night
    assert validate(store) == []


@pytest.fixture
def results(store, analysis, record):
    """Nodes of three complete results; their runs are not in raw."""
    keys = [store.begin(record(scan_id=i)) for i in range(3)]
    assert all(store.complete(key, analysis(only=["g2", "tau"])) for key in keys)
    return [store.container["results"][key] for key in keys]


def test_what_is_wrong_is_said(as_nodes, store, results, record):
    first, second, third = results
    store.container.parent["raw"].create_container(second.metadata["raw_uid"])
    first.update_metadata({"novelty_p": 3.0})
    second.delete_contents("g2", external_only=False)
    second.delete_contents("tau", external_only=False)
    second.write_array(np.zeros(3), key="tau")
    third.update_metadata({"supersedes": "nothing", "units": {"beta": DELETE_KEY}, "raw_uid": "nowhere"})
    old = store.begin(record(created="2026-01-01T00:00:00+00:00"))
    store.add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={"gone": 0}))
    store.add_suggestion(SuggestionRecord(id="s", positions={}, reason="", status="measured"))
    store.container["log"].create_container("l", metadata={"text": 1, "ids": []})
    store.container["results"].create_container("empty")
    found = validate(store.container)
    for sentence in (
        rf"result {first.item['id']} does not parse: novelty_p: Input should be less than or equal to 1",
        rf"result {second.item['id']} has no array g2",
        rf"result {second.item['id']} has tau of shape [3], and says [40]",
        rf"result {third.item['id']} has numbers without a unit: beta",
        rf"result {third.item['id']} supersedes nothing, which is not there",
        rf"result {third.item['id']} is of run nowhere, which is not in raw",
        rf"result {old} has been computing since 2026-01-01 00:00 UTC: agent.catch_up() analyses its run again",
        "result empty does not parse: 'positions' is missing",
        "atlas 000001 labels the result gone, which is not there",
        "suggestion s was measured, but does not say by which run",
        "log line l does not parse: text: Input should be a valid string",
    ):
        assert any(sentence in finding for finding in found), (sentence, found)
    assert sum(second.item["id"] in finding for finding in found) == 2
    assert any(third.item["id"] in f and "should have the key" in f for f in found)


def test_other_parameters_make_a_result_beside_the_old_one(store, results, record, analysis):
    old = store.record(results[0].item["id"])
    again = record(raw_uid=old.raw_uid, parameters={"size": 128})
    key = store.begin(again)
    assert store.record(key).supersedes == old.key
    assert store.table()["superseded_by"].isna().all()  # not before it is complete
    assert store.complete(key, analysis(only=["tau"]))
    assert store.table()["superseded_by"].dropna().to_dict() == {old.key: key}
    third = store.begin(record(raw_uid=old.raw_uid, parameters={"size": 64}))
    assert store.record(third).supersedes == key
    elsewhere = store.begin(record(raw_uid=old.raw_uid, agent="another", parameters={"size": 32}))
    assert store.record(elsewhere).supersedes is None


def test_versions_of_what_made_the_numbers(night):
    _, store, keys = night
    software = store.record(keys[0]).software
    assert software["name"] == "ainerd" and software["numpy"] == np.__version__ and {"python", "torch"} <= set(software)


def test_what_results_share_is_kept_once(store, ainerd):
    record = ConfigurationRecord(technique="rheo_xpcs", parameters={"size": 256}, units={"q": "1/nm"})
    assert store.configuration(record.digest) is None
    ainerd.create_container("configurations").create_container(record.digest, metadata=record.metadata())  # half
    digest = store.add_configuration(record, {"q": [0.02, 0.03]}, {"q": ("roi",)})
    assert store.add_configuration(record, {"q": [9.0, 9.0]}) == digest
    kept = store.configuration(digest)
    np.testing.assert_array_equal(kept.arrays["q"], [0.02, 0.03])
    assert kept.record.arrays == {"q": [2]} and ainerd["configurations", digest, "q"].dims == ("roi",)


def test_links_in_the_graph(night):
    client, store, keys = night
    assert all(link_provenance(store.container, keys[i]) for i in (0, 8, 8))
    graph, here = _provenance._Graph(client), [part for part in store.container.path_parts if part]
    subjects, _ = graph.entities([[*here, "results", keys[i]] for i in (0, 8)])
    named = "query($id: ID) {links(subjectId: $id, limit: 9, offset: 0) {predicate subject {name} object {name}}}"
    found = [link for subject in subjects for link in graph.ask(named, id=subject)["links"]]
    links = [(x["subject"]["name"], x["predicate"], x["object"]["name"]) for x in found]
    run = store.record(keys[0]).raw_uid
    assert sorted(links) == sorted(
        [
            (keys[0], "prov:wasDerivedFrom", run),
            (keys[8], "prov:wasDerivedFrom", run),
            (keys[8], "prov:wasRevisionOf", keys[0]),
        ]
    )


def test_a_server_without_a_graph_is_no_error(night, store, record, monkeypatch):
    _, full, keys = night
    assert link_provenance(store.container, store.begin(record())) is False  # its run is not there
    assert link_provenance(store.container, "nothing") is False
    asked, ask = [], _provenance._Graph.ask
    monkeypatch.setattr(_provenance._Graph, "ask", lambda self, *of, **on: (asked.append(1), ask(self, *of, **on))[1])
    monkeypatch.setattr(_provenance, "_GRAPH", "/nothing-here")
    assert link_provenance(full.container, *keys[:3]) is False and len(asked) == 1


def test_a_server_that_is_away_is_asked_for_links_once(night, monkeypatch):
    _, store, keys = night
    asked = []

    def away(self, query, **variables):
        asked.append(query)
        raise httpx.ConnectError("no route")

    monkeypatch.setattr(_provenance._Graph, "ask", away)
    with pytest.raises(httpx.ConnectError):
        link_provenance(store.container, *keys[:3])
    assert len(asked) == 1
