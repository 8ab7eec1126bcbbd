"""Families of dynamics, drawn at random in units of the exposure.

`HELD_OUT` is the one place that says which families no encoder, density or bank may be trained on: a simulated sample
may hold them, so that what is called novel really is.
"""

from collections.abc import Callable

import numpy as np

from ainerd.dynamics._kernels import Dynamics

Family = Callable[[np.random.Generator, float], Dynamics]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _fluid(rng: np.random.Generator, duration_s: float) -> Dynamics:
    return Dynamics(family="fluid", tau_s=_log_uniform(rng, 0.01, 0.1) * duration_s, exponent=rng.uniform(0.8, 1.2))


def _slow(rng: np.random.Generator, duration_s: float) -> Dynamics:
    return Dynamics(family="slow", tau_s=_log_uniform(rng, 0.3, 8) * duration_s, exponent=rng.uniform(0.8, 1.8))


def _ageing(rng: np.random.Generator, duration_s: float) -> Dynamics:
    return Dynamics(
        family="ageing",
        tau_s=_log_uniform(rng, 0.02, 0.15) * duration_s,
        exponent=rng.uniform(0.8, 1.5),
        ageing=rng.uniform(0.6, 1.6),
        ageing_onset_s=0.15 * duration_s,
        age_s=rng.uniform(0, 1.0) * duration_s,
    )


def _arrested(rng: np.random.Generator, duration_s: float) -> Dynamics:
    return Dynamics(
        family="arrested",
        tau_s=_log_uniform(rng, 0.02, 0.4) * duration_s,
        exponent=rng.uniform(0.8, 1.5),
        plateau=rng.uniform(0.5, 0.9),
    )


def _avalanche(rng: np.random.Generator, duration_s: float) -> Dynamics:
    times = np.sort(rng.uniform(0.06, 0.94, rng.integers(1, 5))) * duration_s
    return Dynamics(
        family="avalanche",
        tau_s=_log_uniform(rng, 1, 10) * duration_s,
        exponent=rng.uniform(0.8, 1.5),
        events=tuple((float(t), float(rng.uniform(0.5, 2.5))) for t in times),
    )


def _flow(rng: np.random.Generator, duration_s: float) -> Dynamics:
    return Dynamics(
        family="flow",
        tau_s=_log_uniform(rng, 0.3, 2) * duration_s,
        static=rng.uniform(0.3, 0.6),
        flow_rad_s=2 * np.pi * _log_uniform(rng, 3, 12) / duration_s,
        flow_deg=rng.uniform(0, 180),
    )


def _echo(rng: np.random.Generator, duration_s: float) -> Dynamics:
    return Dynamics(
        family="echo",
        tau_s=_log_uniform(rng, 1, 4) * duration_s,
        exponent=2.0,
        echo=(float(rng.uniform(0.7, 1.6)), float(rng.uniform(3, 8)) / duration_s),
    )


FAMILIES: dict[str, Family] = {
    "fluid": _fluid,
    "slow": _slow,
    "ageing": _ageing,
    "arrested": _arrested,
    "avalanche": _avalanche,
    "flow": _flow,
    "echo": _echo,
}
HELD_OUT: frozenset[str] = frozenset({"flow", "echo"})
KNOWN: tuple[str, ...] = tuple(name for name in FAMILIES if name not in HELD_OUT)


def draw(family: str, rng: np.random.Generator, duration_s: float) -> Dynamics:
    """Draw one exposure's dynamics of a family.

    Parameters
    ----------
    family : str
        A name in `FAMILIES`.
    rng : numpy.random.Generator
    duration_s : float
        Length of the exposure in seconds; relaxation times are drawn relative to it.

    Raises
    ------
    ValueError
        If there is no such family.
    """
    if family not in FAMILIES:
        raise ValueError(f"no family {family!r}: there are {', '.join(FAMILIES)}")
    return FAMILIES[family](rng, duration_s)
