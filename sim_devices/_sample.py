"""The hidden sample: the regimes of its dynamics, and their places on its face."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.dynamics import Dynamics
from sim_devices._scattering import Motion

JUMP_PER_PA = 5.0  # of the internal clock, where the sample yields by 1 Pa
REJUVENATING_PA = 0.5


@dataclass(frozen=True, kw_only=True)
class Spot:
    """The conditions that decide the parameters of one exposure.

    Attributes
    ----------
    x, y : float
        Position in mm.
    slower, further : float
        Two smooth fields over the sample, from -1 to 1.
    age_s : float
        Time since shear stopped when the exposure begins.
    dose_s : float
        Beam the spot has had before, in seconds of the full beam.
    events : tuple of (float, float)
        Times in the exposure, in seconds, and sizes, in Pa, of the sample's yielding.
    rng : numpy.random.Generator
        Draws everything that varies between exposures.
    """

    x: float
    y: float
    slower: float
    further: float
    age_s: float
    dose_s: float
    events: tuple[tuple[float, float], ...]
    rng: np.random.Generator

    @property
    def tau(self) -> float:
        """Factor of relaxation times at this spot."""
        return 1 + 0.25 * self.slower

    @property
    def aged_tau(self) -> float:
        """Factor that also grows slowly with age: by a quarter within the hour."""
        return self.tau * (1 + 0.1 * np.log1p(self.age_s / 300))


Recipe = Callable[[Spot], Dynamics | Motion]


def _fluid(spot: Spot) -> Dynamics:
    return Dynamics(family="fluid", tau_s=1.5 * spot.tau)


def _slow(spot: Spot) -> Dynamics:
    return Dynamics(family="slow", tau_s=60 * spot.aged_tau, exponent=1.6, anisotropy=0.2, anisotropy_deg=90.0)


def _ageing(spot: Spot) -> Dynamics:
    # A spot ages anew once the beam is on it; of the time before only the logarithm is left.
    age = 4 * np.log1p(spot.age_s / 120)
    return Dynamics(family="ageing", tau_s=1.5 * spot.tau, ageing=1.1, ageing_onset_s=7.5, age_s=age)


def _rejuvenating(spot: Spot) -> Dynamics:
    times = tuple(when for when, size in spot.events if size > REJUVENATING_PA)
    age = 10 + 4 * np.log1p(spot.age_s / 120)
    return Dynamics(
        family="rejuvenating", tau_s=spot.tau, ageing=1.3, ageing_onset_s=3.0, age_s=age, rejuvenation=times
    )


def _arrested(spot: Spot) -> Dynamics:
    return Dynamics(family="arrested", tau_s=4 * spot.tau, plateau=0.7 + 0.05 * spot.further)


def _avalanche(spot: Spot) -> Dynamics:
    # The whole sample yields; how much of it happens in the beam is drawn.
    jumps = tuple((when, JUMP_PER_PA * size * spot.rng.uniform(0.6, 1.4)) for when, size in spot.events)
    return Dynamics(family="avalanche", tau_s=200 * spot.aged_tau, exponent=1.2, events=jumps)


def _flow(spot: Spot) -> Dynamics:
    turns_per_s = (6.5 + 1.2 * spot.further) / 50
    return Dynamics(family="flow", tau_s=40 * spot.tau, static=0.45, flow_rad_s=2 * np.pi * turns_per_s)


def _populations(spot: Spot) -> Dynamics:
    mobile = Dynamics(family="fluid", tau_s=0.4 * spot.tau)
    share = 0.5 + 0.12 * spot.further
    return Dynamics(family="populations", tau_s=80 * spot.aged_tau, exponent=1.2, second=mobile, second_share=share)


def _beam(spot: Spot) -> Dynamics:
    return Dynamics(family="beam", tau_s=45 * spot.tau, beam_speedup=0.35, dose_s=spot.dose_s)


def _echo(spot: Spot) -> Dynamics:
    hertz = 0.11 * (1 + 0.2 * spot.further)
    return Dynamics(family="echo", tau_s=100 * spot.tau, exponent=2.0, echo=(1.2, hertz))


def _banded(spot: Spot) -> Dynamics:
    fast = 2 * np.pi * (8 + 1.5 * spot.further) / 50
    slow = Dynamics(family="flow", tau_s=40 * spot.tau, flow_rad_s=0.4 * fast)
    return Dynamics(family="banded", tau_s=40 * spot.tau, flow_rad_s=fast, second=slow, second_share=0.5)


def _ballistic(spot: Spot) -> Dynamics:
    return Dynamics(family="ballistic", tau_s=2.5 * spot.tau, exponent=2.0, arrest_s=10 * (1 + 0.2 * spot.further))


REGIMES: dict[str, Recipe] = {
    "fluid": _fluid,
    "slow": _slow,
    "ageing": _ageing,
    "rejuvenating": _rejuvenating,
    "arrested": _arrested,
    "avalanche": _avalanche,
    "flow": _flow,
    "populations": _populations,
    "beam": _beam,
    "echo": _echo,
    "banded": _banded,
    "ballistic": _ballistic,
}


SIZE_MM = 10.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A map of regimes.

    Attributes
    ----------
    regions : tuple of str
        Names of the regimes.
    names : callable
        ``names(x, y)`` returns the name at each position in mm; x and y are arrays, broadcast against each other.
    recipes : mapping
        The dynamics of each regime at a `Spot`.
    unknown : frozenset of str
        Regimes that the analysis has never seen.
    """

    regions: tuple[str, ...]
    names: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.str_]]
    recipes: Mapping[str, Recipe] = field(default_factory=lambda: REGIMES)
    unknown: frozenset[str] = frozenset()


class HiddenSample:
    """A face of 10 × 10 mm with a map of regimes, defined at every position.

    Parameters vary smoothly, by about a quarter, within each region. Relaxation times are in seconds, whatever the
    exposure. Only devices, tests and studies may know the map, never an agent.

    Parameters
    ----------
    layout : Layout
    rng : numpy.random.Generator
        Draws the variation of the parameters.

    Attributes
    ----------
    bounds : tuple of (float, float)
        ((x low, x high), (y low, y high)) in mm.
    regions : tuple of str
        Names of the regimes.
    unknown : frozenset of str
        Regimes that the analysis has never seen.
    """

    bounds = ((0.0, SIZE_MM), (0.0, SIZE_MM))

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self._layout, self.regions, self.unknown = layout, layout.regions, layout.unknown
        self._waves = rng.uniform(-0.5, 0.5, (2, 2)), rng.uniform(0, 2 * np.pi, 2)

    def _names(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.str_]:
        return self._layout.names(np.asarray(x, dtype=float), np.asarray(y, dtype=float))

    def regime(self, x: float, y: float) -> str:
        """Return the name of the regime at a position in mm.

        Raises
        ------
        ValueError
            If the position is off the sample.
        """
        if not all(low <= value <= high for value, (low, high) in zip((x, y), self.bounds, strict=True)):
            raise ValueError(f"position ({x}, {y}) mm is off the sample, whose bounds are {self.bounds}")
        return str(self._names(x, y))

    def regime_map(self, n: int) -> NDArray[np.str_]:
        """Return the names on an n × n grid of cells: [i, j] is the middle of cell y_i, x_j."""
        middle = (np.arange(n) + 0.5) * (SIZE_MM / n)
        return self._names(middle[None, :], middle[:, None])

    def dynamics(
        self,
        x: float,
        y: float,
        age_s: float,
        duration_s: float,
        rng: np.random.Generator,
        *,
        dose_s: float = 0.0,
        events: Sequence[tuple[float, float]] = (),
    ) -> Dynamics | Motion:
        """Return the dynamics at a position during one exposure.

        Parameters
        ----------
        x, y : float
            Position in mm.
        age_s : float
            Time since shear stopped when the exposure begins.
        duration_s : float
            Length of the exposure.
        rng : numpy.random.Generator
            Draws everything that varies between exposures.
        dose_s : float
            Beam the spot has had before, in seconds of the full beam.
        events : sequence of (float, float)
            Yield events from `Yielding.between`: age in seconds, size in Pa. Only those in the exposure count.

        Raises
        ------
        ValueError
            If the position is off the sample, or `age_s` or `dose_s` is negative.
        """
        if not (age_s >= 0 and dose_s >= 0):
            raise ValueError(f"age_s and dose_s must not be negative, got {age_s} and {dose_s}")
        name = self.regime(x, y)
        directions, origins = self._waves
        slower, further = np.sin(directions @ (x, y) + origins).tolist()
        during = tuple((age - age_s, size) for age, size in events if 0 <= age - age_s < duration_s)
        spot = Spot(
            x=x, y=y, slower=slower, further=further, age_s=age_s, dose_s=dose_s, events=during, rng=rng
        )  # fmt: skip
        return self._layout.recipes[name](spot)
