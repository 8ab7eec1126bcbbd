"""Proposals: the next position is chosen, replaced by a better one, and handed out.

The choice regards positions that are novel to agents of other techniques on the same sample: `Partners`.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._catalogue import Catalogue
from ainerd.campaign._optimizer import OtherOptimizer
from ainerd.decisions import UNTAKEN, State, events
from ainerd.decisions.events import Ready
from ainerd.results import Away, ResultRecord, ResultStore
from ainerd.steering import Candidate, Explorer

logger = logging.getLogger(__name__)


class Partners:
    """Reads which positions are novel to agents of other techniques.

    Parameters
    ----------
    store : ResultStore
        Any store of the catalog. It reads the results of all agents once, and later only new ones.
    names : sequence of str
        Actuators. Results without one of them are left out.
    agents : sequence of str
        Names of the other agents.

    Attributes
    ----------
    candidates : tuple of Candidate
        The positions that were novel to one of them at the last look.
    """

    def __init__(self, store: ResultStore, names: Sequence[str], agents: Sequence[str]) -> None:
        self._store, self._names, self._agents = store, list(names), list(agents)
        self._seen: object = None  # the results at the last look
        self.candidates: tuple[Candidate, ...] = ()

    def look(self) -> bool:
        """Read new results, and return whether the candidates have changed; without an answer they stay."""
        if not self._agents:
            return False
        try:
            results = self._store.of_everybody()
        except Away as error:
            logger.debug("results of other agents are not read: %s", error)
            return False
        if results is self._seen or not {*self._names, "novel", "novelty_p"} <= {*results}:
            return False
        self._seen, before = results, self.candidates
        novel = results[results["agent"].isin(self._agents) & results["novel"].eq(True)]
        # of a run that was analysed again only the newest result counts
        novel = novel[~novel.index.isin(results["supersedes"][results["status"].isin(ResultRecord.final)])]
        novel = novel[[*self._names, "novelty_p", "agent"]].dropna()
        self.candidates = tuple(
            Candidate(dict(zip(self._names, map(float, place), strict=True)), float(p), agent)
            for *place, p, agent in novel.itertuples(index=False)
        )
        return self.candidates != before


class Proposals:
    """Asks the optimizer for positions. The optimizer is a function of the results and of the state.

    Parameters
    ----------
    catalogue : Catalogue
    explorer : Explorer or OtherOptimizer
    partners : Partners

    Attributes
    ----------
    running : dict of str to dict
        Positions of runs in progress that nobody suggested, by the key of the result.
    is_over : bool
        Whether the session has ended: its last results then cause no suggestion.
    """

    def __init__(self, catalogue: Catalogue, explorer: Explorer | OtherOptimizer, partners: Partners) -> None:
        self._catalogue, self._explorer, self._partners = catalogue, explorer, partners
        self.running: dict[str, Mapping[str, float]] = {}
        self.is_over = False

    def ready(self) -> Ready:
        """Return the suggestion that is measured next. If none waits, the optimizer chooses one.

        Raises ValueError if no position is left.
        """
        if self._first is None:
            if self.is_over:
                raise ValueError("the session has ended")
            if not self._catalogue.steers:
                raise ValueError("the session that steers chooses the next position")
            self.happen(events.Proposed(suggestion=self._chosen(1)[0]))
        if (first := self._first) is None:
            raise ValueError("the position that was chosen may not be measured")
        return first

    def follow(self) -> None:
        """Prepare the next suggestion, if a position is left; otherwise the next caller of `ready` gets the error."""
        with suppress(ValueError):
            self.ready()

    def renew(self, why: str = "newer results") -> None:
        """Choose again, because of `why`. If the choice is the same, the suggestion that waits stays as it is."""
        if (own := self._catalogue.state.own) is None:
            return
        new: dict[str, Any] | None = None
        if self._explorer.takes_back:
            self.expect(but=own.id)
            with suppress(ValueError):  # no position is left: the next caller of `ready` gets the error
                new = self._chosen(1)[0]
        if new is None:
            self.withdraw(why, "superseded")
        elif _choice(new) == _choice(own.suggestion):
            self.expect()
        else:
            self.happen(events.Proposed(suggestion=new, why=why))

    def withdraw(self, why: str, status: Literal["withdrawn", "superseded"]) -> None:
        """Withdraw the optimizer's suggestion, if it waits."""
        if self._catalogue.state.own is not None:
            self.happen(events.Withdrawn(why=why, status=status))

    def hand_out(self, n: int) -> list[dict[str, Any]]:
        """Hand out the next positions; ValueError if none is left, or, in review, if no person took one."""
        if self._catalogue.rules.review and (self.ready().taken_by is None or n > 1):
            raise ValueError(f"{UNTAKEN}: this campaign is in review")
        suggestions: list[dict[str, Any]] = []
        while len(suggestions) < n and (first := self._first) is not None:
            suggestions.append(first.suggestion)
            self.happen(events.HandedOut(suggestion=first.suggestion))
        for suggestion in self._chosen(n - len(suggestions)) if n > len(suggestions) else []:
            suggestions.append(suggestion)
            self.happen(events.HandedOut(suggestion=suggestion))
        return suggestions

    def happen(self, event: events.Event, *, first: bool = False) -> State:
        """Let an event happen, and tell the optimizer what follows from it; see `Catalogue.happen`."""
        after = self._catalogue.happen(event, first=first)
        self.expect()
        return after

    def expect(self, but: str | None = None) -> None:
        """Give the optimizer the window, the positions that will be measured, and those that failed."""
        state = self._catalogue.state
        self._explorer.window = state.window
        expected = {id: each.suggestion for id, each in state.open.items() if id != but}
        self._explorer.expect({**self.running, **expected}, state.failed)

    @property
    def _first(self) -> Ready | None:
        """The suggestion that is measured next, if one waits."""
        return self._catalogue.state.next(review=self._catalogue.rules.review)

    def _chosen(self, n: int) -> list[dict[str, Any]]:
        """Return new suggestions, which regard other techniques."""
        self._explorer.candidates = self._partners.candidates
        return self._explorer.suggest(n)


def _choice(suggestion: Mapping[str, Any]) -> dict[str, Any]:
    """Return position and reason of a suggestion, without its id and the numbers behind the reason."""
    return {name: x for name, x in suggestion.items() if name not in (ID_KEY, *Explorer.terms)}
