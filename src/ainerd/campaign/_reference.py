"""The reference whose p-values steer: the bank, or this session once its sample is claimed to be new."""

from ainerd.campaign._claims import Claims
from ainerd.campaign._optimizer import OtherOptimizer
from ainerd.novelty import LEVEL
from ainerd.steering import Explorer
from ainerd.technique import Outcome, is_novel

NAMES = {"bank": "p against the bank", "session": "p against this session"}  # of the references
Verdict = tuple[float | None, bool | None]  # p-value, and whether the exposure is novel


class SteeringReference:
    """Judges the points of the explorer by one of two references."""

    def __init__(self, claims: Claims, explorer: Explorer | OtherOptimizer) -> None:
        self._claims, self._explorer = claims, explorer
        self._steers = "bank"
        self._judged: dict[str, tuple[float | None, bool | None, float | None]] = {}  # p, verdict and own p by point

    @property
    def name(self) -> str:
        """The reference that steers: "bank" or "session"."""
        return "bank" if self._claims.of_sample is None else "session"

    def verdict(self, id: str, outcome: Outcome) -> Verdict:
        """Return p-value and verdict of a point, by the reference that steers, and remember the other."""
        self._judged[id] = outcome.novelty_p, outcome.novel, outcome.own_p
        return self._verdict(id)

    def judge_all(self) -> None:
        """Give the explorer the verdicts of all points by the reference that steers now."""
        self._steers = self.name
        self._explorer.judge({id: self._verdict(id) for id in self._judged})

    def change(self) -> str | None:
        """Judge all points anew if the reference has changed, and return the line about it; None if it has not."""
        if self._steers == self.name:
            return None
        self.judge_all()
        sample = (
            "this sample is claimed to be new" if self._claims.of_sample else "no claim says that this sample is new"
        )
        return f"from now on {NAMES[self.name]} steers, because {sample}"

    def _verdict(self, id: str) -> Verdict:
        p, novel, own = self._judged[id]
        return (p, novel) if self._steers == "bank" else (own, own is not None and bool(is_novel(own, LEVEL)))
