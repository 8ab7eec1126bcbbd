"""Build an agent from technique, settings and devices. No other module depends on all three."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.agent._agent import Agent, Devices
from ainerd.agent._observer import Observer
from ainerd.campaign import CampaignOptions
from ainerd.config import Settings, SettingsError
from ainerd.results import ConfigurationRecord, ResultStore, principal_of
from ainerd.server import open_catalog
from ainerd.steering import check_limits, visit
from ainerd.technique import Technique, TechniqueError, load


def build_technique(settings: Settings, store: ResultStore | None = None) -> Technique:
    """Build the technique of the settings, and write the common data of its results to `store`, if one is given.

    Raises ValueError if the technique is not installed, or if its section of the settings is invalid.
    """
    with _one_line_errors(settings.technique):
        technique = load(settings.technique).from_settings(settings.section, settings.folder)
    if store is None:
        return technique
    with _one_line_errors(settings.technique):
        common = technique.common()
    if common is not None:
        record = ConfigurationRecord(
            technique=technique.name,
            parameters=dict(technique.parameters),
            instrument={name: value for name, value in common.instrument.items() if value is not None},
            units=dict(common.units),
        )
        store.add_configuration(record, common.arrays, common.dims)
    return technique


@contextmanager
def _one_line_errors(name: str) -> Iterator[None]:
    """Turn any error of a technique into a SettingsError of one line, because a technique may be third-party code."""
    try:
        yield
    except (SettingsError, TechniqueError):
        raise
    except Exception as error:
        kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
        raise SettingsError(f"technique {name}: {kind}{error}") from error


def build_observer(settings: Settings, client: Container) -> Observer:
    """Return an agent without devices, which gets documents from another process; see `build_agent`."""
    _check_types(settings, client)
    technique, campaign = _open(settings, client)
    observer = Observer(technique, client, settings, campaign)
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
    before: Callable[[], MsgGenerator[Any]] | None = None,
    acquire: Callable[..., MsgGenerator[Any]] | None = None,
) -> Agent:
    """Return an agent with devices.

    Parameters
    ----------
    settings : Settings
    client : tiled.client.container.Container
        Root of the catalog. Missing containers ``raw`` and ``ainerd`` are created.
    detector, actuators : devices
    beside : sequence of devices
        Devices to read once in each run. Their signals that ``recorded.series`` names are monitored.
    shutter : device, optional
        Opened for each exposure of the agent; it must accept "open" and "close".
    before : callable, optional
        Returns a plan to run at each position before the exposure.
    acquire : callable, optional
        Plan of an exposure, see `ainerd.steering.visit`. It is not needed for a detector that flies.

    Raises
    ------
    ValueError
        If settings, technique and devices do not fit together.
    TypeError
        If an argument has the wrong type.
    """
    _check_types(settings, client)
    for argument, devices in {"actuators": actuators, "beside": beside}.items():
        if hasattr(devices, "name"):
            raise TypeError(f"{argument} must be a list of devices: {argument}=[{devices.name}]")
    for device in (detector, *actuators, *beside):
        if not hasattr(device, "name"):
            raise TypeError(f"{device!r} is not a device: give the object itself, not its name")
    for corner in zip(*settings.steering.bounds.values(), strict=True):
        position = dict(zip(settings.steering.bounds, corner, strict=True))
        try:
            check_limits([actuator for actuator in actuators if actuator.name in position], position)
        except ValueError as error:
            raise SettingsError(f"steering.bounds: {error}") from None
    monitored = _signals(beside, settings.recorded.series.values()) if beside else []
    technique, campaign = _open(settings, client)
    campaign = _with_times(campaign, settings, detector, actuators)
    measure = partial(visit, beside=beside, monitored=monitored, shutter=shutter, before=before, acquire=acquire)
    all_devices = Devices(detector=detector, actuators=actuators, shutter=shutter, visit=measure)
    agent = Agent(technique, client, settings, campaign, all_devices)
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


def _open(settings: Settings, client: Container) -> tuple[Technique, CampaignOptions]:
    """Open the catalog, and return the technique and the options of the campaign."""
    open_catalog(client)
    options = CampaignOptions(steering=settings.steering, unit=_unit_of(settings), principal=principal_of(client))
    return build_technique(settings, ResultStore(client["ainerd"])), options


def _with_times(
    campaign: CampaignOptions, settings: Settings, detector: Any, actuators: Sequence[Any]
) -> CampaignOptions:
    """Add the durations of travel and exposures, which the optimizer weighs, if the devices provide them."""
    values = {name: reading["value"] for name, reading in detector.read_configuration().items()}
    exposure_s = values.get(settings.detector.n_frames, 0) * values.get(settings.detector.frame_time_s, 0)
    speeds = {motor.name: motor.velocity.get() for motor in actuators if hasattr(motor, "velocity")}
    if exposure_s <= 0 or set(speeds) != set(settings.steering.bounds) or min(speeds.values()) <= 0:
        return campaign
    speed = np.array([speeds[name] for name in settings.steering.bounds])

    def travel_time(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the seconds from a, (d,), to b, (n, d), for motors that move at the same time."""
        return (np.abs(b - a) / speed).max(1)

    return replace(campaign, travel_time=travel_time, exposure_s=float(exposure_s))


def _unit_of(settings: Settings) -> str:
    """Return the unit that all actuators share in the settings, or an empty text."""
    units = {settings.units.get(name, "") for name in settings.steering.bounds}
    return units.pop() if len(units) == 1 else ""


def _signals(devices: Sequence[Any], names: Iterable[str]) -> list[Any]:
    """Return the components of devices that have these names."""
    components = {
        getattr(device, attribute).name: getattr(device, attribute)
        for device in devices
        for attribute in getattr(device, "component_names", ())
    }
    names = list(names)
    if missing := [name for name in names if name not in components]:
        there = ", ".join(device.name for device in devices)
        raise ValueError(f"{there}: no signal {', '.join(missing)}: there are {', '.join(components) or 'none'}")
    return [components[name] for name in names]
