"""The optimizer that chooses where to measure next, and the plans that measure there."""

from ainerd.steering._explorer import TERMS, Explorer
from ainerd.steering._plans import check_limits, explore, expose, visit
from ainerd.steering._policies import R2, NewRegimes, Policy, Sobol, r_sequence
from ainerd.steering._rows import Rows
from ainerd.steering._survey import SampleMap, TravelTime
from ainerd.steering._trials import Labeler
from ainerd.steering._window import Window, Windowed

__all__ = [
    "Explorer",
    "Labeler",
    "NewRegimes",
    "Policy",
    "R2",
    "Rows",
    "SampleMap",
    "Sobol",
    "TERMS",
    "TravelTime",
    "Window",
    "Windowed",
    "check_limits",
    "explore",
    "expose",
    "r_sequence",
    "visit",
]
