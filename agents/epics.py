"""The instrument over EPICS: ophyd's own classes, with the records of ``make ioc``."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
from ophyd import Component, Device, EpicsMotor, EpicsSignal, EpicsSignalRO
from ophyd.areadetector import ADComponent, DetectorBase, SingleTrigger
from ophyd.areadetector.cam import Lambda750kCam
from ophyd.areadetector.filestore_mixins import FileStoreHDF5IterativeWrite
from ophyd.areadetector.plugins import HDF5Plugin_V34

CONNECT_S = 5.0


class HDF5(HDF5Plugin_V34, FileStoreHDF5IterativeWrite):
    """The plugin that writes the frames; others can read the file while it is open.

    Its counter of dropped frames begins at each staging.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stage_sigs.update(swmr_mode=1, dropped_arrays=0)
        self.stage_sigs.move_to_end("capture")  # it opens the file

    def stage(self) -> Any:
        """Open the file. A plan may describe the frames from now on, not only after the first exposure."""
        staged = super().stage()
        self._datum_uids.setdefault(f"{self.parent.name}_image", [])  # `describe` looks at it
        return staged


class LambdaCam(Lambda750kCam):
    """The driver, with the flags of ADLambda that ophyd's class lacks."""

    bad_frame_counter = ADComponent(EpicsSignalRO, "BadFrameCounter_RBV")


class Lambda(SingleTrigger, DetectorBase):
    """A Lambda 750k: each trigger takes `num_images` frames."""

    cam = ADComponent(LambdaCam, "cam1:")
    hdf1 = ADComponent(HDF5, "HDF1:", write_path_template="", root="/")


def lambda750k(prefix: str, directory: Path, name: str = "lambda750k") -> Lambda:
    """Return the detector, connected, that writes its frames below `directory`."""
    detector = Lambda(prefix, name=name, read_attrs=["cam", "hdf1"], configuration_attrs=["cam"])
    detector.hdf1.write_path_template = str(directory)
    detector.hdf1.read_attrs = ["dropped_arrays"]
    detector.cam.read_attrs = ["bad_frame_counter", "detector_state"]
    detector.cam.configuration_attrs = ["num_images", "acquire_period", "acquire_time"]
    detector.wait_for_connection(timeout=CONNECT_S)
    detector.hdf1.create_directory.set(-3).wait(CONNECT_S)  # before the first staging, which sets the path first
    return detector


class Stage(Device):
    """Two motors."""

    x = Component(EpicsMotor, "X")
    y = Component(EpicsMotor, "Y")


class Rheometer(Device):
    """The rheometer; setting `shear_rate_setpoint` shears, and 0 lets the sample rest."""

    stress = Component(EpicsSignalRO, "Stress_RBV", kind="hinted")
    shear_rate = Component(EpicsSignalRO, "ShearRate_RBV")
    time_since_shear = Component(EpicsSignalRO, "TimeSinceShear_RBV")
    shear_rate_setpoint = Component(EpicsSignal, "ShearRate", put_complete=True, kind="config")


class Shutter(EpicsSignal):
    """A shutter that is set to "open" or "close"."""

    def __init__(self, prefix: str, *, name: str, **kwargs: Any) -> None:
        super().__init__(f"{prefix}_RBV", write_pv=prefix, name=name, string=True, put_complete=True, **kwargs)

    def set(self, value: str, **kwargs: Any) -> Any:
        """Open or close.

        Raises
        ------
        ValueError
            If `value` is neither "open" nor "close".
        """
        if value not in ("open", "close"):
            raise ValueError(f'{self.name} takes "open" or "close", got {value!r}')
        return super().set("open" if value == "open" else "closed", **kwargs)


class Attenuator(Device):
    """Foils; setting a transmission inserts those that come nearest to it."""

    transmission = Component(EpicsSignalRO, "Transmission_RBV", kind="hinted")
    setpoint = Component(EpicsSignal, "Transmission", put_complete=True)

    def set(self, transmission: float) -> Any:
        """Move foils.

        Raises
        ------
        ValueError
            If `transmission` is not above 0 and at most 1: the IOC would refuse it without an error.
        """
        if not 0 < transmission <= 1:
            raise ValueError(f"{self.name} takes a transmission above 0 and at most 1, got {transmission}")
        return self.setpoint.set(transmission)


class Source(Device):
    """The ring, and the beam before the shutter."""

    ring_current = Component(EpicsSignalRO, "RingCurrent_RBV")
    i0 = Component(EpicsSignalRO, "I0_RBV")


def connected(plan: Any, devices: Sequence[Any], wait_s: float = 30.0) -> Any:
    """Plan: run a plan once the devices are connected, such as after an IOC was started again.

    Raises
    ------
    RuntimeError
        If a device is not connected after `wait_s` seconds.
    """
    end = time.monotonic() + wait_s
    while away := [device.name for device in devices if not device.connected]:
        if time.monotonic() > end:
            names = ", ".join(away)
            raise RuntimeError(f"no IOC answered for {names} in {wait_s:g} s: start it, and run the plan again")
        yield from bps.sleep(0.1)
    return (yield from plan)
