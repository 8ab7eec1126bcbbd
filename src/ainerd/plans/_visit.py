"""Plans: one exposure, a visit of a suggested position that waits for the analysis, and many visits."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator
from bluesky_adaptive.plan_stubs import read_step
from bluesky_adaptive.plans import optimize_step
from bluesky_adaptive.protocols import ID_KEY, OptimizationProblem
from bluesky_adaptive.utils import collect_optimization_metadata

from ainerd.knobs import NOISE, READBACK, Knob, order_of_change
from ainerd.plans._limits import Device, reading
from ainerd.plans._monitored import monitored
from ainerd.plans._shutter import behind_shutter

FLUSH_S = 0.2


@dataclass(frozen=True)
class Devices:
    """Devices and plans of exposures.

    Attributes
    ----------
    detector : device
        Flyable and collectable, unless `acquire` is given.
    actuators, beside : sequences of devices
        Read once before the first frame, into the primary stream.
    monitored : sequence of signals
        Recorded whenever they change during the exposure.
    shutter : device, optional
        Set to "open" before the first frame, and to "close" when the exposure ends, fails or is aborted. This is no
        interlock: use the timeout of the hardware.
    before : callable, optional
        Returns the plan that runs at each position before its exposure.
    acquire : callable, optional
        Plan of an exposure: ``acquire(devices, md=…)`` with the detector, the actuators and `beside`, which takes
        one run and returns its uid. `bluesky.plans.count` is one. `expose` without it.
    knobs : mapping of str to Knob, optional
        By the actuators' names. Knobs with a cost move first, one by one, and settle; then the others move together.

    Examples
    --------
    >>> devices = Devices(camera, actuators=[sample_x], acquire=five_frames)
    >>> devices.shutter is None
    True
    """

    detector: Device = None
    actuators: Sequence[Device] = ()
    beside: Sequence[Device] = ()
    monitored: Sequence[Device] = ()
    shutter: Device = None
    before: Callable[[], MsgGenerator[Any]] | None = None
    acquire: Callable[..., MsgGenerator[Any]] | None = None
    knobs: Mapping[str, Knob] | None = None


def expose(
    detector: Device,
    *,
    beside: Sequence[Device] = (),
    monitored: Sequence[Device] = (),
    shutter: Device = None,
    md: Mapping[str, object] | None = None,
) -> MsgGenerator[str]:
    """Take one exposure: the detector flies, and its frames are announced during the flight.

    A pause of the RunEngine does not stop the detector: frames taken meanwhile are announced when the plan goes on.

    Parameters
    ----------
    detector, beside, monitored, shutter
        See `Devices`.
    md : mapping, optional
        Goes into the start document.

    Returns
    -------
    str
        Uid of the run.

    Examples
    --------
    >>> announced = []
    >>> plan = expose(lambda750k, beside=[sample_x], md={"sample": "PEG 3"})
    >>> (uid,) = RE(plan, lambda name, document: announced.append(document))
    >>> announced[0]["sample"], announced[-2]["indices"]["stop"], announced[-1]["exit_status"]
    ('PEG 3', 100, 'success')
    """
    return (yield from _flight(Devices(detector, beside=beside, monitored=monitored, shutter=shutter), md))


def _flight(devices: Devices, md: Mapping[str, object] | None) -> MsgGenerator[str]:
    """Take one run in which the detector flies."""
    detector, beside = devices.detector, [*devices.actuators, *devices.beside]
    staged = list({id(root): root for root in (getattr(d, "root", d) for d in (detector, *beside))}.values())

    def frames() -> MsgGenerator[None]:
        yield from bps.kickoff(detector, wait=True)
        taken = yield from bps.complete(detector, group="ainerd_frames")
        is_over = False
        while not is_over:  # bps.collect_while_completing would end too early after a pause, which forgets the group
            waited = yield from bps.wait("ainerd_frames", timeout=FLUSH_S, error_on_timeout=False)
            is_over = taken.done
            if waited and not is_over:
                yield from bps.sleep(FLUSH_S)
            yield from bps.collect(detector, name=detector.name)

    def inner() -> MsgGenerator[None]:
        if beside:
            yield from bps.trigger_and_read(beside, name="primary")
        yield from bps.declare_stream(detector, name=detector.name, collect=True)
        exposure = behind_shutter(devices.shutter, frames)
        yield from bpp.rewindable_wrapper(exposure, False)  # after a pause it goes on, and is not kicked off again

    run = bpp.run_wrapper(inner(), md={"plan_name": "expose", **(md or {})})
    run = bpp.stage_wrapper(monitored(run, devices.monitored), staged)
    uid: str = yield from bpp.set_run_key_wrapper(run, "ainerd_exposure")
    return uid


def visit(
    outcome_of: Callable[[str], Future[Any]] | None,
    devices: Devices | None = None,
    *,
    go: Callable[[], MsgGenerator[object]] | None = None,
    timeout_s: float = 600.0,
    **fields: Any,
) -> Callable[..., MsgGenerator[tuple[str, ...]]]:
    """Make an acquisition plan for bluesky-adaptive: move, expose, and wait for the analysis of each exposure.

    The wait is asynchronous: the RunEngine's loop stays free, so monitors, pause and Ctrl-C work.

    Parameters
    ----------
    outcome_of : callable or None
        Future of the analysis of a run, by uid; None: the plan does not wait.
    devices : Devices, optional
        Detector and actuators are those that bluesky-adaptive passes.
    go : callable, optional
        Makes the plan that runs just before each exposure, and ends when the exposure may begin.
    timeout_s : float
        Longest wait for an analysis. The plan goes on after it; the evaluation handles a missing outcome.
    **fields
        Fields of `Devices`, instead of `devices` or of its fields.

    Examples
    --------
    >>> measure = visit(None, acquire=five_frames)
    >>> _ = RE(measure([{"_id": "1", "sample_x": 3.0}], [sample_x], [camera]))
    >>> sample_x.position
    3.0
    """
    given = replace(devices or Devices(), **fields)

    def one(suggestion: Mapping[str, object], devices: Devices, md: Mapping[str, object]) -> MsgGenerator[str]:
        """Move to a suggestion, and expose there."""
        yield from _move(devices.actuators, suggestion, devices.knobs or {})
        if devices.before is not None:
            yield from devices.before()
        if go is not None:
            yield from go()
        metadata = {**md, "suggestion_id": suggestion[ID_KEY], "reason": suggestion.get("reason", "")}
        if devices.acquire is None:
            return (yield from _flight(devices, metadata))
        plan = devices.acquire([devices.detector, *devices.actuators, *devices.beside], md=metadata)
        keyed = bpp.set_run_key_wrapper(monitored(plan, devices.monitored), "ainerd_exposure")
        uid: str = yield from behind_shutter(devices.shutter, lambda: keyed)
        return uid

    def measure(
        suggestions: Sequence[Mapping[str, object]],
        actuators: Sequence[Device],
        sensors: Sequence[Device] | None = None,
        md: Mapping[str, object] | None = None,
    ) -> MsgGenerator[tuple[str, ...]]:
        (detector,) = sensors or ()
        used = replace(given, detector=detector, actuators=actuators)
        uids = []
        for suggestion in suggestions:
            uid = yield from one(suggestion, used, md or {})
            if not isinstance(uid, str):
                raise ValueError(f"the plan of an exposure must take one run and return its uid, got {uid!r}")
            uids.append(uid)
            yield from bps.checkpoint()  # a deferred pause waits for the end of the exposure
        if outcome_of is None:
            return tuple(uids)
        futures = [outcome_of(uid) for uid in uids]

        async def analysed() -> None:
            await asyncio.wait([asyncio.wrap_future(future) for future in futures], timeout=timeout_s)

        yield from bps.wait_for([analysed])
        return tuple(uids)

    return measure


def _move(actuators: Sequence[Device], position: Mapping[str, Any], knobs: Mapping[str, Knob]) -> MsgGenerator[None]:
    """Plan: move knobs with a cost one by one, the slowest first, each with its time to settle; then all others.

    A knob that is there already does not move. It need not settle if only the noise of its reading has changed.

    ValueError, before anything moves, if a knob must not go there from where it is.
    """
    by_name = {actuator.name: actuator for actuator in actuators}
    change = {}
    for name, knob in knobs.items():
        now = yield from reading(by_name[name])
        if (objection := knob.objection(now, position[name])) is not None:
            raise ValueError(f"{name} = {position[name]:g} {objection}")
        low, high = knob.range
        change[name] = abs(position[name] - now) / (high - low)
    slow = order_of_change(knobs)
    for name in slow:
        if not change[name] <= READBACK:
            yield from bps.mv(by_name[name], position[name])
        if not change[name] <= NOISE:
            yield from bps.sleep(knobs[name].settle_s)
    together = [part for name, actuator in by_name.items() if name not in slow for part in (actuator, position[name])]
    if together:
        yield from bps.mv(*together)


def explore(
    problem: OptimizationProblem[Any], n: int | None = None, before_each: Callable[[], MsgGenerator[Any]] | None = None
) -> MsgGenerator[None]:
    """Measure the optimizer's suggestions one after the other, in a run that records suggestions and outcomes.

    The plan measures `n` positions, or continues until ``problem.optimizer.should_stop()``. Unlike
    `bluesky_adaptive.plans.optimize` (1.0.0) it also records the last step when the optimizer stops. With `n` it does
    not check `should_stop`. `before_each` returns the plan that runs before each suggestion is taken.

    Examples
    --------
    >>> _ = RE(explore(agent.problem, 2))
    >>> agent.results.table()["sample_x"].round(1).tolist()
    [5.0, 8.5]
    """
    metadata = {**collect_optimization_metadata(problem), "plan_name": "explore", "iterations": n}

    def steps() -> MsgGenerator[None]:
        readables: dict[str, object] = {}
        for i in count() if n is None else range(n):
            if before_each is not None:
                yield from before_each()
            uids, suggestions, outcomes = yield from optimize_step(problem)
            yield from read_step(uids, suggestions, outcomes, iteration=i, readable_cache=readables)
            yield from bps.checkpoint()
            if n is None and problem.optimizer.should_stop()[0]:
                return

    yield from bpp.set_run_key_wrapper(bpp.run_wrapper(steps(), md=metadata), "ainerd_explore")
