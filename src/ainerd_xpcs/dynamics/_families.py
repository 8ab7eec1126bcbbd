"""Families of dynamics, drawn at random, for an exposure of 1 s.

`HELD_OUT` names the families that no encoder, density or bank may be trained on. A simulated sample may contain them,
so that they are truly novel.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ainerd_xpcs.dynamics._kernels import Dynamics

Family = Callable[[np.random.Generator], dict[str, Any]]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform.

    Examples
    --------
    >>> 1 <= log_uniform(np.random.default_rng(0), 1, 1000) <= 1000
    True
    """
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _velocity(rng: np.random.Generator) -> float:
    """Draw a phase velocity q·v of 3 to 12 turns in the exposure."""
    return 2 * np.pi * log_uniform(rng, 3, 12)


def _sheared(rng: np.random.Generator) -> dict[str, Any]:
    """Draw the anisotropy after shear of one sample in four."""
    if rng.random() > 0.25:
        return {}
    return {"anisotropy": rng.uniform(0.1, 0.4), "anisotropy_deg": rng.uniform(0, 180)}


def _fluid(rng: np.random.Generator) -> dict[str, Any]:
    """Draw full relaxation well within the exposure: diffusion (exponent 1) or a broad spectrum of relaxation times."""
    return {"tau_s": log_uniform(rng, 0.01, 0.1), "exponent": rng.uniform(0.5, 1.2)}


def _slow(rng: np.random.Generator) -> dict[str, Any]:
    """Draw relaxation over about the exposure or longer, compressed (exponent above 1) if driven by stress."""
    return {"tau_s": log_uniform(rng, 0.3, 8), "exponent": rng.uniform(0.8, 2.0), **_sheared(rng)}


def _ageing(rng: np.random.Generator) -> dict[str, Any]:
    """Draw relaxation that slows down as a power law of the time since the end of shear."""
    return {
        "tau_s": log_uniform(rng, 0.02, 0.15),
        "exponent": rng.uniform(0.8, 1.5),
        "ageing": rng.uniform(0.6, 1.6),
        "ageing_onset_s": 0.15,
        "age_s": rng.uniform(0, 1.0),
        **_sheared(rng),
    }


def _rejuvenating(rng: np.random.Generator) -> dict[str, Any]:
    """Draw ageing that restarts once or twice, when the sample yields as a whole."""
    return {
        "tau_s": log_uniform(rng, 0.02, 0.1),
        "exponent": rng.uniform(0.8, 1.5),
        "ageing": rng.uniform(0.9, 1.8),
        "ageing_onset_s": 0.05,
        "age_s": rng.uniform(0.1, 1.0),
        "rejuvenation": tuple(float(t) for t in np.sort(rng.uniform(0.15, 0.85, rng.integers(1, 3)))),
    }


def _arrested(rng: np.random.Generator) -> dict[str, Any]:
    """Draw caged motion: particles never leave their cages, so a plateau remains."""
    tau_s, exponent = log_uniform(rng, 0.02, 0.4), rng.uniform(0.8, 1.5)
    return {"tau_s": tau_s, "exponent": exponent, "plateau": rng.uniform(0.5, 0.9), **_sheared(rng)}


def _avalanche(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a sample nearly at rest, with a few sudden rearrangements."""
    times = np.sort(rng.uniform(0.06, 0.94, rng.integers(1, 5)))
    return {
        "tau_s": log_uniform(rng, 1, 10),
        "exponent": rng.uniform(0.8, 1.5),
        "events": tuple((float(t), float(rng.uniform(0.5, 2.5))) for t in times),
    }


def _flow(rng: np.random.Generator) -> dict[str, Any]:
    """Draw uniform flow past a static reference, such as the cell wall: fringes along the flow, none across."""
    tau_s, static = log_uniform(rng, 0.3, 2), rng.uniform(0.3, 0.6)
    return {"tau_s": tau_s, "static": static, "flow_rad_s": _velocity(rng), "flow_deg": rng.uniform(0, 180)}


def _populations(rng: np.random.Generator) -> dict[str, Any]:
    """Draw mobile particles among slow ones, as in a partly fluid gel: two steps of relaxation."""
    return {
        "tau_s": log_uniform(rng, 0.4, 4),
        "exponent": rng.uniform(0.8, 1.5),
        "second": Dynamics(family="fluid", tau_s=log_uniform(rng, 0.01, 0.06), exponent=rng.uniform(0.8, 1.2)),
        "second_share": rng.uniform(0.25, 0.75),
    }


def _beam(rng: np.random.Generator) -> dict[str, Any]:
    """Draw relaxation that speeds up with the dose."""
    tau_s, exponent = log_uniform(rng, 0.3, 1.5), rng.uniform(0.8, 1.5)
    return {
        "tau_s": tau_s,
        "exponent": exponent,
        "beam_speedup": log_uniform(rng, 2, 15),
        "dose_s": rng.uniform(0, 0.3),
    }


def _echo(rng: np.random.Generator) -> dict[str, Any]:
    """Draw periodic yielding: particles move out and back, with a slow loss."""
    tau_s, amplitude = log_uniform(rng, 1, 4), float(rng.uniform(0.7, 1.6))
    return {"tau_s": tau_s, "exponent": 2.0, "echo": (amplitude, float(rng.uniform(3, 8)))}


def _banded(rng: np.random.Generator) -> dict[str, Any]:
    """Draw shear bands: two velocities in one direction, which beat with each other and, in half of them, the wall."""
    fast, direction, tau_s = _velocity(rng), rng.uniform(0, 180), log_uniform(rng, 0.3, 2)
    return {
        "tau_s": tau_s,
        "static": float(rng.choice([0.0, rng.uniform(0.2, 0.4)])),
        "flow_rad_s": fast,
        "flow_deg": direction,
        "second": Dynamics(family="flow", tau_s=tau_s, flow_rad_s=rng.uniform(0.1, 0.6) * fast, flow_deg=direction),
        "second_share": rng.uniform(0.3, 0.7),
    }


def _ballistic(rng: np.random.Generator) -> dict[str, Any]:
    """Draw strain release by straight motion (exponent 2) that dies out."""
    return {"tau_s": log_uniform(rng, 0.02, 0.1), "exponent": 2.0, "arrest_s": log_uniform(rng, 0.1, 0.4)}


_DRAWN_BY = (
    _fluid, _slow, _ageing, _rejuvenating, _arrested, _avalanche, _flow, _populations, _beam, _echo, _banded, _ballistic
)  # fmt: skip
FAMILIES: dict[str, Family] = {function.__name__.removeprefix("_"): function for function in _DRAWN_BY}
HELD_OUT: frozenset[str] = frozenset({"echo", "banded", "ballistic"})
KNOWN: tuple[str, ...] = tuple(name for name in FAMILIES if name not in HELD_OUT)


def draw(family: str, rng: np.random.Generator) -> Dynamics:
    """Draw the dynamics of one exposure of a family in `FAMILIES`; raise ValueError for other names.

    Examples
    --------
    >>> draw("arrested", np.random.default_rng(0)).arrest_s > 0
    True
    """
    if family not in FAMILIES:
        raise ValueError(f"no family {family!r}: there are {', '.join(FAMILIES)}")
    return Dynamics(family=family, **FAMILIES[family](rng))
