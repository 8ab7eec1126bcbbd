"""The points that wait: in the order in which people asked for them, until a person changes it."""

import pytest
from campaign_toys import Jobs, Node, on, outcome

from ainerd.agent import CommandReader
from ainerd.results.commands import Add, Exclude, Hold, Reject, Release, Reorder, Take, command_metadata, parse_command

ANN = {"by": "Ann", "why": "so"}


def add(campaign, x, y=1.0):
    """Add a point, and return its id."""
    command = Add(position={"x": x, "y": y}, **ANN)
    assert campaign.apply(command).status == "done"
    return command.id


def order(campaign):
    return [each["_id"] for each in campaign.queue]


def test_points_are_measured_in_the_order_in_which_people_asked_for_them(make, store):
    campaign = make()
    taken = campaign.peek()
    assert campaign.apply(on(Take, taken, **ANN)).text == "it is measured next"
    answer = campaign.apply(Add(position={"x": 2.0, "y": 1.0}, **ANN))
    assert answer.text == "it is number 2 in the queue"
    third = add(campaign, 8.0)
    campaign.absorb(outcome("a", x=0.5, y=0.5))  # newer results supersede no point of a person
    assert order(campaign) == [taken["_id"], answer.suggestion["_id"], third]
    assert [each["taken_by"] for each in campaign.queue] == ["Ann", None, None]
    assert [each["_id"] for each in campaign.suggest(2)] == [taken["_id"], answer.suggestion["_id"]]
    assert order(campaign) == [third] and campaign.measuring == answer.suggestion["_id"]


def test_a_person_changes_the_order(make, store):
    campaign = make()
    first, second, third = (add(campaign, x) for x in (2.0, 5.0, 8.0))
    answer = campaign.apply(Reorder(order=[third, first], by="Ann"))
    assert (answer.status, answer.text) == ("done", "the order is now (8.00, 1.00), (2.00, 1.00), (5.00, 1.00)")
    assert order(campaign) == [third, first, second]
    assert store.lines[-1][0].startswith("Ann put the points in another order: (8.00, 1.00)")
    version = campaign.version
    for wrong, why in (([third, "f00"], "does not wait"), ([first, first], "twice")):
        refused = campaign.apply(Reorder(order=wrong, by="Ann"))
        assert refused.status == "refused" and why in refused.text
    assert order(campaign) == [third, first, second] and campaign.version == version
    with pytest.raises(ValueError, match="order"):
        parse_command({"do": "reorder", "order": []})


def test_the_agents_own_suggestion_has_no_place_among_points_of_people(make, store):
    campaign = make()
    own = campaign.peek()["_id"]
    assert campaign.apply(Reorder(order=[own])).status == "refused"
    added = add(campaign, 2.0)
    assert order(campaign) == [added] and store.status(own) == ("withdrawn", "person")


def test_the_order_survives_a_kill(make):
    campaign = make()
    first, second, third = (add(campaign, x) for x in (2.0, 5.0, 8.0))
    campaign.apply(Reorder(order=[third]))
    campaign.suggest()
    again = make()
    again.resume()
    assert order(again) == [first, second]


def test_a_box_removes_only_the_points_in_it(make, store):
    campaign = make()
    inside, outside = add(campaign, 2.0), add(campaign, 8.0)
    campaign.apply(Exclude(region={"x": (0.0, 4.0)}, **ANN))
    assert order(campaign) == [outside] and store.saved[inside].status == "withdrawn"


def test_a_rejected_point_leaves_the_queue(make, store):
    campaign = make()
    first, second = add(campaign, 2.0), add(campaign, 8.0)
    campaign.apply(on(Reject, campaign.queue[1], by="Ann", why="a bubble"))
    assert order(campaign) == [first] and store.status(second) == ("rejected", "Ann")


def test_a_person_decides_on_the_point_after_the_one_being_measured(make, store):
    campaign = make()
    (measured,) = campaign.suggest()
    assert campaign.queue == [] and campaign.measuring == measured["_id"]
    campaign.begun("another run")
    assert campaign.queue == []
    campaign.begun(measured["_id"])
    (following,) = campaign.queue
    assert store.status(following["_id"]) == ("proposed", "toy")
    assert (following["x"], following["y"]) != (measured["x"], measured["y"])
    campaign.apply(on(Take, following, **ANN))
    campaign.absorb(outcome("a", measured["x"], measured["y"], trial_id=measured["_id"]))
    assert campaign.measuring is None and campaign.suggest()[0]["_id"] == following["_id"]
    assert store.history(following["_id"]) == ["accepted", "accepted"]  # by Ann, and handed out


def test_a_following_point_without_a_verdict_gives_way_to_the_result(make, store, monkeypatch):
    campaign = make()
    (measured,) = campaign.suggest()
    campaign.begun(measured["_id"])
    (following,) = campaign.queue
    changed, set_status = [], store.set_status
    monkeypatch.setattr(store, "set_status", lambda id, *a, **more: (changed.append(id), set_status(id, *a, **more)))
    campaign.absorb(outcome("a", measured["x"], measured["y"], trial_id=measured["_id"]))
    assert store.saved[following["_id"]].status == "superseded"
    # in this order a plan in another process never takes the older point
    assert changed == [following["_id"], measured["_id"]]
    campaign.suggest()
    (last,) = (each for each in store.saved.values() if each.status == "accepted")
    campaign.register_failures([{"_id": last.id, **last.positions}])
    assert campaign.measuring is None


def test_in_review_the_first_point_that_a_person_took_is_measured(make):
    campaign = make(review=True)
    first = add(campaign, 2.0)
    answer = campaign.apply(Add(position={"x": 8.0, "y": 1.0}, **ANN))
    assert answer.text == "it is measured next, once a person takes it" and campaign.taken is None
    taken = campaign.apply(on(Take, campaign.queue[1], **ANN))
    assert taken.text == "it is measured next" and campaign.taken == answer.suggestion["_id"]
    assert campaign.suggest() == [taken.suggestion] and order(campaign) == [first]


def test_a_hold_is_acknowledged_while_the_worker_is_busy(make, store):
    node, jobs = Node(), []
    node.update_state = lambda state: node.claims.update(state=state)
    campaign = make()
    reader = CommandReader(store, node, campaign, Jobs(lambda job, **_: jobs.append(job)), lambda: None)
    for key, command in (("1", Hold(**ANN)), ("2", Add(position={"x": 1, "y": 2}, **ANN))):
        node.add(key, command_metadata(command, "toy"))
    reader.look()
    assert node.answers["1"][0] == "done" and campaign.held["by"] == "Ann"
    assert node.claims["state"]["held"]["by"] == "Ann" and store.checkpoints["toy"]["held"]["by"] == "Ann"
    assert "2" not in node.answers and campaign.queue == []  # the worker executes it
    jobs.pop()()
    jobs.pop()()
    assert len(campaign.queue) == 1
    node.add("3", command_metadata(Release(**ANN), "toy"))
    reader.look()
    assert node.answers["3"][0] == "done" and campaign.held is None
