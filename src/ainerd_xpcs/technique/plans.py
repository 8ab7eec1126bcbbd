"""Plans of rheo-XPCS: shear the sample before an exposure, and take the rheometer's record beside its frames."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import Msg, MsgGenerator

from ainerd.plans import expose


def preshear(rheometer: Any, *rates_and_durations: float) -> MsgGenerator[None]:
    """Shear the sample, in one or more steps, and stop: ``preshear(rheometer, 30, 190, 100, 10)``.

    Parameters
    ----------
    rheometer : device
        It has two settable signals: `shear_rate_setpoint`, a shear rate in 1/s that it holds until the next one, and
        `dwell`, a number of seconds, done when they have passed at the instrument.
    *rates_and_durations : float
        Shear rate in 1/s and duration in s of each step.

    Raises
    ------
    ValueError
        If a duration is missing or not positive.
    """
    if not rates_and_durations or len(rates_and_durations) % 2 or not all(t > 0 for t in rates_and_durations[1::2]):
        raise ValueError(f"preshear takes rates, each with a positive duration, got {rates_and_durations}")

    def shear() -> MsgGenerator[None]:
        for rate, duration in zip(rates_and_durations[::2], rates_and_durations[1::2], strict=True):
            yield from bps.mv(rheometer.shear_rate_setpoint, rate)
            yield from bps.mv(rheometer.dwell, duration)

    yield from bpp.finalize_wrapper(shear(), bps.mv(rheometer.shear_rate_setpoint, 0))


def preshear_of(
    steps: Sequence[tuple[float, float]], devices: Sequence[Any]
) -> Callable[[], MsgGenerator[None]] | None:
    """Return a function that makes the plan of steps of shear, rate in 1/s and duration in s; None without steps.

    ValueError if none of the devices is a rheometer as `preshear` needs it.
    """
    if not steps:
        return None
    rheometer = next((device for device in devices if hasattr(device, "shear_rate_setpoint")), None)
    if rheometer is None:
        raise ValueError("rheo_xpcs.preshear needs a rheometer with shear_rate_setpoint and dwell: give it as beside")
    return partial(preshear, rheometer, *chain.from_iterable(steps))


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
