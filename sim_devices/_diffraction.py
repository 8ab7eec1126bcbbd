"""A diffraction experiment: a crystal with phase transitions, its temperature controller, and a detector."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from ophyd import Component
from ophyd.status import Status

from sim_devices._basics import Mover, Quantity, SimClock
from sim_devices._frames import DATASET, StreamingDetector, check_room, new_file

NOISE_K = 0.01  # of the sensor


class TemperatureController(Mover):
    """Temperature of the sample in K, at `true_position`; a move ends when the temperature has settled.

    Parameters
    ----------
    clock : SimClock
    seed : int
        Seed of the sensor's noise.
    """

    speed, settle_s = 0.1, 60.0  # K/s of a ramp; wait at its end

    def __init__(self, *, clock: SimClock, seed: int = 0, **kwargs: Any) -> None:
        rng = np.random.default_rng(seed)
        super().__init__(egu="K", limits=(10.0, 320.0), init_pos=180.0, rng=rng, **kwargs)
        self.clock = clock

    def _show(self, value: float) -> None:
        super()._show(value)
        self.true_position = value
        self._set_position(value + self._rng.normal(0, NOISE_K))


DEBYE_WALLER_PER_K = 0.0025
WIDTH_K = 6.0  # distance from Tc at which critical scattering falls to half
POWDER = 0.4  # height of the powder rings, as a share of the background


@dataclass(frozen=True)
class Transition:
    """A second-order transition: intensity grows as (1 - T/Tc)^(2 beta) below `temperature`.

    Attributes
    ----------
    temperature : float
        Tc, in K.
    beta : float
        Exponent of the order parameter.
    shape : {"cusp", "rounded"}
        Shape of the critical scattering: 1 / (1 + |t|), or 1 / (1 + t²) and a third as wide below Tc as above it.
    """

    temperature: float
    beta: float = 0.33
    shape: str = "cusp"

    def order(self, temperature: float) -> float:
        """Return the intensity of the superstructure peaks, 1 at 0 K."""
        return max(1 - temperature / self.temperature, 0.0) ** (2 * self.beta)

    def critical(self, temperature: float) -> float:
        """Return the intensity of the critical scattering, 1 at Tc."""
        t = (temperature - self.temperature) / WIDTH_K
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
        Seed of structure factors and hot pixels.
    transitions : sequence of Transition
        Up to two.
    expansion_per_k : float
        Peaks move towards the middle by this share of their distance from it, for each K above 30.
    hot_pixels : int
    odd_peak : float, optional
        A temperature above which a peak appears that is unrelated to any transition.
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
        self._background = self.BACKGROUND * (1 + 0.5 * np.exp(-radius / (0.3 * n)) + POWDER * rings)
        self.hot = rng.choice(n * n, hot_pixels, replace=False)
        self._still = self._stamps(0.0)

    def counts(self, temperature: float, exposure: float = 1.0) -> NDArray[np.float64]:
        """Return the expected counts (n, n) in `exposure` units at a temperature in K."""
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

    def _stamps(self, shift: float) -> list[NDArray[np.float64]]:
        """Return Bragg peaks, their thermal diffuse halo, then peaks and halos of each kind of superstructure."""
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


HIGHEST = 2**16 - 2  # the number above it marks a pixel that must not be used
FLICKER_RMS = 0.02  # of the beam, which `monitor` counts
DEAD_SHARE = 0.001  # of the pixels


class DiffractionDetector(StreamingDetector):
    """A detector of Poisson counts of a crystal at its present temperature.

    Parameters
    ----------
    directory : Path
        Folder of the files.
    clock : SimClock
    crystal : Crystal
    temperature : callable
        Returns the temperature of the crystal in K.
    seed : int
        The same seed and temperatures give the same frames.
    """

    acquire_time = Component(Quantity, value=10.0, units="s", kind="config")
    monitor = Component(Quantity, value=0.0, units="1", kind="hinted")

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        directory: Path,
        clock: SimClock,
        crystal: Crystal,
        temperature: Callable[[], float],
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        self.crystal, self._temperature = crystal, temperature
        self._directory, self._clock = Path(directory), clock
        self._rng = np.random.default_rng(seed)
        self._dead = self._rng.random((crystal.n, crystal.n)) < DEAD_SHARE
        self._file: h5py.File | None = None
        self._triggers = 0
        super().__init__(prefix, name=name, **kwargs)

    def stage(self) -> list[object]:
        """Open a new file."""
        staged = super().stage()
        self._file, path = new_file(self._directory, self.name, (self.crystal.n, self.crystal.n))
        self._file.swmr_mode = True
        self.restart(path, 1, self.crystal.n, self.crystal.n)
        return staged

    def unstage(self) -> list[object]:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        return super().unstage()

    def trigger(self) -> Status:
        """Take a frame; it takes `acquire_time` on the simulated clock.

        A frame that no document has announced is given up: after a pause a RunEngine triggers again.
        """
        if self._file is None:
            raise RuntimeError(f"{self.name} has no open file: stage it")
        self._written, self._triggers = self._reported, self._triggers + 1
        expose = partial(self._expose, self._file[DATASET], self._triggers)
        return self._clock.later(self.acquire_time.get(), expose)

    def _expose(self, data: h5py.Dataset, trigger: int) -> None:
        if trigger != self._triggers:
            return
        exposure = self.acquire_time.get() / 10.0 * (1 + FLICKER_RMS * self._rng.normal())
        counts = self._rng.poisson(self.crystal.counts(self._temperature(), exposure)).clip(max=HIGHEST)
        counts[self._dead] = HIGHEST + 1
        check_room(self._directory, counts.size * 2)
        data.resize(self._written + 1, axis=0)
        data[self._written] = counts.astype(np.uint16)
        data.flush()
        self.monitor.put(1e6 * exposure)
        self._written += 1

    def describe(self) -> dict[str, Any]:
        """Describe a frame and the monitor."""
        return {**super().describe(), **self.describe_image(1, self.crystal.n, self.crystal.n)}
