"""The moments of a campaign: each event with the state after it."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ainerd.decisions._fold import reduce
from ainerd.decisions._state import Rules, State
from ainerd.decisions.events import Effect, Written, parse_event

logger = logging.getLogger(__name__)


class Moment(NamedTuple):
    """An event, its number in the order, the state after it, and its effects."""

    number: int
    event: Written
    after: State
    effects: tuple[Effect, ...]


def moments(
    records: Iterable[tuple[int, Mapping[str, Any]]], rules: Rules, state: State | None = None
) -> Iterator[Moment]:
    """Fold records of events, oldest first, from a state on, by default the first one.

    Any program may have written a record: invalid ones are left out, with a line of the log.
    """
    state = State.first(rules) if state is None else state
    for number, record in records:
        try:
            event = parse_event(record)
            moment = _moment(number, event, state, rules)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            logger.warning("event %d is left out, %s: %s", number, type(error).__name__, str(error)[:250])
            continue
        yield moment
        state = moment.after


def _moment(number: int, event: Written, state: State, rules: Rules) -> Moment:
    """Fold an event, after the results that its session had learned; various errors if another program wrote it."""
    effects = list[Effect]()
    for result in event.learned:
        state, following = reduce(state, result, rules)
        effects += following
    after, following = reduce(state, event, rules)
    return Moment(number, event, after, (*effects, *following))
