"""Catalogues that the first version wrote: suggestions with a fate, atlases and lines of nobody."""

import pytest
from tiled.structures.core import Spec

from ainerd.results import AtlasRecord, ResultStore, SuggestionRecord, digest, validate

PARAMETERS = {"size": 256, "reduction": "area"}
OPEN = {
    "id": "open",
    "created": "2026-01-05T10:00:00+00:00",
    "agent": "ainerd",
    "positions": ["sample_x"],
    "sample_x": 3.0,
    "reason": "nobody was there",
    "terms": {"unexplored": 0.4},
    "fate": "proposed",
}
STALE = OPEN | {"id": "stale", "fate": "rejected", "fate_reason": "newer results"}
DONE = OPEN | {"id": "done", "fate": "measured", "raw_uid": "run"}


@pytest.fixture
def old(ainerd, store, record, analysis):
    """Key of the result in a catalogue as the first version left it."""
    key = store.begin(record(parameters=PARAMETERS, suggestion_id="done"))
    store.complete(key, analysis(only=["tau"]), regime=0, atlas_version=1)
    store.container.parent["raw"].create_container(store.record(key).raw_uid)
    for metadata in (OPEN, STALE, DONE):
        ainerd["suggestions"].create_container(
            metadata["id"], metadata=metadata, specs=[Spec("AinerdSuggestion", version="1.0")]
        )
    atlas = {"version": 1, "created": OPEN["created"], "n_regimes": 2, "supported_range": [1, 2], "labels": {key: 5}}
    ainerd["atlas"].create_container("000001", metadata=atlas, specs=[Spec("AinerdAtlas", version="1.0")])
    line = {"created": OPEN["created"], "text": "explored", "ids": ["raw_uid"], "raw_uid": "run"}
    ainerd["log"].create_container("0001", metadata=line, specs=[Spec("AinerdLog", version="1.0")])
    return key


def test_it_is_shown_and_nothing_is_wrong_with_it(old, store):
    assert validate(store.container) == []
    table = store.suggestions()
    assert table["status"].tolist() == ["proposed", "rejected", "measured"]
    assert table["status_reason"].tolist()[1] == "newer results" and "fate" not in table
    assert table["status_by"].isna().all() and table["status_time"].isna().all()
    assert store.logbook()["text"].tolist() == ["explored"] and store.newest_atlas().agent is None


def test_an_agent_goes_on_from_it(old, ainerd):
    own = ResultStore(ainerd, agent="ainerd", digest=digest(PARAMETERS))
    assert own.table()["regime"].tolist() == [5] and own.logbook()["text"].tolist() == ["explored"]
    assert list(own.suggestions().index) == ["open", "stale", "done"] and own.next_suggestion() is None
    kept = own.add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={"new": 6}))
    assert kept.version == 2 and own.newest_atlas().labels == {old: 5, "new": 6}


def test_a_suggestion_that_gets_a_status_is_written_anew(old, ainerd, store):
    assert store.set_status("open", "rejected", "long ago")
    said = ainerd["suggestions", "open"].metadata
    assert said["status"] == "rejected" and said["status_by"] == "person" and "fate" not in said
    assert SuggestionRecord.from_metadata(said).status_reason == "long ago"
