"""Kernels of dynamics: the field correlation g1(t1, t2) of a sample, from the parameters of one exposure.

The kernels do not depend on the detector or on noise. The simulated devices draw speckle from them, the training corpus
draws maps.
"""

from ainerd_xpcs.dynamics._corpus import DIRECTIONS, Statistics, clean_exposure, known_maps, nearest_covariances, noisy
from ainerd_xpcs.dynamics._families import FAMILIES, HELD_OUT, KNOWN, draw
from ainerd_xpcs.dynamics._kernels import (
    Domains,
    Dynamics,
    Sheared,
    clock,
    g1,
    g1_moving,
    g1_squared,
    phase,
    rate_factor,
    reduced_g1_squared,
)
from ainerd_xpcs.dynamics._mechanisms import MECHANISMS, ordinary

__all__ = [
    "DIRECTIONS",
    "Statistics",
    "clean_exposure",
    "known_maps",
    "nearest_covariances",
    "ordinary",
    "noisy",
    "FAMILIES",
    "HELD_OUT",
    "KNOWN",
    "MECHANISMS",
    "Domains",
    "Dynamics",
    "Sheared",
    "clock",
    "draw",
    "g1",
    "g1_moving",
    "g1_squared",
    "phase",
    "rate_factor",
    "reduced_g1_squared",
]
