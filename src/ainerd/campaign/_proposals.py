"""Proposals: the next position is chosen, replaced by a better one, and handed out."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from bluesky_adaptive.protocols import ID_KEY

from ainerd.campaign._atlas import Atlas
from ainerd.campaign._catalogue import Catalogue
from ainerd.campaign._optimizer import OtherOptimizer
from ainerd.campaign._partners import Partners
from ainerd.decisions import NO_REASON, UNTAKEN, State, events
from ainerd.decisions.events import Ready
from ainerd.results import commands
from ainerd.steering import OF_HERE, Explorer


class Proposals:
    """Asks the optimizer for positions. The optimizer is a function of the results and of the state.

    Parameters
    ----------
    catalogue : Catalogue
    explorer : Explorer or OtherOptimizer
    partners : Partners

    Attributes
    ----------
    running : dict of str to dict
        Positions of runs in progress that nobody suggested, by the key of the result.
    is_over : bool
        Whether the session has ended: its last results then cause no suggestion.
    """

    def __init__(self, catalogue: Catalogue, explorer: Explorer | OtherOptimizer, partners: Partners) -> None:
        self._catalogue, self._explorer, self._partners = catalogue, explorer, partners
        self.running: dict[str, Mapping[str, float]] = {}
        self.is_over = False

    def ready(self) -> Ready:
        """Return the suggestion that is measured next. If none waits, the optimizer chooses one.

        Raises ValueError if no position is left.
        """
        if self._first is None:
            if self.is_over:
                raise ValueError("the session has ended")
            if not self._catalogue.steers:
                raise ValueError("the session that steers chooses the next position")
            self.happen(events.Proposed(suggestion=self._chosen(1)[0]))
        if (first := self._first) is None:
            raise ValueError("the position that was chosen may not be measured")
        return first

    def follow(self) -> None:
        """Prepare the next suggestion, if a position is left; otherwise the next caller of `ready` gets the error."""
        with suppress(ValueError):
            self.ready()

    def renew(self, why: str = "newer results") -> None:
        """Choose again, because of `why`. If the choice is the same, the suggestion that waits stays as it is."""
        if (own := self._catalogue.state.own) is None:
            return
        new: dict[str, Any] | None = None
        if self._explorer.takes_back:
            self.expect(but=own.id)
            with suppress(ValueError):  # no position is left: the next caller of `ready` gets the error
                new = self._chosen(1)[0]
        if new is None:
            self.withdraw(why, "superseded")
        elif _choice(new) == _choice(own.suggestion):
            self.expect()
        else:
            self.happen(events.Proposed(suggestion=new, why=why))

    def withdraw(self, why: str, status: Literal["withdrawn", "superseded"]) -> None:
        """Withdraw the optimizer's suggestion, if it waits."""
        if self._catalogue.state.own is not None:
            self.happen(events.Withdrawn(why=why, status=status))

    def hand_out(self, n: int) -> list[dict[str, Any]]:
        """Hand out the next positions; ValueError if none is left, or, in review, if no person took one."""
        if self._catalogue.rules.review and (self.ready().taken_by is None or n > 1):
            raise ValueError(f"{UNTAKEN}: this campaign is in review")
        suggestions: list[dict[str, Any]] = []
        while len(suggestions) < n and (first := self._first) is not None:
            suggestions.append(first.suggestion)
            self.happen(events.HandedOut(suggestion=first.suggestion))
        for suggestion in self._chosen(n - len(suggestions)) if n > len(suggestions) else []:
            suggestions.append(suggestion)
            self.happen(events.HandedOut(suggestion=suggestion))
        return suggestions

    def asked(self, command: commands.Command, atlas: Atlas, container: str, age_s: float) -> events.Asked:
        """Return the event of a command. It holds the suggestion and the objections of the optimizer, if it has any."""
        suggestion, objection, rules = None, "", self._catalogue.rules
        try:
            match command:
                case commands.Next() | commands.Accept():
                    if isinstance(command, commands.Accept) or self._catalogue.state.held is None:
                        self.ready()
                case commands.Add():
                    position = commands.check_position(command.position, self._explorer.bounds)
                    asked = {ID_KEY: command.id, **position, "reason": command.why or NO_REASON}
                    (suggestion,) = self._explorer.register_suggestions([asked])
                case commands.Take() if self._catalogue.state.get(command.suggestion) is None:
                    asked = {**command.terms, **rules.position(command.position), ID_KEY: command.suggestion}
                    self._explorer.register_suggestions([{**asked, "reason": command.reason or NO_REASON}])
                case commands.Name() if command.regime not in atlas.labels:
                    raise ValueError(f"there is no regime {command.regime}")
        except ValueError as error:
            objection = str(error)
        return events.Asked(
            command=command, suggestion=suggestion, objection=objection, review=rules.review, container=container,
            age_s=age_s,
        )  # fmt: skip

    def happen(self, event: events.Event) -> State:
        """Let an event happen, and tell the optimizer what follows from it; see `Catalogue.happen`."""
        after = self._catalogue.happen(event)
        self.expect()
        return after

    def expect(self, but: str | None = None) -> None:
        """Give the optimizer the window, the positions that will be measured, and those that failed."""
        state = self._catalogue.state
        self._explorer.window = state.window
        expected = {id: each.suggestion for id, each in state.open.items() if id != but}
        self._explorer.expect({**self.running, **expected}, state.failed)

    @property
    def _first(self) -> Ready | None:
        """The suggestion that is measured next, if one waits."""
        return self._catalogue.state.next(review=self._catalogue.rules.review)

    def _chosen(self, n: int) -> list[dict[str, Any]]:
        """Return new suggestions, which regard other techniques."""
        self._explorer.candidates = self._partners.candidates
        return self._explorer.suggest(n)


def _choice(suggestion: Mapping[str, Any]) -> dict[str, Any]:
    """Return position and reason of a suggestion, without its id, the numbers behind the reason and a guess in it."""
    same = {name: x for name, x in suggestion.items() if name not in (ID_KEY, *Explorer.terms)}
    return {**same, "reason": suggestion["reason"].partition(OF_HERE)[0]}
