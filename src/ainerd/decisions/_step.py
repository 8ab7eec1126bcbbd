"""One step of the fold of a campaign: the state after a change or a command, and the effects."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ainerd.decisions import changes
from ainerd.decisions._known import known
from ainerd.decisions._state import Decision, Rules, State
from ainerd.decisions.changes import Ready
from ainerd.results import commands
from ainerd.steering import Suggestion

Limits = Mapping[str, tuple[float, float]]
MOST_DECISIONS = 100  # that can be taken back
MOST_HANDED_OUT = 1000  # suggestions that are remembered once they have a result


class Step:
    """The state so far in a step of the fold, and the effects so far.

    Attributes
    ----------
    state : State
    change : Change
        The change of this step.
    rules : Rules
    effects : list of Effect
    """

    def __init__(self, state: State, change: changes.Change, rules: Rules) -> None:
        self.state, self.change, self.rules, self.effects = state, change, rules, list[changes.Effect]()
        self._before = state

    def set(self, **changes: object) -> None:
        """Replace values of the state."""
        self.state = self.state.model_copy(update=changes)

    def put(self, ready: Ready) -> None:
        """Add a suggestion at the end; one with the same id is replaced, and its place stays."""
        waiting = [*self.state.waiting]
        place = next((i for i, each in enumerate(waiting) if each.id == ready.id), len(waiting))
        waiting[place : place + 1] = [ready]
        self.set(waiting=tuple(waiting))

    def put_last(self, command: commands.Command, suggestion: Suggestion, taken_by: str | None = None) -> None:
        """Put a person's point behind those of others; one that was added keeps its place when it is taken."""
        if (waiting := self.state.get(suggestion.id)) is None:
            self.withdraw(self.state.own, "a person's point comes first", command.by)
        added_by = waiting.added_by if waiting else "" if taken_by else command.by
        self.put(Ready(suggestion=suggestion, created=command.created, taken_by=taken_by, added_by=added_by))

    def remove(self, id: str) -> None:
        """Let a suggestion wait no more."""
        self.set(waiting=tuple(each for each in self.state.waiting if each.id != id))

    def withdraw(self, stale: Ready | None, why: str, by: str | None = None, status: str = "withdrawn") -> None:
        """Withdraw a suggestion, if it waits."""
        if stale is not None:
            self.remove(stale.id)
            status = status if stale.taken_by is None else "failed"
            self.effects.append(changes.SetStatus(stale.id, status, why, by))

    def change_window(self, bounds: Limits, excluded: Sequence[Limits], why: str, by: str) -> None:
        """Change the window. Withdraw the optimizer's suggestion, and the points of people that lie outside."""
        self.set(window=self.state.window.changed(bounds, excluded))
        for each in self.state.waiting:
            if not each.created or self.state.objection(each.suggestion.position):
                self.withdraw(each, why, by)

    def fail(self, id: str, position: Mapping[str, float], status: str, why: str, by: str | None = None) -> None:
        """Let a position fail: it is not suggested again."""
        self.set(failed={**self.state.failed, id: self.rules.position(position)})
        self.effects.append(changes.SetStatus(id, status, why, by))

    def hand_out(self, suggestion: Suggestion, by: str | None, status: str = "accepted") -> None:
        """Hand out a suggestion, to be measured now."""
        id = suggestion.id
        self.rules.position(suggestion.position)
        waiting = self.state.get(id)
        by = (None if waiting is None else waiting.taken_by) or by
        self.remove(id)
        handed_out = {**self.state.handed_out, id: Ready(suggestion=suggestion, taken_by=by)}
        for old in [*handed_out][:-MOST_HANDED_OUT]:
            if not self.state.is_open(old):
                del handed_out[old]
        self.set(handed_out=handed_out)
        self.suggest(suggestion, status, by)

    def suggest(self, suggestion: Suggestion, status: str = "proposed", by: str | None = None) -> None:
        """Write a suggestion, with what was known before this step."""
        self.effects.append(changes.Suggest(suggestion, status, by, known(self._before, self.rules, by)))

    def decide(self, command: commands.Command, text: str, **before: Any) -> None:
        """Log a decision, and keep the values before it for `undo`."""
        decision = Decision(id=command.id, text=f"{command.who} {text}", **before)
        self.set(decisions=(*self.state.decisions, decision)[-MOST_DECISIONS:])
        self.log(command, text)

    def log(self, command: commands.Command, text: str, suggestion: Suggestion | None = None) -> None:
        """Log what the sender of a command did. The position of the suggestion replaces ``{}`` in the text."""
        line, ids = f"{command.who} {text}", {}
        if suggestion is not None:
            line = line.replace("{}", self.rules.text(suggestion.position), 1)
            ids = {"suggestion_id": suggestion.id}
        self.line(command, line, ids)

    def line(self, command: commands.Command, text: str, ids: Mapping[str, str] | None = None) -> None:
        """Write the line of the log that a command leads to."""
        by = None if isinstance(command, commands.Next) else command.by  # a script that measures decides nothing
        assert not isinstance(self.change, changes.Measured)  # it has no time
        when = datetime.fromtimestamp(self.change.t, UTC).isoformat()  # the clock of the sender may be wrong
        self.effects.append(changes.Line(text, commands.log_key(when, command.id), by, ids or {}))
