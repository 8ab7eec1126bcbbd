"""The history of a campaign's decisions: bounds, excluded boxes, names of regimes, hold and queue."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import anyio

from ainerd.server.internals import Child, newest, newest_key
from ainerd.server.pages._reader import AgentState, CampaignReader, mapping

MOST_EVENTS = 5_000  # that are folded, in some seconds; of a longer campaign the moments are not shown
MOST_QUEUE = 20  # suggestions of a queue
_NUMBER = re.compile(r"[0-9]{8}")
# Of each catalog by agent: id of the newest event, and the moments. They are folded once, one agent at a time.
_folded: "WeakKeyDictionary[Any, dict[str, tuple[int, list[dict[str, Any]]]]]" = WeakKeyDictionary()
_turns: "WeakKeyDictionary[Any, asyncio.Lock]" = WeakKeyDictionary()


async def past(reader: CampaignReader, state: AgentState) -> list[dict[str, Any]]:
    """Return the changes that the events of an agent made, oldest first; empty if there are too many events.

    Each change has the time ``t`` of its event, and new values of some of ``bounds``, ``excluded``, ``names``, ``held``
    and ``queue``, the ids of the waiting suggestions.
    """
    node = await reader.child("events", state.key) if state.key else None
    if node is None:
        return []
    has_accounts, catalog = reader.caller.principal is not None, reader.node.context
    async with _turns.setdefault(catalog, asyncio.Lock()):
        last, _ = await newest_key(node)
        folded = _folded.setdefault(catalog, {})
        if state.key not in folded or folded[state.key][0] != last:
            children = await newest(node, MOST_EVENTS)
            moments = list[dict[str, Any]]()
            if len(children) < MOST_EVENTS:
                bounds = mapping(state.metadata.get("bounds"))
                moments = await anyio.to_thread.run_sync(_moments, children, bounds, has_accounts)
            folded[state.key] = last, moments
        return folded[state.key][1]


def _moments(children: Sequence[Child], bounds: Mapping[str, Any], has_accounts: bool) -> list[dict[str, Any]]:
    from ainerd.decisions import Rules, moments  # loads packages that only this needs
    from ainerd.steering import Window

    try:
        window = Window({name: (float(low), float(high)) for name, (low, high) in bounds.items()})
    except (TypeError, ValueError):  # another program wrote the state
        return []
    records = sorted((int(each.key), each.metadata) for each in children if _NUMBER.fullmatch(each.key))
    known, changes = dict[str, Any](), list[dict[str, Any]]()
    for moment in moments(records, Rules(session="", window=window, has_accounts=has_accounts)):
        after, area = moment.after, moment.after.last_area.window
        now = {
            "bounds": area.bounds, "excluded": area.excluded,
            "names": {str(regime): name for regime, name in after.names.items()},
            "held": after.held and {"by": after.held["by"], "why": after.held["why"], "t": after.held["t"]},
            "queue": [each.id for each in after.waiting[:MOST_QUEUE]],
        }  # fmt: skip
        if changed := {name: x for name, x in now.items() if name not in known or known[name] != x}:
            changes.append({"t": moment.event.t, **changed})
        known = now
    return changes
