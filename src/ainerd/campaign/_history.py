"""The history of a campaign: its events, and the writes to Tiled that follow from them."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ainerd.campaign._ledger import Ledger
from ainerd.campaign._order import Order
from ainerd.decisions import Rules, State, events
from ainerd.decisions.events import Ready
from ainerd.jobs import Jobs
from ainerd.results import AgentNode, Away, ResultStore, TiledError

logger = logging.getLogger(__name__)


class History:
    """Folds the events of a session, and lets the thread for Tiled write them, and then their effects.

    Parameters
    ----------
    store : ResultStore
        Store of the agent.
    ledger : Ledger
    rules : Rules
    own, tiled : Jobs
        Of the thread that owns the state, and of the one that asks Tiled.

    Attributes
    ----------
    store : ResultStore
    own_jobs : Jobs
    order : Order
    """

    def __init__(self, store: ResultStore, ledger: Ledger, rules: Rules, own: Jobs, tiled: Jobs) -> None:
        self.store, self.own_jobs, self._ledger, self._tiled = store, own, ledger, tiled
        self._is_away = False  # Tiled did not take the last event or effect
        self._node = AgentNode(store.container, str(store.agent))
        self.order = Order(self._node, rules, own)

    @property
    def state(self) -> State:
        """State of the campaign after the events so far."""
        return self.order.state

    @property
    def rules(self) -> Rules:
        """The settings of this session."""
        return self.order.rules

    @property
    def first(self) -> Ready | None:
        """The suggestion that is measured next, if one waits."""
        return self.state.next(review=self.rules.review)

    @property
    def own(self) -> Ready | None:
        """The suggestion of the optimizer, if it waits."""
        return next((each for each in self.state.waiting if not each.created), None)

    def happen(self, event: events.Event, *, first: bool = False) -> State:
        """Fold an event of this session, and return the state after it; see `Order.happen`.

        It is written soon, with `first` before other writes, and then its effects.
        """
        after = self.order.happen(event)
        self.later(self.catch_up, first=first)
        return after

    def catch_up(self) -> None:
        """Write the events that are not in Tiled, and then the effects that are due, if it answers.

        In the thread for Tiled. If Tiled goes away, they are written later, in their order.
        """
        self.flush()
        while (due := self.order.urgent or self.order.due) and not self._is_away:
            each = due[0]
            try:
                is_written = self._write(each.effect, again=each.is_again)
            except Exception:  # such as a node that another program has changed
                logger.exception("an effect is left out: %s", each.effect)
                is_written = True
            if not is_written:
                due[0] = each._replace(is_again=True)
                self._is_away = True
                return
            due.popleft()
            if self.order.is_behind:  # somebody may hold the campaign
                self.flush()
        if not self._is_away and self.order.steers:
            with suppress(TiledError):  # it is saved after another event
                self.order.save()

    def flush(self) -> None:
        """Write the events that are not in Tiled, if it answers. In the thread for Tiled."""
        if not self.is_there():
            return
        try:
            self.order.flush()
        except TiledError as error:
            logger.warning("events of %s are not written yet: %s", self.store.agent, error)
            self._is_away = True

    def _write(self, effect: events.Effect, *, again: bool) -> bool:
        """Write an effect, `again` if it may be written already; return False if Tiled is away."""
        match effect:
            case events.Suggest(suggestion=suggestion, status=status, by=by, known=known):
                return self._ledger.suggested(suggestion, status, by, known, again=again)
            case events.SetStatus():
                why, raw_uid, taken = effect.why, effect.raw_uid, effect.taken
                return self._ledger.status(effect.suggestion, effect.status, why, raw_uid, effect.by, taken=taken)
            case events.Line(text=text, once=once, by=by, ids=ids):
                return self._ledger.note(text, once=once, by=by, **ids)
            case events.ShowHold():
                with suppress(TiledError):  # the whole state follows
                    self._node.update_state({"held": self.state.held})
                return True
            case events.Reply():
                return self._reply(effect)

    def _reply(self, reply: events.Reply) -> bool:
        try:
            self._node.answer(reply.container, reply.id, reply.status, reply.text, reply.fetched)
        except TiledError as error:
            logger.debug("the answer to command %s is not written: %s", reply.id, error)
            return not isinstance(error, Away)
        return True

    def is_there(self) -> bool:
        """Return whether Tiled answers."""
        if self._is_away or self.store.seems_away:
            self._is_away = not self.store.answers()
        return not self._is_away

    def later(self, write: Callable[..., object], *args: Any, first: bool = False, **kwargs: Any) -> None:
        """Let the thread for Tiled write something, in order, if this session steers; `first` before other writes."""
        self._tiled.write(lambda: write(*args, **kwargs) if self.order.steers else None, first=first)
