"""Positions that are novel to agents of other techniques on the same sample."""

import logging
from collections.abc import Sequence

from ainerd.results import FINAL, Away, ResultStore
from ainerd.steering import Candidate

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
    agents : list of str
    candidates : tuple of Candidate
        The positions that were novel to one of them at the last look.
    """

    def __init__(self, store: ResultStore, names: Sequence[str], agents: Sequence[str]) -> None:
        self._store, self._names, self.agents = store, list(names), [*agents]
        self._seen: object = None  # the results at the last look
        self.candidates: tuple[Candidate, ...] = ()

    def look(self) -> bool:
        """Read new results, and return whether the candidates have changed; without an answer they stay."""
        try:
            results = self._store.of_everybody()
        except Away as error:
            logger.debug("results of other agents are not read: %s", error)
            return False
        if results is self._seen or not {*self._names, "novel", "novelty_p"} <= {*results}:
            return False
        self._seen, before = results, self.candidates
        novel = results[results["agent"].isin(self.agents) & results["novel"].eq(True)]
        # of a run that was analysed again only the newest result counts
        novel = novel[~novel.index.isin(results["supersedes"][results["status"].isin(FINAL)])]
        novel = novel[[*self._names, "novelty_p", "agent"]].dropna()
        self.candidates = tuple(
            Candidate(dict(zip(self._names, map(float, place), strict=True)), float(p), agent)
            for *place, p, agent in novel.itertuples(index=False)
        )
        return self.candidates != before
