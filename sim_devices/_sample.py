"""The hidden sample: where on its face which dynamics live."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.dynamics import Dynamics

MATRIX = "ageing"
PATCHES = ("arrested", "avalanche", "fluid")
NOVEL = "flow"  # held out of all training, see `ainerd.dynamics.HELD_OUT`
SIZE_MM = 10.0


class HiddenSample:
    """A face of 10 × 10 mm: an ageing matrix, three large patches and one or two small inclusions that flow.

    Parameters vary smoothly, by up to a quarter, within each region. Relaxation times are in seconds, whatever the
    exposure.

    Parameters
    ----------
    seed : int
        The same seed gives the same sample.

    Attributes
    ----------
    bounds : tuple of (float, float)
        ((x low, x high), (y low, y high)) in mm.
    regions : tuple of str
        Names of the regimes; each is a family of `ainerd.dynamics`.
    """

    bounds = ((0.0, SIZE_MM), (0.0, SIZE_MM))
    regions = (MATRIX, *PATCHES, NOVEL)

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        turn = rng.uniform(0, 2 * np.pi) + np.arange(3) * 2 * np.pi / 3
        middles = 5 + 3.1 * np.c_[np.cos(turn), np.sin(turn)] + rng.uniform(-0.4, 0.4, (3, 2))
        self._patches = [
            (middle, rng.uniform(1.9, 2.4), rng.uniform(0, 2 * np.pi, 2)) for middle in rng.permutation(middles)
        ]
        self._inclusions: list[tuple[NDArray[np.float64], float]] = []
        for _ in range(rng.integers(1, 3)):
            self._inclusions.append(self._place_inclusion(rng))
        self._waves = rng.uniform(-0.5, 0.5, (2, 2)), rng.uniform(0, 2 * np.pi, 2)

    def _place_inclusion(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], float]:
        """A disc in the matrix, whole on the face and well away from the other one."""
        while True:
            radius = rng.uniform(0.9, 1.2)
            middle = rng.uniform(radius, SIZE_MM - radius, 2)
            apart = all(np.hypot(*(middle - other)) > 3.5 for other, _ in self._inclusions)
            if apart and self._names(*middle) == MATRIX:
                return middle, radius

    def _names(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.str_]:
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        names = np.full(np.broadcast(x, y).shape, MATRIX, dtype="<U9")
        nearest = np.ones(names.shape)
        for patch, (middle, radius, lobes) in zip(PATCHES, self._patches, strict=True):
            angle = np.arctan2(y - middle[1], x - middle[0])
            edge = radius * (1 + 0.12 * np.cos(2 * angle + lobes[0]) + 0.08 * np.cos(3 * angle + lobes[1]))
            depth = np.hypot(x - middle[0], y - middle[1]) / edge
            names = np.where(depth < nearest, patch, names)
            nearest = np.minimum(nearest, depth)
        for middle, radius in self._inclusions:
            names = np.where(np.hypot(x - middle[0], y - middle[1]) < radius, NOVEL, names)
        return names

    def _gradients(self, x: float, y: float) -> NDArray[np.float64]:
        """Two smooth fields from -1 to 1."""
        directions, origins = self._waves
        return np.sin(directions @ (x, y) + origins)

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

    def dynamics(self, x: float, y: float, age_s: float, duration_s: float, rng: np.random.Generator) -> Dynamics:
        """What the sample does at a position during one exposure.

        Parameters
        ----------
        x, y : float
            Position in mm.
        age_s : float
            Time since shear stopped when the exposure begins.
        duration_s : float
            Length of the exposure: how many avalanches there is time for.
        rng : numpy.random.Generator
            Draws when the avalanches come.
        """
        slower, further = self._gradients(x, y)
        tau = 1 + 0.25 * slower
        match self.regime(x, y):
            case "ageing":
                # A spot ages anew once the beam is on it; of the time before only the logarithm is left.
                age = 4 * np.log1p(age_s / 120)
                return Dynamics(family="ageing", tau_s=1.5 * tau, ageing=1.1, ageing_onset_s=7.5, age_s=age)
            case "arrested":
                return Dynamics(family="arrested", tau_s=4 * tau, plateau=0.7 + 0.05 * further)
            case "avalanche":
                events = _avalanches(13 * (1 + 0.2 * further), duration_s, rng)
                return Dynamics(family="avalanche", tau_s=200 * tau, exponent=1.2, events=events)
            case "fluid":
                return Dynamics(family="fluid", tau_s=1.5 * tau)
            case _:
                turns_per_s = (6.5 + 1.2 * further) / 50
                return Dynamics(family="flow", tau_s=40 * tau, static=0.45, flow_rad_s=2 * np.pi * turns_per_s)


def _avalanches(gap_s: float, duration_s: float, rng: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """Stick and slip: gaps with a gamma law around `gap_s`, the first one cut at random; jumps of 0.8 to 2."""
    gaps = rng.gamma(4, gap_s / 4, 10 + int(3 * duration_s / gap_s))
    times = np.cumsum(gaps) - rng.uniform(0, gaps[0])
    times = times[times < duration_s]
    return tuple(zip(times.tolist(), rng.uniform(0.8, 2.0, times.size).tolist(), strict=True))
