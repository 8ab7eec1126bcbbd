"""Nodes that somebody changed by hand are found, named and left out."""

import numpy as np
import pytest

from ainerd.results import (
    AgentNode,
    AtlasRecord,
    ConfigurationRecord,
    ResultStore,
    SuggestionRecord,
)


def test_each_result_of_a_night_has_what_its_metadata_list(night):
    _, store, _ = night
    for key in store.search(status="complete").index:
        record, parts = store.record(key), dict(store[key].items())
        assert record.key == key and record.embedding and {*record.positions} <= {*record.units}
        assert {name: list(parts[name].shape) for name in record.arrays} == record.arrays
        assert {*record.series, *record.tables} <= {*parts}


@pytest.fixture
def results(store, analysis, record):
    """Nodes of three complete results; their runs are not in raw."""
    keys = [store.begin(record(scan_id=i)) for i in range(3)]
    assert all(store.complete(key, analysis(only=["g2", "tau"])) for key in keys)
    return [store.container["results"][key] for key in keys]


def test_other_parameters_make_a_result_beside_the_old_one(store, results, record, analysis):
    old = store.record(results[0].item["id"])
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
