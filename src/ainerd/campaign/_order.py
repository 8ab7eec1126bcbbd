"""The order of events: those in Tiled of all sessions, and those of this session that are not there yet."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import httpx

from ainerd.decisions import Answer, Rules, State, events, moments, reduce
from ainerd.jobs import Jobs
from ainerd.results import AgentNode, may_pass

logger = logging.getLogger(__name__)

SNAPSHOT_EVERY = 100  # events, after which the state is written, so that the next session reads few events
LONGEST = 200  # characters of an error in the log
MOST_OPEN = 200  # effects of other sessions that are remembered, in case these are killed


class Due(NamedTuple):
    """An effect that is to be written, and the number of its event; `is_again` if it may be written already."""

    number: int
    effect: events.Effect
    is_again: bool = False


class Order:
    """Folds the events of an agent.

    The state is the fold of the events in Tiled, and then of those of this session that are not there yet. If another
    session takes the next number first, its event comes before them, and the state is folded anew. Once an event is in
    Tiled, each session writes the effects of it that are addressed to this session.

    One thread owns the state, and another one asks Tiled (`flush`, `look`): the second asks the first to fold, and the
    first never waits for the second.

    Parameters
    ----------
    node : AgentNode
    rules : Rules
    own : Jobs
        Of the thread that owns the state.
    inserted : callable
        Called in the first thread with each event of another session and its number. It calls `insert`.

    Attributes
    ----------
    state : State
        Read it from any thread: it is never changed, but replaced.
    rules : Rules
    due, urgent : deque of Due
        Effects of the events in Tiled that this session has to write, in their order. Those that show a hold are
        urgent. One thread adds effects at the end, the other one takes them from the beginning.
    refused : dict of str to Answer
        By id, the answers to commands of this session whose events Tiled does not accept.
    """

    def __init__(
        self,
        node: AgentNode,
        rules: Rules,
        own: Jobs,
        inserted: Callable[[int, events.Written], None],
    ) -> None:
        self._node, self.rules, self._own, self._inserted = node, rules, own, inserted
        self.state = self._in_tiled = State.first(rules)
        self._ahead: deque[events.Event] = deque()  # folded, but not in Tiled
        self._of_results: dict[str, tuple[events.Effect, ...]] = {}  # not due yet, by key of the result
        self._number = self._snapshot = 0  # newest event in Tiled; saved
        self.due, self.urgent = deque[Due](), deque[Due]()
        self.refused: dict[str, Answer] = {}
        self._open = deque[tuple[int, events.Effect]](maxlen=MOST_OPEN)  # of others, which may not have written them

    def begin(self, measured: Mapping[str, str]) -> None:
        """Fold the events in Tiled. `measured` has the key of the first result of each suggestion. Called once."""
        self.state, self._number = self._saved()
        self._snapshot = self._number
        records = self._node.events(self._number)
        for moment in moments(records, self.rules, self.state):
            self.state = moment.after
            self._owe(moment.number, moment.effects, moment.event)
        self._number = records[-1][0] if records else self._number
        waiting = tuple(each for each in self.state.waiting if each.id not in measured)
        self.state = replace(self.state, waiting=waiting, measured={**measured, **self.state.measured})
        self._in_tiled = self.state

    def _folded(self, state: State, *happened: events.Event) -> tuple[State, list[events.Effect]]:
        """Return the state after events, of which other programs may have written some, and their effects."""
        effects = list[events.Effect]()
        for event in happened:
            try:
                state, following = reduce(state, event, self.rules)
                effects += following
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                logger.warning("an event of %s is left out, %s: %s", event.session[:20], type(error).__name__, error)
        return state, effects

    # in the thread that owns the state

    def happen(self, event: events.Event) -> None:
        """Fold an event of this session; `flush` writes it."""
        self.state, effects = reduce(self.state, event, self.rules)
        self._ahead.append(event)
        if isinstance(event, events.Measured):
            self._of_results[event.key] = effects

    def take_over(self) -> None:
        """Write the effects that earlier sessions may not have written. Only for the single session of an agent."""
        self.due += [Due(self._number, effect, is_again=True) for _, effect in self._open]
        self._open.clear()

    def has_answered(self, id: str) -> bool:
        """Return whether the events in Tiled have the answer to a command."""
        return self._in_tiled.answer(id) is not None

    @property
    def is_behind(self) -> bool:
        """Whether an event is not in Tiled."""
        return any(not isinstance(event, events.Measured) for event in list(self._ahead))

    def is_settled(self, id: str) -> bool:
        """Return whether a suggestion waits as Tiled has it: then no other session has its place."""
        return self._in_tiled.get(id) is not None

    @property
    def n_in_tiled(self) -> int:
        """Number of events in Tiled that are folded."""
        return self._in_tiled.n_events

    def _next(self) -> events.Written | None:
        """Return the next event to write, with the results that were learned before it.

        Without one the effects of these results are due. Otherwise they follow those of the event: a plan in another
        process gets no suggestion that is older than a result.
        """
        learned: list[events.Measured] = []
        for event in self._ahead:
            if not isinstance(event, events.Measured):
                own = (each for each in learned if each.session)
                waiting = (each.number for each in (*self.due, *self.urgent))
                written = min(waiting, default=self._number + 1) - 1
                return event.model_copy(update={"learned": tuple(own), "written": written})
            learned.append(event)
        self._owe(self._number, (effect for each in learned for effect in self._of_results.pop(each.key, ())))
        return None

    def _owe(self, number: int, effects: Iterable[events.Effect], event: events.Written | None = None) -> None:
        """Note the effects of an event, and forget the earlier ones that its session has written."""
        if event is not None and any(each.session == event.session for _, each in self._open):
            left = [(n, each) for n, each in self._open if each.session != event.session or n > event.written]
            self._open = deque(left, MOST_OPEN)
        for effect in effects:
            if effect.session == self.rules.session:
                (self.urgent if isinstance(effect, events.ShowHold) else self.due).append(Due(number, effect))
            elif effect.session:
                self._open.append((number, effect))

    def _accept(self, number: int, id: str) -> None:
        """Note that the next event of this session is in Tiled, if it has this id."""
        following = self._next()
        if following is None or following.id != id:
            return
        of_results: list[events.Effect] = []
        while isinstance(event := self._ahead.popleft(), events.Measured):
            self._in_tiled, _ = reduce(self._in_tiled, event, self.rules)
            of_results += self._of_results.pop(event.key, ())
        self._in_tiled, effects = reduce(self._in_tiled, event, self.rules)
        self._owe(number, (*effects, *of_results))

    def insert(self, number: int, event: events.Written) -> None:
        """Fold an event of another session before those that are not in Tiled.

        If both sessions have executed the same command, the event of this session is dropped.
        """
        self._in_tiled, effects = self._folded(self._in_tiled, *event.learned, event)
        if isinstance(event, events.Asked):
            same = event.command.id
            self._ahead = deque(x for x in self._ahead if not (isinstance(x, events.Asked) and x.command.id == same))
        self.state, _ = self._folded(self._in_tiled, *self._ahead)
        self._owe(number, effects, event)

    def leave_out(self, event: events.Written, why: str) -> None:
        """Drop an event of this session that Tiled will never accept, and its effects."""
        self._ahead = deque(each for each in self._ahead if isinstance(each, events.Measured) or each.id != event.id)
        self.state, _ = self._folded(self._in_tiled, *self._ahead)
        if isinstance(event, events.Asked):
            self.refused[event.command.id] = Answer("refused", f"Tiled does not accept this command: {why}")
        logger.error("an event (%s) is left out, Tiled does not accept it: %s", event.kind, why)

    # in the thread that asks Tiled

    def flush(self) -> None:
        """Write the events of this session in their order. Those of others that come before are folded first.

        Raises httpx.HTTPError if Tiled does not answer.
        """
        while (event := self._own.ask(self._next)) is not None:
            number = self._number + 1
            try:
                theirs = self._node.append(number, _record_of(event))
            except httpx.HTTPError as error:
                if may_pass(error):
                    raise
                self._own.ask(partial(self.leave_out, event, str(error)[:LONGEST]))
                continue
            if theirs is None or theirs.get("id") == event.id:
                self._own.ask(partial(self._accept, number, event.id))
            else:
                self._pass_on(number, self._parsed(theirs))
            self._number = number

    def save(self) -> None:
        """Save the state, if there are many new events and no effect of them is due.

        Raises httpx.HTTPError if Tiled does not answer.
        """
        if not (self.due or self.urgent) and self._number - self._snapshot >= SNAPSHOT_EVERY:
            state, unwritten = self._own.ask(lambda: (self._in_tiled, [*self._open]))
            effects = [[number, *events.plain_effect(effect)] for number, effect in unwritten]
            self._node.save_checkpoint({"number": self._number, "state": state.plain(), "unwritten": effects})
            self._snapshot = self._number

    def look(self) -> None:
        """Fold the new events of other sessions.

        Raises httpx.HTTPError if Tiled does not answer.
        """
        for number, record in self._node.events(self._number):
            if number > self._number:
                self._pass_on(number, self._parsed(record))
                self._number = number

    def _pass_on(self, number: int, event: events.Written | None) -> None:
        if event is None:
            return
        if event.session == self.rules.session:  # written, but Tiled's answer was lost
            self._own.ask(partial(self._accept, number, event.id))
            return
        self._own.ask(partial(self._inserted, number, event))

    def _parsed(self, record: Mapping[str, Any]) -> events.Written | None:
        try:
            return events.parse_event(record)
        except ValueError as error:
            logger.warning("an event is left out: %s", error)
            return None

    def _saved(self) -> tuple[State, int]:
        """Return the state that was saved, and the number of its last event; the initial state if it is invalid."""
        saved = self._node.checkpoint()
        if not saved:
            return self.state, 0
        try:
            state, number = State.of_plain(saved["state"], self.rules), int(saved["number"])
            self._open.extend((int(n), events.effect_of(*each)) for n, *each in saved.get("unwritten", []))
            return state, number
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # another program wrote it
            logger.warning("the saved state is left out, the events are read: %s: %s", type(error).__name__, error)
            return self.state, 0


def _record_of(event: events.Written) -> dict[str, Any]:
    """Return plain values for `parse_event`, without most defaults."""
    record = {**event.model_dump(exclude_defaults=True), "kind": event.kind, "id": event.id, "t": event.t}
    if isinstance(event, events.Asked):
        record["command"] = event.command.model_dump(exclude_none=True)
    return record
