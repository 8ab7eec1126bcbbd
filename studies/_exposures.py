"""Exposures for the studies of novelty, as maps and as frames, from no code of `ainerd_xpcs.dynamics`.

Dynamics are field correlations g1(t1, t2) at an azimuth. Times are in units of the exposure. Each function draws a
sample, and returns a function of times (n,) and an azimuth in degrees that gives |g1|², (n, n). Functions of
`AZIMUTHAL` kinds also take q, relative to its mean: the phase that a flow turns grows with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ainerd.technique import Analysis, RunInfo
from ainerd.threads import one_thread
from ainerd_xpcs import Partition
from ainerd_xpcs.technique import RheoXPCS

SIZE, AZIMUTHS = 64, 14
_AT_ONCE = 250
Squared = Callable[..., NDArray[np.float64]]


@dataclass(frozen=True)
class Fields:
    """|g1|² of a complex field correlation `g1`, a function of times (n,), azimuth, and q relative to its mean."""

    g1: Callable[..., NDArray[np.complexfloating]]

    def __call__(self, t: NDArray[np.float64], phi: float, q: float = 1.0) -> NDArray[np.float64]:
        return np.square(np.abs(self.g1(t, phi, q)))


def lags(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the differences of all pairs, (n, n)."""
    return t[:, None] - t


def plain(tau: float, exponent: float) -> Squared:
    """Stationary: |g1|² = exp(-2 (|t1 - t2| / tau)^exponent)."""
    return lambda t, phi: np.exp(-2 * (np.abs(lags(t)) / tau) ** exponent)


def ageing(tau: float, exponent: float, mu: float, onset: float) -> Squared:
    """Relaxation time tau (1 + t / onset)^mu at time t."""
    fine = np.linspace(0, 1, 20001)
    rate = (1 + fine / onset) ** -mu / tau
    turned = np.r_[0, np.cumsum((rate[1:] + rate[:-1]) / 2) * (fine[1] - fine[0])]
    return lambda t, phi: np.exp(-2 * np.abs(lags(np.interp(t, fine, turned))) ** exponent)


def flow(rng: np.random.Generator) -> Squared:
    """A uniform flow past a wall that scatters too, which a bank knows."""
    return flowing(rng.uniform(3, 10), rng.uniform(0, 180), rng.uniform(0.3, 0.6), rng.uniform(0.4, 2))


def flowing(turns: float, along: float, wall: float, tau: float) -> Squared:
    """Flow by so many turns of phase along a direction past a share `wall` at rest; the rest relaxes in `tau`."""

    def field(t: NDArray[np.float64], phi: float, q: float) -> NDArray[np.complexfloating]:
        turn = 2j * np.pi * turns * q * np.cos(np.deg2rad(phi - along)) * lags(t)
        return wall + (1 - wall) * np.exp(turn - np.abs(lags(t)) / tau)

    return Fields(field)


def echo(rng: np.random.Generator) -> Squared:
    """Particles that move out and come back, with a slow loss."""
    size, cycles, start, tau = rng.uniform(0.7, 1.6), rng.uniform(3, 8), rng.uniform(0, 2 * np.pi), rng.uniform(1, 4)
    return lambda t, phi: np.exp(
        -2 * lags(size * np.sin(2 * np.pi * cycles * t + start)) ** 2 - 2 * np.abs(lags(t)) / tau
    )


def ballistic(rng: np.random.Generator) -> Squared:
    """Straight motion that dies out: strain that is released."""
    tau, stop = np.exp(rng.uniform(np.log([0.02, 0.1]), np.log([0.1, 0.4])))
    return lambda t, phi: np.exp(-2 * lags(stop * (1 - np.exp(-t / stop)) / tau) ** 2)


def banded(rng: np.random.Generator) -> Squared:
    """Two shear bands of different velocity, and half the time a wall at rest."""
    fast, along, tau = rng.uniform(3, 12), rng.uniform(0, 180), np.exp(rng.uniform(np.log(0.3), np.log(2)))
    slow, share, wall = fast * rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.7), rng.choice([0, rng.uniform(0.2, 0.4)])
    return two_bands(fast, slow, share, wall, along, tau)


def two_bands(fast: float, slow: float, share: float, wall: float, along: float, tau: float) -> Squared:
    """Flow by so many turns of phase in two parts, the slow one a `share`, which both relax in `tau`, past a wall."""

    def field(t: NDArray[np.float64], phi: float, q: float) -> NDArray[np.complexfloating]:
        turn = 2j * np.pi * q * np.cos(np.deg2rad(phi - along)) * lags(t)
        both = (1 - share) * np.exp(turn * fast) + share * np.exp(turn * slow)
        return wall + (1 - wall) * np.exp(-np.abs(lags(t)) / tau) * both

    return Fields(field)


def sheared(rng: np.random.Generator) -> Squared:
    """A fluid between plates, which a bank knows: velocities from zero to the largest, and relaxation."""
    size, along, tau = rng.uniform(6, 50), rng.uniform(0, 180), np.exp(rng.uniform(np.log(0.5), np.log(4)))

    def field(t: NDArray[np.float64], phi: float, q: float) -> NDArray[np.complexfloating]:
        turn = size * q * np.cos(np.deg2rad(phi - along)) * lags(t)
        return np.sinc(turn / 2 / np.pi) * np.exp(-np.abs(lags(t)) / tau + 0.5j * turn)

    return Fields(field)


def turned(rng: np.random.Generator) -> Squared:
    """Relaxation up to half as fast again along one direction, which a bank knows."""
    tau, along = np.exp(rng.uniform(np.log(0.1), np.log(2))), rng.uniform(0, 180)
    more, exponent = rng.uniform(0.1, 0.5), rng.uniform(0.9, 1.5)

    def squared(t: NDArray[np.float64], phi: float, q: float = 1.0) -> NDArray[np.float64]:
        rate = (1 + more * np.cos(np.deg2rad(phi - along)) ** 2) / tau
        return np.exp(-2 * (rate * np.abs(lags(t))) ** exponent)

    return squared


def resting_share(rng: np.random.Generator) -> Squared:
    """Plain relaxation beside a part at rest."""
    rest, tau, exponent = rng.uniform(0.2, 0.8), np.exp(rng.uniform(np.log(0.03), np.log(1))), rng.uniform(0.7, 1.5)
    return lambda t, phi: (rest + (1 - rest) * np.exp(-((np.abs(lags(t)) / tau) ** exponent))) ** 2


def two_populations(rng: np.random.Generator) -> Squared:
    """Two populations that relax at rates of their own."""
    fast, slow = np.exp(rng.uniform(np.log([0.02, 0.3]), np.log([0.1, 2])))
    share = rng.uniform(0.3, 0.7)
    return lambda t, phi: ((1 - share) * np.exp(-np.abs(lags(t)) / slow) + share * np.exp(-np.abs(lags(t)) / fast)) ** 2


def avalanches(rng: np.random.Generator) -> Squared:
    """Events at any times, of sizes of a power law."""
    n, tau = int(rng.integers(20, 61)), np.exp(rng.uniform(np.log(0.5), np.log(5)))
    when, size = np.sort(rng.uniform(0, 1, n)), 0.03 * (1 + rng.pareto(1.0, n))
    slipped = np.r_[0, np.cumsum(np.minimum(size, 3.0))]
    return lambda t, phi: np.exp(-2 * np.abs(lags(slipped[np.searchsorted(when, t)])) - 2 * np.abs(lags(t)) / tau)


def profiled(rng: np.random.Generator) -> Squared:
    """Two shear bands, each with a velocity that rises across it, as of plates."""
    fast, along, tau = rng.uniform(4, 12), rng.uniform(0, 180), np.exp(rng.uniform(np.log(0.4), np.log(2)))
    border, slow = rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.3)  # of the gap; share of the velocity below the border
    at = (np.arange(200) + 0.5) / 200
    speed = np.where(at < border, slow * at / border, slow + (1 - slow) * (at - border) / (1 - border)) * fast
    return _moving(speed, along, tau)


def convection(rng: np.random.Generator) -> Squared:
    """A roll: velocities of a sine across the beam, to and fro, in a fluid that relaxes."""
    fast, along, tau = rng.uniform(3, 9), rng.uniform(0, 180), np.exp(rng.uniform(np.log(0.4), np.log(3)))
    at = (np.arange(200) + 0.5) / 200
    return _moving(fast * np.sin(2 * np.pi * (at * rng.uniform(0.8, 1.2) + rng.uniform(0, 1))), along, tau)


def _moving(speed: NDArray[np.float64], along: float, tau: float) -> Squared:
    """Flow in layers by `speed`, (n,), turns of phase; all relax in `tau`."""

    def field(t: NDArray[np.float64], phi: float, q: float) -> NDArray[np.complexfloating]:
        fine = np.unique(np.round(lags(t), 9))
        turn = 2j * np.pi * q * np.cos(np.deg2rad(phi - along)) * fine[:, None] * speed
        return np.exp(turn).mean(1)[np.searchsorted(fine, np.round(lags(t), 9))] * np.exp(-np.abs(lags(t)) / tau)

    return Fields(field)


def two_steps(rng: np.random.Generator) -> Squared:
    """A cage on the clock of the laboratory, and beside it relaxation that ages."""
    cage, depth = np.exp(rng.uniform(np.log(0.02), np.log(0.06))), rng.uniform(0.4, 0.6)
    slow = ageing(rng.uniform(0.03, 0.08), rng.uniform(0.8, 1.2), rng.uniform(0.9, 1.4), 0.1)
    return lambda t, phi: slow(t, phi) * (1 - depth + depth * np.exp(-np.abs(lags(t)) / cage)) ** 2


def gelation(rng: np.random.Generator) -> Squared:
    """A fluid of which a share, 0 at first and .85 at last, comes to rest."""
    middle, lasts = rng.uniform(0.35, 0.65), rng.uniform(0.05, 0.15)
    tau = np.exp(rng.uniform(np.log(0.02), np.log(0.1)))

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        rest = 0.85 / (1 + np.exp(-(t - middle) / lasts))
        both, fluid = np.minimum(rest[:, None], rest), np.sqrt(np.outer(1 - rest, 1 - rest))
        return (both + fluid * np.exp(-np.abs(lags(t)) / tau)) ** 2

    return squared


def burst(rng: np.random.Generator) -> Squared:
    """Relaxation that is 20 times as fast during a twentieth of the exposure."""
    begin, tau = rng.uniform(0.2, 0.75), np.exp(rng.uniform(np.log(0.3), np.log(1.5)))
    return relaxing(lambda t: (1 + 19 * ((t >= begin) & (t < begin + 0.05))) / tau)


def half_a_ring(rng: np.random.Generator) -> Squared:
    """Relaxation ten times as slow in one half of the ring as in the other."""
    tau, first, exponent = np.exp(rng.uniform(np.log(0.03), np.log(0.3))), rng.uniform(0, 360), rng.uniform(0.8, 1.2)

    def squared(t: NDArray[np.float64], phi: float, q: float = 1.0) -> NDArray[np.float64]:
        slower = 10.0 if (phi - first) % 360 < 180 else 1.0
        return plain(slower * tau, exponent)(t, phi)

    return squared


def laos(rng: np.random.Generator) -> Squared:
    """Large oscillatory shear: a velocity gradient across the beam, along one direction, and a slow loss."""
    size, cycles, along, tau = rng.uniform(3, 8), rng.uniform(2, 6), rng.uniform(0, 180), rng.uniform(0.5, 3)

    def field(t: NDArray[np.float64], phi: float, q: float) -> NDArray[np.complexfloating]:
        strain = size * q * np.cos(np.deg2rad(phi - along)) * np.sin(2 * np.pi * cycles * t)
        return np.sinc(lags(strain) / np.pi) * np.exp(-np.abs(lags(t)) / tau + 0j)

    return Fields(field)


def moving_front(rng: np.random.Generator) -> Squared:
    """A front crosses the beam: the sample is fluid behind it and solid before it."""
    begin, end, tau = rng.uniform(0.05, 0.3), rng.uniform(0.6, 0.95), np.exp(rng.uniform(np.log(0.01), np.log(0.06)))

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        passed = np.clip((t - begin) / (end - begin), 0, 1)
        fluid = np.minimum(passed[:, None], passed) * np.exp(-np.abs(lags(t)) / tau)
        return (1 - np.maximum(passed[:, None], passed) + fluid) ** 2

    return squared


def two_step_reset(rng: np.random.Generator) -> Squared:
    """Yield twice: each time the sample is fluid for a while, and loses half of its memory."""
    starts = rng.uniform(0.15, 0.4), rng.uniform(0.55, 0.8)
    lasts, tau, rest = rng.uniform(0.08, 0.15, 2), rng.uniform(0.01, 0.03), rng.uniform(2, 8)

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        fluid = [np.clip(t - start, 0, last) for start, last in zip(starts, lasts, strict=True)]
        fields = [np.exp(-np.abs(lags(each)) / tau) for each in fluid]
        return (np.mean(fields, axis=0) * np.exp(-np.abs(lags(t)) / rest)) ** 2

    return squared


def ordinary(rng: np.random.Generator) -> Squared:
    """Draw plain relaxation or ageing, of any parameters."""
    tau, exponent = np.exp(rng.uniform(np.log(0.01), np.log(5))), rng.uniform(0.5, 2)
    if rng.random() < 0.3:
        return ageing(min(tau, 0.3), rng.uniform(0.7, 1.5), rng.uniform(0.4, 1.2), 0.1)
    return plain(tau, exponent)


def stop_and_go(rng: np.random.Generator) -> Squared:
    """Relaxation that stops and goes on, several times."""
    n, tau = int(rng.integers(2, 6)), np.exp(rng.uniform(np.log(0.02), np.log(0.1)))
    borders = np.sort(rng.uniform(0.05, 0.95, 2 * n))
    return relaxing(lambda t: (np.searchsorted(borders, t) % 2).astype(float) / tau, np.exp(rng.uniform(1, 2.5)))


def rate_oscillation(rng: np.random.Generator) -> Squared:
    """A relaxation rate that oscillates."""
    tau, cycles, start = np.exp(rng.uniform(np.log(0.05), np.log(0.3))), rng.uniform(3, 8), rng.uniform(0, 2 * np.pi)
    depth = rng.uniform(0.9, 1)
    return relaxing(lambda t: (1 + depth * np.sin(2 * np.pi * cycles * t + start)) / tau)


def crystallisation(rng: np.random.Generator) -> Squared:
    """A fluid of which a growing share comes to rest for good."""
    begin, lasts, tau = rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.4), np.exp(rng.uniform(np.log(0.01), np.log(0.06)))

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        solid = 1 - np.exp(-((np.clip(t - begin, 0, None) / lasts) ** 3))
        both, fluid = np.minimum(solid[:, None], solid), np.sqrt(np.outer(1 - solid, 1 - solid))
        return (both + fluid * np.exp(-np.abs(lags(t)) / tau)) ** 2

    return squared


def phase_inversion(rng: np.random.Generator) -> Squared:
    """Two populations whose shares change places: the fast one ends as the minority."""
    middle, lasts = rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.15)
    fast, slow = np.exp(rng.uniform(np.log([0.01, 0.5]), np.log([0.05, 4])))

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        share = 0.1 + 0.8 / (1 + np.exp((t - middle) / lasts))
        parts = [(np.sqrt(np.outer(s, s)), tau) for s, tau in ((share, fast), (1 - share, slow))]
        return sum(weight * np.exp(-np.abs(lags(t)) / tau) for weight, tau in parts) ** 2

    return squared


def relaxing(rate: Callable[[NDArray[np.float64]], NDArray[np.float64]], rest: float = np.inf) -> Squared:
    """Relax at a rate that depends on time, and slowly with the time `rest` beside it."""
    fine = np.linspace(0, 1, 20001)
    values = rate(fine)
    turned = np.r_[0, np.cumsum((values[1:] + values[:-1]) / 2) * (fine[1] - fine[0])]
    return lambda t, phi: np.exp(-2 * np.abs(lags(np.interp(t, fine, turned))) - 2 * np.abs(lags(t)) / rest)


def stick_slip(rng: np.random.Generator) -> Squared:
    """A sample at rest that slips 8 to 30 times, now and then or at even intervals."""
    n, tau = int(rng.integers(8, 31)), np.exp(rng.uniform(np.log(0.5), np.log(10)))
    even = (np.arange(n) + rng.uniform(0.2, 0.8)) / n + 0.1 / n * rng.standard_normal(n)
    when = np.sort(np.clip(even, 0, 1) if rng.random() < 0.5 else rng.uniform(0, 1, n))
    size = rng.uniform(0.1, 1.0) * rng.exponential(size=n)
    slipped = np.r_[0, np.cumsum(size)]
    return lambda t, phi: np.exp(-2 * np.abs(lags(slipped[np.searchsorted(when, t)])) - 2 * np.abs(lags(t)) / tau)


def cooperative(rng: np.random.Generator) -> Squared:
    """Domains that each rearrange at times of their own, at a constant rate."""
    n, per_domain, tau = int(rng.integers(4, 31)), rng.uniform(0.5, 3), np.exp(rng.uniform(0, np.log(10)))
    loss, times = rng.uniform(1, 4), [np.sort(rng.uniform(0, 1, rng.poisson(per_domain))) for _ in range(n)]

    def squared(t: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
        fields = [np.exp(-loss * np.abs(lags(np.searchsorted(when, t).astype(float)))) for when in times]
        return (np.mean(fields, axis=0) * np.exp(-np.abs(lags(t)) / tau)) ** 2

    return squared


def flow_past_rest(rng: np.random.Generator) -> Squared:
    """A uniform flow past a part at rest of any size."""
    turns, along = rng.uniform(1.5, 12), rng.uniform(0, 180)
    return flowing(turns, along, rng.uniform(0.12, 0.85), np.exp(rng.uniform(np.log(0.2), np.log(15))))


KNOWN = {"stick-slip": (stick_slip, 0.06), "cooperative": (cooperative, 0.12), "flow past rest": (flow_past_rest, 0.08)}
NEW: dict[str, Callable[[np.random.Generator], Squared]] = {
    "echo": echo,
    "ballistic": ballistic,
    "banded": banded,
    "LAOS": laos,
    "moving front": moving_front,
    "crystallisation": crystallisation,
    "stop-and-go": stop_and_go,
    "rate oscillation": rate_oscillation,
    "two-step reset": two_step_reset,
    "phase inversion": phase_inversion,
}
PLAIN: dict[str, Callable[[np.random.Generator], Squared]] = {
    "relaxation": ordinary,
    "compressed": lambda rng: plain(rng.uniform(0.1, 3), rng.uniform(1.2, 1.9)),
    "ageing": lambda rng: ageing(rng.uniform(0.01, 0.1), rng.uniform(0.7, 1.3), rng.uniform(0.5, 1.3), 0.1),
    "a part at rest": resting_share,
    "two populations": two_populations,
    "cooperative": cooperative,
    "flow past rest": flow_past_rest,
    "sheared": sheared,
    "turned": turned,
}
SEEN: dict[str, Callable[[np.random.Generator], Squared]] = {
    "bands with profiles": profiled,
    "convection": convection,
    "two steps": two_steps,
    "gelation": gelation,
    "burst": burst,
    "half a ring": half_a_ring,
    "avalanches": avalanches,
}
AZIMUTHAL = (
    "banded",
    "LAOS",
    "flow past rest",
    "bands with profiles",
    "convection",
    "sheared",
    "turned",
)  # whose maps depend on azimuth


@dataclass(frozen=True)
class Instrument:
    """The instrument that measures a run.

    Attributes
    ----------
    contrast, photons : float
        Beta; photons per pixel of the exposure.
    n_pixels : tuple of int
        Of each bin.
    phi_deg : tuple of float
        Centres of the bins.
    width_deg : float
        Of a bin.
    q_spread : float
        q of the pixels of a bin is even from 1 - `q_spread` to 1 + `q_spread` of its mean.
    speckle_px : float
        Pixels that see the same speckle.
    flicker : float
        Error of each of 64 moments.
    n_frames : int
        Frames of the run; 0 for many.
    duty : float
        Share of the time from frame to frame in which the detector counts.
    """

    contrast: float = 0.2
    photons: float = 500.0
    n_pixels: tuple[int, ...] = (570,) * 18
    phi_deg: tuple[float, ...] = tuple(np.arange(10.0, 360.0, 20.0))
    width_deg: float = 20.0
    q_spread: float = 0.0
    speckle_px: float = 1.0
    flicker: float = 0.0
    n_frames: int = 0
    duty: float = 1.0


def cells(squared: Squared, phi: float, fine: int = 15, n_frames: int = 0, duty: float = 1.0) -> NDArray[np.float64]:
    """Return |g1|² averaged over the cells of a map of 64 × 64, (64, 64).

    With `n_frames`, over frames that count during a share `duty` of their time, as `area` makes cells of them.
    """
    if not n_frames:
        n = SIZE * fine
        return squared((np.arange(n) + 0.5) / n, phi).reshape(SIZE, fine, SIZE, fine).mean((1, 3))
    within = 1 if duty == 0 else -(-960 // n_frames)
    offset = 0.5 + duty * ((np.arange(within) + 0.5) / within - 0.5)
    pairs = squared(((np.arange(n_frames)[:, None] + offset) / n_frames).ravel(), phi)
    share = area(n_frames)
    return share @ pairs.reshape(n_frames, within, n_frames, within).mean((1, 3)) @ share.T


def area(n_frames: int) -> NDArray[np.float64]:
    """Return the share of each frame in each cell of a map, (64, n_frames)."""
    cell, frame = np.arange(SIZE + 1) / SIZE, np.arange(n_frames + 1) / n_frames
    last, first = np.minimum(cell[1:, None], frame[1:]), np.maximum(cell[:-1, None], frame[:-1])
    return np.maximum(last - first, 0) * SIZE


def binned(squared: Squared, phi: float, seen: Instrument, *, isotropic: bool) -> NDArray[np.float64]:
    """Return |g1|² of a bin around an azimuth, (64, 64)."""
    if isotropic:
        return cells(squared, phi, 15, seen.n_frames, seen.duty)
    across = phi + seen.width_deg * (np.arange(6) - 2.5) / 6
    ring = 1 + seen.q_spread * (np.arange(5) - 2) / 2.5 if seen.q_spread else [1.0]
    of_q = [partial(squared, q=q) for q in ring]
    return np.mean([cells(each, at, 4, seen.n_frames, seen.duty) for each in of_q for at in across], axis=0)


def maps(
    squared: Squared, seen: Instrument, rng: np.random.Generator, *, isotropic: bool, halves: bool = False
) -> NDArray[np.float32]:
    """Return C2 of each bin, (n_roi, 64, 64): covariances of Gaussian pixels with the shot noise of a reduced frame.

    `halves` for dynamics that differ across the beam.
    Speckle of several pixels has as many independent values fewer; shot noise has as many as there are pixels.
    """
    share = np.eye(SIZE) * np.sqrt(SIZE) if not seen.n_frames else area(seen.n_frames) * np.sqrt(seen.n_frames)
    shot = share @ share.T / seen.photons
    values, vectors = np.linalg.eigh(shot)
    of_shot = vectors * np.sqrt(np.maximum(values, 0))
    out, roots = np.empty((len(seen.n_pixels), SIZE, SIZE)), dict[float, NDArray[np.float64]]()
    for k, (n, phi) in enumerate(zip(seen.n_pixels, seen.phi_deg, strict=True)):
        # Bins across the beam from each other see the same.
        direction = phi if halves else 0.0 if isotropic else phi % 180
        if direction not in roots:
            values, vectors = np.linalg.eigh(seen.contrast * binned(squared, phi, seen, isotropic=isotropic))
            roots[direction] = vectors * np.sqrt(np.maximum(values, 0))
        root = roots[direction]
        n_speckles = max(round(n / seen.speckle_px), 2)
        speckle = np.repeat(root @ rng.standard_normal((SIZE, n_speckles)), -(-n // n_speckles), axis=1)[:, :n]
        pixels = speckle + of_shot @ rng.standard_normal((SIZE, n))
        out[k] = 1 + pixels @ pixels.T / n - shot
    wander = seen.flicker * rng.standard_normal(SIZE)
    return (out + wander[:, None] + wander).astype(np.float32)


USUAL = Instrument()


def light(squared: Squared, n_frames: int, n_pixels: int, rng: np.random.Generator, modes: int) -> NDArray[np.float32]:
    """Return the intensities (n_frames, n_pixels) of isotropic dynamics, of mean 1 and contrast 1 / modes.

    Each mode is a complex Gaussian field of covariance |g1|.
    """
    t = (np.arange(n_frames) + 0.5) / n_frames
    root = np.linalg.cholesky(np.sqrt(squared(t, 0.0)) + 1e-6 * np.eye(n_frames)).astype(np.float32)
    out = np.zeros((n_frames, n_pixels), dtype=np.float32)
    for _ in range(2 * modes):  # real and imaginary parts
        out += np.square(root @ rng.standard_normal(out.shape, dtype=np.float32)) / (2 * modes)
    return out


def frames(
    squared: Squared, n_frames: int, shape: tuple[int, int], rng: np.random.Generator, *, photons: float, modes: int
) -> NDArray[np.uint16]:
    """Return counts (n_frames, ny, nx) of isotropic dynamics; `photons` are per pixel in all."""
    intensity = light(squared, n_frames, shape[0] * shape[1], rng, modes) * (photons / n_frames)
    return rng.poisson(intensity).astype(np.uint16).reshape(n_frames, *shape)


@one_thread
def frames_of_bins(
    squared: Squared, seen: Instrument, n_frames: int, rng: np.random.Generator, *, modes: int = 5
) -> NDArray[np.uint16]:
    """Return counts (n_frames, n_pixels) of all bins, one after the other, of short frames at even times.

    A field that is not given is the root of |g1|². The pixels of a bin have 14 azimuths, so that fringes are even.
    """
    t, out = (np.arange(n_frames) + 0.5) / n_frames, list[NDArray[np.uint16]]()
    for n, phi in zip(seen.n_pixels, seen.phi_deg, strict=True):
        for part in range(AZIMUTHS):
            at = phi + seen.width_deg * ((part + 0.5) / AZIMUTHS - 0.5)
            g1 = squared.g1(t, at, 1.0) if isinstance(squared, Fields) else np.sqrt(squared(t, at))
            root = np.linalg.cholesky(g1 + 1e-5 * np.eye(n_frames)).astype(np.complex64)
            shape = (2, n_frames, modes, len(range(part, n, AZIMUTHS)))
            real, imaginary = rng.standard_normal(shape, dtype=np.float32)
            fields = root @ (real + 1j * imaginary).reshape(n_frames, -1)
            intensity = (fields.real**2 + fields.imag**2).reshape(shape[1:]).mean(1) / 2
            out.append(rng.poisson(intensity * (seen.photons / n_frames)).astype(np.uint16))
    return np.concatenate(out, axis=1)


def analysed(technique: RheoXPCS, counts: NDArray[np.uint16], frame_time_s: float = 0.01) -> Analysis:
    """Return the analysis of counts by the technique."""
    shape = technique.partition.shape
    info = RunInfo(raw_uid="x", n_frames=len(counts), frame_shape=shape, frame_time_s=frame_time_s)
    exposure = technique.begin(info)
    flat = counts.reshape(len(counts), -1)
    for start in range(0, len(flat), _AT_ONCE):
        exposure.push(flat[start : start + _AT_ONCE, exposure.pixels], start)
    return exposure.finish()


def bins(n_pixels: tuple[int, ...], phi_deg: tuple[float, ...] | None, columns: int = 60) -> Partition:
    """Return a partition of plain strips of so many pixels."""
    labels = np.repeat(np.arange(1, len(n_pixels) + 1), n_pixels)
    rows = -(-labels.size // columns)
    roi_map = np.zeros(rows * columns, dtype=int)
    roi_map[: labels.size] = labels
    q = np.full(len(n_pixels), 0.024)
    return Partition.from_roi_map(roi_map.reshape(rows, columns), q, None if phi_deg is None else np.array(phi_deg))
