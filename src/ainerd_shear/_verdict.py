"""The verdict on a run that oscillates: that of its map of cycles, by a bank of its own.

In a map of cycles a decay is a relaxation, and a share that returns is a plateau. The bank of all runs holds both. It
lacks these kinds, which are added; times are shares of the run:

======== ==========================================================================================================
kind     dynamics
======== ==========================================================================================================
training the rate falls as (1 + time / onset)^-mu, mu .15 to 1.2, onset .0005 to .03: from the first cycle on
yielding at a time of .05 to .95 the rate rises at once by a factor of 1.5 to 60, and stays there; tau .2 to 30 before
         that, and .01 or more after it
======== ==========================================================================================================

The exponent is .6 to 1.8; a third has a plateau of .1 to .9, and a quarter relaxes faster along one direction.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.threads import one_thread
from ainerd_shear._echoes import KNOWN, EchoCurves
from ainerd_xpcs.dynamics import Dynamics, clock
from ainerd_xpcs.numerics import reduction_operator
from ainerd_xpcs.technique import (
    Bank,
    Cells,
    Clean,
    Judgement,
    RheoXPCS,
    Ring,
    contrast_within,
    filled,
    holes,
    judge,
    pooled_contrast,
)

Floats = NDArray[np.float64]
FEWEST, MOST = 64, 256  # rows of a map of cycles: for a p-value, as of frames; and at all
EXPOSURES = {"training": 400, "yielding": 600}
_NEVER = 1e4  # in shares of a run: an onset of ageing after which a rate has not changed at its end


def judge_cycles(technique: RheoXPCS, curves: EchoCurves, speckle_px: float, doubt: str | None) -> Judgement:
    """Judge a run that oscillates by its map of cycles, as if each cycle were a frame; see `judge`."""
    c2 = curves.c2.astype(np.float32)
    whole = filled(c2)
    n = whole.shape[1]
    if n < FEWEST:
        doubt = doubt or f"{n} cycles: a p-value needs at least {FEWEST}"
    else:
        doubt = doubt or holes(c2, technique.partition.numbers)
    resize = reduction_operator("area", n, MOST).toarray()
    maps = (1 + resize @ (whole - 1) @ resize.T).astype(np.float32)
    photons, contrasts, cells = seen(curves, technique.rings, n * curves.cycles_a_row)
    technique = technique if doubt else technique.with_bank(with_cycles(technique.bank))
    return judge(technique, maps, photons, contrasts, speckle_px, doubt=doubt, cells=cells)


def seen(
    curves: EchoCurves, rings: Sequence[Ring], n_cycles: int
) -> tuple[Floats, list[tuple[float, float] | None], Cells | None]:
    """Return photons, contrasts and cells of a map of so many cycles, as `judge` takes them, from as many or fewer.

    The noise is that of one phase: how much less that of the mean over phases is depends on the speckle they share. The
    contrast in the settings is that of a sample at rest, so it is not used.
    """
    of_rings = [contrast_within(ring, curves.g2) for ring in rings]
    contrasts = [pooled_contrast(each, None) if each[0] > KNOWN * each[1] else None for each in of_rings]
    n = n_cycles
    while n > MOST:
        n //= 2
    return curves.g2.counts * n_cycles, contrasts, Cells.of_whole(n)


@lru_cache(maxsize=2)  # it takes seconds, and serves all runs of a session
@one_thread
def with_cycles(bank: Bank) -> Bank:
    """Return a bank with the kinds in `EXPOSURES` as well; its `id` changes with their dynamics."""
    rng = np.random.default_rng([0, 58])
    kinds = [kind for kind, n in EXPOSURES.items() for _ in range(n)]
    drawn = [cyclic(kind, rng) for kind in kinds]
    clean = [Clean.of(each, duty=0.0) for each in drawn]
    numbers = re.sub(r"\d+\.\d+(e[-+]\d+)?", lambda x: f"{float(x[0]):.6g}", repr(drawn))  # the same on any machine
    code = hashlib.sha256(numbers.encode()).hexdigest()[:12]
    return Bank([*bank.clean, *clean], [*bank.families, *kinds], id=f"{bank.id}+{code}")


def cyclic(kind: str, rng: np.random.Generator) -> Dynamics:
    """Draw the dynamics of a run of 1 s, of a kind in `EXPOSURES`."""
    drawn: dict[str, Any] = _trains(rng) if kind == "training" else _yields(rng)
    if rng.random() < 1 / 3:
        drawn["plateau"] = rng.uniform(0.1, 0.9)
    if rng.random() < 1 / 4:
        drawn |= {"anisotropy": rng.uniform(0.05, 0.45), "anisotropy_deg": rng.uniform(0, 180)}
    return Dynamics(family=kind, exponent=rng.uniform(0.6, 1.8), **drawn)


def _trains(rng: np.random.Generator) -> dict[str, float]:
    mu, onset, end = rng.uniform(0.15, 1.2), _log_uniform(rng, 5e-4, 0.03), _log_uniform(rng, 0.2, 100)
    passed = clock(Dynamics(family="", tau_s=1.0, ageing=mu, ageing_onset_s=onset), 1.0)
    return {"tau_s": float(passed) / end, "ageing": mu, "ageing_onset_s": onset}


def _yields(rng: np.random.Generator) -> dict[str, Any]:
    """Rejuvenate a sample whose rate has fallen by `factor` before the run, and does not change in it."""
    before = _log_uniform(rng, 0.2, 30)
    factor = min(_log_uniform(rng, 1.5, 60), 100 * before)
    return {
        "tau_s": before / factor,
        "ageing": 1.0,
        "ageing_onset_s": _NEVER,
        "age_s": _NEVER * (factor - 1),
        "rejuvenation": (rng.uniform(0.05, 0.95),),
    }


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
