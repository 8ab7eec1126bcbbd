"""Limits and units of actuators, of ophyd and ophyd-async."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import bluesky.plan_stubs as bps
from bluesky.run_engine import call_in_bluesky_event_loop, get_bluesky_event_loop
from bluesky.utils import MsgGenerator

from ainerd.units import same_unit, stated

Device: TypeAlias = Any  # of ophyd, or of ophyd-async
ANSWER_S = 10.0  # longest wait for a device


def check_limits(actuators: Sequence[Device], position: Mapping[str, object]) -> None:
    """Check each actuator's part of a position with its `check_value`; an actuator without one is not checked.

    ValueError, with the actuator's answer, if one cannot go there. Not for plans, where a device of ophyd-async could
    not answer: there each device refuses a position that it cannot reach.
    """
    for actuator in actuators:
        x = position[actuator.name]
        if (check := getattr(actuator, "check_value", None)) is None:
            continue
        try:
            answer_of(check(x))
        except NoEventLoop:
            raise
        except Exception as error:  # LimitError is each control system's own
            raise ValueError(f"{actuator.name} = {x:g} is not within the limits of the actuator: {error}") from error


def check_units(actuators: Sequence[Device], units: Mapping[str, str]) -> None:
    """Raise ValueError if an actuator has no reading of its own name, or describes another unit than the settings.

    One without a unit is believed.
    """
    for actuator in actuators:
        if not hasattr(actuator, "describe"):
            continue
        described = answer_of(actuator.describe())
        if actuator.name not in described:
            raise ValueError(
                f"{actuator.name} has no reading {actuator.name!r}, which is its position in the runs, but "
                f"{', '.join(described) or 'none'}: give its readback the name of the actuator, as EpicsMotor does"
            )
        own, wanted = stated(described[actuator.name].get("units")), units.get(actuator.name)
        if own and wanted and not same_unit(own, wanted):
            raise ValueError(
                f"{actuator.name} moves in {own[:20]!r}, but its unit in the settings is {wanted!r}: correct "
                "the settings, with its limits, or the device"
            )


def reading(device: Device) -> MsgGenerator[float]:
    """Plan: return the number that a device reads, and read again if a pause has cut that short."""
    number = yield from bps.rd(device, default_value=None)
    return float((yield from bps.rd(device)) if number is None else number)


class NoEventLoop(RuntimeError):
    """Raised if a device of ophyd-async is asked before there is a RunEngine."""


def answer_of(answer: object) -> Any:
    """Return the answer of a device; ophyd-async answers in the event loop of the RunEngine.

    Not for plans, which run in that loop. Raises NoEventLoop if such a device is asked before there is a RunEngine.
    """
    if not inspect.isawaitable(answer):
        return answer
    if get_bluesky_event_loop() is None:
        if inspect.iscoroutine(answer):
            answer.close()
        raise NoEventLoop("make the RunEngine before the agent: ophyd-async devices need its event loop")
    return call_in_bluesky_event_loop(answer, timeout=ANSWER_S)
