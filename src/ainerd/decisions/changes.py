"""Changes of a campaign and their effects, as data.

A change is one of the state of a campaign. The session that steers writes them to Tiled in their order, and the
next session folds them again; see `ainerd.decisions.reduce`. Effects are the nodes that it writes after them. An effect
that is written twice changes nothing the second time.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from ainerd.results import AtlasRecord, commands
from ainerd.results.commands import new_id
from ainerd.steering import Position, Suggestion
from ainerd.words import first_problem

LONGEST = 4000
Text = Annotated[str, Field(max_length=LONGEST)]
Id = Annotated[str, Field(max_length=200)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ready(_Fields):
    """A suggestion that waits for its measurement, or is handed out."""

    suggestion: Suggestion
    created: Text = ""  # when a person chose it; empty for a suggestion of the optimizer
    taken_by: Text | None = None  # the person who took it
    added_by: Text = ""  # the person who added it

    @property
    def id(self) -> str:
        """Id of the suggestion."""
        return self.suggestion.id


class Measured(_Fields):
    """A suggestion has a result. It is no change of its own in Tiled: the next change lists it.

    A result of a run taken by hand changes nothing that is decided, so it is no change.
    """

    kind: Literal["measured"] = "measured"
    key: Id  # of the result
    suggestion: str  # a plan may name any
    failed: bool = False
    why: Text | None = None
    raw_uid: str | None = None


class _Change(_Fields):
    """Fields of the changes in Tiled."""

    id: Id = Field(default_factory=lambda: uuid.uuid4().hex)
    t: FiniteFloat = Field(default_factory=time.time)  # s since 1970, by the clock of the session
    learned: tuple[Measured, ...] = ()  # results that the session learned since the change before
    written: int = 0  # number of the newest change whose effects are written


class Began(_Change):
    """A session began to steer, with these bounds in its settings. Earlier sessions write no change after it."""

    kind: Literal["began"] = "began"
    session: Id  # a random name
    configured: Annotated[dict[Id, tuple[FiniteFloat, FiniteFloat]], Field(max_length=20)]
    exposed: tuple[Id, ...] = ()  # suggestions that raw runs name and that have no result yet


class Asked(_Change):
    """Somebody gave a command, at the prompt or as a node in Tiled, in a `container`; the node gets the answer.

    `suggestion` is the completed suggestion that an `Add` asks for. `objection` is a reason to refuse the command that
    follows from results. `review` is that of the session, see `Rules`. `age_s` is the time since the session found the
    command, by its clock; only a command that had waited for the session is as old as its sender says.
    """

    kind: Literal["asked"] = "asked"
    command: commands.Command
    suggestion: Suggestion | None = None
    objection: Text = ""
    review: bool = False
    age_s: FiniteFloat = 0.0
    container: Id = ""


class Proposed(_Change):
    """The optimizer chose a position; `why` it replaces the one that waits."""

    kind: Literal["proposed"] = "proposed"
    suggestion: Suggestion
    why: Text = ""


class HandedOut(_Change):
    """A position goes to a plan or a person."""

    kind: Literal["handed out"] = "handed out"
    suggestion: Suggestion
    by: Text | None = None


class Unfinished(_Change):
    """Exposures were not finished; their positions by suggestion."""

    kind: Literal["unfinished"] = "unfinished"
    positions: Annotated[dict[Id, Position], Field(max_length=1000)]


class Withdrawn(_Change):
    """Suggestions wait no more: that of the optimizer, or also those that people asked for (`all`)."""

    kind: Literal["withdrawn"] = "withdrawn"
    why: Text
    status: Literal["withdrawn", "superseded"] = "withdrawn"
    all: bool = False


class Claimed(_Change):
    """The claims about regimes have changed, with a line of the log for each change; `ids` are of the result."""

    kind: Literal["claimed"] = "claimed"
    claims: dict[str, Any]
    lines: tuple[Text, ...] = ()
    ids: dict[str, str] = Field(default_factory=dict)


Written = Annotated[
    Began | Asked | Proposed | HandedOut | Unfinished | Withdrawn | Claimed, Field(discriminator="kind")
]
Change = Written | Measured
_CHANGE: TypeAdapter[Written] = TypeAdapter(Written)


def record_of(change: Written) -> dict[str, Any]:
    """Return plain values for `parse_change`, without most defaults."""
    record = {**change.model_dump(exclude_defaults=True), "kind": change.kind, "id": change.id, "t": change.t}
    if isinstance(change, Asked):
        record["command"] = change.command.model_dump(exclude_none=True)
    return record


def parse_change(record: Mapping[str, object]) -> Written:
    """Return the change of a record in Tiled; raise ValueError, in one line, if the record is invalid."""
    try:
        return _CHANGE.validate_python(dict(record))
    except ValidationError as error:
        raise ValueError(first_problem(error, skip=1)[:250]) from None


@dataclass(frozen=True)
class Suggest:
    """Write a suggestion with what was `known` when it was made, or its new status."""

    suggestion: Suggestion
    status: str = "proposed"
    by: str | None = None
    known: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class SetStatus:
    """Write the status of a suggestion."""

    suggestion: str
    status: str
    why: str | None = None
    by: str | None = None
    raw_uid: str | None = None


@dataclass(frozen=True)
class Refit:
    """Write the regimes of all results of an agent."""

    regimes: AtlasRecord


@dataclass(frozen=True)
class Label:
    """Write the regime of a result, and how it compares with earlier ones of the session.

    `before` is the key of the last result at its spot, if there is one, and `alike` has those of others of its regime.
    `name` is that of the exposure in the line of the log about a difference, with the keys `ids`; "" for no line. The
    key of this line is `once`.
    """

    key: str
    regime: int
    own_p: float | None
    own_regimes: Sequence[int] | None
    sentences: tuple[str, ...] = ()
    before: str | None = None
    alike: tuple[str, ...] = ()
    name: str = ""
    ids: Mapping[str, str | None] = field(default_factory=dict)
    once: str = field(default_factory=new_id)


@dataclass(frozen=True)
class Mark:
    """Write on a result why a person left it out; None if it counts again."""

    key: str
    left_out: str | None


@dataclass(frozen=True)
class Line:
    """Write a line of the log with this key; `ids` are related keys, and `by` took the decision in it."""

    text: str
    once: str = field(default_factory=new_id)
    by: str | None = None
    ids: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ShowHold:
    """Write at once who holds the campaign, for other processes; the whole state of the agent follows."""


@dataclass(frozen=True)
class Reply:
    """Write the answer to the command with this id, to its node in the container."""

    container: str
    id: str
    status: str
    text: str
    fetched: Mapping[str, Any] | None = None


Effect = Suggest | SetStatus | Refit | Label | Mark | Line | ShowHold | Reply
