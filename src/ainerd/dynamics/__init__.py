"""Kernels of dynamics: how the scattered field of a sample forgets itself.

Parameters of one exposure go in, the field correlation g1(t1, t2) comes out. Nothing here knows of detectors or
noise. The simulated devices draw speckle from these kernels, the training corpus draws maps from them.
"""

from ainerd.dynamics._clock import clock, rate_factor
from ainerd.dynamics._corpus import (
    DIRECTIONS,
    Statistics,
    clean_exposure,
    known_exposures,
    known_maps,
    nearest_covariances,
    noisy,
    noisy_runs,
)
from ainerd.dynamics._dynamics import Dynamics
from ainerd.dynamics._families import FAMILIES, HELD_OUT, KNOWN, draw
from ainerd.dynamics._field import g1, g1_moving, g1_squared, phase, reduced_g1_squared
from ainerd.dynamics._mechanisms import MECHANISMS, ordinary
from ainerd.dynamics._sheared import Sheared

__all__ = [
    "DIRECTIONS",
    "Statistics",
    "clean_exposure",
    "known_exposures",
    "known_maps",
    "nearest_covariances",
    "ordinary",
    "noisy",
    "noisy_runs",
    "FAMILIES",
    "HELD_OUT",
    "KNOWN",
    "MECHANISMS",
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
