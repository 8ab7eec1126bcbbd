"""What people ask by a page becomes of a campaign; the statuses are those that Tiled would keep."""

import pytest
from campaign_toys import outcome

from ainerd.campaign import heed


def wish(do, suggestion=None, **more):
    said = {"do": do, "by": "Ann", "verified": True, "why": "so"} | more
    if suggestion is not None:
        position = {name: suggestion[name] for name in ("x", "y")}
        said |= {"suggestion": suggestion["_id"], "position": position, "reason": suggestion["reason"], "terms": {}}
    return said


def test_what_was_taken_is_measured_next_whatever_is_found(make, store):
    campaign = make()
    taken = campaign.peek()
    assert heed(campaign, wish("take", taken)) == ("done", "it is measured next")
    assert campaign.taken == taken["_id"]
    campaign.absorb(outcome("a", x=0.5, y=0.5))  # newer results supersede what nobody took
    assert campaign.peek()["_id"] == campaign.taken == taken["_id"]
    (handed,) = campaign.suggest()
    assert handed["_id"] == taken["_id"] and campaign.taken is None
    assert store.saved[taken["_id"]].status == "accepted" and store.saved[taken["_id"]].status_by == "Ann"
    assert heed(campaign, wish("take", taken))[0] == "refused"


def test_an_earlier_suggestion_may_be_taken_and_rejected(make, store):
    campaign = make()
    earlier = campaign.peek()
    campaign.absorb(outcome("a", x=0.5, y=0.5))
    assert store.saved[earlier["_id"]].status == "superseded"
    assert heed(campaign, wish("take", earlier))[0] == "done"
    assert campaign.peek()["_id"] == earlier["_id"] and store.saved[earlier["_id"]].status == "accepted"
    campaign.suggest()
    later = campaign.peek()
    campaign.absorb(outcome("b", x=9.5, y=0.5))
    assert heed(campaign, wish("reject", later))[0] == "done"
    assert store.saved[later["_id"]].status == "rejected"
    again = campaign.peek()
    assert (again["x"], again["y"]) != (later["x"], later["y"])


def test_what_was_taken_and_cannot_be_measured_has_failed(make, store):
    campaign = make()
    taken = campaign.peek()
    heed(campaign, wish("take", taken))
    box = {"x": [taken["x"] - 1, taken["x"] + 1], "y": [taken["y"] - 1, taken["y"] + 1]}
    assert heed(campaign, wish("exclude", region=box))[0] == "done"
    assert store.saved[taken["_id"]].status == "failed" and campaign.taken is None
    status, why = heed(campaign, wish("take", taken))
    assert status == "refused" and "excluded" in why
    first = campaign.peek()
    campaign.absorb(outcome("a", x=0.5, y=0.5))
    store.set_status(first["_id"], "accepted", by="Ann")  # as the server does at once
    assert heed(campaign, wish("take", first | {"x": 1e9}))[0] == "refused"
    assert store.saved[first["_id"]].status == "failed"


def test_hold_and_names_last_over_a_restart(make, store):
    campaign = make()
    campaign.assign(outcome("a"))
    assert heed(campaign, wish("hold"))[0] == "done"
    regime = campaign.regimes.labels[0]
    assert heed(campaign, wish("name", regime=int(regime), name="gel")) == ("done", "it is called so")
    again = make()
    assert again.held["by"] == "Ann" and again.held["why"] == "so" and again.regime_names == {regime: "gel"}
    heed(again, wish("release"))
    assert make().held is None
    assert heed(campaign, wish("name", regime=int(regime), name=""))[0] == "done" and campaign.regime_names == {}


@pytest.mark.parametrize(
    "nonsense",
    [
        {"do": "dance"},
        {"do": "take"},
        {"do": "take", "suggestion": "a", "position": {"x": "b"}},
        {"do": "add", "position": {"x": 1}},
        {"do": "add", "position": 3},
        {"do": "add", "position": {"x": 1, "y": 1e9}},
        {"do": "exclude", "region": {"z": [0, 1]}},
        {"do": "exclude", "region": {"x": [float("nan"), 1]}},
        {"do": "exclude", "region": "x"},
        {"do": "name", "regime": 5, "name": "gel"},
        {},
    ],
)
def test_nonsense_is_refused_in_a_sentence(make, nonsense):
    campaign = make()
    status, why = heed(campaign, {"by": "Ann"} | nonsense)
    assert status == "refused" and why and "\n" not in why
    assert campaign.excluded == [] and campaign.held is None
