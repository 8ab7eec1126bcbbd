"""Agents of other techniques on the same sample, whose novel positions are read from Tiled."""

import logging
from collections.abc import Sequence

import httpx

from ainerd.results import ResultStore
from ainerd.steering import Candidate

logger = logging.getLogger(__name__)


class Partners:
    """Reads what agents of other techniques have found novel.

    Parameters
    ----------
    store : ResultStore
        Any store of the catalogue.
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
        self._stores = {agent: ResultStore(store.container, agent=agent) for agent in agents}
        self._names = list(names)
        self.candidates: tuple[Candidate, ...] = ()

    def look(self) -> bool:
        """Read what is new, and return whether the candidates have changed; without an answer they stay."""
        before = self.candidates
        try:
            self.candidates = tuple(each for agent in self._stores for each in self._novel(agent))
        except httpx.HTTPError as error:
            logger.debug("results of other agents are not read: %s", error)
        return self.candidates != before

    def _novel(self, agent: str) -> list[Candidate]:
        """Return the novel positions of an agent; of a run that was analysed again only the newest result counts."""
        table = self._stores[agent].table()
        if not {*self._names, "novel", "novelty_p"} <= {*table.columns}:
            return []
        rows = table[table["novel"].fillna(False).astype(bool) & table["superseded_by"].isna()]
        rows = rows[[*self._names, "novelty_p"]].astype(float).dropna()
        return [
            Candidate(dict(zip(self._names, place, strict=True)), p, agent) for *place, p in rows.to_numpy().tolist()
        ]
