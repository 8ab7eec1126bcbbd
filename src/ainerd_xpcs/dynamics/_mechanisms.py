"""Ordinary dynamics: mechanisms over continuous ranges, in combination, from which the calibration bank is drawn.

The families of `FAMILIES` are points in these ranges, except for the held-out ones: no mechanism has
an echo, two velocities, or a rate that dies out.

============ =====================================================================================================
kind         dynamics; times in units of the exposure T
============ =====================================================================================================
stationary   exp(-(t / tau)^gamma), tau .0008 to 25, gamma .4 to 2
arrested     the same, tau .004 to .4, over a permanent plateau of .35 to .9
ageing       tau .002 to 1 grows as (1 + age / onset)^mu, mu .15 to 1.9, onset .03 to .5
rejuvenating ages, tau .01 to .3 and mu .6 to 1.5, and returns to age zero once or twice
intermittent one to six sudden jumps of .2 to 3, over relaxation of tau .2 to 20
stick-slip   7 to 40 jumps of .1 to 1.2 in the mean, at any times or almost evenly spaced, over tau .4 to 15
domains      4 to 30 domains that jump by .7 to 5, each at times of its own, .4 to 3.5 times a domain; tau .8 to 12
flow         uniform flow past a static reference: 1 to 14 turns of phase, static part .12 to .85, tau .35 to 15
sheared      a gradient of velocity across the beam: final phases differ by 3 to 100 rad; half of them come to rest
populations  two parts, one 3 to 3000 times faster than the other
beam         relaxes faster with growing dose
============ =====================================================================================================

A quarter of all but the flows relaxes faster along one direction; a seventh of stationary and ageing has a plateau of
.1 to .9.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from ainerd_xpcs.dynamics._families import log_uniform
from ainerd_xpcs.dynamics._kernels import Domains, Dynamics, Sheared


def _plateau(rng: np.random.Generator) -> dict[str, Any]:
    return {"plateau": rng.uniform(0.1, 0.9)} if rng.random() < 1 / 7 else {}


def _stationary(rng: np.random.Generator) -> dict[str, Any]:
    exponent = min(rng.uniform(0.4, 2.15), 2.0)  # a tenth is 2: straight motion is common
    return {"tau_s": log_uniform(rng, 8e-4, 25), "exponent": exponent, **_plateau(rng)}


def _arrested(rng: np.random.Generator) -> dict[str, Any]:
    return {"tau_s": log_uniform(rng, 4e-3, 0.4), "exponent": rng.uniform(0.5, 2), "plateau": rng.uniform(0.35, 0.9)}


def _ageing(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "tau_s": log_uniform(rng, 2e-3, 1),
        "exponent": rng.uniform(0.4, 1.8),
        "ageing": rng.uniform(0.15, 1.9),
        "ageing_onset_s": log_uniform(rng, 0.03, 0.5),
        "age_s": rng.uniform(0, 2) * rng.uniform(0, 1),
        **_plateau(rng),
    }


def _rejuvenating(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "tau_s": log_uniform(rng, 0.01, 0.3),
        "exponent": rng.uniform(0.6, 1.5),
        "ageing": rng.uniform(0.6, 1.5),
        "ageing_onset_s": log_uniform(rng, 0.03, 0.15),
        "age_s": rng.uniform(0.1, 1),
        "rejuvenation": tuple(float(t) for t in np.sort(rng.uniform(0.1, 0.9, rng.integers(1, 3)))),
    }


def _intermittent(rng: np.random.Generator) -> dict[str, Any]:
    times = np.sort(rng.uniform(0.03, 0.97, rng.integers(1, 7)))
    return {
        "tau_s": log_uniform(rng, 0.2, 20),
        "exponent": rng.uniform(0.5, 1.6),
        "events": tuple((float(t), float(rng.uniform(0.2, 3))) for t in times),
    }


def _stick_slip(rng: np.random.Generator) -> dict[str, Any]:
    n = round(log_uniform(rng, 7, 40))
    steady = (np.arange(n) + rng.uniform(0.2, 0.8) + 0.1 * rng.standard_normal(n)) / n
    times = np.sort(np.clip(steady, 0, 1) if rng.random() < 0.5 else rng.uniform(0, 1, n))
    # half of the samples have no typical size of a jump
    sizes = log_uniform(rng, 0.1, 1.2) * (rng.gamma(2, 0.5, n) if rng.random() < 0.5 else rng.exponential(1, n))
    return {
        "tau_s": log_uniform(rng, 0.4, 15),
        "exponent": rng.uniform(0.8, 1.4),
        "events": tuple(zip(times.tolist(), sizes.tolist(), strict=True)),
    }


def _domains(rng: np.random.Generator) -> Domains:
    n, often = int(rng.integers(4, 31)), rng.uniform(0.4, 3.5)
    relaxation = Dynamics(family="domains", tau_s=log_uniform(rng, 0.8, 12), exponent=rng.uniform(0.8, 1.3))
    times = (tuple(np.sort(rng.uniform(0, 1, rng.poisson(often))).tolist()) for _ in range(n))
    return Domains(relaxation=relaxation, rearranged_s=tuple(times), jump=log_uniform(rng, 0.7, 5))


def _flow(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "tau_s": log_uniform(rng, 0.35, 15),
        "static": rng.uniform(0.12, 0.85),
        "flow_rad_s": 2 * np.pi * log_uniform(rng, 1, 14),
        "flow_deg": rng.uniform(0, 180),
    }


def _sheared(rng: np.random.Generator) -> Sheared:
    relaxation = Dynamics(family="sheared", tau_s=log_uniform(rng, 0.2, 20), exponent=rng.uniform(0.7, 1.5))
    rest_s = log_uniform(rng, 0.15, 2) if rng.random() < 0.5 else inf
    turned = log_uniform(rng, 3, 100)  # at the end, so that flows that come to rest are not all slow
    shear = turned if rest_s == inf else turned / (rest_s * -np.expm1(-1 / rest_s))
    return Sheared(relaxation=relaxation, shear_rad_s=shear, along_deg=rng.uniform(0, 180), rest_s=rest_s)


def _populations(rng: np.random.Generator) -> dict[str, Any]:
    slow, ratio = log_uniform(rng, 0.1, 20), log_uniform(rng, 3, 3000)
    fast = Dynamics(family="populations", tau_s=max(slow / ratio, 1e-3), exponent=rng.uniform(0.5, 1.9))
    return {"tau_s": slow, "exponent": rng.uniform(0.5, 1.9), "second": fast, "second_share": rng.uniform(0.1, 0.9)}


def _beam(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "tau_s": log_uniform(rng, 0.05, 5),
        "exponent": rng.uniform(0.5, 1.9),
        "beam_speedup": log_uniform(rng, 0.5, 30),
        "dose_s": rng.uniform(0, 0.5),
    }


Drawn = dict[str, Any] | Domains | Sheared
_DRAWN_BY: tuple[Callable[[np.random.Generator], Drawn], ...] = (
    _stationary, _arrested, _ageing, _rejuvenating, _intermittent, _stick_slip, _domains, _flow, _sheared, _populations,
    _beam,
)  # fmt: skip
MECHANISMS: dict[str, Callable[[np.random.Generator], Drawn]] = {
    function.__name__.removeprefix("_").replace("_", "-"): function for function in _DRAWN_BY
}


def ordinary(kind: str, rng: np.random.Generator) -> Dynamics | Domains | Sheared:
    """Draw ordinary dynamics of an exposure of 1 s, of a kind in `MECHANISMS`; raise KeyError for others.

    Examples
    --------
    >>> ordinary("flow", np.random.default_rng(0)).is_heterodyne
    True
    """
    parameters = MECHANISMS[kind](rng)
    if not isinstance(parameters, dict):
        return parameters
    drawn = Dynamics(family=kind, **parameters)
    if kind == "flow" or rng.random() > 0.25:
        return drawn
    turned: dict[str, Any] = {"anisotropy": rng.uniform(0.05, 0.45), "anisotropy_deg": rng.uniform(0, 180)}
    if drawn.second is not None:
        turned["second"] = replace(drawn.second, **turned)
    return replace(drawn, **turned)
