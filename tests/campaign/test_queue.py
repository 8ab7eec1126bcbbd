"""The points that wait: in the order in which people asked for them."""

import numpy as np
import pytest
from campaign_toys import on, outcome, taken_of, waiting

from ainerd.results.commands import Add, Take, TakeBack
from tests.trials import trials_of

ANN = {"by": "Ann", "why": "so"}


def add(campaign, x, y=1.0):
    """Add a point, and return its id."""
    command = Add(position={"x": x, "y": y}, **ANN)
    assert campaign.apply(command).status == "done"
    return command.id


def order(campaign):
    return [each.id for each in campaign.state.waiting]


def test_points_are_measured_in_the_order_in_which_people_asked_for_them(make, store):
    campaign = make()
    taken = campaign.peek().point
    assert campaign.apply(on(Take, taken, **ANN)).text == "it is measured next"
    answer = campaign.apply(Add(position={"x": 2.0, "y": 1.0}, **ANN))
    assert answer.text == "it is number 2 in the queue"
    third = add(campaign, 8.0)
    campaign.answer(outcome("a", x=0.5, y=0.5))  # newer results supersede no point of a person
    assert order(campaign) == [taken["_id"], answer.suggestion.id, third]
    assert [each.taken_by for each in campaign.state.waiting] == ["Ann", None, None]
    assert [each["_id"] for each in campaign.suggest(2)] == [taken["_id"], answer.suggestion.id]
    assert order(campaign) == [third] and campaign.state.measuring == answer.suggestion.id


def test_a_person_decides_on_the_point_after_the_one_being_measured(make, store):
    campaign = make()
    (measured,) = campaign.suggest()
    assert waiting(campaign) == [] and campaign.state.measuring == measured["_id"]
    campaign.begun("another run")
    assert waiting(campaign) == []
    campaign.begun(measured["_id"])
    (following,) = waiting(campaign)
    assert store.status(following["_id"]) == ("proposed", "toy")
    assert (following["x"], following["y"]) != (measured["x"], measured["y"])
    campaign.apply(on(Take, following, **ANN))
    campaign.answer(outcome("a", measured["x"], measured["y"], trial_id=measured["_id"]))
    assert campaign.state.measuring is None and campaign.suggest()[0]["_id"] == following["_id"]
    assert store.history(following["_id"]) == ["accepted", "accepted"]  # by Ann, and handed out


@pytest.mark.fault(
    "A session is killed during an exposure", "Its position has failed, and is not measured again without a reason"
)
@pytest.mark.parametrize("dose_limit", [1, 2])
def test_a_position_that_a_killed_session_handed_out_counts_as_an_exposure(make, store, dose_limit):
    campaign = make(beam_size=3.0, bounds={"x": (0.0, 10.0), "y": (0.0, 0.1)})
    measured, killed = (campaign.suggest()[0] for _ in range(2))
    campaign.answer(outcome("a", measured["x"], measured["y"], trial_id=measured["_id"]))
    again = make(dose_limit=dose_limit, beam_size=3.0, bounds={"x": (0.0, 10.0), "y": (0.0, 0.1)})
    assert [*again.state.failed] == [killed["_id"]] and store.saved[killed["_id"]].status == "failed"
    again.answer(outcome("b", killed["x"], killed["y"], trial_id=killed["_id"]))  # its frames are in Tiled
    assert trials_of(again.exposures)[killed["_id"]]["embedding"] and store.saved[killed["_id"]].status == "measured"
    suggested = []
    with pytest.raises(ValueError, match="no position is left"):
        while True:
            suggested += again.suggest()
    at_spot = sum(np.hypot(each["x"] - killed["x"], each["y"] - killed["y"]) < 2.999 for each in suggested)
    assert (at_spot > 0) == (dose_limit > 1)


def test_a_run_by_hand_counts_for_its_spot_before_it_has_a_result(make):
    campaign = make()
    first = campaign.peek().point
    by_hand = outcome("by hand", first["x"], first["y"])
    campaign.expose(by_hand)
    campaign.expose(outcome("elsewhere", positions={"x": 1.0}))  # its whole position is not known
    second = campaign.peek().point
    assert second["_id"] != first["_id"] and not campaign.rules.are_near(first, second)
    campaign.answer(by_hand)
    assert trials_of(campaign.exposures)["by hand"]["embedding"] and campaign.peek().point["_id"] == second["_id"]


def test_a_following_point_stays_if_the_result_does_not_change_the_choice(make, store):
    campaign = make()
    (measured,) = campaign.suggest()
    campaign.begun(measured["_id"])
    (following,) = waiting(campaign)
    campaign.answer(outcome("a", measured["x"], measured["y"], trial_id=measured["_id"]))
    assert waiting(campaign) == [following] and store.saved[following["_id"]].status == "proposed"
    assert campaign.suggest()[0]["_id"] == following["_id"]
    campaign.answer(outcome("b", following["x"], following["y"], trial_id=following["_id"]))
    assert following["_id"] in trials_of(campaign.exposures)


def test_a_following_point_without_a_verdict_gives_way_to_a_result_that_changes_the_choice(make, store):
    campaign = make()
    (measured,) = campaign.suggest()
    campaign.begun(measured["_id"])
    (following,) = waiting(campaign)
    # the motors stopped beside the following point
    campaign.answer(outcome("a", following["x"], following["y"], trial_id=measured["_id"]))
    (new,) = waiting(campaign)
    assert new["_id"] != following["_id"] and store.saved[following["_id"]].status == "superseded"


def test_a_point_that_was_taken_can_be_taken_back(make, store):
    campaign = make()
    shown = campaign.peek().point
    assert campaign.apply(on(Take, shown, by="Ann")).status == "done"
    assert campaign.apply(TakeBack(suggestion=shown["_id"], by="Bob")).text == "the agent chooses again"
    assert store.status(shown["_id"]) == ("withdrawn", "Bob") and taken_of(campaign) is None
    again = campaign.peek().point
    assert again["_id"] != shown["_id"] and (again["x"], again["y"]) == (shown["x"], shown["y"])  # not refused for good
    late = campaign.apply(TakeBack(suggestion=shown["_id"], id="late"))
    assert late.status == "refused" and "does not wait any more" in late.text
