"""The fold of a campaign: the state after an event, and the effects of the event.

It reads no clock and no Tiled, and draws no random numbers: the same events give the same state.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bluesky_adaptive.protocols import ID_KEY

from ainerd.decisions import events
from ainerd.decisions._known import known
from ainerd.decisions._state import UNTAKEN, Answer, Rules, State, limits_text, terms_of, within
from ainerd.decisions.events import Ready
from ainerd.results import commands

Limits = Mapping[str, tuple[float, float]]
MOST_ANSWERS = 1000  # commands whose answers are kept; more than can wait
TAKEN_WITHIN_S = 12 * 3600.0  # an older `Take` is refused: the sample may have been changed
FETCHED_WITHIN_S = 60.0  # beyond its `wait_s` an older `Next` is refused
MOST_FETCHED = 20  # positions of scripts that are remembered
MOST_HANDED_OUT = 1000  # suggestions that are remembered once they have a result
NO_REASON = "asked for by a person"
NOT_LEFT = "no position is left"
GONE = "its session had ended"


def reduce(state: State, event: events.Event, rules: Rules) -> tuple[State, tuple[events.Effect, ...]]:
    """Return the state after an event, and the effects that the session writes.

    A command that comes twice changes nothing the second time.
    """
    fold = _Fold(state, event, rules)
    fold.take()
    return fold.state, tuple(fold.effects)


class _NotYet(Exception):
    """Raised if a command must wait; the message gives the reason."""


class _Fold:
    """One step of the fold."""

    def __init__(self, state: State, event: events.Event, rules: Rules) -> None:
        self.state, self.event, self.rules, self.effects = state, event, rules, list[events.Effect]()
        self._before = state

    def take(self) -> None:
        match self.event:
            case events.Began():
                self._begin(self.event)
            case events.Asked(command=command):
                self._ask(self.event, command)
            case events.Proposed(suggestion=suggestion, why=why):
                self._propose(suggestion, why)
            case events.HandedOut(suggestion=suggestion, by=by):
                self._hand_out(suggestion, by)
            case events.Unfinished(positions=positions):
                for id, position in positions.items():
                    self._fail(id, self.rules.position(position))
                    self._status(id, "failed", "the exposure was not finished")
            case events.Withdrawn(why=why, status=status, all=everything):
                for each in self.state.waiting if everything else filter(None, [self.own]):
                    self._withdraw(each, why, status)
            case events.Measured():
                self._measure(self.event)
            case events.Claimed(claims=claims):
                self.set(claims=claims)

    def set(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)

    # waiting suggestions

    @property
    def own(self) -> Ready | None:
        """The optimizer's suggestion, if it waits."""
        return next((each for each in self.state.waiting if not each.created), None)

    def _put(self, ready: Ready) -> None:
        """Add a suggestion at the end; one with the same id is replaced, and its place stays."""
        waiting = [*self.state.waiting]
        place = next((i for i, each in enumerate(waiting) if each.id == ready.id), len(waiting))
        waiting[place : place + 1] = [ready]
        self.set(waiting=tuple(waiting))

    def _remove(self, id: str) -> None:
        self.set(waiting=tuple(each for each in self.state.waiting if each.id != id))

    def _withdraw(self, stale: Ready, why: str, status: str = "withdrawn", by: str | None = None) -> None:
        self._remove(stale.id)
        status = status if stale.taken_by is None else "failed"
        self.effects.append(events.SetStatus(stale.id, status, why, by))

    def _withdraw_own(self, why: str, by: str) -> None:
        if (own := self.own) is not None:
            self._withdraw(own, why, by=by)

    def _change_window(self, bounds: Limits, excluded: Sequence[Limits], why: str) -> None:
        """Change the window. Withdraw the optimizer's suggestion, and the points of people that lie outside."""
        self.set(window=self.state.window.changed(bounds, excluded))
        for each in self.state.waiting:
            if not each.created or self.state.objection(each.suggestion):
                self._withdraw(each, why, by="person")

    def _fail(self, id: str, position: Mapping[str, float]) -> None:
        self.set(failed={**self.state.failed, id: position})

    def _status(self, id: str, status: str, why: str | None = None, by: str | None = None, **more: Any) -> None:
        self.effects.append(events.SetStatus(id, status, why, by, **more))

    def _suggest(self, suggestion: Mapping[str, Any], status: str = "proposed", by: str | None = None) -> None:
        self.effects.append(events.Suggest(suggestion, status, by, known(self._before, self.rules, by)))

    # events

    def _begin(self, began: events.Began) -> None:
        """Keep the bounds if the settings have the same as before, and close what the session before left open.

        Points of people wait on. A script may be measuring a position that it fetched. Any other position that was
        handed out counts as failed, because it may have been exposed.
        """
        window, configured = self.state.window, began.configured
        bounds = window.bounds if self.state.configured == configured else configured
        self.set(configured=configured, window=window.changed(bounds, window.excluded))
        for each in self.state.waiting:
            is_late = bool(each.created) and self._age_s(each.created) > TAKEN_WITHIN_S
            if not each.created or is_late or self.state.objection(each.suggestion):
                self._withdraw(each, GONE)
        for id, each in self.state.handed_out.items():
            if self.state.is_open(id) and id not in self.state.fetched:
                self._fail(id, self.rules.position(each.suggestion))
                self._status(id, "failed", f"{GONE}: not measured")

    def _propose(self, suggestion: dict[str, Any], why: str) -> None:
        """Let a suggestion wait, unless one waits already, or it may not be measured."""
        if why and self.own is not None:
            self._withdraw(self.own, why, "superseded")
        state, id = self.state, suggestion[ID_KEY]
        if self.own is None and id not in state.measured and id not in state.handed_out:
            if not state.objection(suggestion):
                self._put(Ready(suggestion=suggestion))
                self._suggest(suggestion)

    def _hand_out(self, suggestion: dict[str, Any], by: str | None, status: str = "accepted") -> None:
        id = str(suggestion[ID_KEY])
        self.rules.position(suggestion)
        waiting = self.state.get(id)
        by = (None if waiting is None else waiting.taken_by) or by
        self._remove(id)
        ready = Ready(suggestion=suggestion, taken_by=by)
        handed_out = {**self.state.handed_out, id: ready}
        for old in [*handed_out][:-MOST_HANDED_OUT]:
            if not self.state.is_open(old):
                del handed_out[old]
        self.set(handed_out=handed_out)
        self._suggest(suggestion, status, by)

    def _measure(self, result: events.Measured) -> None:
        self._remove(result.suggestion)
        self.set(measured={result.suggestion: result.key, **self.state.measured})
        status = "failed" if result.failed else "measured"
        self._status(result.suggestion, status, result.why, raw_uid=result.raw_uid)

    # commands

    def _ask(self, asked: events.Asked, command: commands.Command) -> None:
        """Execute a command. A second one with the same id changes nothing, and its answer stays."""
        if self.state.answer(command.id) is not None:
            return
        try:
            answer = Answer("refused", asked.refused) if asked.refused else self._execute(asked, command)
        except _NotYet as reason:
            waits = isinstance(command, commands.Next) and self._age_s(command.created) < command.wait_s
            answer = Answer("waits" if waits else "refused", str(reason))
        except ValueError as error:
            answer = Answer("refused", str(error)[:300])
        answers = {**self.state.answers, command.id: (command.do, answer)}
        self.set(answers=dict([*answers.items()][-MOST_ANSWERS:]))
        if asked.container and answer.status != "waits":  # otherwise it is executed again
            self.effects.append(events.Reply(asked.container, command.id, answer.status, answer.text, answer.fetched))

    def _execute(self, asked: events.Asked, command: commands.Command) -> Answer:
        text, suggestion, window = "", None, self.state.window
        if isinstance(command, commands.Hold | commands.Release):
            self.effects.append(events.ShowHold())
        match command:
            case commands.Next():
                return self._fetch(asked, command)
            case commands.Accept():
                suggestion = self._first(asked).suggestion
                self._hand_out(suggestion, command.by)
                self._log(command, "accepted {}", suggestion)
                text = "the plan has received this position"
            case commands.Take():
                suggestion = self._take(asked, command)
                text = self._place(command.suggestion, asked.review)
            case commands.Reject():
                self._reject(asked, command)
                text = "the agent measures neither this position nor one close to it"
            case commands.TakeBack():
                self._take_back(command)
                text = "the agent chooses again"
            case commands.Hold():
                self.set(held={"by": command.by, "why": command.why, "t": asked.t})
                self._log(command, "holds the campaign" + (f": {command.why}" if command.why else ""))
                text = "the agent takes no new suggestion until somebody releases it"
            case commands.Release():
                if self.state.held is not None:
                    self.set(held=None)
                    self._log(command, "released the campaign")
                text = "the plans continue"
            case commands.Exclude():
                self._change_window(window.bounds, [*window.excluded, command.region], "a region was excluded")
                self._log(command, f"excluded {limits_text(command.region)}: {command.why or NO_REASON}")
                text = "the agent suggests no position in this region"
            case commands.Add():
                suggestion = self._add(asked, command)
                text = self._place(command.id, asked.review)
            case commands.Name():
                if asked.objection:
                    raise ValueError(asked.objection)
                others = {number: name for number, name in self.state.names.items() if number != command.regime}
                self.set(names={**others, command.regime: command.name} if command.name else others)
                regime = f"regime {command.regime}"
                self._log(
                    command,
                    f"calls {regime} {command.name!r}" if command.name else f"took the name of {regime} away",
                )
                text = "the regime has this name now"
            case commands.SetBounds():
                bounds = within(command.bounds, self.state.configured)
                self._change_window(bounds, window.excluded, "the bounds were changed")
                text = f"bounds are now {limits_text(self.state.window.bounds)}"
                self._line(command, text)
            case commands.SetExcluded():
                self._change_window(window.bounds, command.regions, "the excluded regions were changed")
                text = f"excluded are now {'; '.join(map(limits_text, command.regions)) or 'no regions'}"
                self._line(command, text)
            case commands.Note():  # it needs no agent: `ResultStore.note`
                raise ValueError(f"{command.do!r} is not for an agent")
        return Answer("done", text, suggestion)

    def _first(self, asked: events.Asked) -> Ready:
        """Return the suggestion that is measured next; ValueError if none waits."""
        first = self.state.next(review=asked.review)
        if asked.objection or first is None:
            raise ValueError(asked.objection or NOT_LEFT)
        return first

    def _fetch(self, asked: events.Asked, command: commands.Next) -> Answer:
        """Hand out the next position to a script."""
        state, rules = self.state, self.rules
        last = next(filter(state.is_open, state.fetched[-1:]), None)
        if (old_s := self._age_s(command.created)) > command.wait_s + FETCHED_WITHIN_S:
            raise ValueError(f"it was asked for {old_s:.0f} s ago, and the script may be gone: ask again")
        if state.held is not None:
            raise _NotYet(f"{state.held['by']} holds the campaign")
        if asked.review and state.taken(review=True) is None:
            raise _NotYet(UNTAKEN)
        if last is not None and command.wait_s:
            before = rules.text(state.handed_out[last].suggestion)
            raise _NotYet(f"no result has come from {before}, fetched before")
        suggestion = self._first(asked).suggestion
        self._hand_out(suggestion, command.by, "taken")
        if last is not None:
            self._status(last, "superseded", "another position was fetched", command.by)
        id = str(suggestion[ID_KEY])
        self.set(fetched=(*state.fetched, id)[-MOST_FETCHED:])
        self._log(command, "fetched {}", suggestion)
        fetched = {"suggestion": id, "position": rules.position(suggestion), "reason": suggestion["reason"]}
        return Answer("done", suggestion["reason"], suggestion, fetched)

    def _take(self, asked: events.Asked, command: commands.Take) -> dict[str, Any]:
        id, state = command.suggestion, self.state
        if id in state.handed_out or id in state.measured:
            raise ValueError("it was measured already, or is being measured")
        if (old_s := self._age_s(command.created)) > TAKEN_WITHIN_S:
            raise ValueError(f"it was taken {old_s / 3600:.0f} h ago, when no agent was there: take or add a new one")
        waiting = state.get(id)
        position = self.rules.position(command.position)
        taken = {**command.terms, **position, ID_KEY: id, "reason": command.reason or NO_REASON}
        if waiting is not None:
            taken = waiting.suggestion
        shown = taken if waiting is not None else {**taken, "reason": command.reason}
        _check_seen(command, position, shown, self.rules, asked.settings)
        if waiting is None:
            if objection := asked.objection or state.objection(taken):
                self._status(id, "failed", objection)
                raise ValueError(objection)
            self._withdraw_own(f"{command.who} took another one", command.by)
        self._enqueue(taken, command.created, command.by)
        self._suggest(taken, "accepted", command.by)
        self._log(command, "took {}" + (f": {command.why}" if command.why else ""), taken)
        return taken

    def _enqueue(self, suggestion: dict[str, Any], created: str, taken_by: str | None = None) -> None:
        """Put a person's point behind those of others; one that was added keeps its place when it is taken."""
        if self.state.get(str(suggestion[ID_KEY])) is None:
            self._withdraw_own("a person's point comes first", "person")
        self._put(Ready(suggestion=suggestion, created=created, taken_by=taken_by))

    def _take_back(self, command: commands.TakeBack) -> None:
        """Withdraw a point of a person; its position may be suggested again."""
        waiting = self.state.get(command.suggestion)
        if waiting is None or not waiting.created:
            raise ValueError("it does not wait any more: it is being measured, or it was withdrawn")
        self._remove(waiting.id)
        why = command.why or f"{command.who} took it back"
        self._status(waiting.id, "withdrawn", why, command.by, taken=True)
        self._log(command, "took {} back", waiting.suggestion)

    def _reject(self, asked: events.Asked, command: commands.Reject) -> None:
        id, position = command.suggestion, self.rules.position(command.position)
        if id in self.state.measured:
            raise ValueError("it was measured already")
        waiting = self.state.get(id)
        own = {**command.terms, **position, "reason": command.reason}
        _check_seen(command, position, own if waiting is None else waiting.suggestion, self.rules, asked.settings)
        self._remove(id)
        if waiting is None:  # another suggestion has replaced it, maybe at the same place
            self._withdraw_own("another suggestion was rejected", command.by)
        self._fail(id, position)
        why = command.why or NO_REASON
        self._status(id, "rejected", why, command.by)
        self._log(command, f"rejected {{}}: {why}", {ID_KEY: id, **position})

    def _add(self, asked: events.Asked, command: commands.Add) -> dict[str, Any]:
        if command.id in self.state.measured:  # by a session that was killed before it could answer
            raise ValueError("it was measured already")
        if asked.objection or asked.suggestion is None:
            raise ValueError(asked.objection or NOT_LEFT)
        if objection := self.state.objection(asked.suggestion):
            raise ValueError(objection)
        self._enqueue(asked.suggestion, command.created)
        self._suggest(asked.suggestion, by=command.by)
        self._log(command, f"wants {{}} next: {command.why or NO_REASON}", asked.suggestion)
        return dict(asked.suggestion)

    def _place(self, id: str, review: bool) -> str:
        """Return when a point is measured, in words."""
        waiting = [each for each in self.state.waiting if not review or each.taken_by is not None or each.id == id]
        before = next(i for i, each in enumerate(waiting) if each.id == id)
        when = "it is measured next" if not before else f"it is number {before + 1} in the queue"
        return f"{when}, once a person takes it" if review and waiting[before].taken_by is None else when

    def _log(self, command: commands.Command, text: str, suggestion: Mapping[str, Any] | None = None) -> None:
        """Log a command. The position of the suggestion replaces ``{}`` in the text."""
        line, ids = f"{command.who} {text}", {}
        if suggestion is not None:
            line = line.replace("{}", self.rules.text(suggestion), 1)
            ids = {"suggestion_id": str(suggestion[ID_KEY])}
        self._line(command, line, ids)

    def _line(self, command: commands.Command, text: str, ids: Mapping[str, str] | None = None) -> None:
        by = None if isinstance(command, commands.Next) else command.by  # a script that measures decides nothing
        self.effects.append(events.Line(text, command.log_key, by, ids or {}))

    def _age_s(self, created: str) -> float:
        assert not isinstance(self.event, events.Measured)  # it has no time
        return self.event.t - moment(created).timestamp()


def _check_seen(
    command: commands.Take | commands.Reject,
    position: Mapping[str, float],
    waiting: Mapping[str, Any],
    rules: Rules,
    settings: str,
) -> None:
    """Raise ValueError if the suggestion differs from the one that the sender saw, or the settings do."""
    now = rules.position(waiting)
    shown = commands.seen(now, waiting["reason"], terms_of(waiting, rules.names), settings)
    if now != position or command.seen not in ("", shown):
        raise ValueError(
            f"the suggestion differs from the one that was seen, it is now at {rules.text(now)}: "
            "look again, and decide on that"
        )


def moment(created: str) -> datetime:
    """Parse a time in ISO 8601; raise ValueError if the text is not one."""
    return datetime.fromisoformat(created).astimezone(UTC)


def is_position(values: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Return whether all names have a finite number."""
    return all(isinstance(x := values.get(name), int | float) and math.isfinite(x) for name in names)
