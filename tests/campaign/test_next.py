"""Scripts without Bluesky fetch the next position: each is handed out once, and measured where an acquisition is."""

import pytest
from campaign_toys import Node, answers, given_at, outcome

from ainerd.agent import CommandReader
from ainerd.results.commands import Hold, Next, Release, command_metadata


def measure(campaign, answer, key="a"):
    """Absorb the result of an acquisition at a fetched position, whose file says nothing of suggestions."""
    position = {name: x + 0.02 for name, x in answer.fetched.position.items()}  # where the motors stopped
    campaign.answer(outcome(key, position["x"], position["y"], trial_id=given_at(campaign, position | {"i0": 1.0})))


def test_a_fetched_position_is_taken_until_another_fetch_supersedes_it_or_it_is_measured(make, store):
    campaign = make()
    first, second = (campaign.apply(Next()) for _ in range(2))
    one, two = (answer.fetched.id for answer in (first, second))
    assert first.status == "done" and set(first.fetched.position) == {"x", "y"} and first.fetched.reason == first.text
    assert one != two and (store.saved[one].status, store.saved[two].status) == ("superseded", "taken")
    for answer, key in ((second, "a"), (first, "b")):  # the files of the first one came late
        measure(campaign, answer, key)
        assert store.saved[answer.fetched.id].status == "measured"
        assert given_at(campaign, answer.fetched.position) is None  # another one there has no suggestion
    assert given_at(campaign, {"x": -99.0, "y": 0.0}) is None and given_at(campaign, {"x": 1.0}) is None


def test_a_script_may_wait_for_the_last_result(make):
    campaign = make()
    first = campaign.apply(Next(wait_s=60))
    waits = Next(wait_s=60)
    assert campaign.apply(waits).status == "waits" and "no result has come" in campaign.apply(waits).text
    measure(campaign, first)
    second = campaign.apply(waits)
    assert second.status == "done" and campaign.apply(waits) == second
    measure(campaign, second, "b")
    for wait_s in (0, 60):  # its script may be gone, and would leave a position that nobody measures
        late = campaign.apply(Next(wait_s=wait_s), age_s=wait_s + 61.0)
        assert late.status == "refused" and "ask again" in late.text


def test_nothing_is_fetched_while_a_person_holds_or_must_take_it(make):
    campaign = make()
    campaign.apply(Hold(by="Ann"))
    assert campaign.apply(Next()).text == "Ann holds the campaign"
    waits = Next(wait_s=60)
    assert campaign.apply(waits).status == "waits"
    campaign.apply(Release())
    assert campaign.apply(waits).status == "done"
    reviewed = make(review=True)
    assert reviewed.apply(Next()).text == "nobody has taken a suggestion on a page"
    with pytest.raises(ValueError, match="in review"):
        reviewed.suggest()


@pytest.mark.fault(
    "The agent is killed after a script has fetched a position", "The next session knows it, and it is measured"
)
def test_a_later_session_gives_the_same_answer_and_knows_the_position(make, store):
    command = Next(wait_s=60)
    first = make().apply(command)
    again = make()
    assert again.apply(command).fetched == first.fetched
    assert store.saved[first.fetched.id].status == "taken"
    assert again.apply(Next(wait_s=60)).status == "waits"
    measure(again, first)
    assert store.saved[first.fetched.id].status == "measured"


def test_a_waiting_script_is_answered_after_the_result_and_only_the_last_one(make, store):
    node, campaign = Node(store), make()
    reader = CommandReader(store, node, campaign, lambda: None)
    first = campaign.apply(Next())
    for key in ("1", "2"):
        node.add(key, command_metadata(Next(id=key, wait_s=60), "toy"))
    reader.look()
    assert (
        node.answers["1"] == ("refused", "a later command asks for the next position")
        and ("commands", "2") in node.waiting
    )
    reader.look()
    assert ("commands", "2") in node.waiting
    measure(campaign, first)
    node.commands = None  # no request is needed
    reader.wake()
    assert answers(node) == ["refused", "done"] and node.fetched["2"]["position"].keys() == {"x", "y"}
