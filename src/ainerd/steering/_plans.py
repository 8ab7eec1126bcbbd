"""Plans: one exposure, and the visit of a suggested position that waits for its analysis."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator
from bluesky_adaptive.protocols import ID_KEY

FLUSH_S = 0.2


def expose(
    detector: Any,
    *,
    beside: Sequence[Any] = (),
    monitored: Sequence[Any] = (),
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """One exposure: the detector flies, its frames are announced while it does.

    Parameters
    ----------
    detector : device
        Flyable and collectable.
    beside : sequence of devices
        Read once before the first frame, into the primary stream.
    monitored : sequence of signals
        Recorded whenever they change during the exposure.
    md : mapping, optional
        Goes into the start document.

    Returns
    -------
    str
        Uid of the run.
    """
    devices = list({id(root): root for root in (getattr(d, "root", d) for d in (detector, *beside))}.values())

    @bpp.set_run_key_decorator("ainerd_exposure")
    @bpp.stage_decorator(devices)
    @bpp.monitor_during_decorator(list(monitored))
    @bpp.run_decorator(md={"plan_name": "expose", **(md or {})})
    def inner() -> MsgGenerator[None]:
        if beside:
            yield from bps.trigger_and_read(list(beside), name="primary")
        yield from bps.declare_stream(detector, name=detector.name, collect=True)
        yield from bps.kickoff(detector, wait=True)
        yield from bps.collect_while_completing([detector], [detector], flush_period=FLUSH_S, stream_name=detector.name)

    return (yield from inner())


def visit(
    outcome_of: Callable[[str], Future],
    *,
    beside: Sequence[Any] = (),
    monitored: Sequence[Any] = (),
    timeout_s: float = 600.0,
) -> Callable[..., MsgGenerator[tuple[str, ...]]]:
    """An acquisition plan of bluesky-adaptive: move, expose, and wait until the analysis of each exposure is there.

    The wait is asynchronous: the RunEngine's loop stays free, so monitors, pause and Ctrl-C work.

    Parameters
    ----------
    outcome_of : callable
        Future of the analysis of a run, by uid.
    beside, monitored
        As in `expose`.
    timeout_s : float
        Longest wait for an analysis. The plan goes on after it; what to make of a missing outcome is the evaluation's.
    """

    def acquire(
        suggestions: Sequence[Mapping[str, Any]],
        actuators: Sequence[Any],
        sensors: Sequence[Any] | None = None,
        md: Mapping[str, Any] | None = None,
    ) -> MsgGenerator[tuple[str, ...]]:
        (detector,) = sensors or ()
        uids = []
        for suggestion in suggestions:
            yield from bps.mv(*(part for actuator in actuators for part in (actuator, suggestion[actuator.name])))
            about = {"suggestion_id": suggestion[ID_KEY], "reason": suggestion.get("reason", "")}
            readables = [*actuators, *beside]
            uids.append(
                (yield from expose(detector, beside=readables, monitored=monitored, md={**(md or {}), **about}))
            )
        futures = [outcome_of(uid) for uid in uids]

        async def analysed() -> None:
            await asyncio.wait([asyncio.wrap_future(future) for future in futures], timeout=timeout_s)

        yield from bps.wait_for([analysed])
        return tuple(uids)

    return acquire
