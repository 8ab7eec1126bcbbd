"""Joins technique and agent for one instrument: the only place that knows both."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pyFAI.detectors import Detector
from tiled.client.container import Container

from ainerd.agent import Agent
from ainerd.config import PartitionSettings, Settings, Storage
from ainerd.documents import DetectorKeys
from ainerd.latent import Bank, Encoder
from ainerd.rheo_xpcs import RheoXPCS
from ainerd.server import EmbeddedServer, connect, open_catalog
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
    sensor: str | Detector = settings.detector
    if settings.shape is not None:
        pixel_m = settings.pixel_um * 1e-6
        sensor = Detector(pixel1=pixel_m, pixel2=pixel_m, max_shape=settings.shape)
    elif not settings.detector:
        raise ValueError("partition: name a detector of pyFAI, or give shape and pixel_um")
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


def build_agent(
    settings: Settings,
    client: Container,
    *,
    detector: Any,
    actuators: Sequence[Any],
    rheometer: Any = None,
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

    Raises
    ------
    ValueError
        If settings, models and devices do not fit each other.
    """
    open_catalog(client)
    analysis, beside = settings.analysis, settings.beside
    encoder = Encoder.load(analysis.encoder)
    technique = RheoXPCS(
        build_partition(settings.partition),
        encoder,
        Bank.load(),
        contrast=analysis.contrast,
        alpha=analysis.alpha,
        reduction=analysis.reduction,
        sigma=analysis.sigma,
        diagonal=analysis.diagonal,
        normalization=analysis.normalization,
    )
    return Agent(
        technique,
        client,
        detector=detector,
        actuators=actuators,
        beside=[] if rheometer is None else [rheometer],
        monitored=[] if rheometer is None else _signals(rheometer, beside.series.values()),
        keys=DetectorKeys(**settings.detector.model_dump()),
        wanted=Wanted(
            positions=tuple(settings.steering.bounds),
            series=beside.series,
            readings=beside.readings,
            units=beside.units,
        ),
        roots=settings.storage.frames,
        bounds=settings.steering.bounds,
        backup=settings.storage.directory / "unwritten",
        name=settings.name,
        smallest_feature=settings.steering.smallest_feature,
        seed=settings.steering.seed,
    )


def _signals(device: Any, names: Any) -> list[Any]:
    """Components of `device` whose names are among the series."""
    components = {getattr(device, attribute).name: getattr(device, attribute) for attribute in device.component_names}
    missing = [name for name in names if name not in components]
    if missing:
        raise ValueError(f"{device.name} has no signal {', '.join(missing)}: there are {', '.join(components)}")
    return [components[name] for name in names]
