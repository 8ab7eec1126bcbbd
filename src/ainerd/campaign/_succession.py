"""Suggestions that earlier sessions of an agent left, and which of them the next session takes over."""

from collections.abc import Mapping
from contextlib import suppress

import httpx

from ainerd.campaign._history import History
from ainerd.decisions import TAKEN_WITHIN_S, Rules, State, age_s, events, is_as_seen
from ainerd.decisions.events import Ready
from ainerd.results import commands

Seals = Mapping[str, commands.Take | None]  # by id of the suggestion


def sessions_left(state: State, rules: Rules) -> set[str]:
    """Return the other sessions whose suggestions wait or, unless sessions share the sample, are being measured."""
    open_ = [each for id, each in state.handed_out.items() if state.is_open(id) and not rules.shared_s]
    return {each.session for each in (*state.waiting, *open_)} - {rules.session}


def seals_of_points(history: History) -> Seals:
    """Return the sealed verdicts on points that people took, without those taken back. In the thread for Tiled."""
    seals: dict[str, commands.Take | None] = {}
    for each in history.state.waiting:
        if each.taken_by is not None:
            with suppress(httpx.HTTPError):  # without an answer of Tiled the point is not approved
                take, back = history.sealed(f"verdict-{each.id}"), history.sealed(f"back-{each.id}")
                seals[each.id] = take if isinstance(take, commands.Take) and back is None else None
    return seals


def taken_over(state: State, rules: Rules, seals: Seals) -> events.Resumed | None:
    """Return the event with which a session takes over the points of people; None if no other session left anything."""
    left = [each for each in state.waiting if each.session != rules.session]
    open_ = [each for id, each in state.handed_out.items() if state.is_open(id)]
    if not left and all(each.session == rules.session for each in open_):
        return None
    points = (_approved(each, state, rules, seals) for each in left if each.created)
    return events.Resumed(session=rules.session, points=tuple(filter(None, points)))


def _approved(left: Ready, state: State, rules: Rules, seals: Seals) -> Ready | None:
    """Return a point that may still be measured, or None.

    On a server with accounts only the seal of a `Take` approves it.
    """
    try:  # it may now be outside the bounds, or excluded, or of other actuators
        if age_s(left.created) > TAKEN_WITHIN_S or left.id in state.measured:
            return None
        if state.objection(rules.session, left.suggestion):
            return None
    except (KeyError, TypeError, ValueError):
        return None
    if not rules.has_accounts or left.taken_by is None:
        return left
    take = seals.get(left.id)
    if take is not None and take.is_of_a_person and is_as_seen(take, left, rules):
        return left.model_copy(update={"created": take.created, "taken_by": take.signed})
    return left.model_copy(update={"taken_by": None})
