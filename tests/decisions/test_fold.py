"""The fold of a campaign: pure, without Tiled, threads or a RunEngine."""

import math
import time
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd.decisions import Rules, State, changes, reduce
from ainerd.results import commands
from ainerd.steering import Suggestion, Window

BOUNDS = {"x": (0.0, 10.0), "y": (0.0, 10.0)}
RULES = Rules(session="me", window=Window(BOUNDS, knobs={}), beam_size=0.1)
START = State(window=RULES.window)
T = time.time()


def plain(value):
    """As it is written and read: JSON."""
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))


def suggestion(id, x=5.0, y=5.0, reason="unexplored"):
    return Suggestion(id=id, position={"x": x, "y": y}, reason=reason)


def asked(command, x=3.0, y=3.0, **more):
    """A command with the fields that a session adds to it."""
    added = suggestion(command.id, x, y) if isinstance(command, commands.Add) else None
    return changes.Asked(t=T, command=command, suggestion=added, **more)


def fold(*events, state=START, rules=RULES):
    effects = []
    for event in events:
        state, following = reduce(state, event, rules)
        effects += following
    return state, effects


def proposed(id, x=5.0, y=5.0):
    return changes.Proposed(t=T, suggestion=suggestion(id, x, y))


def set_bounds(high):
    return asked(commands.SetBounds(bounds={"x": (0.0, high), "y": (0.0, 10.0)}))


def began(session="me", high=10.0, t=T):
    return changes.Began(session=session, t=t, configured={**BOUNDS, "x": (0.0, high)})


def test_places_in_the_queue_and_in_review():
    adds = [commands.Add(position={"x": float(x), "y": 3.0}) for x in (1, 2, 3, 4)]
    events = [asked(add, x=add.position["x"]) for add in adds]
    state, _ = fold(*events)
    texts = [state.answers[add.id].text for add in adds]
    assert texts == ["it is measured next", *(f"it is number {n} in the queue" for n in (2, 3, 4))]
    taken = {"position": adds[1].position, "reason": "unexplored"}
    take = commands.Take(suggestion=adds[1].id, by="Ann", **taken)
    state, _ = fold(*(each.model_copy(update={"review": True}) for each in (*events, asked(take))))
    texts = [state.answers[id].text for id in (adds[0].id, take.id)]
    assert texts == ["it is measured next, once a person takes it", "it is measured next"]
    assert state.next(review=True).id == state.taken(review=True) == adds[1].id


def test_other_bounds_and_boxes_withdraw_positions_outside():
    inside, outside = commands.Add(position={"x": 1.0, "y": 1.0}), commands.Add(position={"x": 9.0, "y": 9.0})
    before = [began(), asked(inside, x=1.0, y=1.0), asked(outside, x=9.0, y=9.0)]
    state, effects = fold(*before, set_bounds(5.0))
    assert [each.id for each in state.waiting] == [inside.id]
    assert [x.suggestion for x in effects if isinstance(x, changes.SetStatus)] == [outside.id]
    state, _ = fold(asked(commands.Exclude(region={"x": (0.0, 2.0)})), state=state)
    assert not state.waiting and state.window.excluded == [{"x": (0.0, 2.0)}]
    wide = commands.SetBounds(bounds={"x": (-1.0, 5.0), "y": (0.0, 10.0)})
    unknown = commands.Exclude(region={"z": (0, 1)})
    after, _ = fold(asked(wide), asked(unknown), state=state)
    assert after.window is state.window
    assert {after.answers[x.id].status for x in (wide, unknown)} == {"refused"}


def test_points_of_people_outlive_the_proposal_until_their_session_ends():
    add = commands.Add(position={"x": 3.0, "y": 3.0})
    before = proposed("own"), asked(add)
    for change, left in (
        (changes.Withdrawn(t=T, why="so"), [add.id]),
        (changes.Withdrawn(t=T, why="so", all=True), []),
    ):
        assert [each.id for each in fold(*before, change)[0].waiting] == left


def test_bounds_of_people_count_until_those_of_the_settings_change():
    def high(*events):
        return fold(*events)[0].window.bounds["x"][1]

    assert high(began("a"), set_bounds(5.0), began("b")) == 5.0
    assert high(began("a"), set_bounds(5.0), began("b", 9.0)) == high(began("b", 9.0), began("c", 9.0)) == 9.0


PLAIN = [commands.Hold, commands.Release, commands.Accept, commands.Next]
IDS, POINTS = st.sampled_from("abcdef"), st.tuples(st.integers(0, 10), st.integers(0, 10))


@st.composite
def events(draw):
    id, (x, y) = draw(IDS), draw(POINTS)
    position, box = {"x": float(x), "y": float(y)}, {"x": (x - 0.5, x + 0.5)}
    verdict = {"suggestion": id, "position": position, "reason": "unexplored"}
    kinds = [
        lambda: proposed(id, x, y),
        lambda: changes.HandedOut(t=T, suggestion=suggestion(id, x, y)),
        lambda: changes.Measured(key=f"r{id}", suggestion=id),
        lambda: changes.Unfinished(t=T, positions={id: position}),
        lambda: changes.Withdrawn(t=T, why="so", all=draw(st.booleans())),
        lambda: asked(commands.Add(id=f"add-{id}", position=position), x, y),
        lambda: asked(commands.Take(**verdict)),
        lambda: asked(commands.Reject(**verdict)),
        lambda: asked(commands.TakeBack(suggestion=f"add-{id}")),
        lambda: asked(commands.Exclude(id=f"box-{id}", region=box)),
        lambda: asked(commands.SetExcluded(id=f"lift-{id}", regions=[])),
        lambda: asked(draw(st.sampled_from(PLAIN))(), review=draw(st.booleans())),
        lambda: began("other", float(draw(st.integers(1, 10)))),
        lambda: set_bounds(float(draw(st.integers(1, 10)))),
    ]
    return draw(st.sampled_from(kinds))()


@settings(max_examples=150, deadline=None)
@given(st.lists(events(), max_size=12))
def test_whatever_happens_the_state_is_sound_and_comes_back_from_plain_values(happened):
    rules, (state, _) = RULES, fold(began())
    for event in happened:
        before, state = state, reduce(state, event, rules)[0]
        assert known(reduce(before, event, rules)[0]) == known(state)  # the same event gives the same state
        if isinstance(event, changes.Asked):  # and a command that comes twice changes nothing
            twice, effects = reduce(state, event, rules)
            assert (twice, effects) == (state, ())
        ids = [each.id for each in state.waiting]
        assert len(set(ids)) == len(ids) and not {*ids} & {*state.measured}
        assert sum(not each.created for each in state.waiting) <= 1
        assert not any(state.objection(each.suggestion.position) for each in state.waiting if each.created)
        if not isinstance(written := event, changes.Measured):
            written = changes.parse_change(plain(changes.record_of(event)))
        assert known(reduce(before, written, rules)[0]) == known(state)  # and so does its record
    kept = State.model_validate(plain(state.saved()), context=rules)
    for name in ("waiting", "failed", "held", "names", "fetched"):
        assert getattr(kept, name) == getattr(state, name), name
    assert known(kept)["window"] == known(state)["window"] and [*kept.answers] == [*state.answers]
    assert {id for id in state.handed_out if state.is_open(id)} == {*kept.handed_out}


def known(state):
    return {**vars(state), "window": (state.window.bounds, state.window.excluded)}


def test_an_event_of_nonsense_is_refused_in_a_line():
    good = changes.record_of(proposed("a"))
    for odd in (
        {"kind": "dance"}, {"t": math.nan}, {"suggestion": {}}, {"suggestion": 7}, {"learned": [7]},
        {"more": 1}, {"suggestion": {"id": 5, "position": {}, "reason": "so"}},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            changes.parse_change({**good, **odd})
    assert changes.parse_change(good) == proposed("a").model_copy(update={"id": good["id"]})
    with pytest.raises(KeyError):
        reduce(START, changes.Proposed(suggestion=Suggestion(id="a", position={}, reason="so")), RULES)


def test_the_effects_of_a_command_are_written_once_and_the_answer_last():
    hold = commands.Hold(by="Ann", why="tea")
    node, again = (asked(hold).model_copy(update={"container": "holds"}) for _ in range(2))
    _, effects = fold(node, again, asked(hold))
    when = datetime.fromtimestamp(T, UTC).isoformat()
    line = changes.Line("Ann holds the campaign: tea", commands.log_key(when, hold.id), "Ann")
    text = "the agent takes no new suggestion until somebody releases it"
    assert effects == [changes.ShowHold(), line, changes.Reply("holds", hold.id, "done", text)]
    _, effects = fold(asked(hold))  # at the prompt
    assert effects == [changes.ShowHold(), line]
