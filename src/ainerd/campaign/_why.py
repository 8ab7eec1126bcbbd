"""Why a position was chosen: the campaign as it was at that moment."""

from datetime import UTC, datetime

from tiled.client.container import Container

from ainerd.campaign._campaign import rules_of
from ainerd.config import Settings
from ainerd.decisions import events, limits_text, moments, terms_of
from ainerd.results import AgentNode, ResultStore
from ainerd.words import number_of, run_text


def why(ainerd: Container, settings: Settings, key: str) -> list[tuple[str, str, str]]:
    """Return the campaign at the moment at which the position of a result was chosen: label, text and style of lines.

    `ainerd` is the container of results, `key` that of a result. Raises ValueError if no event tells it.
    """
    store = ResultStore(ainerd, agent=settings.name)
    record, node = store.record(key), AgentNode(ainerd, settings.name)
    scan, id = run_text(record.scan_id, record.event, record.start.get("file")), record.suggestion_id
    if id is None:
        raise ValueError(f"{scan} has no suggestion: it was taken by hand")
    rules = rules_of(settings.steering, settings.technique, settings.unit)
    n_results = 0
    for moment in moments(node.events(0), rules):
        n_results += len(moment.event.learned)
        if (suggestion := _chosen(moment.event, id)) is not None:
            break
    else:
        raise ValueError(f"no event of agent {settings.name!r} tells why {scan} was taken")
    state, event = moment.before, moment.event
    when = datetime.fromtimestamp(event.t, UTC).astimezone()
    who = event.command.who if isinstance(event, events.Asked) else "the agent"
    queue = "; ".join(f"{rules.text(x.suggestion)}, {x.taken_by or ('a person' if x.created else 'the agent')}"
                      for x in state.waiting)  # fmt: skip
    held = "no"
    if state.held is not None:
        held = ": ".join(filter(None, [f"by {state.held['by']}", state.held["why"]]))
    after = number_of(n_results, "result")
    lines = {
        scan: f"at {rules.text(suggestion)}",
        "chosen": f"by {who}, {when:%Y-%m-%d %H:%M:%S}, event {moment.number}, after {after}",
        "reason": str(suggestion.get("reason") or ""),
        "terms": ", ".join(f"{name} {x:.4g}" for name, x in terms_of(suggestion, rules.names).items()),
        "bounds": limits_text(state.window.bounds),
        "excluded": "; ".join(map(limits_text, state.window.excluded)) or "no regions",
        "failed": "; ".join(map(rules.text, state.failed.values())) or "no positions",
        "waited": queue or "nothing",
        "held": held,
        "names": ", ".join(f"regime {regime} {name}" for regime, name in state.names.items()) or "none",
    }
    return [(label, text, "") for label, text in lines.items() if text]


def _chosen(event: events.Written, id: str) -> dict[str, object] | None:
    """Return the suggestion with this id if the event brought it into the campaign."""
    match event:
        case events.Proposed(suggestion=suggestion) | events.HandedOut(suggestion=suggestion):
            return suggestion if suggestion["_id"] == id else None
        case events.Asked(command=command, suggestion=suggestion) if command.id == id:
            return suggestion
    return None
