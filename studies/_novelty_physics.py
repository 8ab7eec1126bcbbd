"""Dynamics of the benchmark's own: field correlations g1(t1, t2) at an azimuth, from no code of `ainerd`.

Times are in units of the exposure. Each function draws a sample, and returns a function of times (n,) and an azimuth
in degrees that gives |g1|², (n, n).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Squared = Callable[[NDArray[np.float64], float], NDArray[np.float64]]


def plain(tau: float, exponent: float) -> Squared:
    """Stationary: |g1|² = exp(-2 (|t1 - t2| / tau)^exponent)."""
    return lambda t, phi: np.exp(-2 * (np.abs(t[:, None] - t) / tau) ** exponent)


def ageing(tau: float, exponent: float, mu: float, onset: float) -> Squared:
    """Relaxation time tau (1 + t / onset)^mu at time t."""
    fine = np.linspace(0, 1, 20001)
    rate = (1 + fine / onset) ** -mu / tau
    turned = np.r_[0, np.cumsum((rate[1:] + rate[:-1]) / 2) * (fine[1] - fine[0])]

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        s = np.interp(t, fine, turned)
        return np.exp(-2 * np.abs(s[:, None] - s) ** exponent)

    return squared


def flow(rng: np.random.Generator) -> Squared:
    """A uniform flow past a wall that scatters too, which a bank knows."""
    turns, along, wall, tau = rng.uniform(3, 10), rng.uniform(0, 180), rng.uniform(0.3, 0.6), rng.uniform(0.4, 2)

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        lag = t[:, None] - t
        moved = (1 - wall) * np.exp(-np.abs(lag) / tau)
        angle = 2 * np.pi * turns * np.cos(np.deg2rad(phi - along)) * lag
        return (wall + moved * np.cos(angle)) ** 2 + (moved * np.sin(angle)) ** 2

    return squared


def echo(rng: np.random.Generator) -> Squared:
    """Particles that move out and come back, with a slow loss."""
    size, cycles, start, tau = rng.uniform(0.7, 1.6), rng.uniform(3, 8), rng.uniform(0, 2 * np.pi), rng.uniform(1, 4)

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        place = size * np.sin(2 * np.pi * cycles * t + start)
        return np.exp(-2 * (place[:, None] - place) ** 2 - 2 * np.abs(t[:, None] - t) / tau)

    return squared


def ballistic(rng: np.random.Generator) -> Squared:
    """Straight motion that dies out: strain that is released."""
    tau, stop = np.exp(rng.uniform(np.log([0.02, 0.1]), np.log([0.1, 0.4])))

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        place = stop * (1 - np.exp(-t / stop)) / tau
        return np.exp(-2 * (place[:, None] - place) ** 2)

    return squared


def banded(rng: np.random.Generator) -> Squared:
    """Two shear bands of different velocity, and half the time a wall at rest."""
    fast, along, tau = rng.uniform(3, 12), rng.uniform(0, 180), np.exp(rng.uniform(np.log(0.3), np.log(2)))
    slow, share, wall = fast * rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.7), rng.choice([0, rng.uniform(0.2, 0.4)])

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        lag = t[:, None] - t
        turn = 2j * np.pi * np.cos(np.deg2rad(phi - along)) * lag
        field = (1 - share) * np.exp(turn * fast) + share * np.exp(turn * slow)
        return np.abs(wall + (1 - wall) * np.exp(-np.abs(lag) / tau) * field) ** 2

    return squared


def laos(rng: np.random.Generator) -> Squared:
    """Large oscillatory shear: a velocity gradient across the beam, along one direction, and a slow loss."""
    size, cycles, along, tau = rng.uniform(3, 8), rng.uniform(2, 6), rng.uniform(0, 180), rng.uniform(0.5, 3)

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        strain = size * np.cos(np.deg2rad(phi - along)) * np.sin(2 * np.pi * cycles * t)
        return np.sinc((strain[:, None] - strain) / np.pi) ** 2 * np.exp(-2 * np.abs(t[:, None] - t) / tau)

    return squared


def moving_front(rng: np.random.Generator) -> Squared:
    """A front crosses the beam: what it has passed is fluid, what it has not is solid."""
    begin, end, tau = rng.uniform(0.05, 0.3), rng.uniform(0.6, 0.95), np.exp(rng.uniform(np.log(0.01), np.log(0.06)))

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        passed = np.clip((t - begin) / (end - begin), 0, 1)
        solid = 1 - np.maximum(passed[:, None], passed)
        fluid = np.minimum(passed[:, None], passed) * np.exp(-np.abs(t[:, None] - t) / tau)
        return (solid + fluid) ** 2

    return squared


def two_step_reset(rng: np.random.Generator) -> Squared:
    """Yields twice: each time it is fluid for a while, and what it was before is forgotten, half of it each time."""
    first, second = rng.uniform(0.15, 0.4), rng.uniform(0.55, 0.8)
    lasts, tau, rest = rng.uniform(0.08, 0.15, 2), rng.uniform(0.01, 0.03), rng.uniform(2, 8)

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        lag = np.abs(t[:, None] - t)
        fields = []
        for start, last in zip((first, second), lasts, strict=True):
            fluid = np.clip(t - start, 0, last)
            fields.append(np.exp(-np.abs(fluid[:, None] - fluid) / tau))
        return (np.mean(fields, axis=0) * np.exp(-lag / rest)) ** 2

    return squared


NEW: dict[str, Callable[[np.random.Generator], Squared]] = {
    "echo": echo,
    "ballistic": ballistic,
    "banded": banded,
    "LAOS": laos,
    "moving front": moving_front,
    "two-step reset": two_step_reset,
}
AZIMUTHAL = ("banded", "LAOS")  # whose maps depend on azimuth
TAUS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 3.0, 10.0)
EXPONENTS = (0.5, 1.0, 1.5, 2.0)
AGEING = tuple((tau, exponent, mu) for tau in (0.01, 0.05, 0.2) for exponent in (0.7, 1.0, 1.5) for mu in (0.5, 1.0))
