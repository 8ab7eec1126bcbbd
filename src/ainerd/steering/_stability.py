"""Whether the regimes of the exposures are settled."""

import numpy as np
from numpy.typing import NDArray

BACK = 8  # exposures over which the regimes must not change
SETTLED = 0.95  # adjusted Rand index of the labels then and now


class Stability:
    """The labels of the last exposures, and whether they still change."""

    def __init__(self) -> None:
        self._past: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []  # labels, and the rows of their exposures

    def record(self, labels: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Record the labels (n,) of all measured exposures, in the order of measurement, and their rows (n,)."""
        if self._past and len(labels) == len(self._past[-1][0]):
            del self._past[-1]  # the same exposures with other labels
        self._past.append((labels.copy(), rows))
        while len(self._past) > 1 and len(self._past[1][0]) <= len(labels) - BACK:
            del self._past[0]

    def objection(self) -> str | None:
        """Return the reason why the regimes are not settled; None if they are settled."""
        if not self._past or len(self._past[0][0]) > len(self._past[-1][0]) - BACK:
            return f"the regimes must first stay the same over {BACK} exposures"
        (then, old), (now, new) = self._past[0], self._past[-1]
        from sklearn.metrics import adjusted_rand_score  # here, because it takes long to import

        _, of_then, of_now = np.intersect1d(old, new, return_indices=True)  # a person may have left one out
        if adjusted_rand_score(then[of_then], now[of_now]) < SETTLED:
            return f"the regimes changed during the last {BACK} exposures"
        for label in now[-BACK:]:
            if label >= 0 and (now == label).sum() == 1:
                return f"regime {label} was seen only once, in the last {BACK} exposures"
        return None

    @property
    def n_regimes(self) -> int:
        """Number of regimes known now."""
        return len({*self._past[-1][0]} - {-1}) if self._past else 0
