"""The shutter of an exposure: it opens for the frames of a plan, and closes when the plan ends."""

from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from ainerd.plans._limits import Device


def behind_shutter(shutter: Device, plan: Callable[[], MsgGenerator[object]]) -> MsgGenerator[Any]:
    """Plan: open the shutter, run a plan, and close the shutter when the plan ends, also by an error or an abort.

    This is no interlock: the shutter stays open during a pause, after ``RE.halt()`` and after the end of the process.

    Parameters
    ----------
    shutter : device or None
        It accepts "open" and "close". None: the beam is always open.
    plan : callable
        Returns the plan of the frames.
    """
    if shutter is None:
        return (yield from plan())

    def opened() -> MsgGenerator[object]:
        yield from bps.mv(shutter, "open")
        return (yield from plan())

    def closed() -> MsgGenerator[None]:
        yield from bps.mv(shutter, "close")

    return (yield from bpp.finalize_wrapper(opened(), closed))
