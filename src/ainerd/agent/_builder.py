"""Joins technique, settings and devices to an agent: the only place that knows them all."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd.agent._agent import Agent
from ainerd.agent._observer import Observer
from ainerd.campaign import CampaignOptions
from ainerd.config import Settings, SettingsError
from ainerd.documents import DetectorKeys
from ainerd.novelty import DriftMartingale
from ainerd.results import ConfigurationRecord, ResultStore, principal_of
from ainerd.runs import Wanted
from ainerd.server import open_catalog
from ainerd.steering import check_limits
from ainerd.technique import Technique, TechniqueError, load


def build_technique(settings: Settings, store: ResultStore | None = None) -> Technique:
    """How runs are analysed, with what its results have in common kept in `store`, if one is given.

    ValueError if there is no such technique, or its section of the settings does not fit.
    """
    with _asked(settings.technique):
        technique = load(settings.technique).from_settings(settings.section, settings.folder)
    if store is None:
        return technique
    with _asked(settings.technique):
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
def _asked(name: str) -> Iterator[None]:
    """Whatever a technique raises when it is built, as one line: it may be anybody's code."""
    try:
        yield
    except (SettingsError, TechniqueError):
        raise
    except Exception as error:
        kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
        raise SettingsError(f"technique {name}: {kind}{error}") from error


def build_observer(settings: Settings, client: Container) -> Observer:
    """An agent without devices, for documents from elsewhere; see `build_agent`."""
    _require(settings, client)
    return Observer(client=client, campaign=_campaign_options(settings, client), **_common(settings, client))


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
    """An agent with devices.

    Parameters
    ----------
    settings : Settings
    client : tiled.client.container.Container
        Root of the catalogue; the containers ``raw`` and ``ainerd`` are made if they are not there.
    detector, actuators : devices
    beside : sequence of devices
        Read once a run; their signals named in ``recorded.series`` are monitored.
    shutter : device, optional
        Open during the agent's exposures; takes "open" and "close".
    before : callable, optional
        Makes the plan that is run at each position before its exposure.
    acquire : callable, optional
        Plan of an exposure, see `ainerd.steering.visit`; a detector that flies needs none.

    Raises
    ------
    ValueError
        If settings, technique and devices do not fit each other.
    TypeError
        If one is given where another belongs.
    """
    _require(settings, client)
    for what, devices in {"actuators": actuators, "beside": beside}.items():
        if hasattr(devices, "name"):
            raise TypeError(f"{what} must be a list of devices: {what}=[{devices.name}]")
    for device in (detector, *actuators, *beside):
        if not hasattr(device, "name"):
            raise TypeError(f"{device!r} is no device: give the object itself, not its name")
    for corner in zip(*settings.steering.bounds.values(), strict=True):
        position = dict(zip(settings.steering.bounds, corner, strict=True))
        try:
            check_limits([actuator for actuator in actuators if actuator.name in position], position)
        except ValueError as error:
            raise SettingsError(f"steering.bounds: {error}") from None
    return Agent(
        client=client,
        detector=detector,
        actuators=actuators,
        beside=beside,
        monitored=_signals(beside, settings.recorded.series.values()) if beside else [],
        shutter=shutter,
        before=before,
        acquire=acquire,
        review_timeout_s=settings.steering.review_timeout_s,
        campaign=replace(_campaign_options(settings, client), **_beam_time(settings, detector, actuators)),
        **_common(settings, client),
    )


def _require(settings: Any, client: Any) -> None:
    """TypeError, which says what to do, unless these are settings and a client of Tiled."""
    if not isinstance(settings, Settings):
        raise TypeError(f"settings must be Settings, got {settings!r}: Settings.load(path) reads a file")
    if not isinstance(client, Container):
        raise TypeError(
            f"client must be a client of Tiled, got {client!r}: ainerd.server.connect(address), or "
            "open_tiled(settings.storage)"
        )


def wanted_of(settings: Settings) -> Wanted:
    """What is kept of a run's readings, as the settings say."""
    return Wanted(
        positions=tuple(settings.steering.bounds), age=settings.steering.age, **settings.recorded.model_dump()
    )


def _beam_time(settings: Settings, detector: Any, actuators: Sequence[Any]) -> dict[str, Any]:
    """What travel and exposures cost, as far as the devices say: the optimizer weighs one against the other."""
    about = {name: reading["value"] for name, reading in detector.read_configuration().items()}
    exposure_s = about.get(settings.detector.n_frames, 0) * about.get(settings.detector.frame_time_s, 0)
    speeds = {motor.name: motor.velocity.get() for motor in actuators if hasattr(motor, "velocity")}
    if exposure_s <= 0 or set(speeds) != set(settings.steering.bounds) or min(speeds.values()) <= 0:
        return {}
    speed = np.array([speeds[name] for name in settings.steering.bounds])

    def travel_time(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds from a (d,) to b (n, d): motors move at the same time."""
        return (np.abs(b - a) / speed).max(1)

    return {"travel_time": travel_time, "exposure_s": float(exposure_s)}


def _common(settings: Settings, client: Container) -> dict[str, Any]:
    """What every agent needs, with devices or without."""
    gc.collect()  # a closed agent is a ring of references, which may hold its tens of megabytes for hours
    open_catalog(client)
    return {
        "technique": build_technique(settings, ResultStore(client["ainerd"])),
        "keys": DetectorKeys(**settings.detector.model_dump()),
        "wanted": wanted_of(settings),
        "roots": settings.storage.frames,
        "late_s": settings.storage.late_s,
        "live": settings.storage.live,
        "backup": settings.storage.directory / "unwritten",
        "review": settings.steering.review,
        "page": _page(settings, client),
    }


def _campaign_options(settings: Settings, client: Container) -> CampaignOptions:
    """Options of the campaign, as far as they do not come from devices."""
    steering = settings.steering
    return CampaignOptions(
        agent=settings.name,
        bounds=steering.bounds,
        age=steering.age,
        drift=DriftMartingale(),
        principal=principal_of(client),
        unit=_unit_of(settings),
        smallest_feature=steering.smallest_feature,
        beam_size=steering.beam_size,
        dose_limit=steering.dose_limit,
        seed=steering.seed,
    )


def _page(settings: Settings, client: Container) -> Path | str:
    """Where a browser finds the campaign."""
    if not settings.storage.uri:
        return settings.storage.directory / "page.html"
    base = str(client.context.api_uri).partition("/api/")[0]
    return "/".join([base, "ui", "browse", *client.path_parts, "ainerd"])


def _unit_of(settings: Settings) -> str:
    """The unit that the actuators share, as far as the settings say."""
    units = {settings.recorded.units.get(name, "") for name in settings.steering.bounds}
    return units.pop() if len(units) == 1 else ""


def _signals(devices: Sequence[Any], names: Iterable[str]) -> list[Any]:
    """Components of the devices whose names are among the series."""
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
