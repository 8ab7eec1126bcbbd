"""Joins technique and agent for one instrument: the only place that knows both."""

import gc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyFAI.detectors import Detector, detector_factory
from tiled.client.container import Container

from ainerd.agent import Agent
from ainerd.config import PartitionSettings, Settings, Storage
from ainerd.documents import DetectorKeys
from ainerd.latent import Bank, DriftMartingale, Encoder
from ainerd.observer import Observer
from ainerd.results import ConfigurationRecord, ResultStore
from ainerd.rheo_xpcs import RheoXPCS
from ainerd.server import EmbeddedServer, connect, open_catalog
from ainerd.steering import preshear
from ainerd.watch import Wanted
from ainerd.xpcs import Partition


def open_tiled(storage: Storage) -> tuple[Container, Callable[[], None]]:
    """The catalogue that the settings name, and what closes it.

    Raises
    ------
    ServerError
        If no server can be started or reached, in one line.
    """
    if storage.uri:
        client = connect(storage.uri, storage.api_key.get_secret_value() or None)
        return client, client.context.http_client.close
    server = EmbeddedServer.start(storage.directory, readable_storage=storage.frames)
    return server.client(), server.close


def build_partition(settings: PartitionSettings) -> Partition:
    """The (q, phi) bins that the settings describe.

    Raises
    ------
    ValueError
        If the geometry makes no sense, or the mask cannot be read.
    """
    sensor = _sensor(settings)
    mask = None if settings.mask is None else np.load(settings.mask, allow_pickle=False)
    return Partition.annular(
        detector=sensor,
        beam_center_px=settings.beam_center_px,
        distance_m=settings.distance_m,
        energy_keV=settings.energy_keV,
        q_range_inv_nm=settings.q_range_inv_nm,
        n_q=settings.n_q,
        n_phi=settings.n_phi,
        beamstop_px=settings.beamstop_px,
        mask=mask,
    )


def build_technique(settings: Settings, store: ResultStore) -> RheoXPCS:
    """How runs are analysed, with its configuration kept in Tiled.

    Raises
    ------
    ValueError
        If settings and models do not fit each other.
    """
    options = settings.analysis.model_dump()
    encoder, bank = Encoder.load(options.pop("encoder")), Bank.load(options.pop("bank"))
    denoiser = options.pop("denoiser")
    options["denoiser"] = None if denoiser == "none" else Encoder.load(denoiser)
    technique = RheoXPCS(build_partition(settings.partition), encoder, bank, **options)
    _keep_configuration(store, technique, settings.partition)
    return technique


def build_observer(settings: Settings, client: Container) -> Observer:
    """An agent for rheo-XPCS without devices, for documents from elsewhere.

    Parameters
    ----------
    settings : Settings
    client : tiled.client.container.Container
        Root of the catalogue; the containers ``raw`` and ``ainerd`` are made if they are not there.

    Raises
    ------
    ValueError
        If settings and models do not fit each other.
    """
    return Observer(client=client, **_common(settings, client))


def build_agent(
    settings: Settings,
    client: Container,
    *,
    detector: Any,
    actuators: Sequence[Any],
    rheometer: Any = None,
    shutter: Any = None,
) -> Agent:
    """An agent for rheo-XPCS.

    Parameters
    ----------
    settings : Settings
    client : tiled.client.container.Container
        Root of the catalogue; the containers ``raw`` and ``ainerd`` are made if they are not there.
    detector, actuators : devices
    rheometer : device, optional
        Read once a run; its signals named in ``beside.series`` are monitored.
    shutter : device, optional
        Open during the agent's exposures; takes "open" and "close".

    Raises
    ------
    ValueError
        If settings, models and devices do not fit each other.
    """
    shear = [x for step in settings.steering.preshear for x in (step.rate, step.duration_s)]
    if shear and rheometer is None:
        raise ValueError("steering.preshear needs a rheometer")
    return Agent(
        client=client,
        detector=detector,
        actuators=actuators,
        beside=[] if rheometer is None else [rheometer],
        monitored=[] if rheometer is None else _signals(rheometer, settings.beside.series.values()),
        shutter=shutter,
        before=partial(preshear, rheometer, *shear) if shear else None,
        **_beam_time(settings, detector, actuators),
        **_common(settings, client),
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
    beside, steering = settings.beside, settings.steering
    if steering.age and steering.age not in beside.readings:
        raise ValueError(f"steering.age = {steering.age!r} is none of beside.readings: {', '.join(beside.readings)}")
    return {
        "technique": build_technique(settings, ResultStore(client["ainerd"])),
        "keys": DetectorKeys(**settings.detector.model_dump()),
        "wanted": Wanted(
            positions=tuple(steering.bounds),
            series=beside.series,
            readings=beside.readings,
            units=beside.units,
            age=steering.age,
        ),
        "roots": settings.storage.frames,
        "late_s": settings.storage.late_s,
        "bounds": steering.bounds,
        "backup": settings.storage.directory / "unwritten",
        "name": settings.name,
        "drift": DriftMartingale(),
        **steering.model_dump(include={"smallest_feature", "beam_size", "dose_limit", "seed"}),
    }


def _sensor(settings: PartitionSettings) -> Detector:
    """The detector that the settings name, or a plain one.

    Raises
    ------
    ValueError
        If they name none that pyFAI knows.
    """
    if settings.shape is not None:
        pixel_m = settings.pixel_um * 1e-6
        return Detector(pixel1=pixel_m, pixel2=pixel_m, max_shape=settings.shape)
    try:
        return detector_factory(settings.detector)
    except (RuntimeError, ValueError):
        raise ValueError(
            f"partition: pyFAI knows no detector {settings.detector!r}: give one it knows, or shape and pixel_um"
        ) from None


def _keep_configuration(store: ResultStore, technique: RheoXPCS, settings: PartitionSettings) -> None:
    """Keep the partition in Tiled: what an export needs beside the results."""
    partition = technique.partition
    record = ConfigurationRecord(
        technique=technique.name,
        parameters=dict(technique.parameters),
        instrument={
            "detector": settings.detector,
            "pixel_m": _sensor(settings).pixel1,
            "distance_m": settings.distance_m,
            "energy_keV": settings.energy_keV,
            "beam_center_row_px": settings.beam_center_px[0],
            "beam_center_column_px": settings.beam_center_px[1],
        },
        units={"q": "1/nm", "phi": "degree", "static_q": "1/nm"},
    )
    arrays = {name: getattr(partition, name) for name in ("roi_map", "static_map", "q", "phi", "static_q")}
    dims = {"roi_map": ("row", "column"), "static_map": ("row", "column"), "q": ("roi",), "phi": ("roi",)}
    store.add_configuration(record, arrays, dims)


def _signals(device: Any, names: Any) -> list[Any]:
    """Components of `device` whose names are among the series."""
    components = {getattr(device, attribute).name: getattr(device, attribute) for attribute in device.component_names}
    missing = [name for name in names if name not in components]
    if missing:
        raise ValueError(f"{device.name} has no signal {', '.join(missing)}: there are {', '.join(components)}")
    return [components[name] for name in names]
