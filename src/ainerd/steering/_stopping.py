"""When a sample is explored: said in words."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

BACK = 8  # exposures over which the regimes must not change
SETTLED = 0.95  # adjusted Rand index of the labels then and now
RISK = 0.05  # chance of a missed region that is accepted


class Stability:
    """Remembers the labels of the last exposures, to say whether they change."""

    def __init__(self) -> None:
        self._past: list[tuple[NDArray[np.object_], NDArray[np.int64]]] = []

    def record(self, ids: NDArray[np.object_], labels: NDArray[np.int64]) -> None:
        """Note ids and labels (n,) of all measured exposures, in the order they were measured in."""
        if self._past and len(labels) < len(self._past[-1][1]):
            self._past.clear()
        self._past.append((ids, labels))
        while len(self._past) > 1 and len(self._past[1][1]) <= len(labels) - BACK:
            del self._past[0]

    def objection(self) -> str | None:
        """Why the regimes are not settled; None if they are."""
        if not self._past or len(self._past[0][1]) > len(self._past[-1][1]) - BACK:
            return f"the regimes were not yet followed over {BACK} exposures"
        then, now = (dict(zip(ids, labels.tolist(), strict=True)) for ids, labels in (self._past[0], self._past[-1]))
        common = [key for key in then if key in now]
        if adjusted_rand_score([then[key] for key in common], [now[key] for key in common]) < SETTLED:
            return f"the regimes of earlier exposures changed over the last {BACK}"
        labels = self._past[-1][1]
        for label in labels[-BACK:]:
            if label >= 0 and (labels == label).sum() == 1:
                return f"regime {label} rests on a single one of the last {BACK} exposures"
        return None

    @property
    def n_regimes(self) -> int:
        """Regimes known now."""
        return len(np.unique(self._past[-1][1][self._past[-1][1] >= 0])) if self._past else 0


def verdict(missed: float, radius: str, stability: Stability, failed: int) -> tuple[bool, str]:
    """Whether to stop, and the sentence that says why or why not.

    `missed` is the chance that a region of `radius`, a length in words, was missed.
    """
    chance = f"the chance that a region of radius {radius} was missed is {missed:.2f}"
    if missed > RISK:
        return False, f"{chance}, more than {RISK}"
    objection = stability.objection()
    if objection:
        return False, f"{chance}, but {objection}"
    n = stability.n_regimes
    settled = f"{n} regime{'s' * (n != 1)}, unchanged over the last {BACK} exposures" if n else "no regimes were named"
    unknown = f"; {failed} position{'s' * (failed != 1)} failed, what is there is not known" if failed else ""
    return True, f"covered: {chance}; {settled}{unknown}"
