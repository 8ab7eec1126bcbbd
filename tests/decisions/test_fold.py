"""The fold of a campaign: pure, without Tiled, threads or a RunEngine."""

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd.decisions import Rules, State, reduce
from ainerd.decisions._state import within
from ainerd.decisions.events import (
    Asked,
    Began,
    Claimed,
    HandedOut,
    Line,
    Measured,
    Proposed,
    Ready,
    Reply,
    Resumed,
    SetStatus,
    ShowHold,
    Suggest,
    Unfinished,
    Withdrawn,
    parse_event,
)
from ainerd.results import commands
from ainerd.results._records import plain
from ainerd.steering import Window
from ainerd.words import utc_now

BOUNDS = {"x": (0.0, 10.0), "y": (0.0, 10.0)}
RULES = Rules(session="me", window=Window(BOUNDS, knobs={}), beam_size=0.1)
START = State.first(RULES)
T = time.time()
NOW = utc_now()


def suggestion(id, x=5.0, y=5.0, reason="unexplored"):
    return {"_id": id, "x": x, "y": y, "reason": reason}


def asked(command, session="me", x=3.0, y=3.0, **more):
    """A command with the fields that a session adds to it."""
    added = suggestion(command.id, x, y) if isinstance(command, commands.Add) else None
    return Asked(session=session, t=T, command=command, suggestion=added, **more)


def fold(*events, state=START, rules=RULES):
    effects = []
    for event in events:
        state, following = reduce(state, event, rules)
        effects += following
    return state, effects


def proposed(id, x=5.0, y=5.0, session="me", t=T):
    return Proposed(session=session, t=t, suggestion=suggestion(id, x, y))


def test_a_position_is_proposed_handed_out_and_measured():
    state, effects = fold(proposed("a"))
    assert state.next("me", review=False).id == "a" and state.next("other", review=False) is None
    state, more = fold(HandedOut(session="me", t=T, suggestion=suggestion("a")), state=state)
    assert not state.waiting and state.is_open("a")
    result = Measured(session="me", key="r", suggestion="a", raw_uid="run")
    state, last = fold(result, state=state)
    assert not state.is_open("a") and state.measured == {"a": "r"}
    a = suggestion("a")
    assert effects + more + last == [
        Suggest("me", a), Suggest("me", a, "accepted"), SetStatus("me", "a", "measured", raw_uid="run")
    ]  # fmt: skip


def test_the_first_session_in_the_order_has_the_position():
    one, other = proposed("a", session="one"), proposed("b", x=5.05, session="other")
    for events, waits in (([one, other], "a"), ([other, one], "b")):
        state, _ = fold(*events)
        assert [each.id for each in state.waiting] == [waits]
    state, _ = fold(one, HandedOut(session="one", t=T, suggestion=suggestion("a")), other)
    assert not state.waiting
    handed_out = HandedOut(session="one", t=T, suggestion=suggestion("a"))
    measured = Measured(session="one", key="r", suggestion="a")
    for known, waits in ((1, False), (2, True)):  # it was chosen before, or after the other one was handed out
        state, _ = fold(one, handed_out, measured, other.model_copy(update={"known": known}))
        assert bool(state.waiting) == waits
    state, _ = fold(one, HandedOut(session="one", t=T, suggestion=suggestion("a")), proposed("c", session="one"))
    assert [each.id for each in state.waiting] == ["c"]  # a session may measure its own spot again


def test_a_proposal_of_another_session_keeps_its_place_for_a_time():
    rules = replace(RULES, shared_s=60.0)
    for age, is_free in ((59.0, False), (61.0, True)):
        theirs, ours = proposed("a", session="other"), proposed("b", t=T + age)
        state, _ = fold(theirs, ours, rules=rules)
        assert (state.get("b") is not None) == is_free
        assert bool(state.places_of_others("me", T + age, 60.0)) != is_free
    accepted = HandedOut(session="other", t=T, suggestion=suggestion("a"))
    state, _ = fold(accepted, proposed("b", t=T + 1e6), rules=rules)
    assert state.get("b") is None  # a position that was handed out keeps its place for ever


def test_a_session_has_one_suggestion_of_its_own_and_queues_are_apart():
    point = commands.Add(position={"x": 3.0, "y": 3.0})
    state, _ = fold(proposed("a"), proposed("b", x=8.0), proposed("c", x=1.0, session="other"))
    assert [each.id for each in state.waiting] == ["a", "c"]
    state, effects = fold(asked(point), state=state)
    assert [each.id for each in state.queue("me")] == [point.id]
    assert [each.id for each in state.queue("other")] == ["c"]
    assert effects[0] == SetStatus("me", "a", "withdrawn", "a person's point comes first", "person")


def test_places_in_the_queue_and_in_review():
    adds = [commands.Add(position={"x": float(x), "y": 3.0}) for x in (1, 2, 3, 4)]
    events = [asked(add, x=add.position["x"]) for add in adds]
    state, _ = fold(*events)
    texts = [state.answers[add.id][1].text for add in adds]
    assert texts == ["it is measured next", *(f"it is number {n} in the queue" for n in (2, 3, 4))]
    taken = {"position": adds[1].position, "reason": "unexplored"}
    take = commands.Take(suggestion=adds[1].id, by="Ann", **taken)
    state, _ = fold(*(each.model_copy(update={"review": True}) for each in (*events, asked(take))))
    texts = [state.answers[id][1].text for id in (adds[0].id, take.id)]
    assert texts == ["it is measured next, once a person takes it", "it is measured next"]
    assert state.next("me", review=True).id == state.taken("me", review=True) == adds[1].id


def test_other_bounds_and_boxes_withdraw_positions_outside_in_all_queues():
    inside, outside = commands.Add(position={"x": 1.0, "y": 1.0}), commands.Add(position={"x": 9.0, "y": 9.0})
    before = [asked(inside, x=1.0, y=1.0), asked(outside, "other", x=9.0, y=9.0), proposed("own", session="third")]
    state, effects = fold(*map(began, ("me", "other", "third")), *before, set_bounds(5.0))
    assert [each.id for each in state.waiting] == [inside.id]
    withdrawn = {(x.session, x.suggestion) for x in effects if isinstance(x, SetStatus)}
    assert withdrawn == {("other", outside.id), ("third", "own")}
    state, _ = fold(asked(commands.Exclude(region={"x": (0.0, 2.0)})), state=state)
    assert not state.waiting and state.window("me").excluded == [{"x": (0.0, 2.0)}]
    wide, unknown = (
        commands.SetBounds(bounds={"x": (-1.0, 5.0), "y": (0.0, 10.0)}),
        commands.Exclude(region={"z": (0, 1)}),
    )
    after, _ = fold(asked(wide), asked(unknown), state=state)
    assert after.window("me") is state.window("me")
    assert {after.answers[x.id][1].status for x in (wide, unknown)} == {"refused"}


def set_bounds(high, session="me"):
    return asked(commands.SetBounds(bounds={"x": (0.0, high), "y": (0.0, 10.0)}), session)


def began(session="me", high=10.0):
    return Began(session=session, t=T, configured={**BOUNDS, "x": (0.0, high)})


def highs(*events):
    """The highest x of each session after events."""
    state, _ = fold(*events)
    return {id: area.window.bounds["x"][1] for id, area in state.areas.items() if id}


def test_bounds_of_people_count_until_those_of_the_settings_change():
    assert highs(began("a"), set_bounds(5.0, "a"), began("b")) == {"a": 5.0, "b": 5.0}
    assert highs(began("a"), set_bounds(5.0, "a"), began("b", 9.0), began("c", 9.0)) == {"a": 5.0, "b": 9.0, "c": 9.0}
    # those of a session with other settings change nothing for the settings before
    assert highs(began("a"), set_bounds(5.0, "a"), began("b", 9.0), began("c")) == {"a": 5.0, "b": 9.0, "c": 5.0}


def test_no_event_of_another_session_widens_the_bounds_of_this_one():
    others = [began("other", 9.0), began("other"), began("other", 99.0), set_bounds(50.0, "other")]
    assert highs(began("me"), set_bounds(5.0), *others)["me"] <= 10.0
    assert highs(began("me"), set_bounds(5.0), *others[:3])["me"] == 5.0
    state, _ = fold(began("me"), set_bounds(11.0), set_bounds(4.0, "other"))
    assert state.window("me").bounds["x"] == (0.0, 4.0) and [x.status for _, x in state.answers.values()] == [
        "refused", "done"
    ]  # fmt: skip


def test_bounds_outside_the_settings_of_another_session_leave_its_own():
    far = asked(commands.SetBounds(bounds={"x": (6.0, 9.0), "y": (0.0, 10.0)}))
    assert highs(began("other", 5.0), began("me"), far) == {"other": 5.0, "me": 9.0}


def test_the_bounds_of_few_sessions_are_remembered():
    state, _ = fold(began("me"), set_bounds(5.0), *(began(f"s{i}") for i in range(150)))
    assert len(state.areas) == 100 and {area.window.bounds["x"][1] for area in state.areas.values()} == {5.0}


def test_a_session_that_is_alone_takes_over_the_points_of_people():
    add = commands.Add(position={"x": 3.0, "y": 3.0})
    accepted = HandedOut(session="dead", t=T, suggestion=suggestion("b", x=8.0))
    state, _ = fold(asked(add, "dead"), proposed("c", x=1.0, session="dead"), accepted)
    resumed = Resumed(session="me", t=T, points=tuple(each for each in state.waiting if each.created))
    alone, _ = fold(resumed, state=state)
    assert [(each.id, each.session) for each in alone.waiting] == [(add.id, "me")] and not alone.handed_out
    shared, _ = fold(resumed, state=state, rules=replace(RULES, shared_s=60.0))
    assert [*shared.handed_out] == ["b"]  # it may be measured now


def test_exposures_that_failed_claims_and_withdrawals():
    state, effects = fold(
        proposed("a"), HandedOut(session="me", t=T, suggestion=suggestion("a")),
        Unfinished(session="me", t=T, positions={"a": {"x": 5.0, "y": 5.0}}),
        Claimed(session="me", t=T, claims={"n": 1}),
        proposed("b", x=1.0), Withdrawn(session="me", t=T, why="newer results", status="superseded"),
    )  # fmt: skip
    assert not state.is_open("a") and state.failed == {"a": {"x": 5.0, "y": 5.0}} and state.claims == {"n": 1}
    assert effects[-1] == SetStatus("me", "b", "superseded", "newer results") and not state.waiting


PLAIN = [commands.Hold, commands.Release, commands.Accept, commands.Next]
IDS, POINTS = st.sampled_from("abcdef"), st.tuples(st.integers(0, 10), st.integers(0, 10))
WHO = st.sampled_from(["me", "other"])


@st.composite
def events(draw):
    session, id, (x, y) = draw(WHO), draw(IDS), draw(POINTS)
    position, box = {"x": float(x), "y": float(y)}, {"x": (x - 0.5, x + 0.5)}
    verdict = {"suggestion": id, "position": position, "reason": "unexplored"}
    kinds = [
        lambda: proposed(id, x, y, session),
        lambda: HandedOut(session=session, t=T, suggestion=suggestion(id, x, y)),
        lambda: Measured(session=session, key=f"r{id}", suggestion=id),
        lambda: Unfinished(session=session, t=T, positions={id: position}),
        lambda: Withdrawn(session=session, t=T, why="so", all=draw(st.booleans())),
        lambda: asked(commands.Add(id=f"add-{id}", position=position), session, x, y),
        lambda: asked(commands.Take(**verdict), session),
        lambda: asked(commands.Reject(**verdict), session),
        lambda: asked(commands.TakeBack(suggestion=f"add-{id}"), session),
        lambda: asked(commands.Exclude(id=f"box-{id}", region=box), session),
        lambda: asked(commands.SetExcluded(id=f"lift-{id}", regions=[]), session),
        lambda: asked(draw(st.sampled_from(PLAIN))(), session, review=draw(st.booleans())),
        lambda: Resumed(
            session=session, t=T, points=(Ready(suggestion=suggestion(f"add-{id}", x, y), session="dead", created=NOW),)
        ),
        lambda: began("third", float(draw(st.integers(1, 10)))),
        lambda: set_bounds(float(draw(st.integers(1, 10))), session),
    ]
    return draw(st.sampled_from(kinds))()


@settings(max_examples=150, deadline=None)
@given(st.lists(events(), max_size=12))
def test_whatever_happens_the_state_is_sound_and_comes_back_from_plain_values(happened):
    rules, (state, _) = RULES, fold(began("me"), began("other"))
    for event in happened:
        before, state = state, reduce(state, event, rules)[0]
        assert known(reduce(before, event, rules)[0]) == known(state)  # the same event gives the same state
        if isinstance(event, Asked):  # and a command that comes twice changes nothing
            twice, effects = reduce(state, event, rules)
            assert (replace(twice, n_events=state.n_events), effects) == (state, ())
        ids = [each.id for each in state.waiting]
        assert len(set(ids)) == len(ids) and not {*ids} & {*state.measured}
        for session in ("me", "other"):
            assert sum(not each.created for each in state.queue(session)) <= 1
        assert not any(_is_excluded(state, each) for each in state.waiting if each.created)
        written = event if isinstance(event, Measured) else parse_event(json.loads(json.dumps(plain(_record(event)))))
        assert known(reduce(before, written, rules)[0]) == known(state)  # and so does its record
    kept = State.of_plain(json.loads(json.dumps(plain(state.plain()))), rules)
    for name in ("waiting", "failed", "held", "names", "fetched"):
        assert getattr(kept, name) == getattr(state, name), name
    assert known(kept)["areas"] == known(state)["areas"] and [*kept.answers] == [*state.answers]
    assert {id for id in state.handed_out if state.is_open(id)} == {*kept.handed_out}


def known(state):
    areas = {id: (x.configured, x.window.bounds, x.window.excluded) for id, x in state.areas.items()}
    return {**vars(state), "areas": areas}


def _record(event):
    return {**event.model_dump(), "kind": event.kind}


def _is_excluded(state: State, each: Ready) -> bool:
    place = np.array([each.suggestion[name] for name in ("x", "y")])
    window = state.window(each.session)
    return window.objection(window.position(place)) is not None


def test_an_event_of_nonsense_is_refused_in_a_line():
    good = _record(proposed("a"))
    for changes in (
        {"kind": "dance"}, {"session": 7}, {"t": math.nan}, {"suggestion": {}}, {"suggestion": 7}, {"learned": [7]},
        {"more": 1}, {"suggestion": {"_id": 5, "reason": "so"}},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            parse_event({**good, **changes})
    assert parse_event(good) == proposed("a").model_copy(update={"id": good["id"]})
    with pytest.raises(KeyError):
        reduce(START, Proposed(session="me", suggestion={"_id": "a", "reason": "so"}), RULES)


def test_the_effects_of_a_command_are_written_once_and_the_answer_last():
    hold = commands.Hold(by="Ann", why="tea")
    node, again = (asked(hold).model_copy(update={"is_node": True}) for _ in range(2))
    _, effects = fold(node, again, asked(hold))
    line = Line("me", "Ann holds the campaign: tea", hold.log_key, "Ann")
    text = "the agent takes no new suggestion until somebody releases it"
    assert effects == [ShowHold("me"), line, Reply("me", hold.id, "done", text)]
    _, effects = fold(asked(hold))  # at the prompt
    assert effects == [ShowHold("me"), line]


def test_bounds_within_their_ceiling():
    assert within({"x": (1.0, 2.0)}, BOUNDS) == {"x": (1.0, 2.0)}
    with pytest.raises(ValueError, match="only the settings widen them"):
        within({"x": (-1.0, 2.0)}, BOUNDS)


def test_a_session_closes_only_what_was_left_when_it_began_even_if_that_is_written_late():
    late = Began(session="me", t=T, configured=BOUNDS, known=2)  # of these five events
    state, _ = fold(
        began("dead"), proposed("left", 1.0, 1.0, "dead"), began("other"), proposed("p", session="other"), late
    )
    assert state.of_sessions_that_ran_since("me") == {"p"}
