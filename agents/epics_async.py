"""The detector and the stage over EPICS by ophyd-async's own classes, with the records of ``make ioc``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
from ophyd_async.core import (
    DetectorTriggerLogic,
    SignalR,
    StandardReadable,
    StaticPathProvider,
    TriggerInfo,
    UUIDFilenameProvider,
)
from ophyd_async.epics import adcore
from ophyd_async.epics.core import PvSuffix
from ophyd_async.epics.motor import Motor

FLUSH_S = 0.2


class LambdaDriver(adcore.ADBaseIO):
    """The driver, with the counter of ADLambda that areaDetector's base class lacks."""

    bad_frame_counter: Annotated[SignalR[int], PvSuffix("BadFrameCounter_RBV")]


@dataclass
class LambdaTrigger(DetectorTriggerLogic):
    """The detector times its frames itself."""

    driver: LambdaDriver

    async def prepare_internal(self, num: int, livetime: float, deadtime: float) -> None:
        """Set the number of frames and their times, in seconds."""
        await adcore.prepare_exposures(self.driver, num, livetime, deadtime)


def lambda750k(prefix: str, directory: Path, name: str = "lambda750k") -> Any:
    """Return the detector, which writes its frames to `directory`; connect it by `init_devices`."""
    driver = LambdaDriver(f"{prefix}cam1:")
    return adcore.AreaDetector(
        driver,
        prefix,
        adcore.ADWriterFactory.hdf(StaticPathProvider(UUIDFilenameProvider(), directory)),
        acquire_logic=adcore.ADAcquireLogic(driver),
        trigger_logic=LambdaTrigger(driver),
        config_sigs=(driver.num_images,),
        name=name,
    )


class Stage(StandardReadable):
    """Two motors."""

    def __init__(self, prefix: str, name: str = "") -> None:
        with self.add_children_as_readables():
            self.x, self.y = Motor(f"{prefix}X"), Motor(f"{prefix}Y")
        super().__init__(name=name)


def triggered(devices: Sequence[Any], md: Mapping[str, Any]) -> Any:
    """Plan of an exposure in which the detector is triggered."""
    return bp.count(devices, md=dict(md), per_shot=take)


def take(devices: Sequence[Any], name: str = "primary") -> Any:
    """Trigger and read the devices once: `per_shot` of plans; the first one is the detector."""
    n_frames = yield from bps.rd(devices[0].driver.num_images)
    yield from bps.prepare(devices[0], TriggerInfo(collections_per_event=int(n_frames)), wait=True)
    return (yield from bps.trigger_and_read(devices, name))


def flown(devices: Sequence[Any], md: Mapping[str, Any]) -> Any:
    """Plan of an exposure in which the detector, the first device, flies, with the settings that its driver has."""
    detector, *readables = devices

    def frames() -> Any:
        yield from bps.kickoff(detector, wait=True)
        taken = yield from bps.complete(detector, group="frames")
        is_over = False
        while not is_over:
            yield from bps.sleep(FLUSH_S)
            is_over = taken.done
            yield from bps.collect(detector, name=detector.name)

    @bpp.stage_decorator([detector, *readables])
    @bpp.run_decorator(md=dict(md))
    def inner() -> Any:
        if readables:
            yield from bps.trigger_and_read(readables)
        n_frames = yield from bps.rd(detector.driver.num_images)
        yield from bps.prepare(detector, TriggerInfo(number_of_events=int(n_frames)), wait=True)
        yield from bps.declare_stream(detector, name=detector.name, collect=True)
        yield from bpp.rewindable_wrapper(frames(), False)  # after a pause or a loss of beam it goes on

    return (yield from inner())
