"""The hidden sample: where on its face which dynamics live."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.dynamics import Dynamics
from sim_devices._regimes import REGIMES, Recipe, Spot
from sim_devices._scattering import Motion

SIZE_MM = 10.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A map of regimes.

    Attributes
    ----------
    regions : tuple of str
        Names of the regimes.
    names : callable
        ``names(x, y)`` gives the name at each position in mm; x and y are arrays, broadcast against each other.
    recipes : mapping
        What each regime is like at a `Spot`.
    unknown : frozenset of str
        Regimes of a kind that nobody who looks at the sample has seen before.
    """

    regions: tuple[str, ...]
    names: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.str_]]
    recipes: Mapping[str, Recipe] = field(default_factory=lambda: REGIMES)
    unknown: frozenset[str] = frozenset()


class HiddenSample:
    """A face of 10 × 10 mm with a map of regimes, defined at every position.

    Parameters vary smoothly, by about a quarter, within each region. Relaxation times are in seconds, whatever the
    exposure. What is where is for the devices, tests and benchmarks to know, never for an agent.

    Parameters
    ----------
    layout : Layout
    rng : numpy.random.Generator
        Draws how the parameters vary.

    Attributes
    ----------
    bounds : tuple of (float, float)
        ((x low, x high), (y low, y high)) in mm.
    regions : tuple of str
        Names of the regimes.
    unknown : frozenset of str
        Those of a kind that nobody who looks at the sample has seen before.
    """

    bounds = ((0.0, SIZE_MM), (0.0, SIZE_MM))

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self._layout, self.regions, self.unknown = layout, layout.regions, layout.unknown
        self._waves = rng.uniform(-0.5, 0.5, (2, 2)), rng.uniform(0, 2 * np.pi, 2)

    def _names(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.str_]:
        return self._layout.names(np.asarray(x, dtype=float), np.asarray(y, dtype=float))

    def regime(self, x: float, y: float) -> str:
        """Name of the regime at a position in mm.

        Raises
        ------
        ValueError
            If the position is off the sample.
        """
        if not all(low <= value <= high for value, (low, high) in zip((x, y), self.bounds, strict=True)):
            raise ValueError(f"position ({x}, {y}) mm is off the sample, whose bounds are {self.bounds}")
        return str(self._names(x, y))

    def regime_map(self, n: int) -> NDArray[np.str_]:
        """Names on an n × n grid of cells: [i, j] is the middle of cell y_i, x_j."""
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
        """What the sample does at a position during one exposure.

        Parameters
        ----------
        x, y : float
            Position in mm.
        age_s : float
            Time since shear stopped when the exposure begins.
        duration_s : float
            Length of the exposure.
        rng : numpy.random.Generator
            Draws what is new in each exposure.
        dose_s : float
            Beam the spot has had before, in seconds of the full beam.
        events : sequence of (float, float)
            When the sample yields, as `Yielding.between` gives it: age in seconds, size in Pa. Others than those in
            the exposure do not count.

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
