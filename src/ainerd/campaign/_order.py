"""The order of events: those in Tiled, and those of this session that are not there yet."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from ainerd.decisions import Answer, Rules, State, events, moments, reduce
from ainerd.jobs import Jobs
from ainerd.results import AgentNode, Refused

logger = logging.getLogger(__name__)

SNAPSHOT_EVERY = 100  # events, after which the state is written, so that the next session reads few events
LONGEST = 200  # characters of an error in the log


class Due(NamedTuple):
    """An effect that is to be written, and the number of its event; `is_again` if it may be written already."""

    number: int
    effect: events.Effect
    is_again: bool = False


class Order:
    """Folds the events of an agent.

    One session steers: the one that began last. It alone writes events, under the next number. If another session has
    taken that number, that one steers from then on, and this one only reads. The state is the fold of the events in
    Tiled, and then of those of this session that are not there yet. Once an event is in Tiled, its effects are due.

    One thread owns the state, and another one asks Tiled (`begin`, `read`, `look`, `flush`): the second asks the first
    to fold, and the first never waits for the second.

    Parameters
    ----------
    node : AgentNode
    rules : Rules
    own : Jobs
        Of the thread that owns the state.

    Attributes
    ----------
    state : State
        Read it from any thread: it is never changed, but replaced.
    rules : Rules
    steers : bool
        Whether this session steers.
    due, urgent : deque of Due
        Effects of the events in Tiled that are not written, in their order. Those that show a hold are urgent. One
        thread adds effects at the end, the other one takes them from the beginning.
    refused : dict of str to Answer
        By id, the answers to commands whose events Tiled does not accept.
    """

    def __init__(self, node: AgentNode, rules: Rules, own: Jobs) -> None:
        self._node, self.rules, self._own = node, rules, own
        self.steers = False
        self._in_tiled, self._number = self._saved()  # state after the newest event in Tiled, and its number
        self._snapshot = self._number  # saved
        self.state = self._in_tiled
        self._measured: Mapping[str, str] = {}  # key of the first result of each suggestion
        self._ahead: deque[events.Event] = deque()  # folded, but not in Tiled
        self._of_results: dict[str, tuple[events.Effect, ...]] = {}  # not due yet, by key of the result
        self.due, self.urgent = deque[Due](), deque[Due]()
        self._left: list[Due] = []  # effects that the session that steers may not have written
        self.refused: dict[str, Answer] = {}
        self.read()

    # in the thread that asks Tiled; they raise `Away` if it does not answer

    def read(self) -> None:
        """Fold the new events of the session that steers."""
        records = self._node.events(self._number)
        self._own.ask(partial(self._follow, records))

    def begin(self, began: events.Began) -> None:
        """Become the session that steers: from then on no earlier session can write an event.

        `learned` in `began` are results of suggestions; those that an event has learned already are left out.
        """
        while True:
            self.read()
            event = self._own.ask(partial(self._beginning, began))
            if self._node.append(self._number + 1, _record_of(event)) is None:
                break  # otherwise the session that steers has written another event
        self._own.ask(partial(self._begun, event))

    def look(self) -> None:
        """Stop steering if another session has written an event."""
        mine = {each.id for each in list(self._ahead) if not isinstance(each, events.Measured)}
        if any(record.get("id") not in mine for _, record in self._node.events(self._number)):
            self._own.ask(self._stop)

    def flush(self) -> None:
        """Write the events of this session in their order."""
        while (event := self._own.ask(self._next)) is not None:
            number = self._number + 1
            try:
                there = self._node.append(number, _record_of(event))
            except Refused as error:
                self._own.ask(partial(self.leave_out, event, str(error)[:LONGEST]))
                continue
            if there is None or there.get("id") == event.id:  # else Tiled's answer was lost
                self._own.ask(partial(self._accept, number, event.id))
            else:
                self._own.ask(self._stop)

    def save(self) -> None:
        """Save the state, if there are many new events and no effect of them is due."""
        if not (self.due or self.urgent) and self._number - self._snapshot >= SNAPSHOT_EVERY:
            self._node.save_checkpoint({"number": self._number, "state": self._in_tiled.plain()})
            self._snapshot = self._number

    # in the thread that owns the state

    def happen(self, event: events.Event) -> State:
        """Fold an event of this session, which `flush` writes, and return the state after it.

        A command that must wait is no event: it changes nothing.
        """
        after, effects = reduce(self.state, event, self.rules)
        if isinstance(event, events.Asked) and after.answer(event.command.id) is None:
            return after
        self.state = after
        self._ahead.append(event)
        if isinstance(event, events.Measured):
            self._of_results[event.key] = effects
        return after

    def know(self, measured: Mapping[str, str]) -> None:
        """Learn the key of the first result of each suggestion, which no event may have. Before the session steers."""
        self._measured = {**measured, **self._measured}
        state = self._in_tiled
        waiting = tuple(each for each in state.waiting if each.id not in self._measured)
        self.state = replace(state, waiting=waiting, measured={**self._measured, **state.measured})

    @property
    def unfinished(self) -> set[str]:
        """Suggestions that wait or are being measured, as far as the events in Tiled tell."""
        state = self._in_tiled
        return {*(each.id for each in state.waiting), *filter(state.is_open, state.handed_out)}

    @property
    def is_behind(self) -> bool:
        """Whether an event is not in Tiled."""
        return any(not isinstance(event, events.Measured) for event in list(self._ahead))

    def leave_out(self, event: events.Written, why: str) -> None:
        """Drop an event of this session that Tiled will never accept, and its effects."""
        self._ahead = deque(each for each in self._ahead if isinstance(each, events.Measured) or each.id != event.id)
        self.state = self._in_tiled
        for each in self._ahead:
            self.state, _ = reduce(self.state, each, self.rules)
        if isinstance(event, events.Asked):
            self.refused[event.command.id] = Answer("refused", f"Tiled does not accept this command: {why}")
        logger.error("an event (%s) is left out, Tiled does not accept it: %s", event.kind, why)

    def _follow(self, records: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        for moment in moments(records, self.rules, self._in_tiled):
            self._in_tiled = moment.after
            self._left = [each for each in self._left if each.number > moment.event.written]
            self._left += [Due(moment.number, effect, is_again=True) for effect in moment.effects]
        self._number = records[-1][0] if records else self._number
        self.know({})

    def _beginning(self, began: events.Began) -> events.Began:
        """Return the event with the results that no event has learned."""
        written = min((each.number for each in self._left), default=self._number + 1) - 1
        learned = tuple(each for each in began.learned if each.suggestion in self.unfinished)
        return began.model_copy(update={"learned": learned, "written": written})

    def _begun(self, event: events.Began) -> None:
        self._number += 1
        self._owe(*self._left)
        self._left = []
        happened: tuple[events.Event, ...] = (*event.learned, event)
        for each in happened:
            self.state, effects = reduce(self.state, each, self.rules)
            self._owe(*(Due(self._number, effect) for effect in effects))
        self._in_tiled, self.steers = self.state, True

    def _stop(self) -> None:
        """Only read from now on."""
        self.steers, self._measured = False, self.state.measured
        self._left = [each._replace(is_again=True) for each in (*self.urgent, *self.due)]
        for waiting in (self._ahead, self._of_results, self.due, self.urgent):
            waiting.clear()
        self.know({})

    def _next(self) -> events.Written | None:
        """Return the next event to write, with the results that were learned before it.

        Without one the effects of these results are due. Otherwise they follow those of the event.
        """
        learned: list[events.Measured] = []
        for event in self._ahead:
            if not isinstance(event, events.Measured):
                waiting = (each.number for each in (*self.due, *self.urgent))
                written = min(waiting, default=self._number + 1) - 1
                return event.model_copy(update={"learned": tuple(learned), "written": written})
            learned.append(event)
        for each in learned:
            self._owe(*(Due(self._number, effect) for effect in self._of_results.pop(each.key, ())))
        return None

    def _owe(self, *due: Due) -> None:
        for each in due:
            (self.urgent if isinstance(each.effect, events.ShowHold) else self.due).append(each)

    def _accept(self, number: int, id: str) -> None:
        """Note that the next event of this session is in Tiled, if it has this id."""
        following = self._next()
        if following is None or following.id != id:
            return
        self._number = number
        of_results: list[events.Effect] = []
        while isinstance(event := self._ahead.popleft(), events.Measured):
            self._in_tiled, _ = reduce(self._in_tiled, event, self.rules)
            of_results += self._of_results.pop(event.key, ())
        self._in_tiled, effects = reduce(self._in_tiled, event, self.rules)
        self._owe(*(Due(number, effect) for effect in (*effects, *of_results)))

    def _saved(self) -> tuple[State, int]:
        """Return the state that was saved, and the number of its last event; the initial state if it is invalid."""
        saved, first = self._node.checkpoint(), State.first(self.rules)
        if not saved:
            return first, 0
        try:
            return State.of_plain(saved["state"], self.rules), int(saved["number"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # another program wrote it
            logger.warning("the saved state is left out, the events are read: %s: %s", type(error).__name__, error)
            return first, 0


def _record_of(event: events.Written) -> dict[str, Any]:
    """Return plain values for `parse_event`, without most defaults."""
    record = {**event.model_dump(exclude_defaults=True), "kind": event.kind, "id": event.id, "t": event.t}
    if isinstance(event, events.Asked):
        record["command"] = event.command.model_dump(exclude_none=True)
    return record
