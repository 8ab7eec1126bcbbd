"""Nodes that somebody changed by hand, or put there: each is left out and named, the others are shown."""

import pytest

from ainerd.results import AtlasRecord, ResultStore, SuggestionRecord, read_checkpoint, save_checkpoint

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


@pytest.mark.fault("somebody changed metadata of a result by hand", "it is left out and named; all others are shown")
def test_a_tampered_result_costs_the_others_nothing(store, ainerd, record, analysis, caplog):
    keys = []
    for x in (1.0, 2.0):
        keys.append(store.begin(record(positions={"sample_x": x}, run_time=1.7e9, scan_id=1)))
        store.complete(keys[-1], analysis(only=["tau"]))
    said = dict(ainerd["results"][keys[0]].metadata)
    bad = [(name, value) for name, values in TAMPERED.items() for value in values]
    for i, (name, value) in enumerate(bad):
        ainerd["results"].create_container(f"bad-{i}", metadata=said | {name: value})

    ainerd["results"].create_container("short", metadata=said | {"embedding": [1.0], "status": "failed"})
    ainerd["results"].create_container(
        "none", metadata=said | {"units": None, "positions": None, "embedding": [1.0], "status": "failed"}
    )
    for mine in (ResultStore(ainerd), ResultStore(ainerd, agent=said["agent"], digest=said["digest"])):
        assert set(mine.table("complete").index) == set(mine.embeddings().index) == set(keys)
        assert len(mine.similar(keys[0])) == 1 and len(mine.search(novel=False)) == 4
        assert mine.analysed(said["digest"]).keys() == set(mine.table()["raw_uid"]) and "4 results" in repr(mine)
    for i in range(len(bad)):
        assert f"result bad-{i} is left out" in caplog.text
    before = len(caplog.records)
    assert len(mine.table()) == 4 and len(caplog.records) == before  # said once


@pytest.mark.fault(
    "suggestions, atlases, log lines or checkpoints that are none are among them", "left out and named; the rest counts"
)
def test_other_nodes_that_are_none_cost_nothing(store, ainerd):
    store.add_suggestion(SuggestionRecord(id="good", agent="me", positions={"x": 1.0}, reason="there"))
    store.log("a line")
    atlas = AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={"key": 4})
    store.add_atlas(atlas)
    save_checkpoint(ainerd, "me", {"bounds": {}})
    for part, changes in {
        "suggestions": [{"created": 5}, {"terms": 5}, {"id": 5}, {"positions": 3}],
        "atlas": [{"labels": 5}],
        "log": [{"created": 5}],
    }.items():
        said = dict(ainerd[part].values().first().metadata)
        for i, change in enumerate(changes):
            ainerd[part].create_container("000002" if part == "atlas" else f"bad-{i}", metadata=said | change)
    checkpoint = ainerd["checkpoints"].values().first()
    checkpoint.replace_metadata({**checkpoint.metadata, "state": 5})

    for mine in (ResultStore(ainerd), ResultStore(ainerd, agent="me")):
        assert "good" in mine.suggestions().index and mine.next_suggestion().id == "good"
        assert mine.logbook()["text"].tolist() == ["a line"]
        assert mine.current_labels() == {"key": 4}
    assert read_checkpoint(ainerd, "me") == {}
    assert ResultStore(ainerd).add_atlas(atlas).version == 3  # beside the one that is none
