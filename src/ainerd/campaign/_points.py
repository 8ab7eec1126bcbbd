"""Results as points of the optimizer, with the verdict of the present reference."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._claims import Claims
from ainerd.campaign._optimizer import OtherOptimizer
from ainerd.decisions import Rules, State
from ainerd.novelty import LEVEL
from ainerd.results import Result
from ainerd.steering import Explorer
from ainerd.technique import is_novel

NAMES = {"bank": "the known kinds", "session": "earlier exposures of this session"}  # of the references
Verdict = tuple[float | None, bool | None]  # p-value, and whether the exposure is novel


class Points:
    """Turns results into points of the optimizer, judged by the bank, or by this session once its sample is new.

    Parameters
    ----------
    explorer : Explorer or OtherOptimizer
    claims : Claims
    rules : Rules
    size : int
        Length of an embedding.
    smallest : float or None
        Radius of the smallest region. The motors may differ from a suggestion by half of it.

    Attributes
    ----------
    known : set of str
        Keys of all results that are known.
    usable : set of str
        Keys of those that did not fail.
    """

    def __init__(
        self, explorer: Explorer | OtherOptimizer, claims: Claims, rules: Rules, size: int, smallest: float | None
    ) -> None:
        self._explorer, self._claims, self._rules, self._size = explorer, claims, rules, size
        self._smallest = smallest
        self.known, self.usable = set[str](), set[str]()
        self._judged_by = "bank"
        self._judged: dict[str, tuple[float | None, bool | None, float | None]] = {}  # p, verdict and own p by point

    @property
    def reference(self) -> str:
        """The reference by which novelty is judged: "bank" or "session"."""
        return "bank" if self._claims.of_sample is None else "session"

    def judge_all(self) -> None:
        """Give the optimizer the verdicts of all points by the present reference."""
        self._judged_by = self.reference
        self._explorer.judge({id: self._verdict(id) for id in self._judged})

    def changed_reference(self) -> str | None:
        """Judge all points anew if the reference has changed, and return the line about it; None if it has not."""
        if self._judged_by == self.reference:
            return None
        self.judge_all()
        new = self._judged_by == "session"
        sample = "this sample is new" if new else "this sample is not called new any more"
        return f"from now on p compares an exposure with {NAMES[self._judged_by]}, because {sample}"

    def shown(self, outcome: Result) -> Result:
        """Return a result with the p-value and the verdict that steer, as people see it."""
        p, novel = self._chosen(outcome.novelty_p, outcome.novel, outcome.own_p)
        return replace(outcome, novelty_p=p, novel=novel)

    @property
    def own_level(self) -> float | None:
        """The level at which ``own_p`` counts as novel; None while the bank steers."""
        return LEVEL if self.reference == "session" else None

    def learn(self, outcomes: Sequence[Result], state: State) -> list[dict[str, Any]]:
        """Learn results. Return those with a position as points of the optimizer: two of one suggestion are two."""
        points, first_results = [], dict[str, str]()
        for outcome in outcomes:
            self.known.add(outcome.key)
            if outcome.status != "failed":
                self.usable.add(outcome.key)
            known = state.measured.get(outcome.trial_id) or outcome.key
            first = first_results.setdefault(outcome.trial_id, known)
            asked = state.handed_out.get(outcome.trial_id)
            position = {**({} if asked is None else self._rules.position(asked.suggestion)), **outcome.positions}
            if all(math.isfinite(position.get(name, math.nan)) for name in self._rules.names):
                z = np.full(self._size, np.nan, np.float32) if outcome.embedding is None else outcome.embedding
                id = outcome.trial_id if outcome.key == first else outcome.key
                self._judged[id] = outcome.novelty_p, outcome.novel, outcome.own_p
                p, novel = self._verdict(id)
                points.append({**position, ID_KEY: id, "embedding": z, "novelty_p": p, "novel": novel})
        return points

    def elsewhere(self, outcome: Result, state: State) -> str | None:
        """Return where a suggestion was measured in place of its position, in words; None if it was measured there.

        Without a smallest region the tolerance is a twentieth of the window. The result counts where the motors stood.
        """
        asked, window = state.handed_out.get(outcome.trial_id), state.window
        if asked is None or not set(window.names) <= set(outcome.positions):
            return None
        off = window.position(np.array([outcome.positions[name] - asked.suggestion[name] for name in window.names]))
        if np.linalg.norm(off[~window.is_apart]) <= (self._smallest or window.width / 10) / 2:
            return None
        there, here = (self._rules.text(position) for position in (asked.suggestion, outcome.positions))
        return f"the motors stood at {here} when {there} was to be measured: do they move?"

    def _verdict(self, id: str) -> Verdict:
        return self._chosen(*self._judged[id])

    def _chosen(self, p: float | None, novel: bool | None, own: float | None) -> Verdict:
        """Return the p-value and the verdict of the present reference."""
        return (p, novel) if self._judged_by == "bank" else (own, own is not None and bool(is_novel(own, LEVEL)))
