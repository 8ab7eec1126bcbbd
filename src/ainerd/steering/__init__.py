"""The optimizer that chooses where to measure next, and the plans that measure there."""

from ainerd.steering._beam_test import BeamVerdict
from ainerd.steering._dose import DoseBook, DoseError
from ainerd.steering._early import Early
from ainerd.steering._explorer import Candidate, Explorer
from ainerd.steering._exposing import Exposing
from ainerd.steering._exposure import Known, Proposer
from ainerd.steering._plans import Devices, answer_of, check_limits, check_units, explore, expose, visit
from ainerd.steering._policies import POLICIES
from ainerd.steering._survey import SampleMap, Survey, TravelTime
from ainerd.steering._trials import Labeler, RowsById
from ainerd.steering._window import Window, Windowed

__all__ = [
    "BeamVerdict", "Candidate", "Devices", "DoseBook", "DoseError", "Early", "Explorer", "Exposing", "Known", "Labeler",
    "POLICIES", "Proposer", "RowsById", "SampleMap", "Survey", "TravelTime", "Window", "Windowed", "answer_of",
    "check_limits", "check_units", "explore", "expose", "visit",
]  # fmt: skip
