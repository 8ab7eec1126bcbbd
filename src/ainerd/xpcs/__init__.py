"""Pixel counts to correlations: partitions of a detector, two-time correlation maps, g2 and its fits."""

from ainerd.xpcs._ageing import AgeingFit, fit_ageing, middle_age
from ainerd.xpcs._choice import LEFT_OVER
from ainerd.xpcs._counts import per_bin
from ainerd.xpcs._event_screen import EventScreen
from ainerd.xpcs._events import EventFileError, Events
from ainerd.xpcs._fit_curves import fit_curves
from ainerd.xpcs._fit_parts import fit_relaxation
from ainerd.xpcs._flow import FlowFit, fit_flow
from ainerd.xpcs._g2 import G2, g2, g2_by_age, g2_from_two_time
from ainerd.xpcs._geometry import Annulus, guess_beam_center, pyfai_detectors
from ainerd.xpcs._imm import read_imm
from ainerd.xpcs._modules import ModulesReader
from ainerd.xpcs._multitau import G2ByAge, MultiTau
from ainerd.xpcs._partition import Partition, split
from ainerd.xpcs._power import PowerFit, fit_power
from ainerd.xpcs._reductions import reduction_operator
from ainerd.xpcs._relaxation import LOG_TAU_KNOWN, RELAXATION_COLUMNS, RELAXATION_TEXTS, Relaxation
from ainerd.xpcs._repeats import Repeats, Trend, average_repeats, log_tau_shifts
from ainerd.xpcs._rigaku import RigakuReader, read_rigaku, rigaku_gaps
from ainerd.xpcs._screen import LeftOut, Screen, Screened, SpoiltRunError
from ainerd.xpcs._screen_faults import no_light
from ainerd.xpcs._screen_order import behind, disorder, shifted
from ainerd.xpcs._team import Do, Team
from ainerd.xpcs._two_time import TwoTimeReducer, two_time
from ainerd.xpcs._ufxc import UFXC_SHAPES, read_ufxc

__all__ = [
    "LEFT_OVER",
    "LOG_TAU_KNOWN",
    "RELAXATION_COLUMNS",
    "RELAXATION_TEXTS",
    "UFXC_SHAPES",
    "AgeingFit",
    "Annulus",
    "Do",
    "EventFileError",
    "EventScreen",
    "Events",
    "FlowFit",
    "G2",
    "G2ByAge",
    "LeftOut",
    "ModulesReader",
    "MultiTau",
    "Partition",
    "PowerFit",
    "Relaxation",
    "Repeats",
    "RigakuReader",
    "Screen",
    "Screened",
    "SpoiltRunError",
    "Team",
    "Trend",
    "TwoTimeReducer",
    "average_repeats",
    "behind",
    "disorder",
    "fit_ageing",
    "fit_curves",
    "fit_flow",
    "fit_power",
    "fit_relaxation",
    "g2",
    "g2_by_age",
    "g2_from_two_time",
    "guess_beam_center",
    "log_tau_shifts",
    "middle_age",
    "no_light",
    "per_bin",
    "pyfai_detectors",
    "read_imm",
    "read_rigaku",
    "read_ufxc",
    "reduction_operator",
    "rigaku_gaps",
    "shifted",
    "split",
    "two_time",
]
