import pytest
from campaign_toys import outcome

from ainerd.campaign._atlas import Atlas
from ainerd.campaign._ledger import Ledger, Notices
from ainerd.novelty import Components
from ainerd.steering import Window

NONE = Components()

WINDOW = Window({"x": (0.0, 10.0), "y": (0.0, 10.0)})


@pytest.fixture
def atlas(technique, store):
    return Atlas(technique, store, ("x", "y"))


def at_once(write, *args, **kwargs):
    write(*args, **kwargs)


@pytest.fixture
def notices(store):
    return Notices(Ledger(store, ("x", "y")), at_once, NONE)


def texts(store):
    return [text for text, _ in store.lines]


def test_explored_is_posted_once_until_it_changes(notices, store):
    for explored in (False, True, True, False, True):
        notices.post(outcome("a"), None, explored, "covered", NONE)
    assert texts(store) == ["explored: covered"] * 2


def test_a_change_of_regime_at_one_place_is_posted(notices, atlas, store):
    for key, z, notice in (("a", 0.0, None), ("b", 3.0, "was 0, now it is 1"), ("c", 3.0, None), ("d", 0.0, "was 1")):
        run = outcome(key, z=z)
        run = outcome(key, z=z, regime=atlas.add(run))
        notices.post(run, atlas.regime_before(run, WINDOW, 0.1), False, "", NONE)
        assert notice in notices.advice if notice else notices.advice is None
    assert [ids["result"] for _, ids in store.lines] == ["b", "d"]
    assert "the regime at (5.00, 5.00) was 0, now it is 1: agent.stay(5)" in store.lines[0][0]


@pytest.mark.parametrize("beam_size, regime", [(None, 1), (0.1, -1), (0.1, 0)])
def test_no_change_is_posted_where_the_place_is_unknown(atlas, store, beam_size, regime):
    atlas.add(outcome("a", z=0.0))
    notices, run = Notices(Ledger(store, ("x", "y")), at_once, NONE), outcome("b", z=3.0, regime=regime)
    notices.post(run, atlas.regime_before(run, WINDOW, beam_size), False, "", NONE)
    assert notices.advice is None and store.lines == []


def test_a_missing_gap_is_logged_once_and_taken_back(notices, store):
    def look(*groups):
        before = len(store.lines)
        notices.post(outcome("a"), None, False, "", Components(groups))
        return texts(store)[before:]

    assert look((0,), (1,), (2,)) == []
    assert look((0, 2), (1,)) == ["regimes 0 and 2 have no gap between them: they are one broad kind"]
    assert look((0, 2), (1,)) == []
    assert look((0, 1, 2)) == ["regimes 0, 1 and 2 have no gap between them: they are one broad kind"]
    assert look((0,), (1, 2)) == [
        "regimes 0, 1 and 2 now have a gap between them: they are not one kind any more",
        "regimes 1 and 2 have no gap between them: they are one broad kind",
    ]
    assert look((1,)) == []  # the others are gone
