"""Pixel counts to correlations: partitions of a detector, two-time correlation maps, g2 and its fits."""

from ainerd.xpcs._fit import KwwFit, fit_kww
from ainerd.xpcs._g2 import G2, MultiTau, g2
from ainerd.xpcs._partition import Partition
from ainerd.xpcs._reducer import TwoTimeReducer
from ainerd.xpcs._two_time import two_time

__all__ = ["G2", "KwwFit", "MultiTau", "Partition", "TwoTimeReducer", "fit_kww", "g2", "two_time"]
