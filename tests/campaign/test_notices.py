"""Lines of the log for the operator: the sample is explored, a regime has changed, regimes belong together."""

from campaign_toys import outcome

from ainerd.novelty import Components


def texts(store):
    return [text for text, _ in store.lines if not text.startswith("at (")]


def test_explored_is_posted_once_until_it_changes(make, store):
    campaign, explored = make(), iter((False, True, True, False, True))
    campaign.should_stop = lambda: (next(explored), "covered")
    for i in range(5):
        campaign.answer(outcome(f"{i}", x=float(i)))
    assert texts(store) == ["explored: covered"] * 2


def test_a_change_of_regime_at_one_place_is_posted(make, store):
    campaign = make()
    for key, z, notice in (
        ("a", 0.0, None),
        ("b", 3.0, "was regime 0, now it is regime 1"),
        ("c", 3.0, None),
        ("d", 0.0, "was regime 1"),
    ):
        campaign.answer(outcome(key, z=z))
        assert notice in campaign.advice if notice else campaign.advice is None
    campaign.answer(outcome("e", z=None))
    assert campaign.advice is None and len(texts(store)) == 2
    assert "the spot at (5.00, 5.00) was regime 0, now it is regime 1: measure there again" in texts(store)[0]


def test_a_missing_gap_is_logged_once_and_taken_back(make, store, monkeypatch):
    campaign, keys = make(), iter(range(9))

    def look(*groups):
        before = len(texts(store))
        monkeypatch.setattr("ainerd.campaign._atlas.components", lambda *_: Components(groups))
        campaign.answer(outcome(f"{next(keys)}"))
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
