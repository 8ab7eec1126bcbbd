"""Others on the same sample, as Tiled has them: places of other sessions of this agent, novel positions of others."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from bluesky_adaptive.protocols import ID_KEY

from ainerd.results import ResultRecord, ResultStore
from ainerd.steering import Candidate

if TYPE_CHECKING:
    from ainerd.campaign._ledger import Ledger
    from ainerd.campaign._optimizer import OtherOptimizer
    from ainerd.steering import Explorer

logger = logging.getLogger(__name__)

Places = Mapping[str, Mapping[str, float]]  # positions by the ids of suggestions


class Others:
    """Keeps the suggestions of other sessions apart from this session's own.

    Its methods are called under the lock of the campaign, except `places_before`, which asks Tiled.

    Parameters
    ----------
    ledger : Ledger
    explorer : Explorer or OtherOptimizer
        It learns the places of others as suggestions that are to be measured.
    shared_s : float
        How long a proposal keeps its place, see `ainerd.config.Steering`; 0 without other sessions.
    beam_size : float or None
        Size of a spot; without it two places are one if they differ by less than a thousandth of the window.

    Attributes
    ----------
    own : set of str
        Ids of this session's suggestions, and of points that people added.
    """

    def __init__(
        self, ledger: "Ledger", explorer: "Explorer | OtherOptimizer", shared_s: float, beam_size: float | None
    ) -> None:
        self.own: set[str] = set()
        self._ledger, self._explorer, self._shared_s, self._beam_size = ledger, explorer, shared_s, beam_size
        self._known: dict[str, str] = {}  # ids in the explorer, by their own ids
        self._claimed, self._began = "", 0.0  # the suggestion whose place is this session's; when it was made

    def begin(self) -> None:
        """Begin with a suggestion whose place may still be that of another session."""
        self._claimed, self._began = "", time.monotonic()

    def claim(self, id: str) -> None:
        """Note that the place of a suggestion is this session's own."""
        self._claimed = id

    def has_claimed(self, id: str) -> bool:
        """Return whether the place of a suggestion is this session's own."""
        return self._claimed == id

    @property
    def is_old(self) -> bool:
        """Whether others may soon ignore the suggestion with which this session began last."""
        return time.monotonic() - self._began > self._shared_s / 2

    def places_before(self, id: str) -> Places | None:
        """Return the places to which other sessions have a right before that suggestion; None if Tiled is away."""
        if self._shared_s:
            records = self._ledger.taken_elsewhere(id, self.own, self._shared_s)
        else:
            records = self._ledger.open_elsewhere(id, self.own)
        if records is None:
            return None
        names = set(self._explorer.names)
        return {record.id: record.positions for record in records if {*record.positions} == names}

    def register(self, places: Places) -> None:
        """Let the explorer know these places, and forget those that are no longer among them."""
        for gone in set(self._known) - set(places):
            self._explorer.withdraw(self._known.pop(gone))
        for other in set(places) - set(self._known):
            with suppress(ValueError):  # it lies outside the bounds of this session
                (known,) = self._explorer.register_suggestions([places[other]])
                self._known[other] = known[ID_KEY]

    def is_near(self, a: Mapping[str, Any], b: Mapping[str, float]) -> bool:
        """Return whether two positions are the same spot for the beam."""
        window = self._explorer.window
        apart = window.position(np.array([a[name] - b[name] for name in window.names]))
        size = self._beam_size or 1e-3 * (window.high - window.low).min()
        return bool(np.linalg.norm(apart) < (1 - 1e-6) * size)  # as `Survey.may_measure`


class Partners:
    """Reads which positions are novel to agents of other techniques.

    Parameters
    ----------
    store : ResultStore
        Any store of the catalogue. It reads the results of all agents once, and later only new ones.
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
            results = self._store.of_everybody().frame
        except httpx.HTTPError as error:
            logger.debug("results of other agents are not read: %s", error)
            return False
        if results is self._seen or not {*self._names, "novel", "novelty_p"} <= {*results}:
            return False
        self._seen, before = results, self.candidates
        novel = results[results["agent"].isin(self._agents) & results["novel"].eq(True)]
        if "supersedes" in results:  # of a run that was analysed again only the newest result counts
            novel = novel[~novel.index.isin(results["supersedes"][results["status"].isin(ResultRecord.final)])]
        novel = novel[[*self._names, "novelty_p", "agent"]].dropna()
        self.candidates = tuple(
            Candidate(dict(zip(self._names, map(float, place), strict=True)), float(p), agent)
            for *place, p, agent in novel.itertuples(index=False)
        )
        return self.candidates != before
