"""The choice of the next position. It knows no Bluesky and no files."""

from ainerd.steering._exposures import Exposures
from ainerd.steering._policies import GUESS, POLICIES
from ainerd.steering._propose import Candidate, Search, completed, propose, sample_map, should_stop
from ainerd.steering._suggestion import Position, Suggestion
from ainerd.steering._survey import SampleMap, Survey, TravelTime
from ainerd.steering._window import Window

__all__ = [
    "GUESS", "POLICIES", "Candidate", "Exposures", "Position", "SampleMap", "Search", "Suggestion", "Survey",
    "TravelTime", "Window", "completed", "propose", "sample_map", "should_stop",
]  # fmt: skip
