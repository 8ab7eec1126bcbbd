"""The state of a campaign: everything that its events have decided, without results and their regimes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, Self

import numpy as np

from ainerd.decisions.events import Ready
from ainerd.results import digest
from ainerd.results.commands import check_position
from ainerd.steering import Window
from ainerd.words import place

UNTAKEN = "nobody has taken a suggestion on a page"


@dataclass(frozen=True)
class Answer:
    """The answer to a command.

    Attributes
    ----------
    status : str
        ``done`` or ``refused``; ``waits`` if it must be executed again later.
    text : str
        A sentence.
    suggestion : dict or None
        The suggestion that comes first.
    fetched : dict or None
        Id, position and reason of the suggestion, for the sender of a `Next`.

    Examples
    --------
    >>> Answer("refused", "Position 3 has been measured.").status
    'refused'
    """

    status: str
    text: str
    suggestion: dict[str, Any] | None = None
    fetched: dict[str, Any] | None = None


@dataclass(frozen=True)
class Rules:
    """The settings of a session, which no event changes.

    Attributes
    ----------
    session : str
        A random name of this session.
    window : Window
        With the bounds of the settings: no command widens the bounds beyond them.
    unit : str
        Of the actuators, for sentences.
    review : bool
        Whether a person must take each suggestion.
    settings : str
        Digest of the settings that people see with a suggestion.
    beam_size : float or None
        Size of a spot; without it two places are one if they differ by less than a thousandth of the window.
    """

    session: str
    window: Window
    unit: str = ""
    review: bool = False
    settings: str = ""
    beam_size: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the actuators."""
        return self.window.names

    def text(self, position: Mapping[str, Any]) -> str:
        """Return a position in words."""
        return place({name: float(position[name]) for name in self.names}, dict.fromkeys(self.names, self.unit))

    def position(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the numbers of the actuators among values, in their order; ValueError if one is missing."""
        known = {name: values[name] for name in self.names if name in values}
        return check_position(known, dict.fromkeys(self.names, (-np.inf, np.inf)))

    def are_near(self, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
        """Return whether two positions are the same spot for the beam."""
        window = self.window
        apart = window.position(np.array([float(a[name]) - float(b[name]) for name in self.names]))
        size = self.beam_size or 1e-3 * (window.high - window.low).min()
        return bool(np.linalg.norm(apart) < (1 - 1e-6) * size)  # as `Survey.may_measure`


@dataclass(frozen=True)
class State:
    """The state of a campaign after some events. It is never changed: `ainerd.decisions.reduce` returns another.

    Attributes
    ----------
    window : Window
        The bounds within which positions are measured, and the excluded boxes.
    configured : dict of str to (float, float)
        The bounds in the settings of the session that began last: no command widens the bounds beyond them.
    waiting : tuple of Ready
        Suggestions, in the order in which they are measured.
    handed_out : dict of str to Ready
        By id of the suggestion.
    measured : dict of str to str
        Key of the first result of each suggestion.
    failed : dict of str to dict
        Positions that people rejected or whose exposure failed, by suggestion.
    held : dict or None
        Who holds the campaign, why, and since when (s since 1970).
    names : dict of int to str
        Names of regimes, from people.
    fetched : tuple of str
        Suggestions that scripts fetched, the last one at the end.
    answers : dict of str to (str, Answer)
        Verb and answer of the newest commands, by id.
    claims : dict
        See `Claims.state`.
    """

    window: Window
    configured: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    waiting: tuple[Ready, ...] = ()
    handed_out: Mapping[str, Ready] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    held: Mapping[str, Any] | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    fetched: tuple[str, ...] = ()
    answers: Mapping[str, tuple[str, Answer]] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def first(cls, rules: Rules) -> Self:
        """Return the state before the first event."""
        return cls(window=rules.window)

    def answer(self, id: str) -> tuple[str, Answer] | None:
        """Return verb and answer of a command; None if it is unknown or must be executed again."""
        known = self.answers.get(id)
        return None if known is None or known[1].status == "waits" else known

    def get(self, id: str) -> Ready | None:
        """Return the suggestion with this id, if it waits."""
        return next((each for each in self.waiting if each.id == id), None)

    def next(self, *, review: bool) -> Ready | None:
        """Return the suggestion that is measured next; in review the first that a person took, if any."""
        taken = [each for each in self.waiting if each.taken_by is not None] if review else []
        return next(iter([*taken, *self.waiting]), None)

    def taken(self, *, review: bool) -> str | None:
        """Return the id of the suggestion that a person took and that is measured next, or None."""
        following = self.next(review=review)
        return following.id if following is not None and following.taken_by is not None else None

    def objection(self, position: Mapping[str, Any]) -> str | None:
        """Return the reason why a position may not be measured; None if it may."""
        numbers = np.array([float(position[name]) for name in self.window.names])
        return self.window.objection(self.window.position(numbers))

    def is_open(self, id: str) -> bool:
        """Return whether a suggestion that was handed out has neither a result nor failed."""
        return id not in self.measured and id not in self.failed

    def plain(self) -> dict[str, Any]:
        """Return plain values for `of_plain`, without those in the results."""
        kept = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("window", "measured")}
        return kept | {
            "digest": digest({"names": list(self.window.names)}),
            "bounds": self.window.bounds,
            "excluded": self.window.excluded,
            "waiting": [each.model_dump() for each in self.waiting],
            "handed_out": [each.model_dump() for id, each in self.handed_out.items() if self.is_open(id)],
            "names": {str(regime): name for regime, name in self.names.items()},
            "answers": {id: [do, x.status, x.text, x.fetched] for id, (do, x) in self.answers.items()},
        }

    @classmethod
    def of_plain(cls, values: Mapping[str, Any], rules: Rules) -> Self:
        """Return the state of `plain`. Any program may have written it: it raises various errors."""
        window = rules.window
        if values["digest"] != digest({"names": list(window.names)}):
            raise ValueError("it is of other actuators")
        configured, boxes = _limits(values["configured"]), [_limits(box) for box in values["excluded"]]
        held = values["held"]
        if held is not None:
            held = {"by": str(held["by"]), "why": str(held["why"]), "t": float(held["t"])}
        return cls(
            window=window.changed(within(_limits(values["bounds"]), configured), boxes),
            configured=configured,
            waiting=tuple(Ready(**each) for each in values["waiting"]),
            handed_out={each.id: each for each in (Ready(**each) for each in values["handed_out"])},
            failed={str(id): rules.position(position) for id, position in values["failed"].items()},
            held=held,
            names={int(regime): str(name) for regime, name in values["names"].items()},
            fetched=tuple(map(str, values["fetched"])),
            answers={
                str(id): (str(do), Answer(str(status), str(text), None, fetched))
                for id, (do, status, text, fetched) in values["answers"].items()
            },
            claims=dict(values["claims"]),
        )


def _limits(values: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    return {str(name): (float(low), float(high)) for name, (low, high) in values.items()}


def within(
    bounds: Mapping[str, tuple[float, float]], ceiling: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Return the bounds; ValueError if they reach beyond the ceiling.

    Examples
    --------
    >>> within({"sample_x": (0.0, 500.0)}, {"sample_x": (0.0, 10.0)})
    Traceback (most recent call last):
    ValueError: sample_x = 0 to 500 reaches beyond the limits in the settings, 0 to 10: only the settings widen them
    """
    for name, (low, high) in bounds.items():
        least, most = ceiling.get(name, (-np.inf, np.inf))
        if low < least or high > most:
            raise ValueError(
                f"{name} = {low:g} to {high:g} reaches beyond the limits in the settings, {least:g} to {most:g}: only "
                "the settings widen them"
            )
    return dict(bounds)


def limits_text(limits: Mapping[str, tuple[float, float]]) -> str:
    """Return limits in words: ``sample_x 0 to 10``."""
    return ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in limits.items())


def terms_of(suggestion: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """Return the terms of a suggestion: all its numbers except the position.

    Examples
    --------
    >>> terms_of({"sample_x": 3.0, "distance": 2.5, "reason": "unexplored"}, ["sample_x"])
    {'distance': 2.5}
    """
    return {
        name: float(x)
        for name, x in suggestion.items()
        if name not in names and isinstance(x, Real) and not isinstance(x, bool)
    }
