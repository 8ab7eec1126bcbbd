"""Sessions of one agent: each obeys the commands to the others, and no decision disappears."""

import json
import time

import httpx
import pytest
from campaign_toys import BOUNDS, Node, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ainerd.agent import CommandReader
from ainerd.knobs import Knob
from ainerd.results._records import plain
from ainerd.results.commands import (
    Add,
    Exclude,
    Hold,
    Reject,
    Release,
    SetBounds,
    SetExcluded,
    command_metadata,
)  # fmt: skip

FEW = {name: Knob(range=(0, 10), values=(0, 5, 10), length=1.0) for name in ("x", "y")}
DOES = st.sampled_from(["hold", "release", "exclude", "reject", "lift", "checkpoint", "look"])


@pytest.mark.fault("A person holds or excludes where two processes of one agent run", "Both obey, and nothing is lost")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(st.tuples(st.integers(0, 1), DOES), min_size=1, max_size=8))
def test_no_decision_of_two_sessions_disappears(make, store, history):
    store.events.clear()
    two, held, boxes, rejected = [make(knobs=FEW) for _ in range(2)], False, 0, []
    for i, (who, does) in enumerate(history):
        session = two[who]
        if does in ("hold", "release"):
            held = does == "hold"
            session.apply(Hold(why="tea") if held else Release())
        elif does == "exclude":
            boxes += 1
            session.apply(Exclude(region={"x": (0.1 * i + 0.1, 0.1 * i + 0.15)}))
        elif does == "lift":
            boxes = 0
            session.apply(SetExcluded(regions=[]))
        elif does == "reject":
            rejected.append({"x": 0.01 * i, "y": 5.0})
            session.apply(Reject(suggestion=f"s{i}", position=rejected[-1], why="a bubble"))
        else:
            getattr(session, does)()
    for session in two:
        session.look()
    for session in (*two, make(knobs=FEW)):
        assert (session.state.held is not None) == held
        assert len(session.explorer.window.excluded) == boxes, history
        assert all(position in session.state.failed.values() for position in rejected)


def test_an_event_that_another_session_wrote_first_comes_first(make, store, monkeypatch):
    """Sessions that do not see each other's events until they write their own."""
    one, other = make(knobs=FEW), make(knobs=FEW)
    one.apply(Hold(why="tea"))
    assert other.state.held is None
    other.apply(Exclude(region={"x": (0.0, 1.0)}))
    assert other.state.held["why"] == "tea" and other.explorer.window.excluded == [{"x": (0.0, 1.0)}]
    assert [event["kind"] for event in store.events] == ["began", "began", "asked", "asked"]
    other.apply(Release())
    one.look()
    assert one.state.held is None and one.explorer.window.excluded == [{"x": (0.0, 1.0)}]


def test_a_position_that_another_session_proposed_first_is_left_to_it(make, store):
    jobs = []
    one, other = make(), make(submit=lambda job, **_: jobs.append(job))
    twin, theirs = other.peek(), one.peek()  # neither knows of the other
    assert (twin["x"], twin["y"]) == (theirs["x"], theirs["y"])
    while jobs:
        jobs.pop(0)()
    ours = other.peek()
    assert max(abs(ours[name] - theirs[name]) for name in ("x", "y")) > 0.1
    assert [store.saved[each["_id"]].status for each in (theirs, ours)] == ["proposed", "proposed"]
    assert twin["_id"] not in store.saved  # its event came too late
    assert one.peek() == theirs  # the session that came first stays


@pytest.mark.fault("Tiled goes away while people decide", "They are obeyed at once; the events are written later")
def test_events_are_written_when_tiled_is_back(make, store, monkeypatch):
    one, other = make(knobs=FEW), make(knobs=FEW)

    def away(*_):
        raise httpx.ConnectError("no route")

    with monkeypatch.context() as patch:
        patch.setattr("ainerd.results.AgentNode.append", away)
        hold = Hold(why="tea")
        assert one.apply(hold).status == "done" and one.state.held["why"] == "tea"
        assert not one.order.has_answered(hold.id)
        one.apply(Add(position={"x": 5.0, "y": 5.0}, id="mine"))
    other.apply(Exclude(region={"x": (4.0, 6.0)}))
    assert not other.look() and other.state.held is None
    one.checkpoint()
    assert one.order.has_answered(hold.id) and other.look() and other.state.held["why"] == "tea"
    for session in (one, other, make(knobs=FEW)):  # the box came first
        assert session.state.answers["mine"][1].status == "refused" and not session.state.get("mine")
        assert session.explorer.window.excluded == [{"x": (4.0, 6.0)}]
    assert "mine" not in store.saved


@pytest.mark.fault(
    "Tiled goes away between an event and its effects", "They are written when it is back, each line of the log once"
)
@pytest.mark.parametrize("half", [False, True])
def test_effects_are_written_when_tiled_is_back(make, store, monkeypatch, half):
    one, wanted = make(knobs=FEW), Add(position={"x": 5.0, "y": 5.0}, id="mine")

    def away(self, *_, **__):
        raise httpx.ConnectError("no route")

    with monkeypatch.context() as patch:
        patch.setattr(store, "log" if half else "add_suggestion", away)
        patch.setattr(store, "answers", lambda: False)
        assert one.apply(wanted).status == "done" and ("mine" in store.saved) == half
        assert one.apply(Hold(why="tea")).status == "done" and not store.lines
    one.catch_up()
    texts = [text for text, _ in store.lines]
    assert store.saved["mine"].status == "proposed" and len(texts) == 2 and "wants" in texts[0]
    later = make(knobs=FEW)
    later.resume()  # nothing is left to write
    assert len(store.lines) == 2 and later.state.held["why"] == "tea"


def test_the_status_of_a_result_comes_after_that_of_its_suggestion(make, store, monkeypatch):
    one = make(knobs=FEW)
    with monkeypatch.context() as patch:  # Tiled is away while the position is handed out
        patch.setattr(store, "add_suggestion", gone)
        patch.setattr(store, "answers", lambda: False)
        (taken,) = one.suggest()
    one.answer(outcome("r", taken["x"], taken["y"], trial_id=taken["_id"]))
    one.catch_up()
    assert store.status(taken["_id"])[0] == "measured"


def test_an_event_that_failed_once_is_written_without_another_one(make, store, monkeypatch):
    one = make(knobs=FEW)
    with monkeypatch.context() as patch:
        patch.setattr("ainerd.results.AgentNode.append", gone)
        one.apply(SetBounds(bounds=NARROW))
    one.catch_up()
    assert make(knobs=FEW).explorer.bounds == NARROW


def gone(*_, **__):
    raise httpx.ConnectError("no route")


def test_no_state_is_saved_before_the_effects_of_its_events(make, store, monkeypatch):
    monkeypatch.setattr("ainerd.campaign._order.SNAPSHOT_EVERY", 1)
    one = make(knobs=FEW)
    store.checkpoints.clear()
    with monkeypatch.context() as patch:
        patch.setattr(store, "add_suggestion", gone)
        patch.setattr(store, "answers", lambda: False)
        one.apply(Add(position={"x": 5.0, "y": 5.0}, id="mine"))
    assert not store.checkpoints
    later = make(knobs=FEW)  # the first one was killed
    later.resume()
    assert store.saved["mine"].status == "proposed" and later.state.get("mine")


@pytest.mark.fault(
    "A session is killed between an event and its effects, another one goes on and ends",
    "The next session alone writes them, also if the state was saved meanwhile",
)
def test_a_saved_state_keeps_the_effects_that_a_killed_session_did_not_write(make, store, monkeypatch):
    monkeypatch.setattr("ainerd.campaign._order.SNAPSHOT_EVERY", 1)
    killed, other = make(knobs=FEW), make(knobs=FEW)
    with monkeypatch.context() as patch:
        patch.setattr(store, "add_suggestion", gone)
        patch.setattr(store, "answers", lambda: False)
        killed.apply(Add(position={"x": 5.0, "y": 5.0}, id="mine"))
    for _ in range(3):
        other.look()
        other.apply(Hold(why="tea")), other.apply(Release())
    assert store.checkpoints["toy"]["number"] == len(store.events) and "mine" not in store.saved
    store.checkpoints["toy"] = json.loads(json.dumps(plain(store.checkpoints["toy"])))
    later = make(knobs=FEW)
    later.resume()
    assert store.saved["mine"].status == "proposed" and later.state.get("mine")
    assert sum("wants" in text for text, _ in store.lines) == 1
    make(knobs=FEW).resume()
    assert sum("wants" in text for text, _ in store.lines) == 1


def refused_by(status):
    def refuse(*_):
        raise httpx.HTTPStatusError("no", request=httpx.Request("POST", "http://a"), response=httpx.Response(status))

    return refuse


@pytest.mark.fault(
    "Tiled refuses the event of a command for good, such as one that is too large",
    "The command is refused with this reason; all later events are written",
)
def test_an_event_that_tiled_refuses_for_good_stops_no_other(make, store, monkeypatch, caplog):
    one, node = make(knobs=FEW), Node(store)
    reading = CommandReader(store, node, one, lambda: None)
    large, box = Exclude(region={"x": (0.0, 1.0)}, id="large"), Exclude(region={"x": (8.0, 9.0)}, id="box")
    node.add("large", command_metadata(large, "toy"))
    append = store.append
    monkeypatch.setattr(
        "ainerd.results.AgentNode.append",
        lambda _, n, event: refused_by(413)() if event.get("command", {}).get("id") == "large" else append(n, event),
    )
    reading.read()
    assert one.explorer.window.excluded == [] and "does not accept it" in caplog.text
    reading.read()
    assert node.answers["large"][0] == "refused" and "Tiled does not accept" in node.answers["large"][1]
    assert one.apply(box).status == "done" and one.order.has_answered("box") and not one.order.is_behind
    for session in (one, make(knobs=FEW)):
        assert session.explorer.window.excluded == [{"x": (8.0, 9.0)}]


@pytest.mark.parametrize("looks", [False, True])
def test_an_event_whose_answer_was_lost_is_written_once(make, store, monkeypatch, looks):
    one, append = make(knobs=FEW), store.append

    def lost(node, number, event):
        append(number, event)
        raise httpx.ReadTimeout("no answer")

    with monkeypatch.context() as patch:
        patch.setattr("ainerd.results.AgentNode.append", lost)
        hold = Hold(why="tea")
        one.apply(hold)
    assert not one.order.has_answered(hold.id)
    if looks:
        one.look()
    one.apply(Release())
    assert one.order.has_answered(hold.id)
    assert [event["command"]["do"] for event in store.events if event["kind"] == "asked"] == ["hold", "release"]
    assert make(knobs=FEW).state.held is None


def test_the_thread_that_reads_commands_obeys_the_hold_of_another_session(make, store):
    one, other = make(), make()
    reading = CommandReader(store, Node(store), other, lambda: obeyed.append(1))
    obeyed = []
    one.apply(Hold(why="tea"))
    reading.read()
    assert obeyed and other.state.held["why"] == "tea"


@pytest.mark.fault("A clock steps back, or two machines' clocks differ by an hour", "The last decision counts")
def test_the_last_decision_counts_whatever_the_clocks_show(make, monkeypatch):
    hour, now = 3600.0, time.time()
    one, other = make(knobs=FEW), make(knobs=FEW)
    one.apply(Release())
    one.apply(SetExcluded(regions=[]))
    for session in (one, other):  # the first one's clock steps back; the other one's was always behind
        monkeypatch.setattr(time, "time", lambda: now - hour)
        session.look()
        session.apply(Hold(why="tea"))
        session.apply(Exclude(region={"x": (0.0, 1.0)}))
        for each in (one, other):
            each.look()
            assert each.state.held["why"] == "tea" and each.explorer.window.excluded == [{"x": (0.0, 1.0)}]
        monkeypatch.setattr(time, "time", lambda: now - 2 * hour)
        session.apply(Release())
        session.apply(SetExcluded(regions=[]))
        for each in (one, other):
            each.look()
            assert each.state.held is None and each.explorer.window.excluded == []


def event(**fields):
    return {"id": "e", "session": "eve", "t": time.time(), **fields}


ASKED = {"kind": "asked", "command": command_metadata(Hold(), "toy")}
POISON = [
    {}, {"kind": 7}, {"kind": "asked"}, {"kind": "asked", "command": {"do": "dance"}}, {"kind": "asked", "command": 7},
    event(kind="began", configured={"x": (0.0, 1e9)}), event(kind="began", configured=7),
    event(kind="proposed", suggestion={"_id": "a", "reason": "so"}), event(kind="proposed", suggestion=7),
    event(kind="handed out", suggestion={"_id": "a", "reason": "so", "x": "1", "y": None}),
    event(kind="unfinished", positions={"a": {"z": 1.0}}), event(kind="resumed", points=[{"suggestion": 7}]),
    event(kind="claimed", claims=[7]), event(kind="withdrawn", why="w" * 10**6), {"t": "now", **ASKED},
]  # fmt: skip


@pytest.mark.fault(
    "A program writes nonsense among the events of an agent that runs",
    "One line in the log; the agent goes on with the next number and answers each command",
)
@pytest.mark.parametrize("poison", POISON)
def test_nonsense_among_the_events_stops_no_command(make, store, poison, caplog):
    node, campaign = Node(store), make(knobs=FEW)
    reading = CommandReader(store, node, campaign, lambda: None)
    for round in range(2):
        store.events.append(json.loads(json.dumps(poison)))
        hold = Hold(why="tea", id=f"hold-{round}")
        node.add(hold.id, command_metadata(hold, "toy"))
        reading.read()
        assert node.answers[hold.id][0] == "done" and campaign.state.held["why"] == "tea"
        assert not campaign.look() and campaign.explorer.bounds == BOUNDS and campaign.explorer.window.excluded == []
    assert all(len(line) < 500 and "\n" not in line for line in caplog.messages)
    assert make(knobs=FEW).peek()  # the next session starts


ANN = {"by": "Ann"}
NARROW = {"x": (0.0, 9.0), "y": (0.0, 10.0)}
