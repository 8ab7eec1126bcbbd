"""The order of events: those in Tiled of all sessions, and those of this session that are not there yet."""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

from ainerd.decisions import Rules, State, moments, reduce
from ainerd.decisions.events import Asked, Effect, Event, Measured, Written, parse_event
from ainerd.results import AgentNode, commands

logger = logging.getLogger(__name__)

SNAPSHOT_EVERY = 100  # events, after which the state is written, so that the next session reads few events


T = TypeVar("T")


class Inbox(Protocol):
    """The jobs of a thread, see `ainerd.runs.Jobs`."""

    def ask(self, job: Callable[[], T]) -> T:
        """Wait until the thread has done a job, and return its result; in that thread do it at once."""

    def write(self, job: Callable[[], Any], *, first: bool = False) -> "Future[Any]":
        """Add a job that writes to Tiled; with `first` before other writes."""


class Order:
    """Folds the events of an agent.

    The state is the fold of the events in Tiled, and then of those of this session that are not there yet. If another
    session takes the next number first, its event comes before them, and the state is folded anew.

    One thread owns the state, and another one asks Tiled (`flush`, `look`): the second asks the first to fold, and the
    first never waits for the second.

    Parameters
    ----------
    node : AgentNode
    rules : Rules
    own : Inbox
        Of the thread that owns the state.
    vouched : callable
        Returns a command of another session as far as the server vouches for its sender.

    Attributes
    ----------
    state : State
        Read it from any thread: it is never changed, but replaced.
    rules : Rules
    """

    def __init__(
        self, node: AgentNode, rules: Rules, own: Inbox, vouched: Callable[[commands.Command], commands.Command]
    ) -> None:
        self._node, self.rules, self._own, self._vouched = node, rules, own, vouched
        self.state = self._in_tiled = State.first(rules)
        self._ahead: deque[Event] = deque()  # folded, but not in Tiled
        self._number = self._written = self._snapshot = 0  # newest event in Tiled; its effects are written; saved
        self._numbers: dict[str, int] = {}  # of events of this session whose effects are not written yet
        self.unwritten: list[Effect] = []  # that an earlier session may not have written

    def begin(self, measured: Mapping[str, str]) -> None:
        """Fold the events in Tiled. `measured` has the key of the first result of each suggestion. Called once."""
        self.state, self._number = self._saved()
        self._snapshot = self._number
        effects: list[tuple[int, Effect]] = []
        written: dict[str, int] = {}  # by session
        records = self._node.events(self._number)
        for moment in moments(records, self.rules, self.state):
            self.state = moment.after
            written[moment.event.session] = moment.event.written
            effects += [(moment.number, effect) for effect in moment.effects]
        self._number = records[-1][0] if records else self._number
        waiting = tuple(each for each in self.state.waiting if each.id not in measured)
        self.state = replace(self.state, waiting=waiting, measured={**measured, **self.state.measured})
        self._in_tiled = self.state
        self.unwritten = [effect for number, effect in effects if number > written.get(effect.session, number)]

    def _folded(self, state: State, *events: Event) -> State:
        """Return the state after events, of which other programs may have written some."""
        for event in events:
            try:
                state, _ = reduce(state, event, self.rules)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                logger.warning("an event of %s is left out, %s: %s", event.session[:20], type(error).__name__, error)
        return state

    # in the thread that owns the state

    def happen(self, event: Event) -> tuple[Effect, ...]:
        """Fold an event of this session, and return what follows from it; `flush` writes the event."""
        self.state, effects = reduce(self.state, event, self.rules)
        self._ahead.append(event)
        return effects

    def is_recorded(self, id: str) -> bool:
        """Return whether no event with this command waits to be written."""
        return not any(isinstance(event, Asked) and event.command.id == id for event in self._ahead)

    def is_settled(self, id: str) -> bool:
        """Return whether a suggestion waits as Tiled has it: then no other session has its place."""
        return self._in_tiled.get(id) is not None

    @property
    def n_in_tiled(self) -> int:
        """Number of events in Tiled that are folded."""
        return self._in_tiled.n_events

    def _next(self) -> Written | None:
        """Return the next event to write, with the results that were learned before it."""
        learned: list[Measured] = []
        for event in self._ahead:
            if not isinstance(event, Measured):
                own = (each for each in learned if each.session)
                return event.model_copy(update={"learned": tuple(own), "written": self._written})
            learned.append(event)
        return None

    def _accept(self, number: int, id: str) -> None:
        """Note that the next event of this session is in Tiled, if it has this id."""
        following = self._next()
        if following is None or following.id != id:
            return
        self._numbers[id] = number
        while self._ahead:
            event = self._ahead.popleft()
            self._in_tiled, _ = reduce(self._in_tiled, event, self.rules)
            if not isinstance(event, Measured):
                return

    def insert(self, event: Written) -> None:
        """Fold an event of another session before those that are not in Tiled."""
        self._in_tiled = self._folded(self._in_tiled, *event.learned, event)
        self.state = self._folded(self._in_tiled, *self._ahead)

    # in the thread that asks Tiled

    def flush(self, insert: Callable[[Written], object]) -> None:
        """Write the events of this session in their order. Those of others that come before are passed to `insert`.

        Raises httpx.HTTPError if Tiled does not answer.
        """
        while (event := self._own.ask(self._next)) is not None:
            number = self._number + 1
            theirs = self._node.append(number, _record_of(event))
            if theirs is None or theirs.get("id") == event.id:
                self._own.ask(partial(self._accept, number, event.id))
            else:
                self._pass_on(number, self._parsed(theirs), insert)
            self._number = number

    def save(self) -> None:
        """Save the state, if there are many new events. The effects of all of them must be written.

        Raises httpx.HTTPError if Tiled does not answer.
        """
        if self._number - self._snapshot >= SNAPSHOT_EVERY:
            self._node.save_checkpoint({"number": self._number, "state": self._own.ask(lambda: self._in_tiled).plain()})
            self._snapshot = self._number

    def look(self, insert: Callable[[Written], object]) -> None:
        """Pass the new events of other sessions to `insert`.

        Raises httpx.HTTPError if Tiled does not answer.
        """
        for number, event in self._read():
            if number > self._number:
                self._number = number
                self._pass_on(number, event, insert)

    def mark(self, id: str) -> None:
        """Note that the effects of an event of this session are written, if it is in Tiled."""
        self._written = max(self._written, self._numbers.pop(id, 0))

    def _pass_on(self, number: int, event: Written | None, insert: Callable[[Written], object]) -> None:
        if event is None:
            return
        if event.session == self.rules.session:  # written, but Tiled's answer was lost
            self._own.ask(partial(self._accept, number, event.id))
            return
        if isinstance(event, Asked) and self.rules.has_accounts:
            event = event.model_copy(update={"command": self._vouched(event.command)})
        self._own.ask(partial(insert, event))

    def _read(self) -> list[tuple[int, Written | None]]:
        """Read the events after the newest that is known."""
        return [(number, self._parsed(record)) for number, record in self._node.events(self._number)]

    def _parsed(self, record: Mapping[str, Any]) -> Written | None:
        try:
            return parse_event(record)
        except ValueError as error:
            logger.warning("an event is left out: %s", error)
            return None

    def _saved(self) -> tuple[State, int]:
        """Return the state that was saved, and the number of its last event; the initial state if it is invalid."""
        saved = self._node.checkpoint()
        try:
            return (State.of_plain(saved["state"], self.rules), int(saved["number"])) if saved else (self.state, 0)
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # another program wrote it
            logger.warning("the saved state is left out, the events are read: %s: %s", type(error).__name__, error)
            return self.state, 0


def _record_of(event: Written) -> dict[str, Any]:
    """Return plain values for `parse_event`, without most defaults."""
    record = {**event.model_dump(exclude_defaults=True), "kind": event.kind, "id": event.id, "t": event.t}
    return record | ({"command": event.command.model_dump(exclude_none=True)} if isinstance(event, Asked) else {})
