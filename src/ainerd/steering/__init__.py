"""The optimizer that chooses where to measure next. It knows no Bluesky and no files."""

from ainerd.steering._explorer import Candidate, Explorer
from ainerd.steering._policies import OF_HERE, POLICIES
from ainerd.steering._survey import SampleMap, Survey, TravelTime
from ainerd.steering._trials import Labeler, RowsById
from ainerd.steering._window import Window, Windowed

__all__ = [
    "OF_HERE", "POLICIES", "Candidate", "Explorer", "Labeler", "RowsById", "SampleMap", "Survey", "TravelTime",
    "Window",
    "Windowed",
]  # fmt: skip
