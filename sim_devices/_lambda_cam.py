"""Settings and counters of the simulated Lambda 750k, by the names of `ophyd.areadetector.cam.Lambda750kCam`.

The driver, areaDetector's ADLambda, has two settings that the class lacks: `energy_threshold` and `bad_frame_counter`.
Choices are numbers, as those of the driver, and may be set by their names.
"""

from typing import Any

from ophyd import Component, Device, Signal
from ophyd.signal import InternalSignal
from ophyd.status import Status

from sim_devices._basics import Quantity

FASTEST_HZ = 2000.0
IDLE, ACQUIRE, ERROR, ABORTED = 0, 1, 6, 10  # of areaDetector's states


class Choice(Signal):
    """A signal with named values; its value is the number of the choice.

    Parameters
    ----------
    enum_strs : tuple of str
        Names, simulated ones first.
    simulated : int
        Number of simulated choices; others are refused.
    """

    def __init__(self, *args: Any, enum_strs: tuple[str, ...], simulated: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.enum_strs, self._simulated = enum_strs, simulated

    def put(self, value: int | str, **kwargs: Any) -> None:
        """Choose by name or number."""
        super().put(self.enum_strs.index(value) if value in self.enum_strs else value, **kwargs)

    def check_value(self, value: Any, **kwargs: Any) -> None:
        """Raise ValueError if there is no such choice, or it is not simulated."""
        choices = self.enum_strs[: self._simulated]
        if value not in range(len(choices)):
            got = self.enum_strs[value] if value in range(len(self.enum_strs)) else value
            raise ValueError(f"{self.name} must be {' or '.join(choices)}, got {got}")

    def describe(self) -> dict[str, Any]:
        """Describe the signal, with the names of its values."""
        description = super().describe()
        description[self.name]["enum_strs"] = self.enum_strs
        return description


class Button(Signal):
    """A signal that is 1 while the detector acquires. Setting it to 1 starts like `kickoff`; setting it to 0 stops."""

    def put(self, value: int, *, force: bool = False, **kwargs: Any) -> None:
        """Start or stop; the detector itself uses `force` to show its state."""
        if force:
            super().put(value, force=True, **kwargs)
        elif value:
            self.parent.parent.kickoff()
        else:
            self.parent.parent.stop()

    def set(self, value: int, **kwargs: Any) -> Status:
        """Start or stop, without waiting for the end."""
        self.put(value)
        status = Status(self)
        status.set_finished()
        return status


def readout(value: Any, **kwargs: Any) -> Component:
    """Return a component that only the detector itself writes."""
    return Component(InternalSignal, value=value, **{"kind": "omitted", **kwargs})


class LambdaCam(Device):
    """Settings and counters.

    A period shorter than 1/2000 s is refused; an exposure longer than the period lasts as long as the period, as the
    detector counts without a pause. It counts to 4095 (12 bits, operating mode ContinuousReadWrite).
    """

    acquire = Component(Button, value=0, kind="omitted")
    acquire_time = Component(Quantity, value=0.1, units="s", limits=(1e-6, 3600), kind="config")
    acquire_period = Component(Quantity, value=0.1, units="s", limits=(1 / FASTEST_HZ, 3600), kind="config")
    num_images = Component(Quantity, value=500, units="", limits=(1, 10_000_000), kind="config")
    num_exposures = Component(Quantity, value=1, units="", limits=(1, 1), kind="config")
    image_mode = Component(Choice, value=1, enum_strs=("Single", "Multiple"), simulated=2, kind="config")
    trigger_mode = Component(
        Choice,
        value=0,
        enum_strs=("Internal", "External_SequencePer", "External_ImagePer", "Gating_Mode"),
        simulated=1,
        kind="config",
    )
    operating_mode = Component(
        Choice, value=0, enum_strs=("ContinuousReadWrite", "TwentyFourBit"), simulated=1, kind="config"
    )
    energy_threshold = Component(Quantity, value=5.5, units="keV", limits=(3, 40), kind="config")
    temperature = Component(Quantity, value=23.0, units="degC", kind="config")
    manufacturer = readout("X-Spectrum", kind="config")
    model = readout("Lambda 750K (simulated)", kind="config")
    serial_number = readout("0", kind="config")
    firmware_version = readout("0", kind="config")

    detector_state = readout(IDLE)
    status_message = readout("")
    array_counter = Component(Quantity, value=0, units="", kind="omitted")
    num_images_counter = readout(0)
    bad_frame_counter = readout(0)
    time_remaining = readout(0.0)

    @property
    def n_frames(self) -> int:
        """Number of images in an acquisition."""
        return int(self.num_images.get()) if self.image_mode.get() else 1

    @property
    def exposure_s(self) -> float:
        """Exposure time of each image."""
        return min(self.acquire_time.get(), self.acquire_period.get())

    def show_start(self) -> None:
        """Show the start of an acquisition."""
        self._show(detector_state=ACQUIRE, status_message="", num_images_counter=0, bad_frame_counter=0)
        self.acquire.put(1, force=True)

    def show_frames(self, n: int, bad: int) -> None:
        """Count `n` more frames, `bad` of which were lost before the file."""
        taken = self.num_images_counter.get() + n
        self.array_counter.put(self.array_counter.get() + n)
        self._show(
            num_images_counter=taken,
            bad_frame_counter=self.bad_frame_counter.get() + bad,
            time_remaining=(self.n_frames - taken) * self.acquire_period.get(),
        )

    def show_end(self, state: int, message: str = "") -> None:
        """Show the end of an acquisition."""
        self._show(detector_state=state, status_message=message, time_remaining=0.0)
        self.acquire.put(0, force=True)

    def _show(self, **values: Any) -> None:
        for name, value in values.items():
            getattr(self, name).put(value, internal=True)
