"""A position that is to be measured, with the reason."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Annotated, Any, Self

from bluesky_adaptive.protocols import ID_KEY
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

Position = Annotated[dict[str, FiniteFloat], Field(max_length=20)]


class Suggestion(BaseModel):
    """A position that is to be measured, by actuator, with a reason in words and the numbers behind it.

    Examples
    --------
    >>> Suggestion(id="a", position={"sample_x": 3.0}, reason="unexplored", terms={"band": 0.5}).point
    {'_id': 'a', 'sample_x': 3.0, 'reason': 'unexplored', 'band': 0.5}
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(max_length=200)
    position: Position
    reason: str
    terms: Annotated[dict[str, FiniteFloat], Field(max_length=200)] = {}

    @classmethod
    def of(cls, point: Mapping[str, Any], names: Sequence[str]) -> Self:
        """Return the suggestion of a point of bluesky-adaptive; its numbers besides the actuators are the terms."""
        terms = {
            name: float(x)
            for name, x in point.items()
            if name not in (*names, ID_KEY) and isinstance(x, Real) and not isinstance(x, bool) and math.isfinite(x)
        }
        position = {name: float(point[name]) for name in names}
        return cls(id=str(point[ID_KEY]), position=position, reason=str(point["reason"]), terms=terms)

    @property
    def point(self) -> dict[str, Any]:
        """The suggestion as a point of bluesky-adaptive."""
        return {ID_KEY: self.id, **self.position, "reason": self.reason, **self.terms}
