"""What a campaign had decided at each moment: bounds, excluded boxes, names of regimes, hold and queue."""

from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from ainerd.server.internals import Child, newest
from ainerd.server.pages._reader import AgentState, CampaignReader, mapping

MOST_EVENTS = 20_000  # that are folded; of a longer campaign the moments are not shown


async def past(reader: CampaignReader, state: AgentState) -> list[dict[str, Any]]:
    """Return after which event of an agent something was decided: its time ``t``, and what has changed.

    ``bounds``, ``excluded``, ``names``, ``held`` and ``queue``, the ids of the suggestions that waited, oldest first.
    """
    node = await reader.child("events", state.key) if state.key else None
    children = [] if node is None else await newest(node, MOST_EVENTS)
    if not children or len(children) == MOST_EVENTS:
        return []
    has_accounts = reader.caller.principal is not None
    return await anyio.to_thread.run_sync(_moments, children, mapping(state.metadata.get("bounds")), has_accounts)


def _moments(children: Sequence[Child], bounds: Mapping[str, Any], has_accounts: bool) -> list[dict[str, Any]]:
    from ainerd.decisions import Rules, moments  # loads packages that only this needs
    from ainerd.steering import Window

    try:
        window = Window({name: (float(low), float(high)) for name, (low, high) in bounds.items()})
    except (TypeError, ValueError):  # another program wrote the state
        return []
    records = sorted((int(each.key), each.metadata) for each in children if each.key.isdecimal())
    known, changes = dict[str, Any](), list[dict[str, Any]]()
    for moment in moments(records, Rules(session="", window=window, has_accounts=has_accounts)):
        after, area = moment.after, moment.after.window(moment.event.session)
        now = {
            "bounds": area.bounds, "excluded": area.excluded,
            "names": {str(regime): name for regime, name in after.names.items()},
            "held": after.held and {"by": after.held["by"], "why": after.held["why"], "t": after.held["t"]},
            "queue": [each.id for each in after.waiting],
        }  # fmt: skip
        if changed := {name: x for name, x in now.items() if name not in known or known[name] != x}:
            changes.append({"t": moment.event.t, **changed})
        known = now
    return changes
