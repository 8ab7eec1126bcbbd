"""Claims that a regime is new, which follow their founding exposures, and the alarm that most regimes are new."""

import logging
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ainerd.novelty import LOOKS, Components, Discoveries, RegimeTest
from ainerd.results import digest
from ainerd.technique import Technique, is_novel
from ainerd.words import regime_names

logger = logging.getLogger(__name__)

_WORDS = ("no exposures", "one exposure", "two exposures", "three exposures", "four exposures", "five exposures")
ALARM = (
    "{} unlike all behaviour that the agent knows: either this is new, or the simulated exposures "
    "behind p do not fit this instrument. Measure a known sample to find out"
)
SAMPLE, SESSION = "the whole sample is of one kind that the agent does not know", "differs from the rest of the session"
MOST_FOUNDERS = 100  # of a claim; they are written with each change of the claims
APART = 1.25  # times the threshold of a gap, from which a kind differs from the session
ByExposure = Mapping[str, tuple[int, float]]  # regime and p-value of each exposure by its key, in the order of arrival
ByRegime = Mapping[int, Mapping[str, float]]


class Claim(BaseModel):
    """A claim about some exposures: that their regime is new, that the sample is, or that they differ from the others.

    `founders` are the keys of these exposures, or of at most `MOST_FOUNDERS` of them, evenly spread. `regime` is their
    regime's number now, `about` is "regime", "sample" or "session". A claim about the session has no p-value. A claim
    does not stand while all its founders are `left_out`.
    """

    model_config = ConfigDict(extra="forbid")

    founders: list[str]
    regime: int
    p: float | None
    about: str = "regime"
    stands: bool = True
    left_out: bool = False


class _Saved(BaseModel):
    """The claims of a session, as the next one restores them."""

    digest: str
    claims: list[Claim]
    spent: dict[int, float]
    asked: set[int]
    alarm: str


class Claims:
    """Claims that regimes or the sample are new, hints that one more exposure could decide, and an alarm.

    A claim belongs to its founding exposures: if regimes merge or split, it follows the regime that holds most of them.
    Regimes without a gap between them are one discovery. A withdrawn claim keeps its share of alpha. Without
    simulated regimes of known kinds the only claims are those that a regime differs from the rest of the session.

    Attributes
    ----------
    claims : list of Claim
    alarm : str
        Why one exposure of a known sample is needed; empty without an alarm. An alarm implies a claim, so the bound on
        false claims holds for it too.
    names : mapping of int to str
        Names of regimes, from people.
    """

    def __init__(self, technique: Technique) -> None:
        null = technique.null_regimes()
        test = None if null is None else RegimeTest(null.by_look, null.smallest, null.whole)
        self._discoveries = None if test is None else Discoveries(test, technique.alpha)
        self._digest = digest(technique.parameters)
        self._asked: set[int] = set()
        self.claims: list[Claim] = []
        self.alarm, self.names = "", dict[int, str]()

    @property
    def discoveries(self) -> dict[int, float]:
        """p-value of each regime that is claimed to be new, by its number now."""
        return {claim.regime: claim.p for claim in self._standing("regime") if claim.p is not None}

    @property
    def of_sample(self) -> Claim | None:
        """The claim that the sample is of one kind that the bank does not hold, while it stands."""
        return next(self._standing("sample"), None)

    @property
    def bound(self) -> str | None:
        """Chance that a regime is called new that is not, in words; None if the technique calls none new."""
        if self._discoveries is None:
            return None
        return f"at most {100 * self._discoveries.alpha:g} % of campaigns call a regime new that is not"

    def update(
        self, exposures: ByExposure, components: Components, left_out: Container[str] = ()
    ) -> tuple[list[str], list[str]]:
        """Return what to announce of the present regimes and p-values, and of the alarm.

        `left_out` are the keys of results that people left out.
        """
        regimes: dict[int, dict[str, float]] = {}
        for key, (regime, p) in exposures.items():
            regimes.setdefault(regime, {})[key] = p
        lines = [*self._leave_out(left_out)]
        lines += [*self._follow_apart(regimes, components), *self._tell_apart(regimes, components)]
        if self._discoveries is None:
            return lines, []
        lines += self._follow(regimes, components)
        lines += self._judge_sample(exposures, components)
        lines += self._announce(regimes, components)
        return lines, [*self._judge_all(regimes, components)]

    def state(self) -> dict[str, Any]:
        """Return plain values for `restore`."""
        spent = {} if self._discoveries is None else self._discoveries.p_values
        saved = _Saved(digest=self._digest, claims=self.claims, spent=spent, asked=self._asked, alarm=self.alarm)
        return saved.model_dump(mode="json")

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Continue with the claims of an earlier session; return False if it left no valid ones."""
        if state.get("digest") != self._digest:
            return False
        try:
            saved = _Saved.model_validate(state)
        except ValidationError as error:  # another version or program wrote them
            logger.warning("what earlier sessions called new is left out: %s", error)
            return False
        self.claims, self._asked, self.alarm = saved.claims, saved.asked, saved.alarm
        if self._discoveries is not None:
            self._discoveries.p_values |= saved.spent
        return True

    def _named(self, *regimes: int) -> str:
        return regime_names(regimes, self.names)

    def _standing(self, about: str) -> Iterator[Claim]:
        return (claim for claim in self.claims if claim.stands and not claim.left_out and claim.about == about)

    def _leave_out(self, left_out: Container[str]) -> Iterator[str]:
        """Yield which claims do not stand because their founders are left out, and which stand again."""
        for claim in self.claims:
            before, claim.left_out = claim.left_out, all(key in left_out for key in claim.founders)
            if claim.stands and claim.left_out != before:
                what = {"regime": f"{self._named(claim.regime)} is new", "sample": SAMPLE}.get(
                    claim.about, f"{self._named(claim.regime)} {SESSION}"
                )
                yield f"withdrawn: {what}; its exposures are left out" if claim.left_out else f"again: {what}"

    def _follow(self, regimes: ByRegime, components: Components) -> Iterator[str]:
        """Yield the changes of the claims since the last look."""
        assert self._discoveries is not None
        claims = [*self._standing("regime")]
        for i, claim in enumerate(claims):
            held = _held(regimes, claim)
            if not sum(held.values()):  # all founders may be unassigned
                continue
            now = max(held, key=lambda number: (held[number], number == claim.regime))
            group = components.of(now)
            name, size = self._named(claim.regime), _exposures(len(regimes[now]))
            same = [x for x in claims if x.stands and x is not claim and x.regime == now]
            joined = same or [x for x in claims[:i] if x.stands and x.regime in group]
            if 2 * sum(n for number, n in held.items() if number in group) < sum(held.values()):
                spread = self._named(*(number for number, n in held.items() if n))
                yield f"{name} is not called new any more: its exposures are now of {spread}"
                claim.stands = False
            elif joined:
                how = (
                    f"is part of {self._named(now)}, {size}"
                    if same
                    else f"has no gap to {self._named(joined[0].regime)}"
                )
                yield f"{name} {how}: they are one discovery, not two"
                claim.stands = False
            elif now == claim.regime:
                continue
            elif is_novel(np.median(_p_values(regimes, group)), self._discoveries.alpha):
                yield f"{name} is now called {self._named(now)}, {size}: still new"
                claim.regime = now
            else:
                yield f"{name} is not called new any more: it is part of {self._named(now)}, {size}, which is not new"
                claim.stands = False

    def _judge_sample(self, exposures: ByExposure, components: Components) -> Iterator[str]:
        """Yield the claim that the sample is of one kind that the bank does not hold, and its end."""
        assert self._discoveries is not None
        groups = [[p for regime, p in exposures.values() if regime in group] for group in components.groups]
        if (claim := self.of_sample) is not None:
            of = [exposures[key][0] for key in claim.founders if key in exposures]
            if not of:  # all founders may be unassigned
                return
            group = max(set(map(components.of, of)), key=lambda x: sum(regime in x for regime in of))
            p = [p for regime, p in exposures.values() if regime in group]
            together = 2 * sum(regime in group for regime in of) >= len(of)
            claim.stands = together and bool(is_novel(np.median(p), self._discoveries.alpha))
            claim.regime = group[0]
            if not claim.stands:
                yield f"withdrawn: {SAMPLE}"
            return
        largest = max(range(len(groups)), key=lambda i: len(groups[i]), default=None)
        if largest is None or 2 * len(groups[largest]) <= len(exposures):
            return
        p_sample = self._discoveries.judge_sample(groups[largest])
        if p_sample is not None:
            group = components.groups[largest]
            founders = [key for key, (regime, _) in exposures.items() if regime in group]
            self.claims.append(Claim(founders=_some(founders), regime=group[0], p=p_sample, about="sample"))
            yield f"{SAMPLE}: {_exposures(len(founders))}, p = {p_sample:.2g}; {self.bound}"

    def _tell_apart(self, regimes: ByRegime, components: Components) -> Iterator[str]:
        """Yield the kinds of at least two exposures that are far from all others, once; the first kind is no news."""
        groups = [group for group in components.groups if len(_p_values(regimes, group)) > 1]
        claimed = {components.of(claim.regime) for claim in self._standing("session")}
        for group in groups[1:]:
            borders = [(components.between(group, other), other) for other in groups if other != group]
            (ratio, distance), nearest = min(borders)
            if group not in claimed and ratio > APART:
                founders = [key for number in group for key in regimes.get(number, {})]
                self.claims.append(Claim(founders=_some(founders), regime=group[0], p=None, about="session"))
                size = _exposures(len(founders)).partition(", of")[0]
                far = f"the distance to {self._named(*nearest)} is {distance:.0f} times the spread within a regime"
                differ = SESSION if len(group) == 1 else SESSION.replace("differs", "differ")
                yield f"{self._named(*group)} {differ}: {size}; {far}"

    def _follow_apart(self, regimes: ByRegime, components: Components) -> Iterator[str]:
        """Yield which kinds do not differ from the others any more."""
        for claim in self._standing("session"):
            held = _held(regimes, claim)
            if not sum(held.values()):
                continue
            now = max(held, key=lambda number: (held[number], number == claim.regime))
            group, others = components.of(now), [x for x in self._standing("session") if x is not claim]
            joined = group == components.of(min(regimes)) or any(x.regime in group for x in others)
            if joined:
                claim.stands = False
                yield f"withdrawn: {self._named(claim.regime)} {SESSION}; the gap has closed"
            claim.regime = now

    def _announce(self, regimes: ByRegime, components: Components) -> Iterator[str]:
        """Yield new claims, and hints where one more exposure can decide."""
        assert self._discoveries is not None
        sample = [] if self.of_sample is None else [self.of_sample.regime]
        claimed = {number for known in [*self.discoveries, *sample] for number in components.of(known)}
        open_ = {number: [*keys.values()] for number, keys in regimes.items() if number not in claimed}
        for number, p in self._discoveries.update(open_).items():
            if components.of(number) in map(components.of, self.discoveries):
                continue  # of a kind that was claimed a moment ago
            self.claims.append(Claim(founders=_some([*regimes[number]]), regime=number, p=p))
            yield f"{self._named(number)} is new: {_exposures(len(regimes[number]))}, p = {p:.2g}; {self.bound}"
        for number, of_regime in open_.items():
            undecided = number not in self._discoveries.p_values and number not in self._asked
            lowest = min(of_regime, default=1.0)
            if undecided and is_novel(lowest, self._discoveries.alpha) and self._discoveries.decides(number, of_regime):
                self._asked.add(number)
                size = _exposures(len(of_regime))
                yield f"{self._named(number)} may be new, {size}: one more exposure there can decide"

    def _judge_all(self, regimes: ByRegime, components: Components) -> Iterator[str]:
        """Yield the alarm once when it is raised, and its end; regimes without a gap between them count as one."""
        sample = self.of_sample is not None
        counted = [x for x in {components.of(number) for number in regimes} if len(_p_values(regimes, x)) > 1]
        new = sum(any(number in self.discoveries for number in group) for group in counted)
        text = f"{new} of the {len(counted)} regimes that were measured twice or more {'is' if new == 1 else 'are'}"
        if len(counted) == 1:
            text = f"the only regime that was measured twice or more {'is' if new else 'is not'}"
        is_raised = sample or (new and 2 * new >= len(counted))
        before, self.alarm = self.alarm, ALARM.format("the sample is" if sample else text) if is_raised else ""
        if self.alarm and not before:
            yield self.alarm
        elif before and not self.alarm:
            yield f"the alarm has ended: {text} unlike all behaviour that the agent knows"


def _some(founders: list[str]) -> list[str]:
    return founders[:: -(-len(founders) // MOST_FOUNDERS)]


def _held(regimes: ByRegime, claim: Claim) -> dict[int, int]:
    """Return how many of the founders of a claim each regime holds."""
    return {number: len(keys.keys() & set(claim.founders)) for number, keys in regimes.items()}


def _p_values(regimes: ByRegime, group: Iterable[int]) -> list[float]:
    return [p for number in group for p in regimes.get(number, {}).values()]


def _exposures(n: int) -> str:
    return _WORDS[n] if n < len(_WORDS) else f"{n} exposures, of which the first {LOOKS} count"
