"""The results of an agent: their regimes are written to Tiled, and they become points of the optimizer."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._atlas import Atlas, keep
from ainerd.campaign._history import History
from ainerd.campaign._optimizer import OtherOptimizer
from ainerd.campaign._reference import SteeringReference
from ainerd.config import Steering
from ainerd.results import Away, Gone, Refused
from ainerd.steering import Explorer
from ainerd.technique import Outcome

logger = logging.getLogger(__name__)


class Results:
    """Writes the regimes of new results, and makes all results points of the optimizer.

    Parameters
    ----------
    steering : Steering
    history : History
    atlas : Atlas
    explorer : Explorer or OtherOptimizer
    reference : SteeringReference
        Its p-values steer.
    size : int
        Length of an embedding.

    Attributes
    ----------
    known : set of str
        Keys of all results that are known.
    usable : set of str
        Keys of those that did not fail.
    """

    def __init__(
        self,
        steering: Steering,
        history: History,
        atlas: Atlas,
        explorer: Explorer | OtherOptimizer,
        reference: SteeringReference,
        size: int,
    ) -> None:
        self._steering, self._history, self._atlas, self._size = steering, history, atlas, size
        self._explorer, self._reference = explorer, reference
        self.known: set[str] = set()
        self.usable: set[str] = set()
        self._unlabelled: dict[str, dict[str, Any]] = {}  # labels that are not in Tiled yet, by key of the result

    def label(self, key: str, own_p: float | None, own_regimes: list[int] | None) -> None:
        """Let the thread for Tiled write the regime of a new result, and its p-value against others of the session."""
        self._unlabelled[key] = {"own_p": own_p, "own_regimes": own_regimes}
        self._history.later(self._label, key)

    def _label(self, key: str) -> None:
        self.write_labels()
        if key in self._unlabelled:
            logger.warning("the regime of result %s is not written yet: Tiled does not take it", key)

    def write_labels(self) -> None:
        """Write the labels of results that are not in Tiled yet, if Tiled answers. In the thread for Tiled."""
        if not self._history.order.steers:  # the session that steers writes them
            self._unlabelled.clear()
        if not self._unlabelled or not self._history.is_there():
            return
        try:
            unlabelled = list(self._unlabelled.items())
            version, regimes = keep(self._atlas, self._history.store, self._history.own_jobs.ask)
            for key, label in unlabelled:
                try:
                    self._history.store.label(key, regime=regimes[key], atlas_version=version, **label)
                except Gone:  # somebody has removed the result
                    logger.debug("result %s is gone", key)
                except Refused as error:
                    logger.warning("the regime of result %s is refused: %s", key, error)
                if self._unlabelled[key] is label:  # otherwise it was analysed again meanwhile
                    del self._unlabelled[key]
        except Away as error:
            logger.debug("labels are not written: %s", error)

    def elsewhere(self, outcome: Outcome) -> str | None:
        """Return where a suggestion was measured in place of its position, in words; None if it was measured there.

        The motors may differ from it by half of `Steering.smallest_feature`, by default a tenth of the window. The
        result counts where they stood.
        """
        asked, window = self._history.state.handed_out.get(outcome.trial_id), self._explorer.window
        if asked is None or not set(window.names) <= set(outcome.positions):
            return None
        off = window.position(np.array([outcome.positions[name] - asked.suggestion[name] for name in window.names]))
        if np.linalg.norm(off[~window.is_apart]) <= (self._steering.smallest_feature or window.width / 10) / 2:
            return None
        there, here = (self._history.rules.text(position) for position in (asked.suggestion, outcome.positions))
        return f"the motors stood at {here} when {there} was to be measured: do they move?"

    def points(self, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
        """Note that results are known, and return those with a position as points for the optimizer."""
        points, names = [], self._explorer.names
        self.known |= {outcome.key for outcome in outcomes}
        first_results: dict[str, str] = {}
        for outcome in outcomes:
            if outcome.status != "failed":
                self.usable.add(outcome.key)
            known = self._history.state.measured.get(outcome.trial_id) or outcome.key
            first = first_results.setdefault(outcome.trial_id, known)
            asked = self._history.state.handed_out.get(outcome.trial_id)
            position = {
                **({} if asked is None else self._history.rules.position(asked.suggestion)),
                **outcome.positions,
            }
            if all(math.isfinite(position.get(name, math.nan)) for name in names):
                z = outcome.embedding
                id = outcome.trial_id if outcome.key == first else outcome.key  # two results are two points
                p, novel = self._reference.verdict(id, outcome)
                point = {
                    **position,
                    ID_KEY: id,
                    "embedding": np.full(self._size, np.nan, np.float32) if z is None else z,
                    "novelty_p": p,
                    "novel": novel,
                }
                points.append(point)
        return points
