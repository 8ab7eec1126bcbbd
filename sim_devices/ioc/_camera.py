"""The camera: the process variables of areaDetector's ADLambda around the simulated Lambda 750k."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_devices._lambda750k import Lambda750k
from sim_devices.ioc._hdf5 import COLOR_MODES, DATA_TYPES, Hdf5Plugin
from sim_devices.ioc._records import DISABLE_ENABLE, NO_YES, Busy, Records, finished

STATES = "Idle Acquire Readout Correct Saving Aborting Error Waiting Initializing Disconnected Aborted".split()
ALARMS = {"Error": "MAJOR", "Disconnected": "MAJOR", "Aborted": "MINOR"}
QUEUE = 50  # frames that come at once

# Records of settings and of readbacks, by the name of the simulated detector's signal.
NUMBERS = ("acquire_time", "acquire_period", "energy_threshold", "temperature")
INTEGERS = ("num_images", "num_exposures", "array_counter")
CHOICES = {
    "image_mode": ("Single", "Multiple", "Continuous"),
    "trigger_mode": ("Internal", "External_SequencePer", "External_ImagePer", "Gating_Mode"),
    "operating_mode": ("ContinuousReadWrite", "TwentyFourBit"),
}


def pv_name(signal: str) -> str:
    """Return the name of the record of a signal: ``AcquireTime`` for ``acquire_time``."""
    return "".join(word.capitalize() for word in signal.split("_"))


class FrameQueue:
    """Replaces the detector's file: passes its frames to the plugin, with their unique ids.

    Attributes
    ----------
    path : Path
        Not used: the plugin names the file.
    fault : str
        Message of a fault of the detector, which ends the acquisition; empty without a fault.
    """

    path = Path()

    def __init__(self, plugin: Hdf5Plugin) -> None:
        self._plugin, self.fault = plugin, ""
        self.first_id = 0

    def append(self, chunks: Sequence[bytes], time_s: NDArray[np.float64], numbers: NDArray[np.int64]) -> None:
        """Pass frames on; OSError if the detector is at fault."""
        if self.fault:
            message, self.fault = self.fault, ""
            raise OSError(message)
        if chunks:
            self._plugin.take(chunks, time_s, self.first_id + numbers)

    def close(self) -> None:
        """The plugin closes the file."""


class Camera:
    """The driver.

    Parameters
    ----------
    prefix : str
        Such as ``SIM:cam1:``.
    detector : Lambda750k
        Its file must be `queue`.
    queue : FrameQueue
    """

    def __init__(self, prefix: str, detector: Lambda750k, queue: FrameQueue) -> None:
        self._detector, self._queue = detector, queue
        self.records = records = Records(prefix, lambda message: records.show(StatusMessage=message))
        ny, nx = detector.geometry.frame_shape
        cam = detector.cam
        texts = {"PortName": "LAMBDA", "SDKVersion": "0", "DriverVersion": "0", "ADCoreVersion": "3.14.0"}
        texts |= {pv_name(x): getattr(cam, x).get() for x in ("manufacturer", "model", "serial_number")}
        for name, text in (texts | {"FirmwareVersion": cam.firmware_version.get()}).items():
            records.readback("string", name, text)
        for name in ("StatusMessage", "StringFromServer"):
            records.readback("text", name, "")
        for names, kind in ((NUMBERS, "number"), (INTEGERS, "integer")):
            for signal in names:
                self._setting(kind, signal)
        for signal, choices in CHOICES.items():
            self._setting("choice", signal, *choices)
        sizes = {"ArraySizeX": nx, "ArraySizeY": ny, "ArraySizeZ": 0, "ArraySize": 2 * nx * ny, "MaxSizeX": nx}
        sizes |= {"MaxSizeY": ny, "ArraySize0": nx, "ArraySize1": ny, "ArraySize2": 0, "NumExposuresCounter": 0}
        for name, value in (sizes | {"UniqueId": 0, "NumImagesCounter": 0}).items():
            records.readback("integer", name, value)
        records.readback("integer", "BadFrameCounter", 0, HIGH=1, HSV="MINOR")
        records.readback("integer", "DecodedQueueDepth", 0, HIGH=QUEUE + 1, HSV="MINOR")
        records.readback("choice", "LambdaState", 0, *((name, ALARMS.get(name, "NO_ALARM")) for name in STATES))
        records.readback("choice", "DetectorState", 0, *((name, ALARMS.get(name, "NO_ALARM")) for name in STATES))
        for name, value in {"SizeX": nx, "SizeY": ny, "MinX": 0, "MinY": 0, "BinX": 1, "BinY": 1}.items():
            records.setting("integer", name, value)
        for name in ("TimeRemaining", "ArrayRate"):
            records.readback("number", name, 0.0)
        records.setting("number", "Gain", 1.0)
        records.command("number", "TemperatureActual", cam.temperature.get())
        records.setting("choice", "DataType", DATA_TYPES.index("UInt16"), *DATA_TYPES)
        records.setting("choice", "ColorMode", 0, *COLOR_MODES)
        records.setting("switch", "ArrayCallbacks", 1, *DISABLE_ENABLE)
        records.setting("switch", "WaitForPlugins", 0, *NO_YES)
        records.setting("text", "NDAttributesFile", "")
        records.command("text", "ConfigFilePath", "")
        records.readback("switch", "Acquire", 0, "Done", "Acquiring")
        self._busy = Busy(prefix, "Acquire", self._acquire)
        self._task: asyncio.Task[None] | None = None

    def _setting(self, kind: str, name: str, *choices: str) -> None:
        signal = getattr(self._detector.cam, name)

        def act(value: Any) -> Any:
            signal.put(int(value) if kind != "number" else value)

        self.records.setting(kind, pv_name(name), signal.get(), *choices, act=act)

    def show_counters(self) -> None:
        """Show the detector's states and counters from now on."""
        cam, records = self._detector.cam, self.records

        def follow(signal: str, *names: str) -> None:
            def show(value: Any, **_: Any) -> None:
                records.show(**dict.fromkeys(names, value))

            getattr(cam, signal).subscribe(show)

        for signal in ("status_message", "num_images_counter", "bad_frame_counter", "time_remaining"):
            follow(signal, pv_name(signal))
        follow("array_counter", "ArrayCounter", "UniqueId")
        follow("detector_state", "DetectorState", "LambdaState")

    async def _acquire(self, on: int) -> None:
        """Start or stop."""
        if not on:
            if not self._busy.is_idle:
                self._detector.stop()
        elif self._busy.is_idle:
            self._busy.begin()
            self.records.show(Acquire=1)
            self._task = asyncio.create_task(self._expose())

    async def _expose(self) -> None:
        detector, records = self._detector, self.records
        try:
            self._queue.first_id = detector.cam.array_counter.get()
            detector.stage()
            detector.kickoff()
            records.show(DecodedQueueDepth=QUEUE)
            with suppress(Exception):  # the detector shows its state and message
                await finished(detector.complete())
        except Exception as error:
            records.failed(repr(error))
        finally:
            await asyncio.to_thread(detector.unstage)
            self._busy.end()
            records.show(Acquire=0, DecodedQueueDepth=0)
            self._busy.show_done()
