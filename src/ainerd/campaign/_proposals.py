"""Proposals: the next position is chosen, replaced by a better one, and handed out."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from ainerd.campaign._atlas import Atlas
from ainerd.campaign._journal import Journal
from ainerd.campaign._optimizer import OtherOptimizer
from ainerd.campaign._partners import Partners
from ainerd.decisions import UNTAKEN, State, changes
from ainerd.decisions.changes import Ready
from ainerd.results import commands
from ainerd.steering import (
    GUESS,
    Exposures,
    SampleMap,
    Search,
    Suggestion,
    completed,
    propose,
    sample_map,
    should_stop,
)


class Proposals:
    """Chooses positions: a function of the exposures and of the state, or another optimizer.

    Parameters
    ----------
    journal : Journal
    exposures : Exposures
    search : Search
        The rules, of which the state replaces the window.
    other : OtherOptimizer or None
    partners : Partners

    Attributes
    ----------
    running : dict of str to dict
        Positions of runs in progress that nobody suggested, by the key of the result.
    is_over : bool
        Whether the session has ended: its last results then cause no suggestion.
    """

    def __init__(
        self,
        journal: Journal,
        exposures: Exposures,
        search: Search,
        other: OtherOptimizer | None,
        partners: Partners,
    ) -> None:
        self._journal, self._exposures, self._search = journal, exposures, search
        self._other, self._partners = other, partners
        self.running: dict[str, Mapping[str, float]] = {}
        self.is_over = False

    @property
    def takes_back(self) -> bool:
        """Whether a suggestion can be withdrawn and chosen again."""
        return self._other is None

    def weigh(self, exposure_s: float) -> None:
        """Weigh travel against exposures of this length from now on."""
        self._search = replace(self._search, exposure_s=exposure_s)

    def ready(self) -> Ready:
        """Return the suggestion that is measured next. If none waits, one is chosen.

        Raises ValueError if no position is left.
        """
        if self._first is None:
            if self.is_over:
                raise ValueError("the session has ended")
            if not self._journal.steers:
                raise ValueError("the session that steers chooses the next position")
            self._journal.happen(changes.Proposed(suggestion=self._chosen()))
        if (first := self._first) is None:
            raise ValueError("the position that was chosen may not be measured")
        return first

    def follow(self) -> None:
        """Prepare the next suggestion, if a position is left; otherwise the next caller of `ready` gets the error."""
        with suppress(ValueError):
            self.ready()

    def renew(self, why: str = "newer results") -> None:
        """Choose again, because of `why`. If the choice is the same, the suggestion that waits stays as it is."""
        if (own := self._state.own) is None:
            return
        new: Suggestion | None = None
        if self.takes_back:
            with suppress(ValueError):  # no position is left: the next caller of `ready` gets the error
                new = self._chosen(but=own.id)
        if new is None:
            self.withdraw(why, "superseded")
        elif _choice(new) != _choice(own.suggestion):
            self._journal.happen(changes.Proposed(suggestion=new, why=why))

    def withdraw(self, why: str, status: Literal["withdrawn", "superseded"]) -> None:
        """Withdraw the suggestion that was chosen, if it waits."""
        if self._state.own is not None:
            self._journal.happen(changes.Withdrawn(why=why, status=status))

    def hand_out(self, n: int) -> list[dict[str, Any]]:
        """Hand out the next positions; ValueError if none is left, or, in review, if no person took one."""
        if self._journal.rules.review and self.ready().taken_by is None:
            raise ValueError(f"{UNTAKEN}: this campaign is in review")
        if self._journal.rules.review and n > 1:
            raise ValueError(f"this campaign is in review: ask for one suggestion at a time, not for {n}")
        points = []
        for _ in range(n):
            suggestion = self._chosen() if (first := self._first) is None else first.suggestion
            self._journal.happen(changes.HandedOut(suggestion=suggestion))
            points.append(suggestion.point)
        return points

    def asked(self, command: commands.Command, atlas: Atlas, container: str, age_s: float) -> changes.Asked:
        """Return the change by a command. It holds the suggestion and the objection to it, if there are any."""
        suggestion, objection, rules = None, "", self._journal.rules
        try:
            match command:
                case commands.Next() | commands.Accept():
                    if isinstance(command, commands.Accept) or self._state.held is None:
                        self.ready()
                case commands.Add():
                    position = commands.check_position(command.position, self._state.window.bounds)
                    suggestion = self.complete(position, command.because, command.id)
                case commands.Take() if self._state.get(command.suggestion) is None:
                    self.complete(rules.position(command.position), "", command.suggestion)
                case commands.Name() if command.regime not in atlas.labels:
                    raise ValueError(f"there is no regime {command.regime}")
                case commands.LeaveOut() if not self._exposures.is_measured(command.result):
                    raise ValueError(f"there is no result {command.result!r} with numbers")
        except ValueError as error:
            objection = str(error)
        return changes.Asked(
            command=command, suggestion=suggestion, objection=objection, review=rules.review, container=container,
            age_s=age_s,
        )  # fmt: skip

    def complete(self, position: Mapping[str, float], reason: str, id: str) -> Suggestion:
        """Return a position of a person as a suggestion; ValueError if it may not be measured."""
        if self._other is not None:
            return self._other.complete(position, reason, id, self._state.window)
        waiting, failed = self._waiting(), self._failed.values()
        return completed(position, reason, id, self._exposures, waiting, failed, self._rules)

    def should_stop(self) -> tuple[bool, str]:
        """Return whether the sample is explored, and the reason in words."""
        if self._other is not None:
            return self._other.should_stop()
        return should_stop(self._exposures, self._failed.values(), self._rules)

    def map(self) -> SampleMap | None:
        """Return the belief over position; None for another optimizer."""
        return None if self._other is not None else sample_map(self._exposures, self._failed.values(), self._rules)

    def best_points(self) -> list[Any]:
        """Return the novel exposures, the most novel first, or the best points of another optimizer."""
        if self._other is not None:
            return self._other.best_points()
        return [(id, position, {"novelty_p": p}) for id, position, p in self._exposures.most_novel()]

    @property
    def _state(self) -> State:
        return self._journal.state

    @property
    def _first(self) -> Ready | None:
        """The suggestion that is measured next, if one waits."""
        return self._state.next(review=self._journal.rules.review)

    @property
    def _rules(self) -> Search:
        return replace(self._search, window=self._state.window, names=self._state.names)

    @property
    def _failed(self) -> dict[str, dict[str, float]]:
        """Positions that were rejected or not finished, and not measured after all."""
        return {id: each for id, each in self._state.failed.items() if id not in self._state.measured}

    def _waiting(self, but: str | None = None) -> list[Mapping[str, float]]:
        """Return the positions that will be measured."""
        given = (each.suggestion.position for id, each in self._state.open.items() if id != but)
        return [*self.running.values(), *given]

    def _chosen(self, but: str | None = None) -> Suggestion:
        """Return a new suggestion, as if the one with the id `but` did not wait."""
        if self._other is not None:
            self._other.learn(self._exposures, self._failed)
            return self._other.propose(self._state.window)
        waiting, failed = self._waiting(but), self._failed.values()
        return propose(self._exposures, waiting, failed, self._rules, self._partners.candidates)


def _choice(suggestion: Suggestion) -> tuple[dict[str, float], str]:
    """Return position and reason of a suggestion, without a guess in the reason."""
    return suggestion.position, suggestion.reason.partition(GUESS)[0]
