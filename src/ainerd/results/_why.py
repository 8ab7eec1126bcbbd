"""Why the position of a result was chosen."""

from collections.abc import Iterator
from datetime import datetime

from ainerd.results._records import ResultRecord, SuggestionRecord
from ainerd.words import labelled, place, rendered, run_text


def why(record: ResultRecord, suggestion: SuggestionRecord) -> str:
    """Return the reason for the position of a result, and the knowledge of the agent at that time, line by line."""
    return rendered(labelled((label, text, "") for label, text in _lines(record, suggestion) if text))


def _lines(record: ResultRecord, suggestion: SuggestionRecord) -> Iterator[tuple[str, str]]:
    known = dict(suggestion.known)
    chosen, when = known.pop("chosen", ""), datetime.fromisoformat(suggestion.created).astimezone()
    yield run_text(record.metadata()), f"at {place(suggestion.positions, record.units)}"
    yield "chosen", ", ".join(filter(None, [chosen, f"{when:%Y-%m-%d %H:%M:%S}"]))
    yield "reason", suggestion.reason
    yield "terms", ", ".join(f"{name} {x:.4g}" for name, x in suggestion.terms.items())
    yield from known.items()
