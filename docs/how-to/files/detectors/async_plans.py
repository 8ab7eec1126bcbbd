"""Plans of an exposure of 5000 frames with a detector of ophyd-async, for `acquire` of the agent and for scans."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
from ophyd_async.core import TriggerInfo

N_FRAMES, FRAME_TIME_S = 5000, 0.01


def flown(devices, md):
    """The detector, the first device, flies, and its frames are analysed while they arrive."""
    detector, *readables = devices

    def frames():
        yield from bps.kickoff(detector, wait=True)
        taken = yield from bps.complete(detector, group="frames")
        is_over = False
        while not is_over:
            yield from bps.sleep(0.2)
            is_over = taken.done
            yield from bps.collect(detector, name=detector.name)

    @bpp.stage_decorator(devices)
    @bpp.run_decorator(md=dict(md))
    def inner():
        if readables:
            yield from bps.trigger_and_read(readables)
        # after staging, and before the detector is kicked off
        info = TriggerInfo(number_of_events=N_FRAMES, livetime=FRAME_TIME_S)
        yield from bps.prepare(detector, info, wait=True)
        yield from bps.declare_stream(detector, name=detector.name, collect=True)
        yield from bpp.rewindable_wrapper(frames(), False)  # after a pause or a loss of beam it goes on

    return (yield from inner())


def take(devices, name="primary"):
    """Read the devices once; the detector, the first one, takes all its frames in this event."""
    info = TriggerInfo(collections_per_event=N_FRAMES, livetime=FRAME_TIME_S)
    yield from bps.prepare(devices[0], info, wait=True)
    return (yield from bps.trigger_and_read(devices, name))


def step(detectors, step, pos_cache):
    """Take an exposure at one point of a scan, as `per_step`."""
    return (yield from bps.one_nd_step(detectors, step, pos_cache, take_reading=take))


def triggered(devices, md):
    """The detector is triggered."""
    return (yield from bp.count(devices, md=dict(md), per_shot=take))
