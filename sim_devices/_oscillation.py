"""Oscillatory shear: the strain that the rheometer imposes, the stress that answers, and when frames are taken."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
THIRD = 0.15  # of the first harmonic of the stress, far above the linear range


@dataclass(frozen=True, kw_only=True)
class Oscillation:
    """A sinusoidal strain; the phase is 0 where the strain passes zero upwards.

    Attributes
    ----------
    frequency_hz : float
    steps : tuple of (float, float)
        Cycles and amplitude of the strain, step after step: two or more are an amplitude sweep. The last one goes on.
    begin_s : float
        Time of phase 0 of the first cycle, on the clock of the rheometer.

    Raises
    ------
    ValueError
        If the frequency or a number of cycles is not positive, or an amplitude is negative.
    """

    frequency_hz: float
    steps: tuple[tuple[float, float], ...]
    begin_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.frequency_hz > 0:
            raise ValueError(f"frequency_hz must be positive, got {self.frequency_hz}")
        if not self.steps or any(not (cycles > 0 and strain >= 0) for cycles, strain in self.steps):
            raise ValueError(f"steps must be cycles above 0 and amplitudes, got {self.steps}")

    @property
    def edges(self) -> Floats:
        """Cycles at which the steps begin."""
        return np.cumsum([0.0, *(cycles for cycles, _ in self.steps[:-1])])

    def cycle(self, t_s: ArrayLike) -> Floats:
        """Return the phase in cycles, which counts on from 0; before `begin_s` nothing moves."""
        return np.maximum((np.asarray(t_s, dtype=float) - self.begin_s) * self.frequency_hz, 0.0)

    def amplitude(self, cycle: ArrayLike) -> Floats:
        """Return the amplitude of the strain in a cycle."""
        step = np.searchsorted(self.edges, np.asarray(cycle, dtype=float), side="right") - 1
        return np.array([strain for _, strain in self.steps])[np.maximum(step, 0)]

    def strain(self, t_s: ArrayLike) -> Floats:
        """Return the strain at times of the rheometer's clock."""
        cycle = self.cycle(t_s)
        return np.asarray(self.amplitude(cycle) * np.sin(2 * np.pi * cycle))

    def rate(self, t_s: ArrayLike) -> Floats:
        """Return the shear rate in 1/s."""
        cycle = self.cycle(t_s)
        return np.asarray(self.amplitude(cycle) * 2 * np.pi * self.frequency_hz * np.cos(2 * np.pi * cycle))


@dataclass(frozen=True, kw_only=True)
class SoftSolid:
    """The stress of a soft solid that yields: G' falls and G'' passes a maximum above the yield strain.

    Its third harmonic grows with the square of the amplitude, and saturates (Hyun et al., Prog. Polym. Sci. 36, 1697,
    2011).

    Attributes
    ----------
    storage_pa, loss_pa : float
        G' and G'' in the linear range.
    yield_strain : float
    """

    storage_pa: float = 400.0
    loss_pa: float = 40.0
    yield_strain: float = 0.1

    def moduli(self, amplitude: ArrayLike) -> tuple[Floats, Floats]:
        """Return G' and G'' of the first harmonic at an amplitude of the strain, in Pa."""
        over = np.asarray(amplitude, dtype=float) / self.yield_strain
        softer = 1 / (1 + over**2)
        return self.storage_pa * softer, self.loss_pa * (1 + 3 * over**2 * softer) * np.sqrt(softer)

    def stress(self, oscillation: Oscillation, t_s: ArrayLike) -> Floats:
        """Return the stress in Pa at times of the rheometer's clock."""
        cycle = oscillation.cycle(t_s)
        strain, turn = oscillation.amplitude(cycle), 2 * np.pi * cycle
        storage, loss = self.moduli(strain)
        over = (strain / self.yield_strain) ** 2
        third = THIRD * over / (1 + over) * np.hypot(storage, loss)
        return np.asarray(strain * (storage * np.sin(turn) + loss * np.cos(turn) + third * np.sin(3 * turn)))


def write_oscillation(
    oscillation: Oscillation,
    material: SoftSolid,
    n: int,
    *,
    every_s: float,
    noise: float = 0.01,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Return a rheometer's record of `n` points: time in s, strain, and stress in Pa, (n,) each.

    `noise` is the standard deviation of strain and stress, as a share of their amplitudes.
    """
    t_s = np.arange(n) * every_s
    strain, stress = recorded(oscillation, material, t_s, noise=noise, rng=rng)
    return {"time": t_s, "strain": strain, "stress": stress}


def recorded(
    oscillation: Oscillation, material: SoftSolid, t_s: Floats, *, noise: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return strain and stress in Pa at the times of a record, (n,) each, with noise as for `write_oscillation`."""
    size = oscillation.amplitude(oscillation.cycle(t_s))
    strain = oscillation.strain(t_s) + noise * size * rng.standard_normal(len(t_s))
    force = size * np.hypot(*material.moduli(size))
    return strain, material.stress(oscillation, t_s) + noise * force * rng.standard_normal(len(t_s))


def frame_times(
    oscillation: Oscillation,
    n_cycles: int,
    phases: Sequence[float],
    *,
    in_a_bunch: int = 1,
    frame_time_s: float = 0.0,
    jitter: float = 0.0,
    rng: np.random.Generator,
) -> Floats:
    """Return when frames are taken, in s on the clock of the rheometer, in order of time.

    Evenly spaced phases take frames continuously, a few take them at chosen phases, and `in_a_bunch` frames that follow
    each other at `frame_time_s` make bunches. The clock of the detector is off by `jitter` cycles (standard deviation)
    at each trigger.
    """
    cycle = np.add.outer(np.arange(n_cycles), np.sort(np.asarray(phases, dtype=float)))
    cycle = np.maximum(cycle + jitter * rng.standard_normal(cycle.shape), 0.0)
    begun = oscillation.begin_s + cycle / oscillation.frequency_hz
    return np.sort((begun[..., None] + frame_time_s * np.arange(in_a_bunch)).ravel())
