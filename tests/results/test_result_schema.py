"""The schema, as a catalogue shows it: what is checked, what is linked, what is shared."""

from pathlib import Path

import numpy as np
import pytest
from tiled.client.metadata_update import DELETE_KEY

from ainerd.results import AtlasRecord, ConfigurationRecord, SuggestionRecord, validate

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
        rf"result {second.item['id']} has tau of shape [3], but its metadata have [40]",
        rf"result {third.item['id']} has numbers without a unit: beta",
        rf"result {third.item['id']} supersedes nothing, which is not there",
        rf"result {third.item['id']} is of run nowhere, which is not in raw",
        rf"result {old} has been computing since 2026-01-01 00:00 UTC: agent.catch_up() analyses its run again",
        "result empty does not parse: 'positions' is missing",
        "atlas 000001 labels the result gone, which is not there",
        "suggestion s was measured, but does not name the run",
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
