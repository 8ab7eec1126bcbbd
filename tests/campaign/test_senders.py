"""Which sender may give which command: the account that the server saw decides, never a field of the command."""

import pytest
from campaign_toys import Node, on, outcome, with_accounts

from ainerd.agent import CommandReader
from ainerd.knobs import Knob
from ainerd.results.commands import (
    Accept,
    Add,
    Exclude,
    Hold,
    Name,
    Next,
    Reject,
    Release,
    SetBounds,
    SetExcluded,
    Take,
    TakeBack,
    command_metadata,
)

FORGED = {"by": "toy", "verified": True, "person": True, "principal": "0" * 32}
SENDERS = {
    "prompt": {},
    "person": {"by": "Ann", "verified": True, "person": True, "principal": "1" * 32},  # the server has sealed these two
    "service": {"by": "service", "verified": True, "person": False, "principal": "2" * 32},
    "program": FORGED,  # and nobody this one
}
COMMANDS = {
    "accept": lambda ready, added, **by: Accept(**by),
    "next": lambda ready, added, **by: Next(**by),
    "take": lambda ready, added, **by: on(Take, ready, **by),
    "take an invented one": lambda ready, added, **by: Take(suggestion="new", position={"x": 1.0, "y": 1.0}, **by),
    "reject": lambda ready, added, **by: on(Reject, ready, **by),
    "reject a person's": lambda ready, added, **by: Reject(suggestion=added, position={"x": 3.0, "y": 3.0}, **by),
    "take back": lambda ready, added, **by: TakeBack(suggestion=added, **by),
    "give up": lambda ready, added, **by: on(Reject, ready, failed=True, **by),
    "hold": lambda ready, added, **by: Hold(**by),
    "release": lambda ready, added, **by: Release(**by),
    "exclude": lambda ready, added, **by: Exclude(region={"x": (0.0, 0.5)}, **by),
    "add": lambda ready, added, **by: Add(position={"x": 2.0, "y": 2.0}, **by),
    "name": lambda ready, added, **by: Name(regime=0, name="gel", **by),
    "narrow": lambda ready, added, **by: SetBounds(bounds={"x": (0.0, 9.0), "y": (0.0, 10.0)}, **by),
    "widen": lambda ready, added, **by: SetBounds(bounds={"x": (-500.0, 500.0), "y": (0.0, 10.0)}, **by),
    "clear": lambda ready, added, **by: SetExcluded(regions=[], **by),
}
OPEN = {"accept", "next", "take", "take an invented one", "reject", "give up", "hold", "exclude", "add"}
APPROVED = {"accept", "next", "take", "take an invented one"}
FEW = Knob(range=(0, 10), values=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), length=1.0)  # for a small grid
# Rights of each: with one key for all; with accounts; with accounts in review.
ONE_KEY = {sender: set(COMMANDS) - {"widen"} for sender in SENDERS}
ACCOUNTS = {
    "prompt": set(COMMANDS) - {"widen"}, "person": set(COMMANDS) - {"widen"}, "service": OPEN, "program": OPEN,
}  # fmt: skip
UNTAKEN = {"next"}  # nobody has taken a suggestion yet
REVIEW = {
    "prompt": set(COMMANDS) - {"widen"} - UNTAKEN, "person": set(COMMANDS) - {"widen"} - UNTAKEN,
    "service": OPEN - APPROVED, "program": OPEN - APPROVED,
}  # fmt: skip


def given(make, store, sender, verb, *, accounts, review):
    """Status of the answer to a command; a person has added a point, excluded a box and held the campaign before."""
    store.checkpoints.clear(), store.events.clear()
    store.atlases.clear()
    node, campaign = Node(store), make(review=review, knobs={"x": FEW, "y": FEW})
    with_accounts(campaign, accounts)
    reading = CommandReader(store, node, campaign, lambda: None)
    run = outcome("a", z=1.0)
    campaign.answer(run)  # for a regime to be named
    campaign.apply(Exclude(region={"x": (6.0, 7.0)}))
    ready = campaign.peek()
    added = ""
    if verb in ("reject a person's", "take back"):
        added = campaign.apply(Add(position={"x": 3.0, "y": 3.0})).suggestion["_id"]
    if verb in ("release", "hold"):
        campaign.apply(Hold(why="tea"))
    command = COMMANDS[verb](ready, added, **SENDERS[sender])
    if sender == "prompt":
        return campaign, campaign.apply(command)
    metadata = command_metadata(command, "toy")
    node.add(command.id, metadata)
    if sender != "program" and accounts:  # a server with one key seals nothing
        node.sealed[command.id] = metadata
    reading.read()
    return campaign, node.answers[command.id]


@pytest.mark.fault(
    "A program forges the fields of a command in Tiled, or sends it with the key of a service",
    "It neither approves, nor undoes the decision of a person, nor widens the bounds",
)
@pytest.mark.parametrize("verb", COMMANDS)
def test_each_sender_has_its_rights(make, store, verb):
    for (accounts, review), may in {
        (False, False): ONE_KEY, (True, False): ACCOUNTS, (True, True): REVIEW,
    }.items():  # fmt: skip
        for sender in SENDERS:
            campaign, answer = given(make, store, sender, verb, accounts=accounts, review=review)
            status = answer[0] if isinstance(answer, tuple) else answer.status
            assert (status == "done") == (verb in may[sender]), (accounts, review, sender, answer)
            if status != "done":
                kept = campaign.explorer
                assert kept.bounds == {"x": (0, 10), "y": (0, 10)} and {"x": (6.0, 7.0)} in kept.window.excluded
            if verb == "hold" and sender in ("service", "program") and accounts:
                assert campaign.state.held["why"] == "tea"  # a person's hold stays that


def test_a_hold_of_a_program_is_released_by_a_program(make):
    campaign = make()
    with_accounts(campaign)
    campaign.apply(Hold(verified=False, by="robot"))
    assert campaign.apply(Release(verified=False, by="robot")).status == "done" and campaign.state.held is None
