import numpy as np
import pytest
from campaign_toys import outcome

from ainerd.campaign._atlas import Atlas, keep
from ainerd.results import AtlasRecord
from ainerd.steering import Window


def kept(atlas, store):
    return keep(atlas, store, lambda job: job())[0]


WINDOW = Window({"x": (0.0, 10.0), "y": (0.0, 10.0)})


def test_when_there_are_many_a_run_like_a_known_regime_takes_its_label(technique, store, monkeypatch):
    monkeypatch.setattr("ainerd.campaign._atlas.MANY", 8)
    monkeypatch.setattr("ainerd.campaign._atlas.GROWTH", 1.5)
    atlas = Atlas(technique, store, ("x", "y"))

    def add(i, axis):
        return atlas.add(outcome(f"run {i}", z=3.0 * axis)), kept(atlas, store)

    assert [add(i, i % 2) for i in range(8)] == [(i % 2, i + 1) for i in range(8)]  # each run a refit
    assert [add(i, i % 2) for i in range(8, 12)] == [(i % 2, 8) for i in range(8, 12)]
    assert len(store.atlases[-1].labels) == 8 and atlas.regimes.n_regimes == 2

    assert add(12, 0) == (0, 9)  # half as many more
    assert add(13, 2) == (2, 10)  # like none
    assert store.atlases[-1].labels == {f"run {i}": 2 if i == 13 else i % 2 for i in range(14)}
    assert add(14, 0) == (0, 10)

    swapped = {key: {0: 5, 1: 6, 2: 7}[label] for key, label in store.atlases[-1].labels.items()}
    atlas.adopt([outcome("theirs", z=3.0, regime=6)], swapped)
    assert add(15, 1) == (6, 11)  # the numbers of the session that steered, and results that it does not know
    assert store.atlases[-1].labels == swapped | {"run 14": 5, "theirs": 6, "run 15": 6}


def test_earlier_results_are_fitted_and_keep_their_numbers(technique, store):
    known = [outcome("a", z=0.0, regime=4), outcome("b", z=3.0, regime=2), outcome("dark", z=None)]
    atlas = Atlas(technique, store, ("x", "y"), known)
    assert atlas.regimes.n_regimes == 2
    assert atlas.label(np.float32([[3, 0], [0, 0], [9, 9]])).tolist() == [2, 4, -1]
    assert not store.atlases  # nothing new is known
    assert atlas.add(outcome("c", z=0.1)) == 4 and kept(atlas, store) == 1
    assert store.atlases[0].labels == {"a": 4, "b": 2, "c": 4}


def test_the_regime_before_is_that_of_the_latest_run_at_the_place(technique, store):
    atlas = Atlas(technique, store, ("x", "y"))
    for key, x, z in (("first", 5.0, 0.0), ("second", 5.05, 3.0), ("elsewhere", 7.0, 6.0)):
        atlas.add(outcome(key, x=x, z=z))
    last = outcome("last", x=5.02, z=6.0)
    assert atlas.regime_before(last, WINDOW, 0.1) == 1  # of the second, not of the first
    atlas.add(last)
    assert atlas.regime_before(last, WINDOW, 0.1) == 1
    assert atlas.regime_before(outcome("second", x=5.05), WINDOW, 0.1) == 0  # later results do not count as before
    assert atlas.regime_before(outcome("far", x=1.0), WINDOW, 0.1) is None
    assert atlas.regime_before(outcome("nowhere", positions={}), WINDOW, 0.1) is None


def test_the_regimes_of_results_and_the_version_are_of_one_moment(technique, store):
    atlas = Atlas(technique, store, ("x", "y"))
    atlas.add(outcome("a", z=0.0))
    asked = []

    def ask(job):  # the campaign goes on as soon as it has answered that the refit is written
        asked.append(answer := job())
        if len(asked) == 2:
            atlas.add(outcome("b", z=3.0))
        return answer

    assert keep(atlas, store, ask) == (1, {"a": 0}) and atlas.version is None


def test_another_agents_result_is_learned_and_its_label_left_to_that_agent(technique, store):
    atlas = Atlas(technique, store, ("x", "y"))
    atlas.add(outcome("mine", z=0.0))
    atlas.learn(outcome("theirs", z=3.0, regime=7, is_recalled=True, is_of_another=True))
    assert atlas.label(np.float32([[3, 0]])).tolist() == [7] and atlas.regimes.n_regimes == 2
    kept(atlas, store)
    assert store.atlases[-1].labels == {"mine": 0}
    store.add_atlas(AtlasRecord(n_regimes=1, supported_range=(1, 1), labels={"theirs": 3}))
    atlas.add(outcome("mine too", z=3.1))
    assert atlas.label(np.float32([[3, 0]])).tolist() == [7]  # their numbers are none of ours
    kept(atlas, store)
    assert store.atlases[-1].labels == {"mine": 0, "theirs": 3, "mine too": 7}


def test_a_result_of_another_process_of_the_agent_is_labelled(technique, store):
    atlas = Atlas(technique, store, ("x", "y"))
    for _ in range(2):
        atlas.learn(outcome("shared", z=3.0, regime=7, is_recalled=True))
    assert kept(atlas, store) == 1 and store.atlases[0].labels == {"shared": 7}


def test_an_atlas_of_nothing_labels_nothing(technique, store):
    atlas = Atlas(technique, store, ("x", "y"))
    assert atlas.regimes is None and atlas.label(np.zeros((2, 2), np.float32)).tolist() == [-1, -1]
    with pytest.raises(AssertionError):
        kept(atlas, store)


def test_a_place_belongs_to_an_earlier_one_up_to_the_size_of_the_beam(technique, store):
    atlas = Atlas(technique, store, ("x", "y"))
    assert atlas.regime_before(outcome("a"), WINDOW, 0.5) is None
    atlas.add(outcome("a", x=1.0, y=1.0))
    assert atlas.regime_before(outcome("b", x=1.5, y=1.0), WINDOW, 0.5) == 0
    assert atlas.regime_before(outcome("b", x=1.51, y=1.0), WINDOW, 0.5) is None
    assert atlas.regime_before(outcome("b", x=1.0, y=1.0), WINDOW, None) is None


def test_exposures_with_a_regime_and_a_p_value_count_in_order(technique, store):
    atlas = Atlas(technique, store, ("x", "y"))
    for key, z, p in (("c", 0.0, 0.5), ("a", 3.0, None), ("b", 3.0, 0.0)):
        atlas.add(outcome(key, z=z, novelty_p=p))
    assert atlas.exposures() == {"c": (0, 0.5), "b": (1, 0.0)} and [*atlas.exposures()] == ["c", "b"]
    assert atlas.labels == {0, 1} and atlas.own_p(outcome("d"))[0] is None


def test_a_regime_that_comes_while_an_earlier_one_of_the_result_is_written_is_written_too(make, store, monkeypatch):
    waiting, label = [], store.label
    campaign = make(lambda job, **_: waiting.append(job))
    campaign.answer(outcome("a", status="partial"))

    def analysed_again(key, **values):
        label(key, **values)
        monkeypatch.setattr(store, "label", label)
        campaign._results.label(key, 0.25, [0])

    monkeypatch.setattr(store, "label", analysed_again)
    while waiting:
        waiting.pop(0)()
    assert store.labels["a"]["own_p"] == 0.25
