"""Pixel counts to correlations: partitions of a detector, two-time correlation maps, g2 and its fits."""

from ainerd_xpcs.numerics._brightness import by_brightness
from ainerd_xpcs.numerics._choice import ALL_MODELS, LEFT_OVER, ONE_MODE, Candidate, decide, together
from ainerd_xpcs.numerics._clock import WORDS, Clock, ClockEvent, fit_clock, rate_offset
from ainerd_xpcs.numerics._counts import check_counts, check_valid, per_bin
from ainerd_xpcs.numerics._diagonals import diagonal_errors, diagonal_means, lags_of_map, mean_over_bins
from ainerd_xpcs.numerics._event_screen import EventScreen
from ainerd_xpcs.numerics._events import Events, positions
from ainerd_xpcs.numerics._faults_of_counts import no_light
from ainerd_xpcs.numerics._faults_of_order import behind, disorder, shifted
from ainerd_xpcs.numerics._fit_curves import CurveFit, fit_curves
from ainerd_xpcs.numerics._fit_parts import fit_relaxation
from ainerd_xpcs.numerics._flow import FlowFit, fit_flow
from ainerd_xpcs.numerics._g2 import G2, g2_by_age, g2_from_two_time
from ainerd_xpcs.numerics._geometry import Annulus, named_detector, pyfai_detectors
from ainerd_xpcs.numerics._multitau import MultiTau
from ainerd_xpcs.numerics._partition import Partition
from ainerd_xpcs.numerics._power import PowerFit, fit_power
from ainerd_xpcs.numerics._reductions import reduction_operator
from ainerd_xpcs.numerics._relaxation import LOG_TAU_KNOWN, RELAXATION_COLUMNS, RELAXATION_TEXTS, Relaxation
from ainerd_xpcs.numerics._scatter import student_factor
from ainerd_xpcs.numerics._screen import Screen
from ainerd_xpcs.numerics._screened import LeftOut, Screened, SpoiltRunError
from ainerd_xpcs.numerics._two_time import TwoTimeReducer, two_time

__all__ = [
    "ALL_MODELS", "G2", "LEFT_OVER", "LOG_TAU_KNOWN", "ONE_MODE", "RELAXATION_COLUMNS", "RELAXATION_TEXTS", "WORDS",
    "Candidate", "decide", "together",
    "Annulus", "Clock", "ClockEvent", "CurveFit", "EventScreen", "Events", "FlowFit", "LeftOut", "MultiTau",
    "Partition", "PowerFit", "Relaxation", "Screen", "Screened", "SpoiltRunError", "TwoTimeReducer", "behind",
    "by_brightness", "check_counts", "check_valid", "diagonal_errors", "diagonal_means", "disorder", "fit_clock",
    "fit_curves", "fit_flow", "fit_power", "fit_relaxation", "g2_by_age", "g2_from_two_time", "lags_of_map",
    "mean_over_bins", "named_detector", "no_light", "per_bin", "positions", "pyfai_detectors", "rate_offset",
    "reduction_operator", "shifted", "student_factor", "two_time",
]  # fmt: skip
