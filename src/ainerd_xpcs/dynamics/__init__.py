"""Kernels of dynamics: the field correlation g1(t1, t2) of a sample, from the parameters of one exposure.

The kernels do not depend on the detector or on noise. The simulated devices draw speckle from them, the training corpus
draws maps.
"""

from ainerd_xpcs.dynamics._corpus import DIRECTIONS, clean_exposure, known_maps, nearest_covariances, noisy
from ainerd_xpcs.dynamics._families import FAMILIES, HELD_OUT, KNOWN, draw, log_uniform
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
    "DIRECTIONS", "FAMILIES", "HELD_OUT", "KNOWN", "MECHANISMS", "Domains", "Dynamics", "Sheared", "clean_exposure",
    "clock", "draw", "g1", "g1_moving", "g1_squared", "known_maps", "log_uniform", "nearest_covariances", "noisy",
    "ordinary", "phase", "rate_factor", "reduced_g1_squared",
]  # fmt: skip
