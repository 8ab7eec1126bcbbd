"""The state of a campaign: everything that its events have decided, without results and their regimes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
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
        A random name, of this session among those of the agent.
    window : Window
        With the bounds of the settings: no command widens the bounds beyond them.
    unit : str
        Of the actuators, for sentences.
    review : bool
        Whether a person must take each suggestion.
    settings : str
        Digest of the settings that people see with a suggestion.
    shared_s : float
        How long a proposal of another session keeps its place; 0: for ever.
    beam_size : float or None
        Size of a spot; without it two places are one if they differ by less than a thousandth of the window.
    """

    session: str
    window: Window
    unit: str = ""
    review: bool = False
    settings: str = ""
    shared_s: float = 0.0
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
class Area:
    """Bounds in which a session may measure: those in its settings, and its window now.

    `began` is the number of events that the session knew when it began.
    """

    configured: Mapping[str, tuple[float, float]]
    window: Window
    began: int = 0

    def narrowed(self, bounds: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        """Return the part of bounds that lies within those of the settings."""
        limits = {name: self.configured.get(name, (-np.inf, np.inf)) for name in bounds}
        return {name: (max(low, limits[name][0]), min(high, limits[name][1])) for name, (low, high) in bounds.items()}


@dataclass(frozen=True)
class State:
    """The state of a campaign after some events. It is never changed: `ainerd.decisions.reduce` returns another.

    Attributes
    ----------
    areas : dict of str to Area
        By session, the one that began last at the end. All have the same excluded boxes.
    n_events : int
        Number of events so far, without results.
    waiting : tuple of Ready
        Suggestions of all sessions, in the order in which they are measured.
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

    areas: Mapping[str, Area]
    n_events: int = 0
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
        return cls(areas={"": Area({}, rules.window)})

    @property
    def last_area(self) -> Area:
        """Of the session that began last."""
        return [*self.areas.values()][-1]

    def window(self, session: str) -> Window:
        """Return the window of a session: its bounds, and the excluded boxes."""
        return self.areas.get(session, self.last_area).window

    def answer(self, id: str) -> tuple[str, Answer] | None:
        """Return verb and answer of a command; None if it is unknown or must be executed again."""
        known = self.answers.get(id)
        return None if known is None or known[1].status == "waits" else known

    def get(self, id: str) -> Ready | None:
        """Return the suggestion with this id, if it waits."""
        return next((each for each in self.waiting if each.id == id), None)

    def queue(self, session: str) -> list[Ready]:
        """Return the suggestions that a session will measure, in their order."""
        return [each for each in self.waiting if each.session == session]

    def next(self, session: str, *, review: bool) -> Ready | None:
        """Return the suggestion that a session measures next; in review the first that a person took, if any."""
        waiting = self.queue(session)
        taken = [each for each in waiting if each.taken_by is not None] if review else []
        return next(iter([*taken, *waiting]), None)

    def taken(self, session: str, *, review: bool) -> str | None:
        """Return the id of the suggestion that a person took and that a session measures next, or None."""
        following = self.next(session, review=review)
        return following.id if following is not None and following.taken_by is not None else None

    def of_sessions_that_ran_since(self, session: str) -> set[str]:
        """Return the ids of the suggestions of a session, and of those that began or suggested after it began."""
        suggestions, began = [*self.waiting, *self.handed_out.values()], self.areas[session].began
        ran = {each.session for each in suggestions if each.number > began}
        ran |= {id for id, area in self.areas.items() if area.began >= began}
        return {each.id for each in suggestions if each.session in ran}

    def places_of_others(self, session: str, t: float, shared_s: float, known: int = 0) -> dict[str, Mapping[str, Any]]:
        """Return the positions to which other sessions have a right at time t, by suggestion.

        These are those that wait, but not longer than `shared_s`, and all that were handed out, without those that have
        a result and were handed out within the first `known` events.
        """
        others = ((id, each) for id, each in self.handed_out.items() if each.session != session)
        handed_out: dict[str, Mapping[str, Any]] = {
            id: each.suggestion for id, each in others if self.is_open(id) or each.number > known
        }
        theirs = (each for each in self.waiting if each.session != session)
        recent = {each.id: each.suggestion for each in theirs if not shared_s or t - each.since < shared_s}
        return handed_out | recent

    def objection(self, session: str, position: Mapping[str, Any]) -> str | None:
        """Return the reason why a session may not measure a position; None if it may."""
        window = self.window(session)
        numbers = np.array([float(position[name]) for name in window.names])
        return window.objection(window.position(numbers))

    def is_open(self, id: str) -> bool:
        """Return whether a suggestion that was handed out has neither a result nor failed."""
        return id not in self.measured and id not in self.failed

    def plain(self) -> dict[str, Any]:
        """Return plain values for `of_plain`, without those in the results."""
        kept = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("areas", "measured")}
        return kept | {
            "digest": digest({"names": list(self.last_area.window.names)}),
            "areas": [[id, area.configured, area.window.bounds, area.began] for id, area in self.areas.items()],
            "excluded": self.last_area.window.excluded,
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
        boxes = [_limits(box) for box in values["excluded"]]
        areas = {}
        for session, configured, bounds, began in values["areas"]:
            area = Area(_limits(configured), window, int(began))
            areas[str(session)] = replace(area, window=window.changed(area.narrowed(_limits(bounds)), boxes))
        held = values["held"]
        if held is not None:
            held = {"by": str(held["by"]), "why": str(held["why"]), "t": float(held["t"])}
        return cls(
            areas=areas or cls.first(rules).areas,
            n_events=int(values["n_events"]),
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
