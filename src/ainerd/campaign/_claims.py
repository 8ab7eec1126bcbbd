"""Claims that a regime is new, which follow the exposures that they were made of, and the alarm that most is new."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ainerd.novelty import LOOKS, Discoveries, RegimeTest
from ainerd.results import digest
from ainerd.technique import Technique, is_novel

_WORDS = ("no exposures", "one exposure", "two exposures", "three exposures", "four exposures", "five exposures")
ALARM = (
    "{} unlike the bank: new physics, or a bank that does not describe the instrument. One exposure of a sample you "
    "know tells which"
)
Exposures = Mapping[int, Mapping[str, float]]  # p-value of each exposure by its key, by regime, in the order of arrival


@dataclass
class Claim:
    """The claim that a regime is new: the exposures it was made of, the regime's number now, and its p-value."""

    founders: list[str]
    regime: int
    p: float
    stands: bool = True


class Claims:
    """Claims that a regime is new, hints that one more exposure could decide it, and an alarm if most regimes are new.

    A claim belongs to its founding exposures: if regimes merge or split, it follows the regime that holds most of them.
    A withdrawn claim keeps its share of alpha. A technique without simulated regimes of known kinds makes no claims.

    Attributes
    ----------
    claims : list of Claim
    alarm : str
        Why one exposure of a known sample is needed; empty without an alarm. An alarm implies a claim, so the bound on
        false claims holds for it too.
    """

    def __init__(self, technique: Technique) -> None:
        null = technique.null_regimes()
        test = None if null is None else RegimeTest(null.by_look, null.smallest)
        self._discoveries = None if test is None else Discoveries(test, technique.alpha)
        self._digest = digest(technique.parameters)
        self._asked: set[int] = set()
        self.claims: list[Claim] = []
        self.alarm = ""

    @property
    def found(self) -> dict[int, float]:
        """p-value of each regime that is claimed to be new, by its number now."""
        return {claim.regime: claim.p for claim in self._standing()}

    @property
    def bound(self) -> str | None:
        """Chance that any claim is false, in words; None if the technique makes no claims."""
        if self._discoveries is None:
            return None
        return f"chance of any false discovery tonight <= {self._discoveries.alpha:g}"

    def update(self, regimes: Exposures) -> list[str]:
        """Return the announcements that follow from the present regimes and p-values."""
        if self._discoveries is None:
            return []
        return [*self._follow(regimes), *self._announce(regimes), *self._judge_all(regimes)]

    def state(self) -> dict[str, Any]:
        """Return plain values for `restore`."""
        spent = {} if self._discoveries is None else self._discoveries.found
        return {
            "digest": self._digest,
            "claims": [asdict(claim) for claim in self.claims],
            "spent": {str(number): p for number, p in spent.items()},
            "asked": sorted(self._asked),
            "alarm": self.alarm,
        }

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Continue with the claims of an earlier session; return False if there are none of these parameters."""
        if state.get("digest") != self._digest:
            return False
        self.claims = [Claim(**claim) for claim in state["claims"]]
        self._asked, self.alarm = set(state["asked"]), state["alarm"]
        if self._discoveries is not None:
            self._discoveries.found |= {int(number): p for number, p in state["spent"].items()}
        return True

    def _standing(self) -> Iterator[Claim]:
        return (claim for claim in self.claims if claim.stands)

    def _follow(self, regimes: Exposures) -> Iterator[str]:
        """Yield what became of the claims since the last look."""
        assert self._discoveries is not None
        for claim in [*self._standing()]:
            held = {number: len(keys.keys() & set(claim.founders)) for number, keys in regimes.items()}
            if not sum(held.values()):  # all are unassigned
                continue
            now = max(held, key=lambda number: (held[number], number == claim.regime))
            name, size = f"regime {claim.regime}", _exposures(len(regimes[now]))
            first = next((other for other in self._standing() if other.regime == now), claim)
            if 2 * held[now] < sum(held.values()):
                spread = ", ".join(str(number) for number, n in held.items() if n)
                yield f"the claim that {name} is new is withdrawn: its exposures are now of regimes {spread}"
                claim.stands = False
            elif now == claim.regime:
                continue
            elif first is not claim:
                yield f"{name} is part of regime {now}, {size}: they are one discovery, not two"
                claim.stands = False
            elif is_novel(np.median([*regimes[now].values()]), self._discoveries.alpha):
                yield f"{name} is now called regime {now}, {size}: still new"
                claim.regime = now
            else:
                yield f"the claim that {name} is new is withdrawn: it is part of regime {now}, {size}, which is not new"
                claim.stands = False

    def _announce(self, regimes: Exposures) -> Iterator[str]:
        """Yield new claims, and hints where one more exposure can decide."""
        assert self._discoveries is not None
        p_values = {number: [*keys.values()] for number, keys in regimes.items() if number not in self.found}
        for number, p in self._discoveries.update(p_values).items():
            self.claims.append(Claim([*regimes[number]], number, p))
            yield f"new regime {number}: {_exposures(len(regimes[number]))}, p = {p:.2g}; {self.bound}"
        for number, of_regime in p_values.items():
            undecided = number not in self._discoveries.found and number not in self._asked
            lowest = min(of_regime, default=1.0)
            if undecided and is_novel(lowest, self._discoveries.alpha) and self._discoveries.decides(number, of_regime):
                self._asked.add(number)
                yield f"regime {number} may be new, {_exposures(len(of_regime))}: one more there can tell"

    def _judge_all(self, regimes: Exposures) -> Iterator[str]:
        """Yield the alarm once when it is raised, and its end; it counts regimes of two exposures and more."""
        counted = [number for number, keys in regimes.items() if len(keys) > 1]
        new = sum(number in self.found for number in counted)
        text = f"{new} of {len(counted)} regimes {'is' if new == 1 else 'are'}"
        before, self.alarm = self.alarm, ALARM.format(text) if new and 2 * new >= len(counted) else ""
        if self.alarm and not before:
            yield self.alarm
        elif before and not self.alarm:
            yield f"the alarm has ended: {text} unlike the bank"


def _exposures(n: int) -> str:
    return _WORDS[n] if n < len(_WORDS) else f"{n} exposures, of which the first {LOOKS} count"
