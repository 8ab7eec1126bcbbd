"""What a campaign writes beside the results: suggestions and their status, the log, its checkpoint."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from numbers import Real
from typing import Any, Concatenate, ParamSpec

import httpx
from bluesky_adaptive.protocols import ID_KEY
from tiled.client.utils import ClientError

from ainerd.results import ResultStore, SuggestionRecord, save_checkpoint, scan_text
from ainerd.runs import Outcome
from ainerd.words import place

logger = logging.getLogger(__name__)
P = ParamSpec("P")
GONE = "its session was gone"

# A status that is given only instead of these: what somebody accepted is not taken back, what was measured not failed;
# what has failed may fail again in a later run.
_INSTEAD_OF = {"withdrawn": ["proposed"], "superseded": ["proposed"], "failed": ["proposed", "accepted", "failed"]}


def _softly(write: Callable[Concatenate["Ledger", P], None]) -> Callable[Concatenate["Ledger", P], None]:
    """A line that Tiled does not take is no reason to lose the run it is about."""

    @wraps(write)
    def inner(self: "Ledger", *args: P.args, **kwargs: P.kwargs) -> None:
        if self._store.seems_away and not self._store.answers():  # else each line would wait for half a minute
            logger.warning("Tiled is away: %s %s is not written", write.__name__, args)
            return
        try:
            write(self, *args, **kwargs)
        except (ClientError, httpx.HTTPError):
            logger.exception("Tiled did not take: %s %s", write.__name__, args)

    return inner


class Ledger:
    """Writes to Tiled, in an agent's own store, what was decided and why.

    `names` are the actuators, which share the `unit`. `principal` is who the agent is, on a server with accounts.
    """

    def __init__(
        self, store: ResultStore, agent: str, names: Sequence[str], unit: str = "", principal: str | None = None
    ) -> None:
        self._store, self._agent, self._names, self._unit = store, agent, tuple(names), unit
        self._principal, self.is_saved = principal, True  # whether the newest checkpoint is in Tiled

    @_softly
    def suggested(
        self,
        suggestion: Mapping[str, Any],
        status: str = "proposed",
        by: str | None = None,
        principal: str | None = None,
    ) -> None:
        """Keep a suggestion, or give a kept one another status; `principal` is who wants it, if not the agent."""
        record = SuggestionRecord(
            id=suggestion[ID_KEY],
            agent=self._agent,
            positions={name: suggestion[name] for name in self._names},
            reason=suggestion["reason"],
            terms=terms_of(suggestion, self._names),
            status_by=by or self._agent,
            principal=principal or self._principal,
        )
        if status != "proposed":
            try:
                self._store.set_status(record.id, status, by=by)
                return
            except KeyError:  # Tiled was away when it was proposed
                record = record.changed(status=status)
        self._store.add_suggestion(record.changed(status_time=record.created))

    @_softly
    def status(
        self, id: str, status: str, reason: str | None = None, raw_uid: str | None = None, by: str | None = None
    ) -> None:
        """Say what became of a suggestion; one of another agent is left alone."""
        try:
            self._store.set_status(id, status, reason, raw_uid, by=by, instead_of=_INSTEAD_OF.get(status))
        except KeyError:
            logger.debug("no suggestion %s in Tiled", id)

    @_softly
    def close_open(self, known: Sequence[Outcome], own: Collection[str], before: str) -> None:
        """Write what became of the suggestions that a session which is gone left open, and log its last result.

        `known` are all results, `own` the ids of this session's suggestions, which began at the time `before`.
        """
        became = {outcome.trial_id: outcome for outcome in known if outcome.trial_id != outcome.key}
        for record in self._store.open_suggestions():
            if record.id in own or record.created > before:  # the latter are of a session beside this one
                continue
            outcome = became.get(record.id)
            if outcome is not None:
                status = "failed" if outcome.status == "failed" else "measured"
                self._store.set_status(record.id, status, outcome.reason or None, outcome.raw_uid)
            elif record.status == "proposed":
                self._store.set_status(record.id, "withdrawn", GONE, instead_of=["proposed"])
            else:
                self._store.set_status(record.id, "failed", f"{GONE}: not measured", instead_of=["accepted"])
        key = self._store.newest_key()
        last = next((outcome for outcome in known if outcome.key == key), None)
        if last is not None and not self._store.is_logged(last.key):
            text = f"{self.finding(last)} (found at the next start: {GONE})"
            self._store.log(text, raw_uid=last.raw_uid, result=last.key)

    def open_elsewhere(self, id: str, own: Collection[str]) -> list[SuggestionRecord] | None:
        """Open suggestions that came before this one and are not our `own`; None if that cannot be told now."""
        if self._store.seems_away:
            return None
        try:
            found = self._store.open_suggestions()
        except (ClientError, httpx.HTTPError) as error:
            logger.debug("what others suggest is not read: %s", error)
            return None
        place = next((i for i, record in enumerate(found) if record.id == id), len(found))
        return [record for record in found[place + 1 :] if record.id not in own]

    @_softly
    def note(self, text: str, *, once: str | None = None, **ids: Any) -> None:
        """Write a line of the log; one with a key `once` is written once."""
        self._store.log(text, once=once, **ids)

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Write the campaign's state."""
        self.is_saved = False
        self._checkpoint(state)

    @_softly
    def _checkpoint(self, state: Mapping[str, Any]) -> None:
        save_checkpoint(self._store.container, self._agent, state)
        self.is_saved = True

    def position_text(self, position: Mapping[str, Any]) -> str:
        """A position in words."""
        known = {name: position[name] for name in self._names if name in position}
        return place(known, dict.fromkeys(known, self._unit)) if known else "an unknown position"

    def finding(self, outcome: Outcome, *, told_apart: bool = True) -> str:
        """What was found at a position, in words; `told_apart`: whether a novel one's point is unlike known ones."""
        scan = "" if outcome.scan_id is None else f"scan {scan_text(outcome.scan_id, outcome.event)} "
        where = f"{scan}at {self.position_text(outcome.positions)}"
        if outcome.status == "failed":
            return f"{where}: no result, {outcome.reason}"
        p = "no claim of novelty" if outcome.novelty_p is None else f"p = {outcome.novelty_p:.2g}"
        close = "" if told_apart else ", but its point is one of the regime"
        return f"{where}: regime {outcome.regime}, {p}" + (f" (novel{close})" if outcome.novel else "")


def terms_of(suggestion: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """The numbers that a suggestion brings beside its position: what speaks for it and against it."""
    return {
        name: float(x)
        for name, x in suggestion.items()
        if name not in names and isinstance(x, Real) and not isinstance(x, bool)
    }


def limits_text(limits: Mapping[str, tuple[float, float]]) -> str:
    """Limits in words."""
    return ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in limits.items())
