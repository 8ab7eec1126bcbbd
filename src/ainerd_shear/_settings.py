"""The section of cyclic shear in the settings."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from ainerd.config import Section

WITHIN = 0.02  # half the width of the windows at the phases, in cycles
Phase = Annotated[float, Field(ge=0, lt=1)]


class CyclesSettings(Section):
    """The section ``[rheo_xpcs.cycles]``: the rheometer's record of a sample that oscillates, and the echoes.

    Attributes
    ----------
    strain : str
        Data key of the strain.
    first_frame : str
        Data key of a reading at the first frame: its value is the time on the clock of `time`, or without `time` its
        time stamp is.
    stress : str
        Data key of the stress in Pa; empty: there are no moduli.
    time : str
        Data key of the time of each point of the record, in s; empty: the time stamps of the strain.
    phases : list of float
        See `ainerd_shear.Echoes`.
    """

    strain: str
    first_frame: str
    stress: str = ""
    time: str = ""
    phases: list[Phase] = Field(default=[0.25, 0.75], min_length=1)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        middles = sorted(self.phases)
        if min(b - a for a, b in pairwise([*middles, middles[0] + 1])) <= 2 * WITHIN:
            raise ValueError(f"phases = {self.phases} ± {WITHIN} must be windows that do not overlap")
        return self
