"""Nodes that somebody changed by hand are found, named and left out."""

from pathlib import Path

import numpy as np
import pytest
from tiled.client.metadata_update import DELETE_KEY

from ainerd.results import (
    AgentNode,
    AtlasRecord,
    ConfigurationRecord,
    ResultStore,
    SuggestionRecord,
    validate,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/results.md").read_text()


def test_a_valid_catalog_has_no_problems(night):
    _, store, _ = night
    assert validate(store) == []


@pytest.fixture
def results(store, analysis, record):
    """Nodes of three complete results; their runs are not in raw."""
    keys = [store.begin(record(scan_id=i)) for i in range(3)]
    assert all(store.complete(key, analysis(only=["g2", "tau"])) for key in keys)
    return [store.container["results"][key] for key in keys]


def test_each_problem_has_a_sentence(as_nodes, store, results, record):
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
    problems = validate(store.container)
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
        assert any(sentence in problem for problem in problems), (sentence, problems)
    assert sum(second.item["id"] in problem for problem in problems) == 2
    assert any(third.item["id"] in f and "should have the key" in f for f in problems)


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


def test_a_result_has_the_versions_of_the_software(night):
    _, store, keys = night
    software = store.record(keys[0]).software
    assert software["name"] == "ainerd" and software["numpy"] == np.__version__ and {"python", "h5py"} <= set(software)


def test_a_configuration_is_written_once(store, ainerd):
    record = ConfigurationRecord(technique="rheo_xpcs", parameters={"size": 256}, units={"q": "1/nm"})
    assert store.configuration(record.digest) is None
    ainerd.create_container("configurations").create_container(record.digest, metadata=record.metadata())  # half
    digest = store.add_configuration(record, {"q": [0.02, 0.03]}, {"q": ("roi",)})
    assert store.add_configuration(record, {"q": [9.0, 9.0]}) == digest
    kept = store.configuration(digest)
    np.testing.assert_array_equal(kept.arrays["q"], [0.02, 0.03])
    assert kept.metadata["arrays"] == {"q": [2]} and ainerd["configurations", digest, "q"].dims == ("roi",)


TAMPERED = {
    "scan_id": [2**63, "seven"],
    "run_time": [-1e300, "noon"],
    "event_time": [1e300],
    "status": [5, None],
    "novelty_p": ["high"],
    "novel": ["maybe"],
    "embedding": ["abc", [1, 2, "x"]],
    "units": [5],
    "positions": [7],
    "raw_uid": [5],
    "regime": ["x"],
    "event": ["two"],
    "created": [5],
    "sample_x": ["here"],
}


@pytest.mark.fault("Somebody edits the metadata of a result", "It is left out and named; all others are shown")
def test_a_tampered_result_is_left_out_and_logged(store, ainerd, record, analysis, caplog):
    keys = []
    for x in (1.0, 2.0):
        keys.append(store.begin(record(positions={"sample_x": x}, run_time=1.7e9, scan_id=1)))
        store.complete(keys[-1], analysis(only=["tau"]))
    metadata = dict(ainerd["results"][keys[0]].metadata)
    bad = [(name, value) for name, values in TAMPERED.items() for value in values]
    for i, (name, value) in enumerate(bad):
        ainerd["results"].create_container(f"bad-{i}", metadata=metadata | {name: value})

    ainerd["results"].create_container("short", metadata=metadata | {"embedding": [1.0], "status": "failed"})
    ainerd["results"].create_container(
        "none", metadata=metadata | {"units": None, "positions": None, "embedding": [1.0], "status": "failed"}
    )
    for mine in (ResultStore(ainerd), ResultStore(ainerd, agent=metadata["agent"], digest=metadata["digest"])):
        assert set(mine.table("complete").index) == set(mine.embeddings().index) == set(keys)
        assert len(mine.similar(keys[0])) == 1 and len(mine.search(novel=False)) == 4
        assert mine.analysed(metadata["digest"]).keys() == set(mine.table()["raw_uid"]) and "4 results" in repr(mine)
    for i in range(len(bad)):
        assert f"result bad-{i} is left out" in caplog.text
    before = len(caplog.records)
    assert len(mine.table()) == 4 and len(caplog.records) == before  # logged once


@pytest.mark.fault(
    "Somebody edits suggestions, atlases, log lines or checkpoints", "They are left out and named; the others are used"
)
def test_other_invalid_nodes_are_left_out(store, ainerd):
    store.add_suggestion(SuggestionRecord(id="good", agent="me", positions={"x": 1.0}, reason="there"))
    store.log("a line")
    atlas = AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={"key": 4})
    store.add_atlas(atlas)
    AgentNode(ainerd, "me").save_checkpoint({"bounds": {}})
    for part, changes in {
        "suggestions": [{"created": 5}, {"terms": 5}, {"id": 5}, {"positions": 3}],
        "atlas": [{"labels": 5}],
        "log": [{"created": 5}],
    }.items():
        metadata = dict(ainerd[part].values().first().metadata)
        for i, change in enumerate(changes):
            ainerd[part].create_container("000002" if part == "atlas" else f"bad-{i}", metadata=metadata | change)
    checkpoint = ainerd["checkpoints"].values().first()
    checkpoint.replace_metadata({**checkpoint.metadata, "state": 5})

    for mine in (ResultStore(ainerd), ResultStore(ainerd, agent="me")):
        assert "good" in mine.suggestions().index and mine.next_suggestion().id == "good"
        assert mine.logbook()["text"].tolist() == ["a line"]
        assert mine.current_labels() == {"key": 4}
    assert AgentNode(ainerd, "me").checkpoint() == {}
    assert ResultStore(ainerd).add_atlas(atlas).version == 3  # the invalid node has version 2
