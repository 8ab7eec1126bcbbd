"""The other devices: rheometer, shutter, attenuator and source; and records that no real IOC has."""

import asyncio
from pathlib import Path
from typing import Any

from sim_devices._instrument import SimulatedInstrument
from sim_devices._recording import Recording
from sim_devices.ioc._camera import FrameQueue, pv_name
from sim_devices.ioc._hdf5 import Hdf5Plugin
from sim_devices.ioc._motor import Motor
from sim_devices.ioc._records import Records, finished

REFRESH_S = 0.2
READINGS = {  # of the rheometer, with units
    "stress": "Pa", "shear_rate": "1/s", "viscosity": "Pa s", "torque": "mN m", "temperature": "degC",
    "normal_force": "N", "time_since_shear": "s",
}  # fmt: skip
SHUTTER = ("closed", "open")


class Beamline:
    """Everything but the camera.

    Parameters
    ----------
    prefix : str
        Such as ``SIM:``.
    instrument : SimulatedInstrument
    """

    def __init__(self, prefix: str, instrument: SimulatedInstrument) -> None:
        self._instrument = instrument
        stage = instrument.stage
        self.motors = [Motor(f"{prefix}stage:{axis.attr_name.upper()}", axis) for axis in (stage.x, stage.y)]
        self._rheometer = self._rheometer_records(f"{prefix}rheo:")
        self._source = Records(f"{prefix}source:")
        self._source.readback("number", "RingCurrent", 0.0, EGU="mA", PREC=2)
        self._source.readback("number", "I0", 1.0, PREC=4)
        self._source.command("switch", "Lose", 0, "No", "Yes", act=self._lose)
        self._shutter_records(f"{prefix}shutter:")
        self._attenuator_records(f"{prefix}att:")

    def _rheometer_records(self, prefix: str) -> Records:
        rheometer, records = self._instrument.rheometer, Records(prefix)
        for name, unit in READINGS.items():
            records.readback("number", pv_name(name), 0.0, EGU=unit, PREC=6)
        records.readback("integer", "ShearNumber", 0)
        records.command("number", "ShearRate", 0.0, act=lambda rate: rheometer.shear_rate_setpoint.put(rate))
        records.readback("choice", "Mode", 0, "stop", "rate")
        return records

    def _shutter_records(self, prefix: str) -> None:
        shutter, records = self._instrument.shutter, Records(prefix)

        async def act(value: int) -> None:
            await finished(shutter.set("open" if value else "close"))

        records.setting("choice", "Position", 0, *SHUTTER, act=act)

    def _attenuator_records(self, prefix: str) -> None:
        attenuator, records = self._instrument.attenuator, Records(prefix)

        async def act(transmission: float) -> float:
            await finished(attenuator.set(transmission))
            return float(attenuator.transmission.get())

        records.setting("number", "Transmission", 1.0, act=act, PREC=4)

    def _lose(self, lost: int) -> None:
        """Dump the beam, or restore it."""
        if lost:
            self._instrument.source.lose()
        else:
            self._instrument.source.restore()

    async def refresh(self) -> None:
        """Show new readings from now on."""
        rheometer, source = self._instrument.rheometer, self._instrument.source
        while True:
            rheometer.read()
            source.read()
            values: dict[str, Any] = {pv_name(name): getattr(rheometer, name).get() for name in READINGS}
            shearing = rheometer.mode.get() == "rate"
            self._rheometer.show(**values, ShearNumber=rheometer.shear_number.get(), Mode=int(shearing))
            self._source.show(RingCurrent=source.ring_current.get(), I0=source.i0.get())
            await asyncio.sleep(REFRESH_S)


def simulation_records(
    prefix: str, instrument: SimulatedInstrument, queue: FrameQueue, plugin: Hdf5Plugin, directory: Path
) -> None:
    """Add records that no real IOC has: they make the detector fail, or give frames of a file.

    ``LostShare`` is the share of frames that the detector loses, each a frame of zeros; ``DropArrays`` is the number of
    frames that the plugin will drop; ``Fault`` ends an acquisition at its next frames. ``Recording`` is the path of a
    file below `directory` whose frames the detector gives, or empty; its readback stays if the file is refused.
    """
    detector, records = instrument.detector, Records(prefix, lambda message: records.show(Message=message))

    def lose(share: float) -> None:
        detector.lost_share = share

    def drop(n: int) -> None:
        plugin.to_drop = n

    def fail(on: int) -> None:
        queue.fault = "link to the detector lost" if on else ""

    def play(path: str) -> None:
        if path and not Path(path).resolve().is_relative_to(directory.resolve()):
            raise ValueError(f"{path} is outside of {directory}, the folder of this IOC")
        detector.recording = Recording(Path(path), detector.geometry) if path else None

    records.command("number", "LostShare", 0.0, act=lose)
    records.command("integer", "DropArrays", 0, act=drop)
    records.command("switch", "Fault", 0, "No", "Yes", act=fail)
    records.setting("text", "Recording", "", act=play)
    records.readback("text", "Message", "")
