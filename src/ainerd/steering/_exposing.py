"""The part of a plan that sets frame time, frames and attenuator, and checks the dose before the shutter opens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from ainerd.exposures import Exposure
from ainerd.steering._dose import DoseBook


@dataclass(frozen=True)
class Exposing:
    """Devices and limits of exposures.

    Attributes
    ----------
    book : DoseBook
    frame_time, n_frames : signals
        Of the detector.
    beside : tuple of signals
        Set to the frame time as well, such as the exposure time of a frame.
    attenuator : device or None
        Set to a transmission; its readback is the real one. Without it transmissions stay as they are.
    choose : callable
        Returns the exposure of a suggestion.
    took : callable
        Takes the id of a suggestion, and its exposure as the devices read back.
    """

    book: DoseBook
    frame_time: Any
    n_frames: Any
    beside: tuple[Any, ...]
    attenuator: Any
    choose: Callable[[Mapping[str, Any]], Exposure]
    took: Callable[[str, Exposure], None]

    def prepare(self, id: str, suggestion: Mapping[str, Any]) -> MsgGenerator[Exposure]:
        """Plan: set the devices, read them back, and enter the dose; the shutter must be closed.

        Raises
        ------
        DoseError
            If the exposure as the devices read it back would pass a limit of dose.
        ValueError
            If the detector has no such mode.
        """
        wanted = self.choose(suggestion)
        if (objection := self.book.options.objection(wanted)) is not None:
            raise ValueError(objection)
        if self.attenuator is not None:
            yield from bps.mv(self.attenuator, wanted.transmission)
        yield from bps.mv(self.frame_time, wanted.frame_time_s, self.n_frames, wanted.n_frames)
        for signal in self.beside:
            yield from bps.mv(signal, wanted.frame_time_s)
        frame_time_s = yield from bps.rd(self.frame_time)
        n_frames = yield from bps.rd(self.n_frames)
        transmission = 1.0 if self.attenuator is None else (yield from bps.rd(self.attenuator))
        real = Exposure(float(frame_time_s), int(n_frames), float(transmission))
        if (objection := self.book.options.objection(real)) is not None:
            raise ValueError(f"the devices read back other values than were set: {objection}")
        self.book.enter(id, suggestion, real)
        self.took(id, real)
        return real

    def was_open(self, id: str, exposure: Exposure, seconds: float) -> None:
        """Raise the dose of an exposure, if the shutter was open for longer than planned."""
        self.book.took(id, self.book.options.dose_per_s * exposure.transmission * seconds)
