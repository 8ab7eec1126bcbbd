import pytest
from campaign_toys import outcome

from ainerd.campaign._atlas import Atlas
from ainerd.steering import Exposures, Window


class Table:
    """An atlas and its table of exposures."""

    def __init__(self, technique):
        self.exposures = Exposures(("x", "y"), technique.embedding_size)
        self.atlas = Atlas(technique, self.exposures)

    def put(self, result):
        about = {"p": result.novelty_p, "novel": result.novel, "regime": result.regime}
        self.exposures.add(result.key, result.positions, result.embedding, **about)
        if result.is_of_another:
            self.exposures.give(result.key, of_another=True)
        return result.key

    def add(self, result):
        """Add a result, and return its regime."""
        self.atlas.fit(self.put(result))
        return self.regime(result.key)

    def regime(self, key):
        return int(self.exposures["regime"][self.exposures.row(key)])


@pytest.fixture
def table(technique):
    return Table(technique)


def kept(atlas):
    """The labels of a refit that is to be written."""
    record = atlas.refitted()
    return None if record is None else record.labels


WINDOW = Window({"x": (0.0, 10.0), "y": (0.0, 10.0)})


def test_when_there_are_many_a_run_like_a_known_regime_takes_its_label(table, monkeypatch):
    monkeypatch.setattr("ainerd.campaign._atlas.MANY", 8)
    monkeypatch.setattr("ainerd.campaign._atlas.GROWTH", 1.5)
    atlas = table.atlas

    def add(i, axis):
        return table.add(outcome(f"run {i}", z=3.0 * axis)), len(kept(atlas) or ())

    assert [add(i, i % 2) for i in range(8)] == [(i % 2, i + 1) for i in range(8)]  # each run a refit
    assert [add(i, i % 2) for i in range(8, 12)] == [(i % 2, 0) for i in range(8, 12)]
    assert atlas.regimes.n_regimes == 2
    assert add(12, 0) == (0, 13)  # half as many more
    assert add(13, 2) == (2, 14)  # like none
    assert add(14, 0) == (0, 0)


def test_earlier_results_are_fitted_and_keep_their_numbers(table):
    known = [outcome("a", z=0.0, regime=4), outcome("b", z=3.0, regime=2), outcome("dark", z=None)]
    atlas = table.atlas
    assert kept(atlas) is None  # nothing is known
    for result in known:
        table.put(result)
    atlas.begin([7])
    assert atlas.regimes.n_regimes == 2 and [table.regime(key) for key in ("a", "b", "dark")] == [4, 2, -1]
    assert table.add(outcome("c", z=0.1)) == 4 and table.add(outcome("d", z=9.0)) == 8
    assert kept(atlas) == {"a": 4, "b": 2, "c": 4, "d": 8} and kept(atlas) is None


def test_the_result_before_is_the_latest_at_the_place(table):
    atlas = table.atlas
    for key, x, z in (("first", 5.0, 0.0), ("second", 5.05, 3.0), ("elsewhere", 7.0, 6.0)):
        table.add(outcome(key, x=x, z=z))
    for last in (outcome("last", x=5.02, z=6.0), outcome("far", x=1.0), outcome("nowhere", positions={})):
        table.add(last)
    assert atlas.before("last", WINDOW, 0.1) == "second"
    assert atlas.before("second", WINDOW, 0.1) == "first"  # later results do not count as before
    assert atlas.before("far", WINDOW, 0.1) is None and atlas.before("nowhere", WINDOW, 0.1) is None


def test_another_agents_result_is_learned_and_its_label_left_to_that_agent(table):
    atlas = table.atlas
    table.add(outcome("mine", z=0.0))
    assert table.add(outcome("theirs", z=3.0, regime=7, is_of_another=True)) == 7 and atlas.regimes.n_regimes == 2
    assert kept(atlas) == {"mine": 0}
    for _ in range(2):
        table.add(outcome("of this agent", z=6.0, regime=9))
    assert kept(atlas) == {"mine": 0, "of this agent": 9}


def test_a_place_belongs_to_an_earlier_one_up_to_the_size_of_the_beam(table):
    atlas = table.atlas
    for key, x in (("a", 1.0), ("b", 1.5), ("c", 2.01)):
        table.add(outcome(key, x=x, y=1.0))
    assert [atlas.before(key, WINDOW, 0.5) for key in "abc"] == [None, "a", None]
    assert atlas.before("b", WINDOW, None) is None


def test_exposures_with_a_regime_and_a_p_value_count_in_order(table):
    atlas = table.atlas
    for key, z, p in (("c", 0.0, 0.5), ("a", 3.0, None), ("b", 3.0, 0.0)):
        table.add(outcome(key, z=z, novelty_p=p))
    assert atlas.with_p() == {"c": (0, 0.5), "b": (1, 0.0)} and [*atlas.with_p()] == ["c", "b"]
    assert atlas.labels == {0, 1} and atlas.own_p("c")[0] is None
