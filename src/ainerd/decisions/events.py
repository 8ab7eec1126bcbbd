"""Events of a campaign and their effects, as data.

Events are the changes of the state of a campaign. Tiled keeps them in their order, and each session folds the same
order; see `ainerd.decisions.reduce`. Effects are the nodes that a session then writes to Tiled.
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from bluesky_adaptive.protocols import ID_KEY
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from ainerd.results import commands
from ainerd.words import first_problem

LONGEST = 4000
Text = Annotated[str, Field(max_length=LONGEST)]
Id = Annotated[str, Field(max_length=200)]
Position = Annotated[dict[Id, FiniteFloat], Field(max_length=20)]


def _complete(suggestion: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(suggestion.get(ID_KEY), str) or not isinstance(suggestion.get("reason"), str):
        raise ValueError(f"a suggestion has {ID_KEY!r} and 'reason', which are texts")
    return suggestion


Suggestion = Annotated[dict[Id, Any], Field(max_length=200), AfterValidator(_complete)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ready(_Fields):
    """A suggestion that waits for its measurement, or is handed out."""

    suggestion: Suggestion
    session: Id  # the one that measures it
    since: FiniteFloat = 0.0  # when it was proposed or handed out, s since 1970
    number: int = 0  # of the events until it was proposed or handed out
    created: Text = ""  # when a person chose it; empty for a suggestion of the optimizer
    taken_by: Text | None = None  # the person who took it

    @property
    def id(self) -> str:
        """Id of the suggestion."""
        return str(self.suggestion[ID_KEY])


class Measured(_Fields):
    """A suggestion has a result. It is no event of its own in Tiled: the next event of the session lists it.

    A result of a run taken by hand changes nothing that is decided, so it is no event.
    """

    kind: Literal["measured"] = "measured"
    session: Id  # the one that writes the status of its suggestion; empty if that is another's work
    t: FiniteFloat = 0.0
    key: Id  # of the result
    suggestion: str  # a plan may name any
    failed: bool = False
    why: Text | None = None
    raw_uid: str | None = None


class _Event(_Fields):
    """Fields of the events in Tiled."""

    id: Id = Field(default_factory=lambda: uuid.uuid4().hex)
    session: Id  # of the agent: a random name
    t: FiniteFloat = Field(default_factory=time.time)  # s since 1970, by the clock of that session
    learned: tuple[Measured, ...] = ()  # results that the session learned since its event before
    written: int = 0  # number of the newest event whose effects the session has written


class Began(_Event):
    """A session began, with these bounds in its settings, when it knew so many events."""

    kind: Literal["began"] = "began"
    configured: Annotated[dict[Id, tuple[FiniteFloat, FiniteFloat]], Field(max_length=20)]
    known: int = 0


class Asked(_Event):
    """Somebody gave a command, at the prompt or as a node in Tiled (`is_node`), which gets the answer.

    `suggestion` is the completed suggestion that an `Add` asks for. `objection` is a reason to refuse the command that
    follows from results; with `refused`, a reason, the command is not executed. `settings` and `review` are those of
    the session, see `Rules`.
    """

    kind: Literal["asked"] = "asked"
    command: commands.Command
    suggestion: Suggestion | None = None
    objection: Text = ""
    settings: Id = ""
    review: bool = False
    is_node: bool = False
    refused: Text = ""


class Proposed(_Event):
    """The optimizer chose a position, when it knew so many events; `why` it replaces the one that waits."""

    kind: Literal["proposed"] = "proposed"
    suggestion: Suggestion
    known: int = 0
    why: Text = ""


class HandedOut(_Event):
    """A position goes to a plan or a person."""

    kind: Literal["handed out"] = "handed out"
    suggestion: Suggestion
    by: Text | None = None


class Unfinished(_Event):
    """Exposures were not finished; their positions by suggestion."""

    kind: Literal["unfinished"] = "unfinished"
    positions: Annotated[dict[Id, Position], Field(max_length=1000)]


class Withdrawn(_Event):
    """Suggestions of the session wait no more: that of the optimizer, or also those that people asked for (`all`)."""

    kind: Literal["withdrawn"] = "withdrawn"
    why: Text
    status: Literal["withdrawn", "superseded"] = "withdrawn"
    all: bool = False


class Resumed(_Event):
    """The session is the only one: it takes over these points of people, and all others end with their sessions."""

    kind: Literal["resumed"] = "resumed"
    points: tuple[Ready, ...]


class Claimed(_Event):
    """The claims about regimes have changed."""

    kind: Literal["claimed"] = "claimed"
    claims: dict[str, Any]


Written = Annotated[
    Began | Asked | Proposed | HandedOut | Unfinished | Withdrawn | Resumed | Claimed, Field(discriminator="kind")
]
Event = Written | Measured
_EVENT: TypeAdapter[Written] = TypeAdapter(Written)


def parse_event(record: Mapping[str, Any]) -> Written:
    """Return the event of a record in Tiled; raise ValueError, in one line, if the record is invalid."""
    try:
        return _EVENT.validate_python(dict(record))
    except ValidationError as error:
        raise ValueError(first_problem(error, skip=1)[:250]) from None


@dataclass(frozen=True)
class Suggest:
    """Write a suggestion, or its new status."""

    session: str
    suggestion: Mapping[str, Any]
    status: str = "proposed"
    by: str | None = None


@dataclass(frozen=True)
class SetStatus:
    """Write the status of a suggestion; `taken`: also of one that a person took."""

    session: str
    suggestion: str
    status: str
    why: str | None = None
    by: str | None = None
    taken: bool = False
    raw_uid: str | None = None


@dataclass(frozen=True)
class Line:
    """Write a line of the log."""

    session: str
    text: str
    once: str
    by: str | None = None
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ShowHold:
    """Write at once who holds the campaign, for other processes; the whole state of the agent follows."""

    session: str


@dataclass(frozen=True)
class Reply:
    """Write the answer to the command with this id."""

    session: str
    id: str
    status: str
    text: str
    fetched: Mapping[str, Any] | None = None


Effect = Suggest | SetStatus | Line | ShowHold | Reply


def plain_effect(effect: Effect) -> tuple[str, dict[str, Any]]:
    """Return the name and the fields of an effect, for `effect_of`."""
    return type(effect).__name__, asdict(effect)


def effect_of(name: str, values: Mapping[str, Any]) -> Effect:
    """Return the effect with this name and these fields. Raises ValueError if the name or a field is unknown."""
    kinds: dict[str, type[Effect]] = {kind.__name__: kind for kind in (Suggest, SetStatus, Line, ShowHold, Reply)}
    try:
        return TypeAdapter(kinds[name]).validate_python(values)
    except (KeyError, ValidationError):
        raise ValueError(f"there is no effect {name!r} of {str(values)[:100]}") from None
