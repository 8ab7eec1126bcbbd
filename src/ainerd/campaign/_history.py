"""The history of a campaign: its events, and the writes to Tiled that follow from them.

A session takes over the points of people that earlier sessions left: `taken_over`.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import httpx

from ainerd.campaign._ledger import Ledger
from ainerd.campaign._order import Order
from ainerd.decisions import TAKEN_WITHIN_S, Rules, State, age_s, events
from ainerd.decisions.events import Ready
from ainerd.jobs import Jobs
from ainerd.results import AgentNode, ResultStore, may_pass

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
    inserted : callable
        See `Order`.

    Attributes
    ----------
    store : ResultStore
    own_jobs : Jobs
    order : Order
    """

    def __init__(
        self,
        store: ResultStore,
        ledger: Ledger,
        rules: Rules,
        own: Jobs,
        tiled: Jobs,
        inserted: Callable[[int, events.Written], None],
    ) -> None:
        self.store, self.own_jobs, self._ledger, self._tiled = store, own, ledger, tiled
        self._is_away = False  # Tiled did not take the last event or effect
        self._node = AgentNode(store.container, str(store.agent))
        self.order = Order(self._node, rules, own, inserted)

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
    def own(self) -> Ready | None:
        """The suggestion of this session's optimizer, if it waits."""
        return next((each for each in self.queue if not each.created), None)

    def happen(self, event: events.Event, *, first: bool = False) -> None:
        """Fold an event of this session. It is written soon, with `first` before other writes, and then its effects."""
        self.order.happen(event)
        self.later(self.catch_up, first=first)

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
        if not self._is_away:
            with suppress(httpx.HTTPError):  # it is saved after another event
                self.order.save()

    def flush(self) -> None:
        """Write the events that are not in Tiled, if it answers. In the thread for Tiled."""
        if not self.is_there():
            return
        try:
            self.order.flush()
        except httpx.HTTPError as error:
            logger.warning("events of %s are not written yet: %s", self.store.agent, error)
            self._is_away = may_pass(error)

    def look(self) -> bool:
        """Fold the events that other sessions have written; return whether there are any.

        Raises httpx.HTTPError if Tiled does not answer.
        """
        before = self.state
        self._tiled.ask(self._look)
        return self.state is not before

    def _look(self) -> None:
        self.order.look()
        self.catch_up()

    def _write(self, effect: events.Effect, *, again: bool) -> bool:
        """Write an effect, `again` if it may be written already; return False if Tiled is away."""
        match effect:
            case events.Suggest(suggestion=suggestion, status=status, by=by):
                return self._ledger.suggested(suggestion, status, by, again=again)
            case events.SetStatus():
                why, raw_uid, taken = effect.why, effect.raw_uid, effect.taken
                return self._ledger.status(effect.suggestion, effect.status, why, raw_uid, effect.by, taken=taken)
            case events.Line(text=text, once=once, by=by, ids=ids):
                return self._ledger.note(text, once=once, by=by, **ids)
            case events.ShowHold():
                with suppress(httpx.HTTPError, KeyError):  # the whole state follows
                    self._node.update_state({"held": self.state.held})
                return True
            case events.Reply():
                return self._reply(effect)

    def _reply(self, reply: events.Reply) -> bool:
        try:
            self._node.answer(reply.id, reply.status, reply.text, reply.fetched)
        except KeyError:
            logger.debug("command %s is gone", reply.id)
        except httpx.HTTPError as error:
            logger.debug("the answer to command %s is not written: %s", reply.id, error)
            return not may_pass(error)
        return True

    def is_there(self) -> bool:
        """Return whether Tiled answers."""
        if self._is_away or self.store.seems_away:
            self._is_away = not self.store.answers()
        return not self._is_away

    def later(self, write: Callable[..., object], *args: Any, first: bool = False, **kwargs: Any) -> None:
        """Let the thread for Tiled write something, in order; with `first` before other writes."""
        self._tiled.write(partial(write, *args, **kwargs), first=first)


def sessions_left(state: State, rules: Rules) -> set[str]:
    """Return the other sessions whose suggestions wait or, unless sessions share the sample, are being measured."""
    open_ = [each for id, each in state.handed_out.items() if state.is_open(id) and not rules.shared_s]
    return {each.session for each in (*state.waiting, *open_)} - {rules.session}


def exposed_by_others(state: State, rules: Rules) -> dict[str, dict[str, float]]:
    """Return the positions that other sessions handed out and that have no result, by suggestion.

    None if sessions share the sample, and without those that scripts fetched: these may be measured now.
    """
    handed_out = {} if rules.shared_s else state.handed_out
    left = {id: each for id, each in handed_out.items() if state.is_open(id) and id not in state.fetched}
    return {id: rules.position(each.suggestion) for id, each in left.items() if each.session != rules.session}


def taken_over(state: State, rules: Rules) -> events.Resumed | None:
    """Return the event with which a session takes over the points of people; None if no other session left anything."""
    left = [each for each in state.waiting if each.session != rules.session]
    open_ = [each for id, each in state.handed_out.items() if state.is_open(id)]
    if not left and all(each.session == rules.session for each in open_):
        return None
    points = (each for each in left if each.created and _may_be_measured(each, state, rules))
    return events.Resumed(session=rules.session, points=tuple(points))


def _may_be_measured(left: Ready, state: State, rules: Rules) -> bool:
    try:  # it may now be outside the bounds, or excluded, or of other actuators
        if age_s(left.created) > TAKEN_WITHIN_S or left.id in state.measured:
            return False
        return not state.objection(rules.session, left.suggestion)
    except (KeyError, TypeError, ValueError):
        return False
