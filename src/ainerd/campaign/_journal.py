"""Writes the changes of a campaign, and their effects, to Tiled."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from ainerd.campaign._comparison import Comparison
from ainerd.decisions import Answer, Rules, State, changes, fold, reduce
from ainerd.jobs import Jobs
from ainerd.results import AgentNode, Away, Gone, ResultStore, SuggestionRecord, translated

logger = logging.getLogger(__name__)

SAVE_EVERY = 100  # changes, after which the state is saved, so that the next session reads few changes
LONGEST = 200  # characters of an error in the log
# By new status: the statuses that it may replace. A measured suggestion does not become failed, and a failed one may
# fail again in a later run.
_INSTEAD_OF = {
    "accepted": ["proposed", "superseded", "withdrawn", "accepted"],
    "taken": ["proposed", "superseded", "withdrawn", "accepted"],
    "withdrawn": ["proposed", "accepted"],
    "superseded": ["proposed", "taken"],
    "failed": ["proposed", "accepted", "taken", "failed"],
}


class Ahead(NamedTuple):
    """A change that Tiled does not have, if there is one; its effects; and the state before it."""

    change: changes.Change | None
    effects: Sequence[changes.Effect]
    before: State


class Due(NamedTuple):
    """An effect that is to be written, and the number of its change."""

    number: int
    effect: changes.Effect


class Journal:
    """Folds the changes of a campaign, and writes them to Tiled, and then their effects.

    One session steers and writes. Each of its changes has the next number. If another session has taken that number,
    this one only reads from then on.

    Two threads use it. One owns the state (`happen`, `write`), and never waits for Tiled. The other one asks Tiled
    (`read`, `begin`, `look`, `catch_up`). These raise `ainerd.results.Away` if it does not answer, except `catch_up`,
    which goes on later.

    Parameters
    ----------
    store : ResultStore
        Store of the agent.
    rules : Rules
    own, tiled : Jobs
        Of the thread that owns the state, and of the one that asks Tiled.
    comparison : Comparison

    Attributes
    ----------
    state : State
        Read it from any thread: it is never changed, but replaced.
    steers : bool
        Whether this session steers.
    refused : dict of str to Answer
        By id, the answers to commands whose changes Tiled does not accept.
    """

    def __init__(self, store: ResultStore, rules: Rules, own: Jobs, tiled: Jobs, comparison: Comparison) -> None:
        self._store, self.rules, self._own, self._tiled = store, rules, own, tiled
        self._node = AgentNode(store.container, str(store.agent))
        self.steers, self._comparison = False, comparison
        self.refused: dict[str, Answer] = {}
        self._ahead, self._due = deque[Ahead](), deque[Due]()
        self._learned: list[changes.Measured] = []  # results that the next change lists
        self._atlas_version: int | None = None
        self._is_away = False  # Tiled did not take the last change or effect
        self.state, self._number = self._saved()  # the number of the newest change in Tiled
        self._saved_at = self._number

    @property
    def is_behind(self) -> bool:
        """Whether something is not written yet."""
        return bool(self._ahead or self._due)

    # in the thread that owns the state

    def happen(self, change: changes.Change) -> State:
        """Fold a change of this session, which is written soon, and return the state then.

        A command that must wait is no change: it changes nothing.
        """
        after, effects = reduce(self.state, change, self.rules)
        if isinstance(change, changes.Asked) and after.answer(change.command.id) is None:
            return after
        self._ahead.append(Ahead(change, effects, self.state))
        self.state = after
        self._tiled.write(self.catch_up, first=isinstance(change, changes.Asked))  # somebody waits
        return after

    def write(self, *effects: changes.Effect) -> None:
        """Let the thread for Tiled write effects that belong to no change, if this session steers."""
        if self.steers:
            self._ahead.append(Ahead(None, effects, self.state))
            self._tiled.write(self.catch_up)

    def know(self, measured: Mapping[str, str]) -> None:
        """Learn the key of the first result of each suggestion. Those of open suggestions need a change."""
        known = {id: key for id, key in measured.items() if id not in self.state.open}
        self.state = self.state.model_copy(update={"measured": {**known, **self.state.measured}})

    def _follow(self, records: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        for number, record in records:
            try:
                self.state, written, effects = fold(record, self.state, self.rules)
            except (AttributeError, KeyError, TypeError, ValueError) as error:  # another program wrote it
                logger.warning("change %d is left out, %s: %s", number, type(error).__name__, str(error)[:LONGEST])
                continue
            left = [each for each in self._due if each.number > written]
            self._due = deque([*left, *(Due(number, effect) for effect in effects)])
        self._number = records[-1][0] if records else self._number

    def _begun(self, began: changes.Began) -> None:
        self._number += 1
        learned: tuple[changes.Change, ...] = (*began.learned, began)
        for each in learned:
            self.state, effects = reduce(self.state, each, self.rules)
            self._due.extend(Due(self._number, effect) for effect in effects)
        self.steers = True

    def _stop(self) -> None:
        """Only read from now on. What was not written is left to the session that steers."""
        self.steers = False
        self.state = self._ahead[0].before if self._ahead else self.state
        for waiting in (self._ahead, self._due, self._learned):
            waiting.clear()

    def _leave_out(self, change: changes.Written, why: str) -> None:
        """Drop the next change, which Tiled will never accept, and fold those after it again."""
        self.state, later = self._ahead.popleft().before, [*self._ahead]
        self._ahead.clear()
        for each in later:
            before, effects = self.state, each.effects
            if each.change is not None:
                self.state, effects = reduce(self.state, each.change, self.rules)
            self._ahead.append(Ahead(each.change, effects, before))
        if isinstance(change, changes.Asked):
            text, id = f"Tiled does not accept this command: {why}", change.command.id
            self.refused[id] = Answer(status="refused", text=text)
            if change.container:
                self._ahead.append(Ahead(None, [changes.Reply(change.container, id, "refused", text)], self.state))
        logger.error("a change (%s) is left out, Tiled does not accept it: %s", change.kind, why)

    # in the thread that asks Tiled

    def read(self) -> None:
        """Fold the new changes of the session that steers."""
        self._own.ask(partial(self._follow, self._node.changes(self._number)))

    def begin(self, began: changes.Began) -> None:
        """Become the session that steers: from then on no earlier session can write a change.

        Raises RuntimeError if another session has just begun.
        """
        if not self._append(began):
            raise RuntimeError("another session has just begun to steer")
        self._own.ask(partial(self._begun, began))

    def look(self) -> None:
        """Stop steering if another session has written a change."""
        if not self._ahead and self._node.changes(self._number):
            self._own.ask(self._stop)

    def catch_up(self) -> None:
        """Write the changes that are not in Tiled, and then their effects, if it answers; otherwise later."""
        was_away = self._is_away
        if not self.steers or ((was_away or self._store.seems_away) and not self._store.answers()):
            return
        self._is_away = False
        try:
            while self._ahead or self._due:
                if self._ahead:  # first, because somebody may hold the campaign
                    self._write_change(*self._ahead[0])
                else:
                    self._write_effect(self._due[0].effect)
                self._tiled.do_first()  # a person may wait
            if self._number - self._saved_at >= SAVE_EVERY:
                self._save()
        except (Away, OSError) as error:
            if not was_away:
                why = f"{type(error).__name__}: {str(error)[:LONGEST]}"
                logger.warning("decisions of %s are not written yet: %s", self._store.agent, why)
            self._is_away = True
        except Exception as error:  # the next attempt is after `SAVE_EVERY` changes
            logger.error("the state of %s is not saved, %s: %s", self._store.agent, type(error).__name__, error)
            self._saved_at = self._number

    def _write_change(self, change: changes.Change | None, effects: Sequence[changes.Effect], _: State) -> None:
        if isinstance(change, changes.Measured):
            self._learned.append(change)
        elif change is not None:
            try:
                with translated():
                    is_next = self._append(change.model_copy(update={"learned": tuple(self._learned)}))
            except (Away, OSError):
                raise
            except Exception as error:  # refused, or a fault of this program, which a repeat would meet again
                self._own.ask(partial(self._leave_out, change, str(error)[:LONGEST]))
                return
            if not is_next:
                self._own.ask(self._stop)
                return
            self._number, self._learned = self._number + 1, []
        number = self._number + (change is None or isinstance(change, changes.Measured))
        due = [Due(number, effect) for effect in effects]
        if any(isinstance(effect, changes.ShowHold) for effect in effects):  # people wait
            self._due.extendleft(reversed(due))
        else:
            self._due.extend(due)
        self._ahead.popleft()

    def _append(self, change: changes.Written) -> bool:
        """Write the next change; return False if another session has written one under its number."""
        written = min((each.number - 1 for each in self._due), default=self._number)
        record = changes.record_of(change.model_copy(update={"written": min(written, self._number)}))
        there = self._node.append(self._number + 1, record)
        return there is None or there.get("id") == change.id  # else Tiled's answer was lost

    def _write_effect(self, effect: changes.Effect) -> None:
        """Write the next effect. One that can never be written is left out, with a line of the log."""
        try:
            with translated():
                self._write(effect)
        except (Away, OSError):
            raise
        except Gone as error:
            logger.debug("%s: %s", error, effect)
        except Exception as error:  # refused, or a fault of this program, which a repeat would meet again
            logger.error("an effect is left out, %s: %s", error, effect)
        self._due.popleft()

    def _write(self, effect: changes.Effect) -> None:
        store = self._store
        match effect:
            case changes.Suggest():
                self._suggest(effect)
            case changes.SetStatus(suggestion=id, status=status):
                instead_of = _INSTEAD_OF.get(status)
                store.set_status(id, status, effect.why, effect.raw_uid, by=effect.by, instead_of=instead_of)
            case changes.Refit(regimes=regimes):
                names = {str(store.agent): {str(number): name for number, name in self.state.names.items()}}
                decided = regimes.changed(names=names, left_out=self.state.left_out)
                self._atlas_version = store.add_atlas(decided).version
            case changes.Label():
                self._label(effect)
            case changes.Mark(key=key, left_out=left_out):
                store.label(key, left_out=left_out)
            case changes.Line(text=text, once=once, by=by, ids=ids):
                store.log(text, once=once, by=by, **ids)
            case changes.ShowHold():
                self._node.update_state({"held": self.state.held and self.state.held.model_dump()})
            case changes.Reply():
                self._node.answer(effect.container, effect.id, effect.status, effect.text, effect.fetched)

    def _label(self, effect: changes.Label) -> None:
        """Write the regime of a result, and its differences; the log names a difference that p does not show.

        The regime is written also if the result cannot be compared.
        """
        fields, sentence, text, agreed = dict[str, Any](), "", "", dict[str, dict[str, Any]]()
        try:
            with translated():
                fields, sentence = self._comparison.difference(effect)
                text, agreed = self._comparison.agreement(effect.key, effect.alike)
        except (Away, OSError):
            raise
        except Exception as error:  # the technique may come from anybody
            logger.error("result %s is not compared, %s: %s", effect.key, type(error).__name__, error)
        fields |= agreed.pop(effect.key, {})
        own = fields.pop("sentences", effect.sentences)[1:]  # the first one is the verdict
        if sentences := [*effect.sentences[:1], *own, *filter(None, [effect.sentences and sentence])]:
            fields["sentences"] = sentences
        self._store.label(
            effect.key, regime=effect.regime, own_p=effect.own_p, own_regimes=effect.own_regimes, **fields,
            atlas_version=self._atlas_version,
        )  # fmt: skip
        self._comparison.written(effect.key, fields)
        for key, numbers in agreed.items():
            self._store.label(key, **numbers)
            self._comparison.written(key, numbers)
        if text:
            self._store.log(text, **effect.ids)
        if sentence and effect.name:
            self._store.log(f"{effect.name}: {sentence}", once=effect.once, **effect.ids)

    def _suggest(self, effect: changes.Suggest) -> None:
        """Write a suggestion, or its new status."""
        suggestion, status, by = effect.suggestion, effect.status, effect.by
        if status != "proposed":
            with suppress(Gone):  # it never was proposed
                self._store.set_status(suggestion.id, status, by=by, instead_of=_INSTEAD_OF[status])
                return
        record = SuggestionRecord(
            id=suggestion.id,
            agent=str(self._store.agent),
            positions=suggestion.position,
            reason=suggestion.reason,
            terms=suggestion.terms,
            status_by=by or str(self._store.agent),
            known=dict(effect.known),
        )
        self._store.add_suggestion(record.changed(status=status, status_time=record.created))

    def _save(self) -> None:
        state = self._own.ask(lambda: None if self._ahead else self.state)
        if state is not None:
            self._node.save_checkpoint({"number": self._number, "state": state.saved()})
            self._saved_at = self._number

    def _saved(self) -> tuple[State, int]:
        """Return the state that was saved, and the number of its last change; the first state if it is invalid."""
        first = State(window=self.rules.window)
        saved = self._node.checkpoint() or {"state": first.saved(), "number": 0}
        try:
            return State.model_validate(saved["state"], context=self.rules), int(saved["number"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # another program wrote it
            logger.warning("the saved state is left out, the changes are read: %s: %s", type(error).__name__, error)
            return first, 0
