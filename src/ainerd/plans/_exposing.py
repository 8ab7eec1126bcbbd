"""The part of a plan that sets frame time, frames and attenuator, and checks the dose before the shutter opens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from ainerd.dose import DoseBook
from ainerd.knobs import Exposure
from ainerd.plans._limits import reading
from ainerd.plans._shutter import Guard


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

    def prepare(self, suggestion: Mapping[str, Any]) -> MsgGenerator[None]:
        """Plan: set the devices; the shutter must be closed.

        Raises ValueError if the detector has no such mode.
        """
        wanted = self.choose(suggestion)
        if (objection := self.book.options.objection(wanted)) is not None:
            raise ValueError(objection)
        if self.attenuator is not None:
            yield from bps.mv(self.attenuator, wanted.transmission)
        wanted_s = wanted.frame_time_s
        moves: list[tuple[Any, ...]] = [(self.frame_time, wanted_s, self.n_frames, wanted.n_frames)]
        moves += [(signal, wanted_s) for signal in self.beside]
        if wanted_s < (yield from reading(self.frame_time)):
            moves.reverse()  # drivers keep the frame time at least as long as the exposure of a frame
        for move in moves:
            yield from bps.mv(*move)

    def enter(self, id: str, actuators: Sequence[Any], guard: Guard) -> MsgGenerator[Exposure]:
        """Plan: read back position, detector and attenuator, enter the dose, and tell the guard of the shutter.

        Raises
        ------
        DoseError
            If the exposure as the devices read it back would pass a limit of dose where the knobs read back.
        ValueError
            If the devices read back a mode that the detector does not have.
        """
        position = yield from _position_of(actuators)
        frame_time_s = yield from reading(self.frame_time)
        n_frames = yield from reading(self.n_frames)
        transmission = 1.0 if self.attenuator is None else (yield from reading(self.attenuator))
        real = Exposure(frame_time_s, int(n_frames), transmission)
        if (objection := self.book.options.objection(real)) is not None:
            raise ValueError(f"the devices read back other values than were set: {objection}")
        dose_per_s = self.book.options.dose_per_s * real.transmission
        self.book.enter(id, position, real)
        self.took(id, real)
        guard.expect(
            real.seconds + self.book.options.overhead_s,
            opens=lambda: self.book.opened(id, dose_per_s),
            closed=lambda seconds: self.book.took(id, dose_per_s * seconds),
        )
        return real

    def leave(self, id: str, actuators: Sequence[Any]) -> MsgGenerator[None]:
        """Plan: read back the position after an exposure, because a motor that reported "done" may have gone on."""
        self.book.moved(id, (yield from _position_of(actuators)))


def _position_of(actuators: Sequence[Any]) -> MsgGenerator[dict[str, float]]:
    position = {}
    for actuator in actuators:
        position[actuator.name] = yield from reading(actuator)
    return position
