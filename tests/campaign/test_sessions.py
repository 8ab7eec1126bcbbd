"""Two sessions of one agent: each obeys what the other was told, and no decision disappears."""

import time

import pytest
from campaign_toys import BOUNDS, Jobs, Node, on, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ainerd.agent import CommandReader
from ainerd.knobs import Knob
from ainerd.results.commands import (
    Exclude,
    Hold,
    Name,
    Reference,
    Reject,
    Release,
    SetBounds,
    SetExcluded,
    Take,
    TakeBack,
    command_metadata,
)  # fmt: skip

FEW = {name: Knob(range=(0, 10), values=(0, 5, 10), length=1.0) for name in ("x", "y")}
DOES = st.sampled_from(["hold", "release", "exclude", "reject", "lift", "checkpoint", "look"])


@pytest.mark.fault("A person holds or excludes where two processes of one agent run", "Both obey, and nothing is lost")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(st.tuples(st.integers(0, 1), DOES), min_size=1, max_size=8))
def test_no_decision_of_two_sessions_disappears(make, store, history):
    store.checkpoints.clear()
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
    for session in (*two, *two):
        session.look()
    for session in (*two, make(knobs=FEW)):
        assert (session.decisions.held is not None) == held
        assert len(session.explorer.excluded) == boxes, history
        assert all(position in session.decisions.state()["rejected"] for position in rejected)


def test_a_checkpoint_that_another_session_overwrote_is_written_again(make, store):
    one, other = make(), make()
    stale = store.checkpoints.get("toy", {})
    one.apply(Exclude(region={"x": (0.0, 1.0)}))
    one.apply(Hold(why="tea"))
    store.checkpoints["toy"] = {
        **other.decisions.state(),
        "configured": stale.get("configured"),
        "bounds": {},
        "excluded": [],
    }
    one.look()
    assert other.look() and other.decisions.held["why"] == "tea" and other.explorer.excluded == [{"x": (0.0, 1.0)}]


def test_the_thread_that_reads_commands_obeys_the_hold_of_another_session(make, store):
    one, other = make(), make()
    reading = CommandReader(store, Node(), other, Jobs(lambda job, **_: job()), lambda: obeyed.append(1))
    obeyed = []
    one.apply(Hold(why="tea"))
    reading.read()
    assert obeyed and other.decisions.held["why"] == "tea"


@pytest.mark.fault("A clock steps back, or two machines' clocks differ by an hour", "The last decision counts")
def test_the_last_decision_counts_whatever_the_clocks_show(make, monkeypatch):
    hour, now = 3600.0, time.time()
    one, other = make(knobs=FEW), make(knobs=FEW)
    monkeypatch.setattr(time, "time", lambda: now)
    one.apply(Release())
    one.apply(SetExcluded(regions=[]))
    for session in (one, other):  # the first one's clock steps back; the other one's was always behind
        monkeypatch.setattr(time, "time", lambda: now - hour)
        session.look()
        session.apply(Hold(why="tea"))
        session.apply(Exclude(region={"x": (0.0, 1.0)}))
        for each in (one, other):
            each.look()
            assert each.decisions.held["why"] == "tea" and each.explorer.excluded == [{"x": (0.0, 1.0)}]
        monkeypatch.setattr(time, "time", lambda: now - 2 * hour)
        session.apply(Release())
        session.apply(SetExcluded(regions=[]))
        for each in (one, other):
            each.look()
            assert each.decisions.held is None and each.explorer.excluded == []


LATER = 2e9  # s
POISON = [
    {"stamps": {"held": None}}, {"stamps": [1]}, {"stamps": {"held": 1e300}},
    *({"stamps": {"held": LATER}, "held": held} for held in ({}, 7, {"by": "Eve", "why": "", "t": None})),
    {"stamps": {"bounds": LATER}, "bounds": {"x": 5}}, {"stamps": {"lifted": LATER}, "excluded": [7]},
    {"excluded": [{"x": [3.0, 1.0]}], "stamps": {"held": LATER}, "held": {"by": "Eve", "why": "", "t": 1.0}},
    {"stamps": {"name 0": LATER}, "names": [7]}, {"stamps": {"reference": LATER}, "reference": 7}, {"rejected": 7},
    {"applied": [7]},
]  # fmt: skip


@pytest.mark.fault(
    "A program writes nonsense into the checkpoint of an agent that runs",
    "One line in the log; the agent writes over it and answers each command",
)
@pytest.mark.parametrize("poison", POISON)
def test_nonsense_in_a_checkpoint_stops_no_command(make, store, poison, caplog):
    node, campaign = Node(), make(knobs=FEW)
    reading = CommandReader(store, node, campaign, Jobs(lambda job, **_: job()), lambda: None)
    campaign.checkpoint()
    for round in range(2):
        store.checkpoints["toy"] |= poison
        hold = Hold(why="tea", id=f"hold-{round}")
        node.add(hold.id, command_metadata(hold, "toy"))
        node.of_others.add(hold.id)  # so that it reads which commands another session has applied
        reading.read()
        assert node.answers[hold.id][0] == "done" and campaign.decisions.held["why"] == "tea"
        assert campaign.ledger.is_saved and store.checkpoints["toy"]["held"]["why"] == "tea"
        assert not campaign.look() and campaign.explorer.bounds == BOUNDS and campaign.explorer.excluded == []
    lines = [line for line in caplog.messages if "the checkpoint of toy is invalid" in line]
    assert len(lines) == ("applied" not in poison)  # those are read only here and at the start
    store.checkpoints["toy"] |= poison
    assert make(knobs=FEW).peek()  # the next session starts


ANN = {"by": "Ann", "verified": True, "person": True, "principal": "1" * 32}
ROBOT = {"by": "robot", "verified": True, "person": False, "principal": "2" * 32}
NARROW = {"x": (0.0, 9.0), "y": (0.0, 10.0)}


@pytest.fixture
def shared(make):
    """Makes sessions on a server with accounts, and a function that gives them commands that the server has sealed."""
    sealed = {}

    def session(**options):
        campaign = make(knobs=FEW, **options)
        campaign.decisions.has_accounts, campaign.decisions.sealed = True, sealed.get
        return campaign

    def give(session, command):
        sealed[command.id] = command
        return session.apply(command).status

    return session, give


def decided(session):
    """What sessions of an agent share."""
    decisions, explorer = session.decisions, session.explorer
    held, names = decisions.held and decisions.held["why"], decisions.regime_names
    return held, explorer.excluded, explorer.bounds, names, decisions.reference.chosen


def test_sessions_on_a_server_with_accounts_adopt_what_a_person_decided(shared, store):
    make, give = shared
    one, other = make(), make()
    one.answer(outcome("a", z=1.0))  # a regime to be named
    box = {"x": (0.0, 1.0)}
    for command in (Hold(why="tea", **ANN), Release(**ANN), Exclude(region=box, **ANN), SetExcluded(regions=[], **ANN),
                    SetBounds(bounds=NARROW, **ANN), Name(regime=0, name="gel", **ANN),
                    Reference(to="session", **ANN)):  # fmt: skip
        assert give(one, command) == "done"
        other.look()
        assert decided(other) == decided(one), command
    one.apply(Name(regime=0, name="sol"))  # at the prompts of both: nobody vouches for these two
    other.apply(SetBounds(bounds=BOUNDS))
    for session in (one, other):
        session.look()
        store.checkpoints["toy"] = kept = {**store.checkpoints["toy"]}
    for session in (one, other):
        session.look()
        assert store.checkpoints["toy"] is kept  # they do not write over each other for ever
    assert one.explorer.bounds == NARROW and other.decisions.regime_names == {0: "gel"}


@pytest.mark.fault(
    "A program with the key of a service writes into the checkpoint of an agent that runs, with accounts",
    "The hold, the boxes and the bounds of people stay",
)
def test_a_forged_checkpoint_undoes_nothing_that_a_person_decided(shared, store):
    make, give = shared
    session = make()
    old, lift = Release(**ANN), SetExcluded(regions=[], **ANN)
    give(session, old), give(session, lift)
    give(session, Exclude(region={"x": (0.0, 1.0)}, **ANN))
    hold = Hold(why="tea", **ANN)
    give(session, hold), give(session, SetBounds(bounds=NARROW, **ANN))
    robots = Release(**ROBOT)
    assert give(session, robots) == "refused"
    before, later = decided(session), time.time() + 1e6
    slots = ("held", "lifted", "bounds", "reference", "name 0")
    forged = {
        "stamps": dict.fromkeys(slots, later),
        "held": None,
        "excluded": [],
        "bounds": BOUNDS,
        "names": {"0": "X"},
    }
    for id in ("", "none", old.id, lift.id, hold.id, robots.id):
        store.checkpoints["toy"] |= {**forged, "backs": {slot: [id, old.created] for slot in slots}}
        session.look()
        assert decided(session) == before, id
    other = {"by": "Eve", "why": "", "t": later, "person": False}
    store.checkpoints["toy"] |= {"stamps": {"held": later + 1}, "held": other, "backs": {}}
    session.look()
    assert session.apply(Release(**ROBOT)).status == "refused" and decided(session) == before


@pytest.mark.fault(
    "A program with the key of a service writes an approved point into the checkpoint, in review",
    "The next session measures it only if a person approves it",
)
def test_a_forged_approval_in_the_checkpoint_does_not_count(shared, store):
    make, give = shared
    session = make(review=True)
    ready = session.peek()
    assert give(session, on(Take, ready, **ANN)) == "done"
    (kept,) = (each for each in store.checkpoints["toy"]["queue"] if each["taken_by"])

    def approved(point):
        store.checkpoints["toy"] |= {"queue": [point]}
        later = make(review=True)
        later.decisions.resume()
        return later.proposals.taken

    assert approved(kept) == ready["_id"]
    suggestion = kept["suggestion"]
    assert approved({**kept, "suggestion": {**suggestion, "_id": "invented"}}) is None
    assert approved({**kept, "suggestion": {**suggestion, "x": 1.0 + suggestion["x"] / 2}}) is None
    assert approved({"suggestion": 7, "created": "now", "taken_by": "Ann"}) is None  # and the session starts
    give(session, TakeBack(suggestion=ready["_id"], **ANN))
    assert approved(kept) is None
