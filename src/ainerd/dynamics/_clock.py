"""The internal clock: how far a part of the sample has come by a time in the exposure."""

from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import exprel

from ainerd.dynamics._dynamics import Dynamics

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_NODES, _WEIGHTS = (1 + _NODES) / 2, _WEIGHTS / 2


def clock(part: Dynamics, t_s: ArrayLike) -> NDArray[np.float64]:
    """Internal clock s(t) = ∫ dt / tau, with the avalanches' jumps and the echo's swing, averaged over azimuth.

    1 / tau(t) = exp(-t / arrest_s) (1 + beam_speedup (dose_s + t)) / (tau_s (1 + age / ageing_onset_s)^ageing), and
    the age begins anew at each rejuvenation. With ageing alone the integral is a closed form. Else it is a
    Gauss-Legendre rule on panels that depend on the parameters only, exact to a relative 1e-13, so that a
    reading does not depend on the other times asked for. The `second` of `part` is not looked at.

    Parameters
    ----------
    part : Dynamics
    t_s : array_like, shape (T,)
        Times in the exposure, from 0 on, in seconds.

    Returns
    -------
    ndarray, shape (T,)
        Dimensionless; s(0) = 0, and without echo s never goes back.
    """
    t = np.asarray(t_s, dtype=float)
    integral = _ageing_alone if part.beam_speedup == 0 and part.arrest_s == inf else _any_rate
    starts = (0.0, *sorted(part.rejuvenation))
    s = np.zeros(t.shape)
    for i, (start, stop) in enumerate(zip(starts, (*starts[1:], inf), strict=True)):
        s += integral(part, start, part.age_s if i == 0 else 0.0, np.clip(t, start, stop) - start)
    s /= part.tau_s
    for when, jump in part.events:
        s += jump * (t >= when)
    amplitude, frequency = part.echo
    return s + amplitude * np.sin(2 * np.pi * frequency * t)


def rate_factor(part: Dynamics, phi_deg: ArrayLike) -> NDArray[np.float64]:
    """What multiplies the clock at each azimuth, (n_phi,): 1 + anisotropy cos 2(phi - anisotropy_deg)."""
    away = np.deg2rad(np.atleast_1d(np.asarray(phi_deg, dtype=float)) - part.anisotropy_deg)
    return 1 + part.anisotropy * np.cos(2 * away)


def _ageing_alone(part: Dynamics, start: float, age: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """∫ (1 + (age + x') / onset)^-mu dx' from 0 to x, for any mu without a special case at 1."""
    first = 1 + age / part.ageing_onset_s
    log = np.log1p(x / (part.ageing_onset_s * first))
    return part.ageing_onset_s * first ** (1 - part.ageing) * log * exprel((1 - part.ageing) * log)


def _any_rate(part: Dynamics, start: float, age: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """∫ tau_s / tau(start + x') dx' from 0 to x: whole panels before x, and the rest of its own.

    Panels double in length from the shortest scale on, so the rate is smooth on each.
    """
    scale = min(part.ageing_onset_s + age, part.arrest_s)
    panel = np.floor(np.log2(1 + x / scale)).astype(int)
    edges = scale * (2.0 ** np.arange(panel.max(initial=0) + 1) - 1)
    before = np.cumsum(np.r_[0.0, _over(part, start, age, edges[:-1], np.diff(edges))])
    return before[panel] + _over(part, start, age, edges[panel], x - edges[panel])


def _over(
    part: Dynamics, start: float, age: float, left: NDArray[np.float64], length: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The same integral over intervals [left, left + length] that each lie in one panel."""
    x = left[..., None] + length[..., None] * _NODES
    rate = np.exp(-(start + x) / part.arrest_s) * (1 + part.beam_speedup * (part.dose_s + start + x))
    rate *= (1 + (age + x) / part.ageing_onset_s) ** -part.ageing
    return length * (rate @ _WEIGHTS)
