"""Records of a campaign besides results: suggestions, and the log with notices."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial, wraps
from typing import Any

from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._sentences import changes
from ainerd.decisions import terms_of
from ainerd.novelty import Components
from ainerd.results import Away, Gone, ResultStore, SuggestionRecord, TiledError
from ainerd.technique import Outcome
from ainerd.words import named_place, place, run_text

logger = logging.getLogger(__name__)

# By new status: the statuses that it may replace. An accepted suggestion is not withdrawn, a measured one does not
# become failed, and a failed one may fail again in a later run.
_INSTEAD_OF = {
    "withdrawn": ["proposed"],
    "superseded": ["proposed", "taken"],
    "failed": ["proposed", "accepted", "taken", "failed"],
}


def _softly(write: Callable[..., None]) -> Callable[..., bool]:
    """Log an error of Tiled instead of raising it, so that a failed write never costs a run.

    The function returns whether Tiled has accepted the write, or will never accept it.
    """

    @wraps(write)
    def inner(self: "Ledger", *args: Any, **kwargs: Any) -> bool:
        if self._store.seems_away and not self._store.answers():  # without this each write would wait half a minute
            logger.warning("Tiled does not answer: %s %s is not written", write.__name__, args)
            return False
        try:
            write(self, *args, **kwargs)
        except TiledError as error:
            logger.exception("Tiled did not accept: %s %s", write.__name__, args)
            return not isinstance(error, Away)
        return True

    return inner


class Ledger:
    """Writes suggestions, their status and the log of one agent to Tiled.

    `names` are the actuators; `unit` is their unit.
    """

    def __init__(self, store: ResultStore, names: Sequence[str], unit: str = "") -> None:
        self._store, self._agent, self._names, self._unit = store, str(store.agent), tuple(names), unit

    @_softly
    def suggested(
        self,
        suggestion: Mapping[str, Any],
        status: str = "proposed",
        by: str | None = None,
        known: Mapping[str, str] | None = None,
        *,
        again: bool = False,
    ) -> None:
        """Write a suggestion, or a new status of a suggestion; `again`: an earlier session may have written it."""
        if status != "proposed":
            instead_of = ["proposed", "superseded", "withdrawn"] if again else None
            with suppress(Gone):  # Tiled was away when it was proposed, or it never was
                self._store.set_status(suggestion[ID_KEY], status, by=by, instead_of=instead_of)
                return
        record = SuggestionRecord(
            id=suggestion[ID_KEY],
            agent=self._agent,
            positions={name: suggestion[name] for name in self._names},
            reason=suggestion["reason"],
            terms=terms_of(suggestion, self._names),
            status_by=by or self._agent,
            known=dict(known or {}),
        )
        self._store.add_suggestion(record.changed(status=status, status_time=record.created))

    @_softly
    def status(
        self,
        id: str,
        status: str,
        reason: str | None = None,
        raw_uid: str | None = None,
        by: str | None = None,
        *,
        taken: bool = False,
    ) -> None:
        """Write the status of a suggestion, also of one that a person took if `taken`; those of other agents stay."""
        try:
            instead_of = [*_INSTEAD_OF.get(status, ()), *["accepted"] * taken] or None
            self._store.set_status(id, status, reason, raw_uid, by=by, instead_of=instead_of)
        except Gone:
            logger.debug("no suggestion %s in Tiled", id)

    @_softly
    def log_last(self, known: Mapping[str, Outcome]) -> None:
        """Log the newest result, if the session that wrote it was killed before. `known` has the results by key."""
        last = known.get(str(self._store.newest_key()))
        if last is not None and not self._store.is_logged(last.key):
            text = f"{self.finding(last)} (written at the next start, because the session had ended)"
            self._store.log(text, raw_uid=last.raw_uid, result=last.key)

    @_softly
    def note(self, text: str, *, once: str | None = None, by: str | None = None, **ids: Any) -> None:
        """Write a line of the log. A line with a key `once` is written only once; `by` took the decision in it."""
        self._store.log(text, once=once, by=by, **ids)

    def finding_once(self, text: str, *, raw_uid: str, result: str) -> None:
        """Write a line on a result, unless the log has one."""
        with suppress(Away):
            if self._store.is_logged(result):
                return
        self.note(text, raw_uid=raw_uid, result=result)

    def position_text(self, position: Mapping[str, Any], *, of_file: bool = False) -> str:
        """Return a position in words, which a plan recorded, or the result file of a pipeline contains."""
        known = {name: position[name] for name in self._names if name in position}
        units = dict.fromkeys(known, self._unit)
        if len(known) == len(self._names):
            return place(known, units)
        missing = " and ".join(name for name in self._names if name not in known)
        them = "them" if len(known) + 1 < len(self._names) else "it"
        remedy = f"name {them} in [acquisition.readings]" if of_file else f"add {them} to the detectors of the plan"
        return f"{named_place(known, units) or 'an unknown position'} ({missing} not recorded: {remedy})"

    def finding(self, outcome: Outcome, *, differs_from_known: bool = True) -> str:
        """Return a result in words.

        `differs_from_known` is whether the embedding of a novel result differs from those of known regimes.
        """
        of_file = outcome.scan_id is None and bool(outcome.file)
        names = outcome.scan_id, outcome.event, outcome.file
        name = "" if outcome.scan_id is None and not of_file else f"{run_text(*names)} "
        where = f"{name}at {self.position_text(outcome.positions, of_file=of_file)}"
        if outcome.status == "failed":
            return f"{where}: no result, {outcome.reason}"
        p = "no p-value" if outcome.novelty_p is None else f"p = {outcome.novelty_p:.2g}"
        close = "" if differs_from_known else ", but close to the others of its regime"
        return f"{where}: regime {outcome.regime}, {p}" + (f" (novel{close})" if outcome.novel else "")


class Notices:
    """Log lines for the operator: the sample is explored, a regime has changed, regimes belong together.

    `later` adds a write to the jobs of the worker. The log knows the `components` already.
    """

    def __init__(self, ledger: Ledger, later: Callable[..., None], components: Components) -> None:
        self._ledger, self._note, self._components = ledger, partial(later, ledger.note), components
        self._was_explored = False
        self.advice: str | None = None  # from the latest run

    def post(self, outcome: Outcome, before: int | None, explored: bool, why: str, components: Components) -> None:
        """Write the notices that follow from a run.

        `before` is the earlier regime at its place, if known. `explored` is whether the sample is explored, `why` the
        reason. `components` are those of the regimes now.
        """
        for line in changes(self._components, components):
            self._note(line, raw_uid=outcome.raw_uid, result=outcome.key)
        self._components = components
        if explored and not self._was_explored:
            self._note(f"explored: {why}")
        self._was_explored = explored
        self.advice = None
        if outcome.regime >= 0 and before not in (None, -1, outcome.regime):
            where, now = self._ledger.position_text(outcome.positions), f"now it is {outcome.regime}"
            self.advice = f"the regime at {where} was {before}, {now}: agent.stay(5) follows the change"
            self._note(self.advice, raw_uid=outcome.raw_uid, result=outcome.key)
