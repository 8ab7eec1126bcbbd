"""The history of a campaign: its events, and the writes to Tiled that follow from them."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import httpx

from ainerd.campaign._ledger import Ledger
from ainerd.campaign._order import Inbox, Order
from ainerd.decisions import Rules, State, events
from ainerd.decisions.events import Ready
from ainerd.results import AgentNode, ResultStore, commands

logger = logging.getLogger(__name__)


class History:
    """Folds the events of a session, and lets the thread for Tiled write them, and then their effects.

    Parameters
    ----------
    store : ResultStore
        Store of the agent.
    ledger : Ledger
    rules : Rules
    own, tiled : Inbox
        Of the thread that owns the state, and of the one that asks Tiled.
    inserted : callable
        Called in the first thread with each event of another session, which it folds with `Order.insert`.

    Attributes
    ----------
    order : Order
    """

    def __init__(
        self,
        store: ResultStore,
        ledger: Ledger,
        rules: Rules,
        own: Inbox,
        tiled: Inbox,
        inserted: Callable[[events.Written], None],
    ) -> None:
        self._store, self._ledger, self._tiled, self._inserted = store, ledger, tiled, inserted
        self._effects = deque[tuple[events.Event, Sequence[events.Effect]]]()  # not yet written, by event
        self._is_again = False  # some effects of the first event may be written
        self._node = AgentNode(store.container, str(store.agent))
        self.order = Order(self._node, rules, own, self._vouched)

    @property
    def state(self) -> State:
        """State of the campaign after the events so far."""
        return self.order.state

    @property
    def rules(self) -> Rules:
        """The settings of this session."""
        return self.order.rules

    @property
    def queue(self) -> list[Ready]:
        """Suggestions that this session will measure, in their order."""
        return self.state.queue(self.rules.session)

    @property
    def first(self) -> Ready | None:
        """The suggestion that this session measures next, if one waits."""
        return self.state.next(self.rules.session, review=self.rules.review)

    @property
    def taken(self) -> str | None:
        """Id of the suggestion that a person took and that is measured next, or None."""
        return self.state.taken(self.rules.session, review=self.rules.review)

    @property
    def own(self) -> Ready | None:
        """The suggestion of this session's optimizer, if it waits."""
        return next((each for each in self.queue if not each.created), None)

    def _vouched(self, command: commands.Command) -> commands.Command:
        """Return a command of another session; without a known sender unless the server vouches for it."""
        sealed = self.sealed(command.id)
        return sealed or commands.parse_command(commands.unverified(command.model_dump(exclude_none=True)))

    def sealed(self, id: str) -> commands.Command | None:
        """Return the command with this id, if a server with accounts vouches for it."""
        try:
            return commands.parse_command({**self._node.vouched(id, {}), "id": id})
        except (httpx.HTTPError, ValueError):  # Tiled is away, or there is no such command
            return None

    def happen(self, event: events.Event, *, first: bool = False) -> None:
        """Fold an event of this session; it is written later, and then its effects."""
        effects = self.order.happen(event)
        self.later(self._record, event, effects, first=first)

    def _record(self, event: events.Event, effects: Sequence[events.Effect]) -> None:
        """Write the events up to this one, and its effects. In the thread for Tiled."""
        own = [effect for effect in effects if effect.session == self.rules.session]
        self._effects.append((event, own))
        self.flush()
        self._write_effects()

    def _write_effects(self) -> None:
        """Write the effects of the events so far, if Tiled answers. In the thread for Tiled.

        If Tiled goes away, the effects of an event are written again later; a second time changes nothing.
        """
        while self._effects and self.is_there():
            event, effects = self._effects[0]
            for effect in effects:
                self.write(effect, again=self._is_again)
            self._is_again = self._store.seems_away
            if self._is_again:
                return
            self._effects.popleft()
            if not isinstance(event, events.Measured):
                self.order.mark(event.id)

    def catch_up(self) -> None:
        """Write the events whose effects are not written yet, and these effects. In the thread for Tiled."""
        if self._effects:
            self.flush()
            self._write_effects()

    def flush(self) -> None:
        """Write the events that are not in Tiled, if it answers. In the thread for Tiled."""
        if not self.is_there():
            return
        try:
            self.order.flush(self._inserted)
        except httpx.HTTPError as error:  # the next event comes with them
            logger.warning("events of %s are not written yet: %s", self._store.agent, error)

    def write_again(self) -> None:
        """Write the effects that earlier sessions may not have written. Only for the single session of an agent."""
        effects, self.order.unwritten = self.order.unwritten, []
        for effect in effects:
            self.later(self.write, effect, again=True)

    def look(self) -> bool:
        """Fold the events that other sessions have written; return whether there are any.

        Raises httpx.HTTPError if Tiled does not answer.
        """
        before = self.state
        self._tiled.ask(partial(self.order.look, self._inserted))
        return self.state is not before

    def write(self, effect: events.Effect, *, again: bool = False) -> None:
        """Write an effect; `again` if it may be written already."""
        match effect:
            case events.Suggest(suggestion=suggestion, status=status, by=by, principal=principal):
                self._ledger.suggested(suggestion, status, by, principal, again=again)
            case events.SetStatus():
                why, raw_uid, taken = effect.why, effect.raw_uid, effect.taken
                self._ledger.status(effect.suggestion, effect.status, why, raw_uid, effect.by, taken=taken)
            case events.Line(text=text, once=once, by=by, ids=ids):
                self._ledger.note(text, once=once, by=by, **ids)

    def is_there(self) -> bool:
        """Return whether Tiled answers."""
        return not self._store.seems_away or bool(self._store.answers())

    def later(self, write: Callable[..., object], *args: Any, first: bool = False, **kwargs: Any) -> None:
        """Let the thread for Tiled write something, in order; with `first` before other writes."""
        self._tiled.write(partial(write, *args, **kwargs), first=first)
