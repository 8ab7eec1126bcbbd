"""Operator notices: what a person may want to act on, said once."""

from typing import Protocol

from ainerd.campaign._atlas import Atlas
from ainerd.campaign._ledger import Ledger
from ainerd.runs import Outcome

DRIFT = (
    "recalibrate: this session's p-values are not those of runs like the bank's, so that much of the sample is new, or "
    "the bank does not describe the instrument any more: make one from runs that are known"
)


class Drift(Protocol):
    """Notices p-values that are not those of known runs."""

    @property
    def verdict(self) -> str:
        """Empty until something was noticed."""
        ...

    def update(self, p: float) -> float:
        """Take the next p-value."""
        ...


class Notices:
    """Lines of the log for the operator: explored, changing, recalibrate.

    Runs at most a `beam_size` apart are at one place; None if that is not known.
    """

    def __init__(self, ledger: Ledger, atlas: Atlas, *, beam_size: float | None, drift: Drift | None) -> None:
        self._ledger, self._atlas, self._beam_size, self.drift = ledger, atlas, beam_size, drift
        self._was_explored = False
        self.advice: str | None = None  # what the latest run suggests to do

    def post(self, outcome: Outcome, explored: bool, why: str) -> None:
        """Write what there is to say after a run; `explored` is whether the sample is, `why` in words."""
        if explored and not self._was_explored:
            self._ledger.note(f"explored: {why}")
        self._was_explored = explored
        if self.drift is not None and outcome.novelty_p is not None and not self.drift.verdict:
            self.drift.update(outcome.novelty_p)
            if self.drift.verdict:
                self._ledger.note(DRIFT)
        self.advice = self._change(outcome)
        if self.advice:
            self._ledger.note(self.advice, raw_uid=outcome.raw_uid, result=outcome.key)

    def _change(self, outcome: Outcome) -> str | None:
        """That the regime changes at the place of a run; None if it does not, or nobody can tell."""
        if outcome.regime < 0 or self._beam_size is None:
            return None
        then = self._atlas.regime_before(outcome, self._beam_size)
        if then in (None, -1, outcome.regime):
            return None
        where = self._ledger.position_text(outcome.positions)
        return f"the regime at {where} was {then}, now it is {outcome.regime}: agent.stay(5) would follow the change"
