"""Commands to a campaign as data: any process can build one, and `ainerd.campaign.Campaign.apply` executes it.

A command waits in Tiled as a node below that of the agent, until the agent has answered it. A hold and a release have a
container of their own, which the agent reads first.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from ainerd.results._records import Metadata, Stamp
from ainerd.words import first_problem, sender, utc_now

FARTHEST = 1e12  # largest coordinate of a position or a box, in any unit
COMMANDS, HOLDS = "commands", "holds"  # containers below the node of an agent
LONGEST, LONGEST_NAME = 2000, 200  # characters of a text, and of a name


def _two(limits: object) -> object:
    if not isinstance(limits, Sequence) or len(limits) != 2:
        raise ValueError(f"needs two limits, (low, high), got {limits!r:.40}")
    return limits


Number = Annotated[
    float,
    Field(strict=True, allow_inf_nan=False, ge=-FARTHEST, le=FARTHEST),
    BeforeValidator(lambda x: x.item() if isinstance(x, np.generic) else x),
]
Text = Annotated[str, Field(max_length=LONGEST)]
Label = Annotated[str, Field(max_length=LONGEST_NAME)]
Position = Annotated[dict[Label, Number], Field(max_length=20)]
Box = Annotated[dict[Label, Annotated[tuple[Number, Number], BeforeValidator(_two)]], Field(max_length=20)]
# Fields of a command's node that are not the command's own.
_OF_THE_NODE = ("agent", "status", "answer", "answered")
ID = r"^[0-9A-Za-z_.-]{1,150}$"  # of a command: with another key its node cannot be answered
ANSWER_S = 10.0  # in which an agent answers


def new_id() -> str:
    """Return an id that sorts by time."""
    return f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"


def log_key(created: str, id: str) -> str:
    """Return an id that sorts by a time, in ISO 8601; the same time and name give the same id."""
    ns = int(datetime.fromisoformat(created).timestamp() * 1e9)
    return f"{ns:020d}-{uuid.uuid5(uuid.NAMESPACE_OID, id).hex[:8]}"


def check_position(position: Mapping[str, float], bounds: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Return a position in the order of the bounds; ValueError unless each actuator has a number within its bounds."""
    if set(position) != set(bounds):
        raise ValueError(f"a position has {', '.join(bounds)}, got {', '.join(position) or 'nothing'}")
    for name, (low, high) in bounds.items():
        if not isinstance(x := position[name], int | float):
            raise ValueError(f"{name} = {x!r} is not a number")
        if not low <= x <= high:
            raise ValueError(f"{name} = {x} lies outside its bounds ({low:g}, {high:g})")
    return {name: float(position[name]) for name in bounds}


class _Command(BaseModel):
    """Fields of every command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(default_factory=new_id, pattern=ID)  #: a command is executed once for each id
    by: Label = "person"  #: who: an account, a name, or "person" at the prompt
    created: Stamp = Field(default_factory=utc_now)
    why: Text = ""  #: the reason given

    @property
    def who(self) -> str:
        """The sender in a sentence."""
        return sender(self.by)

    @property
    def because(self) -> str:
        """The reason given, or who asked without one."""
        return self.why or f"asked for by {self.who}"


class _OnSuggestion(_Command):
    """A command on one suggestion. Its id comes from the suggestion, so that only the first verdict counts."""

    _kind: ClassVar[str] = "verdict"
    suggestion: str = Field(pattern=r"^[0-9A-Za-z_-]{1,100}$")  #: id of the suggestion
    position: Position = Field(default_factory=dict)  #: by actuator, as the sender saw it
    reason: Text = ""  #: why the suggestion was made
    terms: dict[Label, FiniteFloat] = Field(default_factory=dict, max_length=100)  #: the numbers behind that reason

    @model_validator(mode="before")
    @classmethod
    def _default_id(cls, data: Any) -> object:
        return {"id": f"{cls._kind}-{data['suggestion']}", **data} if "suggestion" in data else data


class Accept(_Command):
    """Hand out the next suggestion, to be measured by hand."""

    do: Literal["accept"] = "accept"


class Next(_Command):
    """Fetch the next position for a script without Bluesky. The suggestion gets the status ``taken``.

    An earlier one that has not been measured becomes ``superseded``.
    """

    do: Literal["next"] = "next"
    wait_s: float = Field(default=0.0, ge=0, le=86_400)  #: how long to wait for a position


class Take(_OnSuggestion):
    """Measure this suggestion after those that people asked for before, whatever results come until then."""

    do: Literal["take"] = "take"


class Reject(_OnSuggestion):
    """Do not measure this suggestion, nor its position later."""

    do: Literal["reject"] = "reject"


class TakeBack(_OnSuggestion):
    """Withdraw a suggestion that a person took, or a point that one added, and that is not measured yet."""

    do: Literal["take_back"] = "take_back"
    _kind: ClassVar[str] = "back"


class Hold(_Command):
    """Give plans no new suggestion until a `Release`."""

    do: Literal["hold"] = "hold"


class Release(_Command):
    """Let plans go on."""

    do: Literal["release"] = "release"


class Exclude(_Command):
    """Never suggest a position in this box."""

    do: Literal["exclude"] = "exclude"
    region: Box


class Add(_Command):
    """Measure this position after those that people asked for before.

    The suggestion gets the command's id, so that it is made once.
    """

    do: Literal["add"] = "add"
    position: Position


class Name(_Command):
    """Name a regime; an empty name removes the name."""

    do: Literal["name"] = "name"
    regime: int = Field(ge=0, lt=1_000_000)
    name: str = Field(default="", max_length=60)


class LeaveOut(_Command):
    """Leave a result out of regimes, references and coverage: its exposure is spoilt."""

    do: Literal["leave_out"] = "leave_out"
    result: str = Field(pattern=ID)  #: its key
    name: Label = ""  #: its name in the log, such as ``scan 12``


class Undo(_Command):
    """Take back the last decision: an excluded region, bounds, the name of a regime, or a result that was left out."""

    do: Literal["undo"] = "undo"
    decision: Label = ""  #: id of the command that is taken back, as the sender saw it; "" for the last, whatever it is


class SetBounds(_Command):
    """Replace the bounds of the actuators."""

    do: Literal["set_bounds"] = "set_bounds"
    bounds: Box


class SetExcluded(_Command):
    """Replace all excluded boxes."""

    do: Literal["set_excluded"] = "set_excluded"
    regions: list[Box] = Field(max_length=1000)


Command = Annotated[
    Accept
    | Next
    | Take
    | Reject
    | TakeBack
    | Hold
    | Release
    | Exclude
    | Add
    | Name
    | LeaveOut
    | Undo
    | SetBounds
    | SetExcluded,
    Field(discriminator="do"),
]
_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


def parse_command(metadata: Metadata) -> Command:
    """Return the command in the metadata of a node; raise ValueError, in one line, if the metadata are invalid.

    Its time may be any: it is that of the clock of its sender.
    """
    try:
        return _COMMAND.validate_python({name: x for name, x in metadata.items() if name not in _OF_THE_NODE})
    except ValidationError as error:
        raise ValueError(first_problem(error, skip=1)[:250]) from None  # the first part is the verb


def container_of(command: Command) -> str:
    """Return the name of the container for the node of a command."""
    return HOLDS if isinstance(command, Hold | Release) else COMMANDS


def command_metadata(command: Command, agent: str) -> dict[str, Any]:
    """Return the metadata of the node in which a command waits for this agent."""
    return {**command.model_dump(exclude_none=True), "agent": agent, "status": "asked"}
