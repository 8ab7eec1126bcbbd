"""A crystal with phase transitions, as a detector behind it sees it: a zone of reciprocal space at each temperature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEBYE_WALLER_PER_K = 0.0025
KINDS = ("background", "Bragg", "order 1", "order 2", "critical 1", "critical 2")


@dataclass(frozen=True)
class Transition:
    """A second-order transition: intensity grows as (1 - T/Tc)^(2 beta) below `temperature`.

    Attributes
    ----------
    temperature : float
        Tc, in K.
    beta : float
        Exponent of the order parameter.
    width_k : float
        How far from Tc critical scattering falls to half, in K.
    shape : {"cusp", "rounded"}
        Of the critical scattering: 1 / (1 + |t|), or 1 / (1 + t²) and a third as wide below Tc as above it.
    """

    temperature: float
    beta: float = 0.33
    width_k: float = 6.0
    shape: str = "cusp"

    def order(self, temperature: float) -> float:
        """Intensity of the superstructure peaks, 1 at 0 K."""
        return max(1 - temperature / self.temperature, 0.0) ** (2 * self.beta)

    def critical(self, temperature: float) -> float:
        """Intensity of the critical scattering, 1 at Tc."""
        t = (temperature - self.temperature) / self.width_k
        if self.shape == "cusp":
            return 1 / (1 + abs(t))
        return 1 / (1 + (t if t > 0 else 3 * t) ** 2)


TWO = (Transition(82.0, 0.33), Transition(131.0, 0.5))


class Crystal:
    """Expected counts of a detector of n × n pixels that sees 8 × 8 zones.

    Bragg peaks, superstructure peaks of up to two transitions (at zone corners, and between zones) with halos of
    critical scattering, powder rings, a background that falls off from the middle, hot pixels.

    Parameters
    ----------
    n : int
    seed : int
        Of structure factors and hot pixels.
    transitions : sequence of Transition
        None, one or two.
    expansion_per_k : float
        Peaks move towards the middle by this share of their distance from it, for each K above 30.
    powder : float
        Height of the powder rings, as a share of the background.
    hot_pixels : int
    odd_peak : float, optional
        A temperature above which one peak is there that has nothing to do with any transition.
    """

    BRAGG, PEAK, DIFFUSE, BACKGROUND = 400.0, 250.0, 30.0, 5.0  # counts
    SIZE, HALO = 1.3, 3.0  # pixels

    def __init__(
        self,
        n: int = 200,
        *,
        seed: int = 0,
        transitions: Sequence[Transition] = TWO,
        expansion_per_k: float = 0.0,
        powder: float = 0.4,
        hot_pixels: int = 20,
        odd_peak: float | None = None,
    ) -> None:
        self.n, self.transitions, self.expansion_per_k = n, tuple(transitions), expansion_per_k
        self.odd_peak = odd_peak
        rng = np.random.default_rng((seed, n))
        places = [[(i + 0.5, j + 0.5) for i in range(8) for j in range(8)]]
        places += [
            [(i + 1.0, j + 1.0) for i in range(7) for j in range(7)],
            [(i + 1.0, j + 0.5) for i in range(7) for j in range(8)],
        ]
        self._places = [np.array(p) * n / 8 for p in places]
        self._factors = [rng.lognormal(0.0, 0.6, len(p)) for p in places]
        y, x = np.mgrid[:n, :n]
        radius = np.hypot(y - n / 2, x - n / 2)
        rings = np.exp(-(((radius - 0.31 * n) / 1.5) ** 2)) + 0.6 * np.exp(-(((radius - 0.42 * n) / 1.5) ** 2))
        self._background = self.BACKGROUND * (1 + 0.5 * np.exp(-radius / (0.3 * n)) + powder * rings)
        self.hot = rng.choice(n * n, hot_pixels, replace=False)
        self._still = self._stamps(0.0)

    def counts(self, temperature: float, exposure: float = 1.0) -> NDArray[np.float64]:
        """Expected counts (n, n) in an exposure of so many units at a temperature in K."""
        shift = self.expansion_per_k * (temperature - 30)
        bragg, thermal, *peaks = self._stamps(shift) if shift else self._still
        waller = np.exp(-DEBYE_WALLER_PER_K * (temperature - 30))
        counts = self._background + self.BRAGG * waller * bragg + 0.05 * self.BRAGG * (1 - waller) * thermal
        for transition, sharp, halo in zip(self.transitions, peaks[0::2], peaks[1::2], strict=False):
            counts += self.PEAK * transition.order(temperature) * sharp
            counts += self.DIFFUSE * transition.critical(temperature) * halo
        if self.odd_peak is not None and temperature > self.odd_peak:
            y, x = np.mgrid[: self.n, : self.n]
            counts += self.PEAK * np.exp(-((y - 0.3 * self.n) ** 2 + (x - 0.7 * self.n) ** 2) / (2 * 2.0**2))
        counts.ravel()[self.hot] = 5000.0
        return counts * exposure

    def truth(self, temperatures: Sequence[float]) -> NDArray[np.int64]:
        """What gives most of a pixel's counts over some temperatures, (n, n): index in `KINDS`."""
        bragg, _, *peaks = self._still
        parts = [np.zeros_like(bragg), self.BRAGG * bragg, *[np.zeros_like(bragg)] * 4]
        for i, transition in enumerate(self.transitions):
            order = np.mean([transition.order(t) for t in temperatures])
            critical = np.mean([transition.critical(t) for t in temperatures])
            parts[2 + i], parts[4 + i] = self.PEAK * order * peaks[2 * i], self.DIFFUSE * critical * peaks[2 * i + 1]
        found = np.where(np.max(parts, axis=0) > 0.5 * self._background, np.argmax(parts, axis=0), 0)
        found.ravel()[self.hot] = 0
        return found

    def _stamps(self, shift: float) -> list[NDArray[np.float64]]:
        """Bragg peaks, their thermal diffuse halo, then peaks and halos of each kind of superstructure."""
        wanted = [(0, self.SIZE), (0, 2.2 * self.SIZE)]
        wanted += [(kind, size) for kind in (1, 2) for size in (self.SIZE, self.HALO)]
        return [self._stamp(self._places[kind], self._factors[kind], size, shift) for kind, size in wanted]

    def _stamp(
        self, places: NDArray[np.float64], factors: NDArray[np.float64], size: float, shift: float
    ) -> NDArray[np.float64]:
        at = self.n / 2 + (places - self.n / 2) * (1 - shift)
        image, reach, axis = np.zeros((self.n, self.n)), int(5 * size) + 2, np.arange(self.n)
        for (cy, cx), factor in zip(at, factors, strict=True):
            rows = slice(max(0, int(cy) - reach), int(cy) + reach + 1)
            columns = slice(max(0, int(cx) - reach), int(cx) + reach + 1)
            down = np.exp(-((axis[rows] - cy) ** 2) / (2 * size**2))
            image[rows, columns] += factor * down[:, None] * np.exp(-((axis[columns] - cx) ** 2) / (2 * size**2))
        return image
