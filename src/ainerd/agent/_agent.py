"""The agent with devices: it analyses the runs of a RunEngine, and measures the positions that it suggests.

Only this module builds agents from technique, settings and devices.
"""

from __future__ import annotations  # so that IPython's ? shows the types as in this file

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky import RunEngine
from bluesky.utils import MsgGenerator
from bluesky_adaptive.plans import sample_suggestions
from bluesky_adaptive.protocols import OptimizationProblem
from numpy.typing import NDArray
from rich.text import Text
from tiled.client.container import Container

from ainerd.agent._disks import SLOW_S
from ainerd.agent._display import GUIDE, AgentPlan, say, write_report
from ainerd.agent._observer import Observer
from ainerd.campaign import ExposureChoice, Travel
from ainerd.config import Settings, SettingsError
from ainerd.results import ConfigurationRecord, ResultStore
from ainerd.runs import RawWriter, parameters_of
from ainerd.server import open_catalog
from ainerd.steering import Devices, Exposing, answer_of, check_limits, check_units, explore, visit
from ainerd.technique import Technique, TechniqueError, load
from ainerd.words import printable

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # between two looks at commands, while a plan waits for a person
BUSY_S = 10.0  # longest wait of a plan for a busy campaign


class Agent(Observer):
    """Analyses runs, shows results, suggests the next position, and measures there.

    Made by `ainerd.agent.build_agent`. Once attached to a RunEngine, the agent analyses every run that uses the
    detector. With ``RE(agent.explore(n))`` it also measures.

    Parameters
    ----------
    technique, client, settings, travel
        As for `Observer`.
    devices : Devices
    exposing : callable, optional
        `ainerd.steering.Exposing` with these devices, if the settings have ``[steering.exposure]``.

    Examples
    --------
    >>> _ = RE(agent.explore(2))  # two positions of its own choice
    >>> _ = agent.add(3.5, reason="a scratch")
    >>> _ = RE(agent.explore(1))
    >>> agent.results.table()[["sample_x", "counts", "status"]].round(1).reset_index(drop=True)
       sample_x  counts    status
    0       5.0     4.1  complete
    1       7.5    20.2  complete
    2       3.5     3.9  complete
    >>> agent.drain()  # until the status of the last suggestion is written
    True
    >>> agent.results.suggestions("measured")["reason"].iloc[-1]
    'a scratch'
    """

    def __init__(
        self,
        technique: Technique,
        client: Container,
        settings: Settings,
        travel: Travel | None,
        devices: Devices,
        exposing: Callable[..., Exposing] | None = None,
    ) -> None:
        missing = set(settings.steering.bounds) ^ {actuator.name for actuator in devices.actuators}
        if missing:
            raise ValueError(
                f"bounds and actuators must have the same names, these differ: {', '.join(sorted(missing))}"
            )
        super().__init__(technique, client, settings, travel)
        self._devices, exposures = devices, self._campaign.exposures
        self._exposing = None
        if exposing is not None and exposures is not None:
            self._exposing = exposing(exposures.book, choose=self._campaign.exposure_of, took=exposures.took)
        self._raw_writer = RawWriter(self._raw, self._backup, self.results.answers)
        self._shared_writer = self._state.raw = self._raw_writer  # the one that writes the runs of the RunEngine
        self._is_settled = True  # whether no other session measures the next position, as far as Tiled tells
        self._attached: tuple[RunEngine, int] | None = None
        self.__doc__ = GUIDE  # for `agent?`

    @property
    def problem(self) -> OptimizationProblem[Any, Any, Any]:
        """Optimizer, devices and plan of an exposure, in the form of bluesky-adaptive."""
        return self._problem()

    def _problem(self, go: Callable[[], MsgGenerator[Any]] | None = None) -> OptimizationProblem[Any, Any, Any]:
        """Return `problem`, with a plan that runs just before each exposure."""
        devices = self._devices
        measure = visit(self._worker.outcomes, devices, exposing=self._exposing, go=go)
        measure = measure if go is None else self._with_room(measure)
        return OptimizationProblem(self._campaign, devices.actuators, [devices.detector], self.evaluate, measure)

    def attach(self, RE: RunEngine) -> None:
        """Subscribe the agent and the writer of raw runs, which has its own threads. A second call does nothing.

        Agents of one RunEngine with the same catalog share one writer of raw runs: that of the first one.

        Raises RuntimeError if the agent is attached to another RunEngine.
        """
        if self._attached is not None:
            if self._attached[0] is not RE:
                raise RuntimeError("the agent is attached to another RunEngine: agent.detach() first")
            return
        self._shared_writer = self._state.raw = self._raw_writer.attach(RE)
        self._jobs.submit(self._shared_writer.wait_until_made_up)
        self._attached = RE, RE.subscribe(self)

    def detach(self) -> None:
        """Unsubscribe, after all documents that have arrived are written."""
        if self._attached is None:
            return
        engine, token = self._attached
        self._attached = None
        engine.unsubscribe(token)
        self._shared_writer.detach()

    def catch_up(self, newest: int = 100) -> int:
        """Write the raw runs that an earlier session left on disk to Tiled, then do as `Observer.catch_up`."""
        self._raw_writer.make_up()
        return super().catch_up(newest)

    def health(self) -> dict[str, Any]:
        """Return `Observer.health`, and in ``raw_kept`` the number of raw runs on disk that Tiled did not accept."""
        return {**super().health(), "raw_kept": len(self._shared_writer.kept())}

    def close(self) -> None:
        """Detach, and end the worker after all runs that have arrived are analysed."""
        self.detach()
        for writer in {self._raw_writer, self._shared_writer}:
            writer.close()
        super().close()

    def explore(self, n: int | None = None) -> MsgGenerator[None]:
        """Plan: measure positions, each chosen after the previous one is analysed: ``RE(agent.explore(12))``.

        Parameters
        ----------
        n : int, optional
            Number of positions. Without it the plan ends when the sample is explored, and the agent writes a report as
            ``ainerd report`` does; ``agent.status()["explored"]`` shows the progress.

        Raises
        ------
        RuntimeError
            If the agent is not attached. In mode review the plan also raises it if nobody takes a suggestion in time.
        ValueError
            If `n` is not a positive number.
        """
        self._require_attached()
        if n is not None and (not isinstance(n, int) or n < 1):
            raise ValueError(f"explore needs a number of positions, got {n!r}")
        plan = self._closed(explore(self._problem(self._may_expose), n, before_each=self._ask))
        if n is None:
            plan = self._reported(plan)
        return AgentPlan(f"agent.explore({'' if n is None else n})", plan)

    def sample(self, *points: Mapping[str, Any] | Sequence[float]) -> MsgGenerator[Any]:
        """Plan: measure points of your own: ``RE(agent.sample((2.0, 3.5), (8.0, 1.0)))``, or ``agent.accept()``.

        Parameters
        ----------
        *points
            One number for each actuator, or a mapping from their names to numbers, which may have a ``reason``.

        Raises
        ------
        RuntimeError
            If the agent is not attached.
        ValueError
            If a point lies outside the bounds or in an excluded region, an actuator is missing, or no point is given.
        """
        self._require_attached()
        if not points:
            raise ValueError("sample needs points: agent.sample((2.0, 3.5))")
        if wrong := next((p for p in points if not isinstance(p, Mapping | Sequence)), None):
            raise ValueError(f"a point has a number for each of {', '.join(self.bounds)}, got {wrong!r}")
        named = [p if isinstance(p, Mapping) else self._campaign.position(p) for p in points]
        for point in named:  # it may have a reason and terms, too
            self._campaign.position({name: point[name] for name in self.bounds if name in point})
        return AgentPlan("agent.sample(…)", self._closed(sample_suggestions(self.problem, named)))

    def stay(self, n: int) -> MsgGenerator[Any]:
        """Plan: measure `n` times at the present position: ``RE(agent.stay(5))`` follows a regime that changes.

        Raises the errors of `explore`.
        """
        self._require_attached()
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"stay needs a number of exposures, got {n!r}")
        return AgentPlan(f"agent.stay({n})", self._stay(n))

    def test_beam(self) -> MsgGenerator[Any]:
        """Plan: test whether the beam changes the dynamics: this spot at a low, a high and again the low transmission.

        The three exposures have the same frame time and frames. The verdict is a line of `agent.log()`. It needs
        ``[steering.exposure]`` with two transmissions or more, and dose for all three.

        Raises
        ------
        RuntimeError
            If the agent is not attached.
        ValueError
            If the settings have no exposures or one transmission; in the plan, if the remaining dose is too small.
        """
        self._require_attached()
        exposures = self._campaign.exposures
        if exposures is None or len(exposures.options.transmissions) < 2:
            raise ValueError("test_beam needs [steering.exposure] in the settings, with two transmissions or more")
        return AgentPlan("agent.test_beam()", self._test_beam(exposures))

    def status(self) -> dict[str, Any]:
        """Return the state of the agent as plain values.

        With ``[steering.exposure]``, ``beam_s`` is the beam time of the sample so far, ``dose`` the sum of its doses.
        """
        exposures = self._campaign.exposures
        beam = {} if exposures is None else {"beam_s": exposures.book.seconds, "dose": exposures.book.total}
        return {"attached": self._attached is not None, **super().status(), **beam}

    def _closed(self, plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        """Close the shutter before anything moves, because a killed session may have left it open; enter its dose."""
        if self._devices.shutter is not None:
            yield from bps.mv(self._devices.shutter, "close")
        if self._exposing is not None:
            self._exposing.book.settle()
        return (yield from plan)

    def _reported(self, plan: MsgGenerator[Any]) -> MsgGenerator[None]:
        """Run a plan; the agent's thread writes the report after it, unless the plan ends early."""
        yield from plan
        self._jobs.submit(partial(write_report, self.results, self._backup.parent, self.bounds))

    def _stay(self, n: int) -> MsgGenerator[Any]:
        here = yield from self._here()
        return (yield from self.sample(*({**here, "reason": f"to stay here, {i + 1} of {n}"} for i in range(n))))

    def _test_beam(self, exposures: ExposureChoice) -> MsgGenerator[Any]:
        here = yield from self._here()
        points = exposures.beam_test(here)
        yield from self.sample(*points)
        verdict = exposures.beam_verdict(points)
        self._campaign.ledger.note(verdict.text)
        say(Text(f"ainerd: {verdict.text}"))
        return verdict

    def _here(self) -> MsgGenerator[dict[str, float]]:
        """Return the present position, within the bounds."""
        here = {}
        for actuator in self._devices.actuators:
            low, high = self.bounds[actuator.name]
            x = yield from bps.rd(actuator)
            here[actuator.name] = float(np.clip(x, low, high))  # a motor may stop a few microns beyond its limit
        return here

    def _ask(self) -> MsgGenerator[None]:
        """Execute commands, and wait while a person holds the campaign.

        In mode review also wait until a person takes a suggestion.
        """
        begun, printed = time.monotonic(), None
        try:
            while True:
                yield from bps.wait_for([self._commands_done])
                self._state.waits = waits = self._waits_for()
                if waits is None:
                    return
                if waits != printed:
                    printed = waits
                    self._say_waits(waits)
                if self.review and self._campaign.state.held is None:
                    timeout_s = self._settings.steering.review_timeout_s
                    if time.monotonic() - begun > timeout_s:
                        raise RuntimeError(f"nobody took the suggestion in {timeout_s:g} s: the plan ends")
                yield from bps.sleep(LOOK_S)
        finally:
            self._state.waits = None

    def _may_expose(self) -> MsgGenerator[None]:
        """Wait while a person holds the campaign, or a disk is full. A hold may have come while the motors moved."""
        try:
            while True:
                yield from bps.wait_for([self._looked])
                waits = self._held_because() or self._full_because()
                if waits is None:
                    return
                if waits != self._state.waits:
                    self._state.waits = waits
                    self._say_waits(waits)
                yield from bps.sleep(LOOK_S)
        finally:
            self._state.waits = None

    def _held_because(self) -> str | None:
        if (held := self._campaign.state.held) is None:
            return None
        why = f" ({held['why']})" if held["why"] else ""
        return f"because {held['by']} holds it{why}: release it on the page"

    def _full_because(self) -> str | None:
        """Return the problem of a disk for which the plan waits."""
        return None if (problem := self._disks.problem) is None else f"because {problem}"

    def _say_waits(self, waits: str) -> None:
        say(Text(printable(f"the plan waits {waits}; Ctrl-C twice, then RE.stop(), ends it"), "yellow"))
        self._state.changed()

    def _with_room(self, measure: Callable[..., MsgGenerator[tuple[str, ...]]]) -> Callable[..., MsgGenerator[Any]]:
        """Return an acquisition plan that takes an exposure again that failed because a disk was full."""

        def measured(suggestions: Sequence[Mapping[str, Any]], *args: Any, **kwargs: Any) -> MsgGenerator[Any]:
            while True:
                try:
                    return (yield from measure(suggestions, *args, **kwargs))
                except Exception:
                    yield from bps.wait_for([self._looked])
                    if self._disks.problem is None:
                        raise
                    logger.warning("an exposure failed because %s: it is taken again", self._disks.problem)

        return measured

    async def _looked(self) -> None:
        """Wait for a look at the disks, but not for a disk that does not answer."""
        await asyncio.wait([asyncio.wrap_future(self._disks.look())], timeout=SLOW_S)

    async def _commands_done(self) -> None:
        """Wait until the campaign has executed the waiting commands and has a suggestion, at most `BUSY_S` for each."""

        def execute() -> None:
            self._state.commands.read()
            with suppress(ValueError):  # no position is left: the plan will end with that reason
                self._campaign.peek()
                self._is_settled = self._campaign.settle()

        for job in (execute, lambda: None):  # the second runs after the jobs that the first submits
            done, _ = await asyncio.wait([asyncio.wrap_future(self._tiled.submit(job))], timeout=BUSY_S)
            if not done:
                return

    def _waits_for(self) -> str | None:
        """Return the reason why the plan waits before the next point; None if it may continue."""
        if (held := self._held_because()) is not None:
            return held
        if (full := self._full_because()) is not None:
            return full
        if not self._is_settled:
            return "for Tiled, to learn where other sessions measure"
        if self.review and self._campaign.taken is None:
            try:
                self._campaign.peek()  # fast: the suggestion is ready, see `_commands_done`
            except ValueError:  # no position is left: the plan will end with that reason
                return None
            return "for a person who takes the suggestion on the page"
        return None

    def _require_attached(self) -> None:
        if self._attached is None:
            raise RuntimeError("the agent is not attached: agent.attach(RE) first")


def build_technique(settings: Settings, store: ResultStore | None = None) -> Technique:
    """Build the technique of the settings, and write the common data of its results to `store`, if one is given.

    Raises ValueError if the technique is not installed, or if its section of the settings is invalid.

    Examples
    --------
    >>> technique = build_technique(settings)
    >>> technique.name, technique.alpha, technique.usual_counts
    ('toy', 0.2, [3.0, 3.4, 3.7, 4.0, 4.3, 4.6, 5.0])
    """
    with _one_line_errors(settings):
        technique = load(settings.technique).from_settings(settings.section, settings.folder)
    if store is None:
        return technique
    with _one_line_errors(settings):
        common = technique.common()
    if common is not None:
        record = ConfigurationRecord(
            technique=technique.name,
            parameters=parameters_of(technique, settings.detector),
            instrument={name: value for name, value in common.instrument.items() if value is not None},
            units=dict(common.units),
        )
        store.add_configuration(record, common.arrays, common.dims)
    return technique


@contextmanager
def _one_line_errors(settings: Settings) -> Iterator[None]:
    """Turn any error of a technique into a SettingsError of one line, because a technique may be third-party code.

    The lines of a SettingsError name the file.
    """
    try:
        yield
    except SettingsError as error:
        raise (error if settings.file is None else error.in_file(settings.file)) from None
    except TechniqueError:
        raise
    except Exception as error:
        kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
        raise SettingsError(f"technique {settings.technique}: {kind}{error}") from error


def build_observer(settings: Settings, client: Container) -> Observer:
    """Return an agent without devices, which gets documents from another process; see `build_agent`.

    Examples
    --------
    >>> client, close = open_tiled(settings.storage)
    >>> observer = build_observer(settings, client)
    >>> observer.quiet = True
    >>> for name, document in documents:  # of any process
    ...     observer(name, document)
    >>> observer.drain()
    True
    >>> observer.results.table()[["scan_id", "counts", "temperature"]].values.tolist()
    [[1, 4.0, 300.0]]
    >>> observer.close()
    >>> close()
    """
    _check_types(settings, client)
    observer = Observer(_open(settings, client), client, settings)
    observer.start()
    return observer


def build_agent(
    settings: Settings,
    client: Container,
    *,
    detector: Any,
    actuators: Sequence[Any],
    beside: Sequence[Any] = (),
    shutter: Any = None,
    attenuator: Any = None,
    before: Callable[[], MsgGenerator[Any]] | None = None,
    acquire: Callable[..., MsgGenerator[Any]] | None = None,
) -> Agent:
    """Return an agent with devices.

    Parameters
    ----------
    settings : Settings
    client : tiled.client.container.Container
        Root of the catalog. Missing containers ``raw`` and ``ainerd`` are created.
    detector, actuators : device, sequence of devices
        The actuators have the names in ``steering.bounds``.
    beside : sequence of devices
        Read once in each run. Their signals that ``recorded.series`` names are monitored.
    shutter : device, optional
        Opened for each exposure of the agent; it accepts "open" and "close".
    attenuator : device, optional
        Set to a transmission for each exposure, if the settings have ``[steering.exposure]``; it reads back the real
        one.
    before : callable, optional
        Returns a plan to run at each position before the exposure.
    acquire : callable, optional
        Plan of an exposure, for a detector that does not fly; see `ainerd.steering.visit`.

    Raises
    ------
    ValueError
        If settings, technique and devices do not fit together.
    TypeError
        If an argument has the wrong type.

    Examples
    --------
    >>> client, close = open_tiled(settings.storage)
    >>> agent = build_agent(settings, client, detector=camera, actuators=[sample_x], acquire=five_frames)
    >>> agent.attach(RE)
    >>> agent.quiet = True
    >>> _ = RE(agent.sample([8.0]))  # where the sample is bright
    >>> agent.results.table()[["sample_x", "n_frames", "novel"]].values.tolist()
    [[8.0, 5, True]]
    >>> agent.close()
    >>> close()
    """
    _check_types(settings, client)
    for argument, each in {"actuators": actuators, "beside": beside}.items():
        if hasattr(each, "name"):
            raise TypeError(f"{argument} must be a list of devices: {argument}=[{each.name}]")
    for device in (detector, *actuators, *beside):
        if not hasattr(device, "name"):
            raise TypeError(f"{device!r} is not a device: give the object itself, not its name")
    for corner in zip(*settings.steering.bounds.values(), strict=True):
        position = dict(zip(settings.steering.bounds, corner, strict=True))
        try:
            check_limits([actuator for actuator in actuators if actuator.name in position], position)
        except ValueError as error:
            raise SettingsError(f"steering.bounds: {error}") from None
    check_units(actuators, settings.units)
    monitored = _signals(beside, settings.recorded.series.values()) if beside else []
    knobs = settings.steering.knobs
    devices = Devices(detector, tuple(actuators), beside, monitored, shutter, before, acquire, knobs)
    technique, travel = _open(settings, client), _travel_of(settings, detector, actuators)
    exposing = None if settings.steering.exposure is None else _exposing_of(settings, detector, attenuator)
    agent = Agent(technique, client, settings, travel, devices, exposing)
    agent.start()
    return agent


def _check_types(settings: Any, client: Any) -> None:
    """Raise TypeError, with a remedy, unless the arguments are settings and a client of Tiled."""
    if not isinstance(settings, Settings):
        raise TypeError(f"settings must be Settings, got {settings!r}: Settings.load(path) reads a file")
    if not isinstance(client, Container):
        raise TypeError(
            f"client must be a client of Tiled, got {client!r}: ainerd.server.connect(address), or "
            "open_tiled(settings.storage)"
        )


def _open(settings: Settings, client: Container) -> Technique:
    """Open the catalog, and return the technique."""
    open_catalog(client)
    return build_technique(settings, ResultStore(client["ainerd"]))


def _travel_of(settings: Settings, detector: Any, actuators: Sequence[Any]) -> Travel | None:
    """Return the travel time and the length of an exposure, if the devices provide them."""
    values = {name: reading["value"] for name, reading in answer_of(detector.read_configuration()).items()}
    exposure_s = values.get(settings.detector.n_frames, 0) * values.get(settings.detector.frame_time_s, 0)
    costly = {name for name, knob in settings.steering.knobs.items() if knob.costs}  # the explorer counts their time
    motors = [motor for motor in actuators if motor.name not in costly]
    velocities = {motor.name: motor.velocity for motor in motors if hasattr(motor, "velocity")}
    speeds = {
        name: answer_of(velocity.get_value()) if hasattr(velocity, "get_value") else velocity.get()
        for name, velocity in velocities.items()
    }
    if exposure_s <= 0 or set(speeds) != {motor.name for motor in motors} or min(speeds.values(), default=1.0) <= 0:
        return None
    speed = np.array([speeds.get(name, np.inf) for name in settings.steering.bounds])

    def travel_time(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the seconds from a, (d,), to b, (n, d), for motors that move at the same time."""
        return np.asarray((np.abs(b - a) / speed).max(1))

    return travel_time, float(exposure_s)


def _exposing_of(settings: Settings, detector: Any, attenuator: Any) -> Callable[..., Exposing]:
    """Return `Exposing` with the signals of the detector that the settings name."""
    options, keys = settings.steering.exposure, settings.detector
    assert options is not None
    if attenuator is None and options.transmissions != (1.0,):
        raise SettingsError("steering.exposure.transmissions: there is no attenuator, pass one to build_agent")
    signals = {each.name: each for each in _all_components(detector)}
    wanted = [keys.frame_time_s, keys.n_frames, *([options.frame_exposure_s] if options.frame_exposure_s else [])]
    if missing := [name for name in wanted if name not in signals]:
        raise SettingsError(f"steering.exposure: {detector.name} has no signal {missing[0]!r} to set")
    frame_time, n_frames, *beside = (signals[name] for name in wanted)
    devices = {"frame_time": frame_time, "n_frames": n_frames, "beside": tuple(beside), "attenuator": attenuator}
    return partial(Exposing, **devices)


def _all_components(device: Any) -> Iterator[Any]:
    """Yield the components of a device, their components, and so on."""
    for each in _components(device):
        yield each
        yield from _all_components(each)


def _signals(devices: Sequence[Any], names: Iterable[str]) -> list[Any]:
    """Return the components of devices that have these names."""
    components = {each.name: each for device in devices for each in _components(device)}
    names = list(names)
    if missing := [name for name in names if name not in components]:
        there = ", ".join(device.name for device in devices)
        raise ValueError(f"{there}: no signal {', '.join(missing)}: there are {', '.join(components) or 'none'}")
    return [components[name] for name in names]


def _components(device: Any) -> list[Any]:
    """Return the components of a device of ophyd or ophyd-async."""
    if hasattr(device, "children"):
        return [child for _, child in device.children()]
    return [getattr(device, attribute) for attribute in getattr(device, "component_names", ())]
