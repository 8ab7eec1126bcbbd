"""The beam on its way to the sample: its source, attenuator, shutter and flicker, and the dose of each spot."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Device, Signal
from ophyd.status import Status

from sim_devices._basics import Quantity, SimClock

RING_mA = 102.0
LIFETIME_S = 9 * 3600.0
TOP_UP_EVERY_S = 120.0
FOILS_UM = (40.0, 80.0, 160.0, 320.0)
SILICON_UM = 168.0  # attenuation length of silicon at 11 keV; it grows with the third power of the energy
SHUTTER_S, FOILS_S = 0.1, 0.5  # simulated time of a movement


class Source(Device):
    """The storage ring in top-up, and the beam that reaches the sample.

    Parameters
    ----------
    clock : SimClock
        The ring's current decays, and is topped up, in simulated time.
    energy_keV : float
    """

    energy = Component(Quantity, value=0.0, units="keV")
    ring_current = Component(Quantity, value=RING_mA, units="mA")
    i0 = Component(Quantity, value=1.0, units="")  # of a monitor before the shutter; 1 is the full beam
    beam_size_x = Component(Quantity, value=15.0, units="um")
    beam_size_y = Component(Quantity, value=10.0, units="um")

    def __init__(self, prefix: str = "", *, name: str, clock: SimClock, energy_keV: float, **kwargs: Any) -> None:
        self._clock, self._is_lost = clock, False
        super().__init__(prefix, name=name, **kwargs)
        self.energy.put(energy_keV)

    def lose(self) -> None:
        """Dump the beam."""
        self._is_lost = True
        self.i0.put(0.0)

    def restore(self) -> None:
        """Restore the beam."""
        self._is_lost = False
        self.i0.put(self.intensity())

    def intensity(self) -> float:
        """Return the intensity of the beam now, relative to that just after a top-up."""
        return 0.0 if self._is_lost else float(np.exp(-(self._clock.now() % TOP_UP_EVERY_S) / LIFETIME_S))

    def read(self) -> dict[str, Any]:
        """Measure and read."""
        self.ring_current.put(RING_mA * self.intensity())
        self.i0.put(self.intensity())
        return super().read()


class Attenuator(Device):
    """Four silicon foils, each in or out.

    Setting a transmission inserts the foils that come nearest to it (in its logarithm). `setpoint` keeps the requested
    value, `transmission` is that of the foils.

    Parameters
    ----------
    clock : SimClock
    energy_keV : float
        Silicon transmits more at a higher energy.
    """

    transmission = Component(Quantity, value=1.0, units="", kind="hinted")
    setpoint = Component(Quantity, value=1.0, units="")
    foils = Component(Signal, value=0)  # bit k: foil k is in

    def __init__(self, prefix: str = "", *, name: str, clock: SimClock, energy_keV: float, **kwargs: Any) -> None:
        self._clock = clock
        of_each = np.exp(-np.array(FOILS_UM) / (SILICON_UM * (energy_keV / 11) ** 3))
        put_in = np.arange(2 ** len(FOILS_UM))[:, None] >> np.arange(len(FOILS_UM)) & 1
        self.choices = np.prod(of_each**put_in, axis=1)
        super().__init__(prefix, name=name, **kwargs)

    def set(self, transmission: float) -> Status:
        """Move foils until about this share of the beam comes through.

        Raises
        ------
        ValueError
            If `transmission` is not above 0 and at most 1.
        """
        if not 0 < transmission <= 1:
            raise ValueError(f"{self.name} takes a transmission above 0 and at most 1, got {transmission}")
        foils = int(np.abs(np.log(self.choices / transmission)).argmin())

        def arrive() -> None:
            self.foils.put(foils)
            self.transmission.put(float(self.choices[foils]))

        self.setpoint.put(transmission)
        return self._clock.later(FOILS_S, arrive)


class Shutter(Device):
    """A shutter that is set to "open" or "close"; `status` is its state."""

    status = Component(Signal, value="closed", kind="hinted")

    def __init__(self, prefix: str = "", *, name: str, clock: SimClock, **kwargs: Any) -> None:
        self._clock = clock
        super().__init__(prefix, name=name, **kwargs)

    def set(self, value: str) -> Status:
        """Open or close.

        Raises
        ------
        ValueError
            If `value` is neither "open" nor "close".
        """
        if value not in ("open", "close"):
            raise ValueError(f'{self.name} takes "open" or "close", got {value!r}')
        return self._clock.later(SHUTTER_S, lambda: self.status.put("open" if value == "open" else "closed"))

    @property
    def is_open(self) -> bool:
        """Whether the beam passes."""
        return self.status.get() == "open"


class DetectorArm(Device):
    """The position of the detector; the beam's row and column count from 0 at the corner of the first pixel."""

    distance = Component(Quantity, value=0.0, units="m")
    beam_center_row = Component(Quantity, value=0.0, units="px")
    beam_center_column = Component(Quantity, value=0.0, units="px")


class Dose:
    """Beam time of each spot of the sample, weighted by the transmission."""

    def __init__(self) -> None:
        self._exposures: list[tuple[float, float, float]] = []

    def add(self, x: float, y: float, seconds: float) -> None:
        """Add beam time at a position in mm."""
        self._exposures.append((x, y, seconds))

    def at(self, x: float, y: float, beam_size_mm: tuple[float, float]) -> float:
        """Return the seconds of beam at the spot (x, y): all exposures less than one beam size away count in full."""
        size_x, size_y = beam_size_mm
        return sum(s for a, b, s in self._exposures if np.hypot((x - a) / size_x, (y - b) / size_y) < 1)


DRIFTS_S = (180.0, 47.0, 12.0)  # periods
HUM_HZ = (60.0, 120.0, 360.0)
HUM = 0.2  # part of the variance


def flicker(
    start_s: NDArray[np.float64], exposure_s: float, rms: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the intensity of the beam in each frame, 1 in the mean: it drifts, and the mains hum in it.

    Parameters
    ----------
    start_s : ndarray, shape (T,)
        Start of the exposure of each frame.
    exposure_s : float
        Length of each exposure: faster changes are averaged.
    rms : float
        Rms of the intensity over a long time, before it is averaged.
    rng : numpy.random.Generator
        Draws the phases.

    Returns
    -------
    ndarray, shape (T,)
    """
    frequency = np.r_[1 / np.array(DRIFTS_S), HUM_HZ]
    variance = np.r_[np.full(len(DRIFTS_S), (1 - HUM) / len(DRIFTS_S)), np.full(len(HUM_HZ), HUM / len(HUM_HZ))]
    amplitude = rms * np.sqrt(2 * variance) * np.sinc(frequency * exposure_s)
    middle = start_s + exposure_s / 2
    phase = rng.uniform(0, 2 * np.pi, frequency.size)
    return 1 + np.sin(2 * np.pi * np.multiply.outer(middle, frequency) + phase) @ amplitude
