"""Builds agents from settings, a technique and devices."""

from __future__ import annotations  # so that IPython's ? shows the types as in this file

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.agent._agent import Agent
from ainerd.agent._observer import Observer
from ainerd.agent._patiently import patiently
from ainerd.campaign import Travel
from ainerd.config import Settings, SettingsError
from ainerd.jobs import waiting
from ainerd.plans import Device, Devices, answer_of, check_limits, check_units
from ainerd.results import ConfigurationRecord, ResultStore
from ainerd.runs import parameters_of, register_files
from ainerd.server import open_catalog
from ainerd.technique import Technique, TechniqueError, load


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
    technique = _open(settings, client)
    observer = patiently(partial(Observer, technique, client, settings))
    patiently(observer.start)
    return observer


def build_agent(
    settings: Settings,
    client: Container,
    *,
    detector: Device,
    actuators: Sequence[Device],
    beside: Sequence[Device] = (),
    shutter: Device = None,
    before: Callable[[], MsgGenerator[object]] | None = None,
    acquire: Callable[..., MsgGenerator[object]] | None = None,
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
    before : callable, optional
        Returns a plan to run at each position before the exposure; by default that of `Technique.before`.
    acquire : callable, optional
        Plan of an exposure, for a detector that does not fly; see `ainerd.plans.visit`.

    Raises
    ------
    ValueError
        If settings, technique and devices do not fit together, or Tiled refuses the key. While Tiled is away, it waits.

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
    for corner in zip(*settings.steering.bounds.values(), strict=True):
        position = dict(zip(settings.steering.bounds, corner, strict=True))
        try:
            check_limits([actuator for actuator in actuators if actuator.name in position], position)
        except ValueError as error:
            raise SettingsError(f"steering.bounds: {error}") from None
    check_units(actuators, settings.units)
    monitored = _signals(beside, settings.recorded.series.values()) if beside else []
    knobs = settings.steering.knobs
    technique, travel = _open(settings, client), _travel_of(settings, detector, actuators)
    before = before or technique.before(beside)
    devices = Devices(detector, tuple(actuators), beside, monitored, shutter, before, acquire, knobs)
    register_files()
    agent = patiently(partial(Agent, technique, client, settings, travel, devices))
    patiently(agent.start)
    return agent


def _open(settings: Settings, client: Container) -> Technique:
    """Open the catalog, and return the technique."""
    with waiting("opening the catalog and the technique"):
        patiently(partial(open_catalog, client))
        return patiently(lambda: build_technique(settings, ResultStore(client["ainerd"])))


def _travel_of(settings: Settings, detector: Device, actuators: Sequence[Device]) -> Travel | None:
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


def _signals(devices: Sequence[Device], names: Iterable[str]) -> list[Device]:
    """Return the components of devices that have these names."""
    components = {each.name: each for device in devices for each in _components(device)}
    names = list(names)
    if missing := [name for name in names if name not in components]:
        there = ", ".join(device.name for device in devices)
        raise ValueError(f"{there}: no signal {', '.join(missing)}: there are {', '.join(components) or 'none'}")
    return [components[name] for name in names]


def _components(device: Device) -> list[Device]:
    """Return the components of a device of ophyd or ophyd-async."""
    if hasattr(device, "children"):
        return [child for _, child in device.children()]
    return [getattr(device, attribute) for attribute in getattr(device, "component_names", ())]
