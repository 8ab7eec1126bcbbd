"""What a campaign writes down beside the results: suggestions and their fate, the log, its checkpoint."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import httpx
from bluesky_adaptive.protocols import ID_KEY
from tiled.client.utils import ClientError

from ainerd.results import ResultStore, SuggestionRecord, link_provenance, save_checkpoint
from ainerd.runs import Outcome
from ainerd.steering import TERMS

logger = logging.getLogger(__name__)
P = ParamSpec("P")


def _softly(write: Callable[Concatenate["Ledger", P], None]) -> Callable[Concatenate["Ledger", P], None]:
    """A line that Tiled does not take is no reason to lose the run it is about."""

    @wraps(write)
    def inner(self: "Ledger", *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            write(self, *args, **kwargs)
        except (ClientError, httpx.HTTPError):
            logger.exception("Tiled did not take: %s %s", write.__name__, args)

    return inner


class Ledger:
    """Writes to Tiled what was decided and why.

    Parameters
    ----------
    store : ResultStore
    agent : str
        Whose ledger it is.
    names : sequence of str
        The actuators.
    """

    def __init__(self, store: ResultStore, agent: str, names: Sequence[str]) -> None:
        self._store, self._agent, self._names = store, agent, tuple(names)

    @_softly
    def suggested(self, suggestion: Mapping[str, Any], fate: str = "proposed") -> None:
        """Keep a suggestion, or say that one that is kept was accepted."""
        record = SuggestionRecord(
            id=suggestion[ID_KEY],
            agent=self._agent,
            positions={name: suggestion[name] for name in self._names},
            reason=suggestion["reason"],
            terms={name: suggestion[name] for name in TERMS},
        )
        self._store.add_suggestion(record)
        if fate != "proposed":
            self._store.set_fate(record.id, fate)

    @_softly
    def fate(self, trial_id: str, fate: str, reason: str | None = None, raw_uid: str | None = None) -> None:
        """Say what became of a suggestion; one of another campaign is left alone."""
        try:
            self._store.set_fate(trial_id, fate, reason, raw_uid)
        except KeyError:
            logger.debug("no suggestion %s in Tiled", trial_id)

    @_softly
    def note(self, text: str, **ids: Any) -> None:
        """Write a line of the log."""
        self._store.log(text, **ids)

    @_softly
    def link(self, key: str) -> None:
        """Link a result to its run in the server's graph, if it keeps one."""
        link_provenance(self._store.container, key)

    @_softly
    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keep the campaign's state."""
        save_checkpoint(self._store.container, self._agent, state)

    def place(self, position: Mapping[str, Any]) -> str:
        """A position in words."""
        return "(" + ", ".join(f"{position[name]:.2f}" for name in self._names if name in position) + ")"

    def finding(self, outcome: Outcome, alpha: float) -> str:
        """What was found at a position, in words."""
        where = self.place(outcome.positions)
        if outcome.status == "failed":
            return f"at {where}: no result, {outcome.reason}"
        p = "no claim of novelty" if outcome.novelty_p is None else f"p = {outcome.novelty_p:.2g}"
        novel = outcome.novelty_p is not None and outcome.novelty_p <= alpha
        return f"at {where}: regime {outcome.regime}, {p}" + (" (novel)" if novel else "")


def in_words(limits: Mapping[str, tuple[float, float]]) -> str:
    """Limits in words."""
    return ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in limits.items())
