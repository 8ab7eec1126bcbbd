"""Nodes that somebody changed by hand are found, named and left out."""

import numpy as np
import pytest

from ainerd.results import AgentNode, AtlasRecord, ConfigurationRecord, ResultStore, SuggestionRecord


def test_other_parameters_make_a_result_beside_the_old_one(store, record, analysis):
    old = record()
    store.complete(store.begin(old), analysis(only=["tau"]))
    again = record(raw_uid=old.raw_uid, parameters={"size": 128})
    key = store.begin(again)
    assert store.record(key).supersedes == old.key
    assert store.table(all=True)["superseded_by"].isna().all()  # not before it is complete
    assert store.complete(key, analysis(only=["tau"]))
    assert store.table(all=True)["superseded_by"].dropna().to_dict() == {old.key: key}
    third = store.begin(record(raw_uid=old.raw_uid, parameters={"size": 64}))
    assert store.record(third).supersedes == key
    elsewhere = store.begin(record(raw_uid=old.raw_uid, agent="another", parameters={"size": 32}))
    assert store.record(elsewhere).supersedes is None


def test_a_configuration_is_written_once(store, ainerd):
    record = ConfigurationRecord(technique="rheo_xpcs", parameters={"size": 256}, units={"q": "1/nm"})
    assert store.configuration(record.digest) is None
    ainerd.create_container("configurations").create_container(record.digest, metadata=record.metadata())  # half
    digest = store.add_configuration(record, {"q": [0.02, 0.03]}, {"q": ("roi",)})
    assert store.add_configuration(record, {"q": [9.0, 9.0]}) == digest
    kept = store.configuration(digest)
    np.testing.assert_array_equal(kept.arrays["q"], [0.02, 0.03])
    assert kept.metadata["arrays"] == {"q": [2]} and ainerd["configurations", digest, "q"].dims == ("roi",)


@pytest.mark.fault("Somebody edits the metadata of a result", "It is left out and named; all others are shown")
def test_a_tampered_result_is_left_out_and_logged(store, ainerd, record, analysis, caplog):
    keys = []
    for x in (1.0, 2.0):
        keys.append(store.begin(record(positions={"sample_x": x}, run_time=1.7e9, scan_id=1)))
        store.complete(keys[-1], analysis(only=["tau"]))
    metadata = dict(ainerd["results"][keys[0]].metadata)
    bad = {"scan_id": 2**63, "run_time": "noon", "status": None, "embedding": [1, "x"], "positions": 7, "created": 5}
    for name, value in bad.items():
        ainerd["results"].create_container(f"bad-{name}", metadata=metadata | {name: value})
    short = metadata | {"embedding": [1.0], "status": "failed"}
    ainerd["results"].create_container("short", metadata=short)
    ainerd["results"].create_container("none", metadata=short | {"units": None, "positions": None})
    for mine in (ResultStore(ainerd), ResultStore(ainerd, agent=metadata["agent"], digest=metadata["digest"])):
        assert set(mine.table("complete").index) == set(mine.embeddings().index) == set(keys)
        assert len(mine.similar(keys[0])) == 1 and len(mine.search(novel=False)) == 4
        assert mine.analysed(metadata["digest"]).keys() == set(mine.table()["raw_uid"]) and "4 results" in repr(mine)
    assert all(f"result bad-{name} is left out" in caplog.text for name in bad)
    before = len(caplog.records)
    assert len(mine.table(all=True)) == 4 and len(caplog.records) == before  # logged once


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
        "suggestions": [{"created": 5}, {"positions": 3}],
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
