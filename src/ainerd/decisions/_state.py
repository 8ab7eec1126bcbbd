"""The state of a campaign: everything that its changes have decided, without results and their regimes."""

import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainSerializer,
    ValidationInfo,
    model_validator,
)

from ainerd.config import Steering
from ainerd.decisions.changes import Ready
from ainerd.results.commands import check_position
from ainerd.steering import Suggestion, Window
from ainerd.words import place

UNTAKEN = "nobody has taken a suggestion on a page"


class Answer(BaseModel):
    """The answer to a command.

    Attributes
    ----------
    status : str
        ``done`` or ``refused``; ``waits`` if it must be executed again later.
    text : str
        A sentence.
    do : str
        The verb of the command.
    suggestion : Suggestion or None
        The suggestion that comes first. It is not saved.
    fetched : Suggestion or None
        The suggestion for the sender of a `Next`.

    Examples
    --------
    >>> Answer(status="refused", text="Position 3 has been measured.").status
    'refused'
    """

    model_config = ConfigDict(frozen=True)

    status: Literal["done", "refused", "waits"]
    text: str
    do: str = ""
    suggestion: Suggestion | None = Field(default=None, exclude=True)
    fetched: Suggestion | None = None


class Held(BaseModel):
    """Who holds the campaign, why, and since when (s since 1970)."""

    model_config = ConfigDict(frozen=True)

    by: str
    why: str
    t: FiniteFloat


Box = dict[str, tuple[FiniteFloat, FiniteFloat]]


class Decision(BaseModel):
    """A decision of a person that can be taken back, with the values that it replaced; None: it left them."""

    model_config = ConfigDict(frozen=True)

    id: str  # of its command
    text: str  # as in the log
    bounds: Box | None = None
    excluded: tuple[Box, ...] | None = None
    names: dict[int, str] | None = None
    left_out: dict[str, str] | None = None


@dataclass(frozen=True)
class Rules:
    """The settings of a session, which stay as they are.

    Attributes
    ----------
    session : str
        A random name of this session.
    window : Window
        With the bounds of the settings: no command widens the bounds beyond them.
    review : bool
        Whether a person must take each suggestion.
    beam_size : float or None
        Of a spot.
    """

    session: str
    window: Window
    review: bool = False
    beam_size: float | None = None

    @classmethod
    def of(cls, steering: Steering, unit: str) -> Self:
        """Return the settings of a new session; `unit` is that of the actuators."""
        return cls(
            session=uuid.uuid4().hex,
            window=Window(steering.bounds, unit=unit, knobs=steering.knobs),
            review=steering.review,
            beam_size=steering.beam_size,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the actuators."""
        return self.window.names

    def text(self, position: Mapping[str, float]) -> str:
        """Return a position in words."""
        return place({name: position[name] for name in self.names}, self.window.units)

    def position(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the numbers of the actuators among values, in their order; ValueError if one is missing."""
        known = {name: values[name] for name in self.names if name in values}
        return check_position(known, dict.fromkeys(self.names, (-np.inf, np.inf)))

    def are_near(self, a: Mapping[str, float], b: Mapping[str, float]) -> bool:
        """Return whether two positions are the same spot for the beam."""
        window = self.window
        apart = window.position(np.array([a[name] - b[name] for name in self.names]))
        size = self.beam_size or 1e-3 * (window.high - window.low).min()
        return bool(np.linalg.norm(apart) < (1 - 1e-6) * size)  # as `Survey.may_measure`


def _window_of(values: Any, info: ValidationInfo) -> Window:
    """Return the window with these bounds and excluded boxes; the context has the rules of the session."""
    if isinstance(values, Window):
        return values
    assert isinstance(info.context, Rules)
    return info.context.window.changed(values["bounds"], values["excluded"])


class State(BaseModel):
    """The state of a campaign after some changes. It is never changed: `ainerd.decisions.reduce` returns another.

    ``state.model_dump(mode="json")`` has plain values, and ``State.model_validate(values, context=rules)`` reads them.

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
        Key of the first result of each suggestion. It is not saved, because the results have it.
    failed : dict of str to dict
        Positions that people rejected or whose exposure failed, by suggestion.
    held : Held or None
    names : dict of int to str
        Names of regimes, from people.
    left_out : dict of str to str
        Who left results out and why, by key.
    decisions : tuple of Decision
        The newest decisions that can be taken back.
    fetched : tuple of str
        Suggestions that scripts fetched, the last one at the end.
    exposed : tuple of str
        Suggestions that runs of earlier sessions name and that had no result when this session began.
    answers : dict of str to Answer
        To the newest commands, by id.
    claims : dict
        See `Claims.state`.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    window: Annotated[
        Window,
        BeforeValidator(_window_of),
        PlainSerializer(lambda window: {"bounds": window.bounds, "excluded": window.excluded}),
    ]
    configured: dict[str, tuple[float, float]] = Field(default_factory=dict)
    waiting: tuple[Ready, ...] = ()
    handed_out: dict[str, Ready] = Field(default_factory=dict)
    measured: dict[str, str] = Field(default_factory=dict, exclude=True)
    failed: dict[str, dict[str, FiniteFloat]] = Field(default_factory=dict)
    held: Held | None = None
    names: dict[int, str] = Field(default_factory=dict)
    left_out: dict[str, str] = Field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    fetched: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    answers: dict[str, Answer] = Field(default_factory=dict)
    claims: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_within(self) -> Self:
        within(self.window.bounds, self.configured)
        return self

    @property
    def own(self) -> Ready | None:
        """The suggestion of the optimizer, if it waits."""
        return next((each for each in self.waiting if not each.created), None)

    def answer(self, id: str) -> Answer | None:
        """Return the answer to a command; None if it is unknown or must be executed again."""
        known = self.answers.get(id)
        return None if known is None or known.status == "waits" else known

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

    def objection(self, position: Mapping[str, float]) -> str | None:
        """Return the reason why a position may not be measured; None if it may."""
        return self.window.objection_to(position)

    def was_exposed(self, id: str) -> bool:
        """Return whether a suggestion has a result, or a run of an earlier session names it."""
        return id in self.measured or id in self.exposed

    def is_open(self, id: str) -> bool:
        """Return whether a suggestion that was handed out has neither a result nor failed."""
        return id not in self.measured and id not in self.failed

    @property
    def open(self) -> dict[str, Ready]:
        """The suggestions that were handed out and have neither a result nor failed, and those that wait, by id."""
        given = {id: each for id, each in self.handed_out.items() if self.is_open(id)}
        return given | {each.id: each for each in self.waiting}

    @property
    def measuring(self) -> str | None:
        """Id of the suggestion that was handed out last, if its measurement is not over; None otherwise."""
        last = next(reversed([*self.handed_out]), None)
        return last if last is not None and self.is_open(last) else None

    def given_at(self, position: Mapping[str, Any], rules: Rules) -> str | None:
        """Return the id of the newest suggestion that was handed out for this spot and has no result; None without one.

        `position` may have other readings besides the actuators.
        """
        if not is_position(position, rules.names):
            return None
        given = {**self.handed_out, **{each.id: each for each in self.waiting if each.taken_by is not None}}
        near = [id for id, each in given.items() if rules.are_near(each.suggestion.position, position)]
        return next((id for id in reversed(near) if id not in self.measured), None)

    def saved(self) -> dict[str, Any]:
        """Return plain values, without the suggestions that are measured or failed."""
        given = {id: each for id, each in self.handed_out.items() if self.is_open(id)}
        return self.model_copy(update={"handed_out": given}).model_dump(mode="json")


def is_position(values: Mapping[str, object], names: Iterable[str]) -> bool:
    """Return whether all names have a finite number."""
    return all(isinstance(x := values.get(name), int | float) and math.isfinite(x) for name in names)


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
