"""Plan: take the rheometer's record beside the frames of an exposure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import Msg, MsgGenerator

from ainerd.plans import expose


def with_record(plan: MsgGenerator[str], rheometer: Any) -> MsgGenerator[str]:
    """Fly the rheometer during the run of a plan, and collect its record whenever the plan collects frames.

    Parameters
    ----------
    plan : generator
        Of one run, such as `ainerd.plans.expose`.
    rheometer : device
        Flyable; its `collect_pages` yields the points of the record since the last time.
    """

    def begun(of: Msg) -> MsgGenerator[None]:
        yield Msg("kickoff", rheometer, group="record", run=of.run)
        yield from bps.wait("record")

    def collected(of: Msg) -> MsgGenerator[None]:
        yield Msg("collect", rheometer, run=of.run)

    def ended(of: Msg) -> MsgGenerator[Any]:
        yield Msg("complete", rheometer, group="record", run=of.run)
        yield from bps.wait("record")
        yield Msg("collect", rheometer, run=of.run)
        return (yield of)

    def changed(message: Msg) -> tuple[MsgGenerator[Any] | None, MsgGenerator[Any] | None]:
        if message.command == "open_run":
            return None, begun(message)
        if message.command == "close_run":
            return ended(message), None
        return None, collected(message) if message.command == "collect" and message.obj is not rheometer else None

    uid: str = yield from bpp.plan_mutator(plan, changed)
    return uid


def acquire_with_record(rheometer: Any) -> Callable[[Sequence[Any], Mapping[str, Any]], MsgGenerator[str]]:
    """Return the plan of an exposure with the rheometer's record, for `ainerd.agent.build_agent`.

    The detector flies, as in `ainerd.plans.expose`.
    """

    def acquire(devices: Sequence[Any], md: Mapping[str, Any]) -> MsgGenerator[str]:
        detector, *beside = devices
        return with_record(expose(detector, beside=beside, md=md), rheometer)

    return acquire
