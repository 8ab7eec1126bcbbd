"""Effects of each command on a campaign, exactly once; the statuses are those that Tiled would keep."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from campaign_toys import Node, answers, on, outcome, taken_of

from ainerd.agent import CommandReader
from ainerd.results import Refused
from ainerd.results.commands import (
    Add,
    Exclude,
    Hold,
    Name,
    Next,
    Reject,
    Release,
    Take,
    command_metadata,
    container_of,
)

ANN = {"by": "Ann", "why": "so"}


@pytest.fixture
def reader(make, store):
    """Makes sessions of one agent, each with a reader of its commands; `make_node` makes the node in Tiled."""
    node = Node(store)

    def start(submit=lambda job, **_: job()):
        campaign = make(submit=submit)
        reader = CommandReader(store, node, campaign, lambda: None)
        reader.look()
        return campaign, reader

    return node, start


def hours_ago(hours):
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


def test_an_earlier_suggestion_may_be_taken_and_rejected(make, store):
    campaign = make()
    earlier = campaign.peek().point
    campaign.answer(outcome("a", x=0.5, y=0.5))
    assert store.saved[earlier["_id"]].status == "superseded"
    assert campaign.apply(on(Take, earlier, **ANN)).status == "done"
    assert campaign.peek().point["_id"] == earlier["_id"] and store.saved[earlier["_id"]].status == "accepted"
    campaign.suggest()
    later = campaign.peek().point
    campaign.answer(outcome("b", x=9.5, y=0.5))
    assert campaign.apply(on(Reject, later, **ANN)).status == "done"
    assert store.status(later["_id"]) == ("rejected", "Ann") and store.saved[later["_id"]].status_reason == "so"
    assert store.lines[-1] == (f"Ann rejected {campaign.rules.text(later)}: so", {"suggestion_id": later["_id"]})
    again = campaign.peek().point
    assert np.hypot(again["x"] - later["x"], again["y"] - later["y"]) > 0.5


def test_a_taken_suggestion_that_cannot_be_measured_has_failed(make, store):
    campaign = make()
    taken = campaign.peek().point
    campaign.apply(on(Take, taken, **ANN))
    box = {"x": [taken["x"] - 1, taken["x"] + 1], "y": [taken["y"] - 1, taken["y"] + 1]}
    assert campaign.apply(Exclude(region=box, **ANN)).status == "done"
    assert store.saved[taken["_id"]].status == "failed" and taken_of(campaign) is None
    answer = campaign.apply(on(Take, taken, id="another", **ANN))
    assert answer.status == "refused" and "excluded" in answer.text
    first = campaign.peek().point
    campaign.answer(outcome("a", x=0.5, y=0.5))
    assert campaign.apply(on(Take, first | {"x": 1e9}, **ANN)).status == "refused"


def test_the_first_verdict_on_a_suggestion_counts(make, store):
    campaign = make()
    ready = campaign.peek().point
    assert campaign.apply(on(Reject, ready)).status == "done"  # at the prompt, while the page still shows it
    late = campaign.apply(on(Take, ready, **ANN))
    assert (late.status, late.text) == ("refused", "somebody was first, with 'reject'")
    assert store.status(ready["_id"]) == ("rejected", "person") and taken_of(campaign) is None


def test_a_measured_suggestion_is_neither_taken_nor_rejected(make, store):
    campaign = make()
    (given,) = campaign.suggest()
    campaign.answer(outcome("a", given["x"], given["y"], trial_id=given["_id"]))
    for verdict in (Take, Reject):
        assert campaign.apply(on(verdict, given, id=verdict.__name__)).text.startswith("it was measured already")
    assert store.saved[given["_id"]].status == "measured"


def test_a_verdict_on_a_suggestion_that_has_changed_is_refused(make, store):
    campaign = make()
    ready = campaign.peek().point
    position = {name: ready[name] for name in ("x", "y")}
    answer = campaign.apply(Take(suggestion=ready["_id"], id="1", position={**position, "x": 9.5}))
    assert answer.status == "refused" and "differs from the one that was seen, it is now at (" in answer.text
    assert campaign.peek().point["_id"] == ready["_id"] and taken_of(campaign) is None
    assert campaign.apply(Take(suggestion=ready["_id"], position=position)).status == "done"


@pytest.mark.fault("The clock of a person's PC is wrong by hours", "Holds are obeyed, and accepted points are measured")
def test_the_clock_of_a_sender_decides_nothing(reader, make):
    node, start = reader
    campaign, reading = start()
    slow, fast = (Add(position={"x": x, "y": 2.0}, created=hours_ago(h), **ANN) for x, h in ((2.0, 1e4), (4.0, -1e4)))
    taken = on(Take, suggestion := campaign.peek().point, created=hours_ago(1e4), **ANN)
    hold = Hold(created=hours_ago(-1e4), **ANN)
    for command in (taken, slow, fast, hold):
        node.add(command.id, command_metadata(command, "toy"), container_of(command))
    reading.look()
    assert answers(node) == ["done"] * 4 and campaign.state.held
    again = make()
    assert [each.id for each in again.state.waiting] == [suggestion["_id"], slow.id, fast.id] and again.state.held
    node.add("1", command_metadata(Release(created=hours_ago(-1e4)), "toy"), "holds")
    late = on(Take, {**suggestion, "_id": "other", "x": 1.0}, created=hours_ago(13), **ANN)
    node.add(late.id, command_metadata(late, "toy"))
    reading = CommandReader(campaign._store, node, again, lambda: None)
    reading.look()  # the first look of the session: both were left
    assert node.answers["1"][0] == "done" and not again.state.held
    assert node.answers[late.id] == ("refused", "it was taken 13 h ago, when no agent was there: take or add a new one")


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"do": "dance"},
        {"do": "take", "suggestion": "a"},
        {"do": "reject", "suggestion": "a", "position": {"z": 1}},
        {"do": "add", "position": {"x": 1, "y": 1e9}},
        {"do": "add", "position": {"x": 1, "y": float("nan")}},
        {"do": "exclude", "region": {"z": [0, 1]}},
        {"do": "name", "regime": 5, "name": "gel"},
        {"do": "hold", "created": "9999-12-31T23:59:59-23:00"},
        {"do": "hold", "why": "w" * 1_000_000},
        {"do": "next", "wait_s": float("nan")},
        {"do": "set_bounds", "bounds": {"x": [0, 500], "y": [0, 10]}},
    ],
)
@pytest.mark.fault("A command has invalid values", "It is refused in a sentence; the next one is executed")
def test_nonsense_is_refused_in_a_sentence(reader, nonsense):
    node, start = reader
    node.add("key", {"by": "Ann"} | nonsense)
    campaign, reading = start()
    status, why = node.answers["key"]
    assert status == "refused" and why and "\n" not in why and len(why) <= 300
    node.add("next", command_metadata(Name(regime=0, name="gel"), "toy"))
    reading.look()
    assert node.answers["next"] == ("refused", "there is no regime 0")
    assert campaign.state.window.bounds == {"x": (0, 10), "y": (0, 10)}
    assert campaign.state.window.excluded == [] and campaign.state.held is None and taken_of(campaign) is None


@pytest.mark.fault("The agent fails while it executes a command", "It refuses the command; the next one is executed")
def test_a_command_that_breaks_the_agent_is_refused(reader, caplog):
    node, start = reader
    campaign, reading = start()
    apply = campaign.apply

    def broken(command, **more):
        if isinstance(command, Exclude):
            raise ZeroDivisionError("a fault of ours")
        return apply(command, **more)

    campaign.apply = broken
    for key, command in {"broken": Exclude(region={"x": (0, 1)}), "sound": Hold(**ANN)}.items():
        node.add(key, command_metadata(command, "toy"))
    reading.look()
    assert node.answers["broken"] == ("refused", "the agent cannot execute this: ZeroDivisionError: a fault of ours")
    assert node.answers["sound"][0] == "done" and campaign.state.held.why == "so"
    assert "command broken is refused" in caplog.messages


# exactly once


@pytest.mark.fault("A command is read twice", "It is executed once; both answers are the same")
def test_a_command_applied_twice_acts_once(make, store):
    campaign, hold, add = make(), Hold(**ANN), Add(position={"x": 1, "y": 2}, **ANN)
    reject = on(Reject, campaign.peek().point, **ANN)  # a page may repeat a verdict that was given at a prompt
    asked = hold, reject, add
    first = [campaign.apply(command) for command in asked]
    held, lines = campaign.state.held, list(store.lines)
    assert [campaign.apply(command) for command in asked] == first and {answer.status for answer in first} == {"done"}
    assert campaign.state.held is held and store.lines == lines
    assert campaign.suggest()[0]["_id"] == add.id  # the suggestion is the command
    assert campaign.apply(add) == first[-1] and campaign.peek().point["_id"] != add.id
    again = make()  # a later session reads the events
    assert [again.apply(command).text for command in asked] == [answer.text for answer in first]
    assert again.peek().point["_id"] != add.id


@pytest.mark.fault("A person presses buttons while the agent is down", "The agent executes them once when it is back")
def test_commands_that_waited_are_executed_at_the_next_start(reader, store):
    node, start = reader
    campaign, _ = start()
    taken = campaign.peek().point
    campaign.answer(outcome("a", x=0.5, y=0.5))
    left = campaign.peek().point
    node.add("1", command_metadata(Hold(**ANN), "toy"))
    node.add(f"verdict-{taken['_id']}", command_metadata(on(Take, taken, **ANN), "toy"))
    statuses = store.history(taken["_id"])
    again, _ = start()
    assert again.state.held.by == "Ann" and again.suggest()[0]["_id"] == taken["_id"]
    assert answers(node) == ["done", "done"]
    assert statuses == ["superseded", "accepted", "accepted"]  # by Ann, and handed out
    assert store.saved[left["_id"]].status == "withdrawn"


class Killed(BaseException):
    """Ends a session."""


@pytest.fixture
def kill(reader, store):
    """Kills a session after so many writes that follow from a command, and returns the campaign of the next one."""

    def kill(command, writes):
        node, start = reader
        campaign, reading = start(submit=lambda job, **_: None if deaf else job())
        deaf.append(1)
        campaign.answer(outcome("a", x=0.5, y=0.5))  # its records are still to be written
        deaf.clear()
        node.add("1", command_metadata(command, "toy"))
        left = iter(range(writes))

        def counted(write):
            def inner(*args, **options):
                if next(left, None) is None:
                    raise Killed
                return write(*args, **options)

            return inner

        writers = [(store, name) for name in ("append", "add_suggestion", "set_status", "log", "label", "add_atlas")]
        writers.append((node, "answer"))
        for owner, name in writers:
            setattr(owner, name, counted(getattr(owner, name)))
        with suppress(Killed):
            reading.look()
        for owner, name in writers:
            delattr(owner, name)
        return start()[0]

    deaf = []
    return kill


@pytest.mark.fault(
    "The agent is killed between a command and its answer, at each write",
    "The next start executes each command once and answers it",
)
@pytest.mark.parametrize("writes", range(9))
def test_a_session_killed_between_acting_and_answering(kill, reader, store, writes):
    node, start = reader
    again = kill(Add(position={"x": 1, "y": 2}, **ANN), writes)
    assert node.answers["1"][0] == "done"
    (added,) = again.suggest()
    assert added["_id"] == "1" and (added["x"], added["y"]) == (1, 2)
    again.answer(outcome("of it", 1, 2, trial_id="1"))
    third, _ = start()
    assert third.peek().point["_id"] != "1" and store.saved["1"].status == "measured"
    assert len([line for line, _ in store.lines if "wants" in line]) == 1


@pytest.mark.fault(
    "The agent is killed after it measured an added point, before it answered", "The point is not measured again"
)
def test_a_point_that_was_measured_before_the_answer_is_not_measured_again(reader, store):
    node, start = reader
    node.add("1", command_metadata(Add(position={"x": 1, "y": 2}, **ANN), "toy"))
    store.add_result("of it", [0, 0], suggestion_id="1", x=1.0, y=2.0)
    campaign, _ = start()
    assert node.answers["1"] == ("refused", "it was measured already") and campaign.peek().point["_id"] != "1"


@pytest.mark.fault("Another program damages the node of a suggestion", "Its status is left out; commands are answered")
def test_an_effect_that_cannot_be_written_stops_no_other(reader, store, caplog):
    node, start = reader
    campaign, reading = start()
    shown, set_status = campaign.peek().point, store.set_status

    def damaged(id, *args, **options):
        if id == shown["_id"]:
            raise Refused("the node is no suggestion")
        set_status(id, *args, **options)

    store.set_status = damaged
    campaign.answer(outcome("a", x=0.5, y=0.5))
    node.add("1", command_metadata(Hold(), "toy"))
    reading.look()
    assert answers(node) == ["done"] and store.shown["held"] and not campaign.journal.is_behind
    assert "an effect is left out" in caplog.text


def test_a_script_that_is_gone_gets_no_position(reader):
    node, start = reader
    campaign, reading = start()
    campaign.apply(Hold())
    node.add("1", command_metadata(Next(wait_s=60), "toy"))
    reading.look()
    node.answer("commands", "1", "refused", "withdrawn")
    reading.look()
    campaign.apply(Release())
    reading.wake()
    assert node.answers["1"] == ("refused", "withdrawn") and not campaign.state.fetched
