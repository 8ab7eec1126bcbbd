"""The knowledge of an agent when it chose a position, in words that stay with the suggestion."""

from ainerd.decisions._state import Rules, State, limits_text
from ainerd.words import number_of, sender

LONGEST = 1000  # characters of a text


def known(state: State, rules: Rules, by: str | None) -> dict[str, str]:
    """Return the campaign before a choice, as texts by label; `by` is the person who chose, None for the agent."""
    who = "the agent" if by is None else sender(by)
    queue = "; ".join(
        f"{rules.text(each.suggestion.position)}, {sender(each.taken_by or each.added_by or 'the agent')}"
        for each in state.waiting
    )
    held = "no" if state.held is None else ": ".join(filter(None, [f"by {sender(state.held.by)}", state.held.why]))
    texts = {
        "chosen": f"by {who}, after {number_of(len(state.measured), 'result')} at suggested positions",
        "bounds": limits_text(state.window.bounds),
        "excluded": "; ".join(map(limits_text, state.window.excluded)) or "no regions",
        "rejected or failed": "; ".join(map(rules.text, state.failed.values())) or "no positions",
        "waited": queue or "nothing",
        "held": held,
        "left out": str(len(state.left_out) or "nothing"),
        "names": ", ".join(f"regime {regime} {name}" for regime, name in state.names.items()) or "none",
    }
    return {label: text[:LONGEST] for label, text in texts.items()}
