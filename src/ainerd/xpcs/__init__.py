"""Pixel counts to correlations: partitions of a detector, two-time correlation maps, g2 and its fits."""

from ainerd.xpcs._fit import KwwFit, fit_kww
from ainerd.xpcs._fit_flow import FlowFit, fit_flow
from ainerd.xpcs._fit_power import PowerFit, fit_power
from ainerd.xpcs._g2 import G2, g2
from ainerd.xpcs._multitau import G2ByAge, MultiTau
from ainerd.xpcs._partition import Partition
from ainerd.xpcs._reducer import TwoTimeReducer
from ainerd.xpcs._relaxation import Relaxation, fit_relaxation
from ainerd.xpcs._split import split
from ainerd.xpcs._two_time import g2_by_age, g2_from_two_time, two_time

__all__ = [
    "FlowFit",
    "G2",
    "G2ByAge",
    "KwwFit",
    "MultiTau",
    "Partition",
    "PowerFit",
    "Relaxation",
    "TwoTimeReducer",
    "fit_flow",
    "fit_kww",
    "fit_power",
    "fit_relaxation",
    "g2",
    "g2_by_age",
    "g2_from_two_time",
    "split",
    "two_time",
]
