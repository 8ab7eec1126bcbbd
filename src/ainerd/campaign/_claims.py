"""What is said of new regimes: each once, with the chance that anything said so in this campaign is false."""

from collections.abc import Mapping, Sequence

from ainerd.novelty import LOOKS, Discoveries, RegimeTest
from ainerd.technique import Technique, is_novel

_WORDS = ("no exposures", "one exposure", "two exposures", "three exposures", "four exposures", "five exposures")


class Claims:
    """Regimes that are discoveries, and those that one more exposure can make one.

    A technique that has simulated no regimes of known kinds makes no claims.
    """

    def __init__(self, technique: Technique) -> None:
        null = technique.null_regimes()
        self._discoveries: Discoveries | None = None
        if null is not None:
            self._discoveries = Discoveries(RegimeTest(null.by_look, null.smallest), technique.alpha)
        self._asked: set[int] = set()

    @property
    def found(self) -> dict[int, float]:
        """p-value of each regime that is a discovery, by its number."""
        return dict(self._discoveries.found) if self._discoveries is not None else {}

    @property
    def bound(self) -> str | None:
        """What holds of all that is said; None where nothing is claimed."""
        if self._discoveries is None:
            return None
        return f"chance of any false discovery tonight <= {self._discoveries.alpha:g}"

    def update(self, p_values: Mapping[int, Sequence[float]]) -> list[str]:
        """What there is to say, of the p-values of each regime in the order they were taken."""
        if self._discoveries is None:
            return []
        alpha, said = self._discoveries.alpha, []
        for number in self._discoveries.update(p_values):
            n = len(p_values[number])
            said.append(f"new regime {number}: {_exposures(n)}, p = {self._discoveries.p(number):.2g}; {self.bound}")
        for number, p in p_values.items():
            undecided = number not in self._discoveries.found and number not in self._asked
            if undecided and is_novel(min(p, default=1.0), alpha) and self._discoveries.decides(number, p):
                self._asked.add(number)
                said.append(f"regime {number} may be new, {_exposures(len(p))}: one more there can tell")
        return said


def _exposures(n: int) -> str:
    return _WORDS[n] if n < len(_WORDS) else f"{n} exposures, of which the first {LOOKS} count"
