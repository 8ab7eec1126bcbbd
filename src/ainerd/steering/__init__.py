"""The optimizer that chooses where to measure next, and the plans that measure there."""

from ainerd.steering._beam_test import BeamVerdict, beam_verdict
from ainerd.steering._dose import DoseBook, DoseError
from ainerd.steering._explorer import TERMS, Candidate, Explorer
from ainerd.steering._exposing import Exposing
from ainerd.steering._exposure import Known, Proposer
from ainerd.steering._plans import Devices, answer_of, check_limits, check_units, explore, expose, visit
from ainerd.steering._policies import POLICIES, Policy
from ainerd.steering._survey import SampleMap, Survey, TravelTime
from ainerd.steering._trials import Labeler, RowsById
from ainerd.steering._window import Window, Windowed

__all__ = [
    "BeamVerdict", "Candidate", "Devices", "DoseBook", "DoseError", "Explorer", "Exposing", "Known", "Labeler",
    "POLICIES", "Policy", "Proposer", "RowsById", "SampleMap", "Survey", "TERMS", "TravelTime", "Window",
    "Windowed", "answer_of", "beam_verdict", "check_limits", "check_units", "explore", "expose", "visit",
]  # fmt: skip
