"""Where to measure next, and why; the plans that go there."""

from ainerd.steering._explorer import TERMS, Explorer
from ainerd.steering._plans import check_limits, explore, expose, visit
from ainerd.steering._policies import R2, NewRegimes, Policy, Raster, Sobol
from ainerd.steering._survey import SampleMap, TravelTime
from ainerd.steering._trials import Labeler
from ainerd.steering._window import Window

__all__ = [
    "Explorer",
    "Labeler",
    "NewRegimes",
    "Policy",
    "R2",
    "Raster",
    "SampleMap",
    "Sobol",
    "TERMS",
    "TravelTime",
    "Window",
    "check_limits",
    "explore",
    "expose",
    "visit",
]
