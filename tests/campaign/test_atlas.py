import numpy as np
from campaign_toys import outcome

from ainerd.campaign._atlas import Atlas
from ainerd.steering import Window


def kept(atlas):
    """The labels of a refit that is to be written."""
    record = atlas.refitted()
    return None if record is None else record.labels


WINDOW = Window({"x": (0.0, 10.0), "y": (0.0, 10.0)})


def test_when_there_are_many_a_run_like_a_known_regime_takes_its_label(technique, monkeypatch):
    monkeypatch.setattr("ainerd.campaign._atlas.MANY", 8)
    monkeypatch.setattr("ainerd.campaign._atlas.GROWTH", 1.5)
    atlas = Atlas(technique, ("x", "y"))

    def add(i, axis):
        return atlas.add(outcome(f"run {i}", z=3.0 * axis)), len(kept(atlas) or ())

    assert [add(i, i % 2) for i in range(8)] == [(i % 2, i + 1) for i in range(8)]  # each run a refit
    assert [add(i, i % 2) for i in range(8, 12)] == [(i % 2, 0) for i in range(8, 12)]
    assert atlas.regimes.n_regimes == 2
    assert add(12, 0) == (0, 13)  # half as many more
    assert add(13, 2) == (2, 14)  # like none
    assert add(14, 0) == (0, 0)


def test_earlier_results_are_fitted_and_keep_their_numbers(technique):
    known = [outcome("a", z=0.0, regime=4), outcome("b", z=3.0, regime=2), outcome("dark", z=None)]
    atlas = Atlas(technique, ("x", "y"))
    assert kept(atlas) is None  # nothing is known
    atlas.begin(known, {"gone": 7})
    assert atlas.regimes.n_regimes == 2
    assert atlas.label(np.float32([[3, 0], [0, 0], [9, 9]])).tolist() == [2, 4, -1]
    assert atlas.add(outcome("c", z=0.1)) == 4 and atlas.add(outcome("d", z=9.0)) == 8
    assert kept(atlas) == {"a": 4, "b": 2, "c": 4, "d": 8} and kept(atlas) is None


def test_the_result_before_is_the_latest_at_the_place(technique):
    atlas = Atlas(technique, ("x", "y"))
    for key, x, z in (("first", 5.0, 0.0), ("second", 5.05, 3.0), ("elsewhere", 7.0, 6.0)):
        atlas.add(outcome(key, x=x, z=z))
    last = outcome("last", x=5.02, z=6.0)
    assert atlas.before(last, WINDOW, 0.1) == "second"
    atlas.add(last)
    assert atlas.before(last, WINDOW, 0.1) == "second"
    assert atlas.before(outcome("second", x=5.05), WINDOW, 0.1) == "first"  # later results do not count as before
    assert atlas.before(outcome("far", x=1.0), WINDOW, 0.1) is None
    assert atlas.before(outcome("nowhere", positions={}), WINDOW, 0.1) is None


def test_another_agents_result_is_learned_and_its_label_left_to_that_agent(technique):
    atlas = Atlas(technique, ("x", "y"))
    atlas.add(outcome("mine", z=0.0))
    atlas.learn(outcome("theirs", z=3.0, regime=7, is_recalled=True, is_of_another=True))
    assert atlas.label(np.float32([[3, 0]])).tolist() == [7] and atlas.regimes.n_regimes == 2
    assert kept(atlas) == {"mine": 0}
    for _ in range(2):
        atlas.learn(outcome("of this agent", z=6.0, regime=9, is_recalled=True))
    assert kept(atlas) == {"mine": 0, "of this agent": 9}


def test_a_place_belongs_to_an_earlier_one_up_to_the_size_of_the_beam(technique):
    atlas = Atlas(technique, ("x", "y"))
    assert atlas.before(outcome("a"), WINDOW, 0.5) is None
    atlas.add(outcome("a", x=1.0, y=1.0))
    assert atlas.before(outcome("b", x=1.5, y=1.0), WINDOW, 0.5) == "a"
    assert atlas.before(outcome("b", x=1.51, y=1.0), WINDOW, 0.5) is None
    assert atlas.before(outcome("b", x=1.0, y=1.0), WINDOW, None) is None


def test_exposures_with_a_regime_and_a_p_value_count_in_order(technique):
    atlas = Atlas(technique, ("x", "y"))
    for key, z, p in (("c", 0.0, 0.5), ("a", 3.0, None), ("b", 3.0, 0.0)):
        atlas.add(outcome(key, z=z, novelty_p=p))
    assert atlas.exposures() == {"c": (0, 0.5), "b": (1, 0.0)} and [*atlas.exposures()] == ["c", "b"]
    assert atlas.labels == {0, 1} and atlas.own_p(outcome("d"))[0] is None
