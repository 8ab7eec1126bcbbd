"""The beam on its way to the sample: its source, what weakens it, what stops it, and what it has done to each spot."""

from typing import Any

import numpy as np
from ophyd import Component, Device, Signal
from ophyd.status import Status

from sim_devices._clock import SimClock
from sim_devices._quantity import Quantity

RING_mA = 102.0
LIFETIME_S = 9 * 3600.0
TOP_UP_EVERY_S = 120.0
FOILS_UM = (40.0, 80.0, 160.0, 320.0)
SILICON_UM = 168.0  # attenuation length of silicon at 11 keV; it grows with the third power of the energy
SHUTTER_S, FOILS_S = 0.1, 0.5  # simulated time that a movement takes


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
    i0 = Component(Quantity, value=1.0, units="")  # of a monitor before the shutter; 1: the whole beam
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
        """Have it back."""
        self._is_lost = False
        self.i0.put(self.intensity())

    def intensity(self) -> float:
        """Of the beam now, as a share of what it is just after a top-up."""
        return 0.0 if self._is_lost else float(np.exp(-(self._clock.now() % TOP_UP_EVERY_S) / LIFETIME_S))

    def read(self) -> dict[str, Any]:
        """Measure and read."""
        self.ring_current.put(RING_mA * self.intensity())
        self.i0.put(self.intensity())
        return super().read()


class Attenuator(Device):
    """Four silicon foils, each in or out.

    Set a transmission, and the foils are put in that come nearest to it (in its logarithm); the set point stays what
    was asked for, `transmission` is what the foils let through.

    Parameters
    ----------
    clock : SimClock
    energy_keV : float
        Silicon lets more through at a higher one.
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
    """Set it to "open" or "close"; `status` says where it is."""

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
        """Whether the beam comes through."""
        return self.status.get() == "open"


class DetectorArm(Device):
    """Where the detector stands; the beam's row and column count from 0 at the corner of the first pixel."""

    distance = Component(Quantity, value=0.0, units="m")
    beam_center_row = Component(Quantity, value=0.0, units="px")
    beam_center_column = Component(Quantity, value=0.0, units="px")


class Dose:
    """Beam time that each spot of the sample has had, weighted by the transmission."""

    def __init__(self) -> None:
        self._exposures: list[tuple[float, float, float]] = []

    def add(self, x: float, y: float, seconds: float) -> None:
        """Note beam time at a position in mm."""
        self._exposures.append((x, y, seconds))

    def at(self, x: float, y: float, beam_size_mm: tuple[float, float]) -> float:
        """Seconds that the spot at (x, y) has had: all exposures less than one beam size away count in full."""
        size_x, size_y = beam_size_mm
        return sum(s for a, b, s in self._exposures if np.hypot((x - a) / size_x, (y - b) / size_y) < 1)
