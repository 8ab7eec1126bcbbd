"""The simulated instrument. It does not know the agent's settings, which may differ from it."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiled.client.container import Container

from agents.rheo_xpcs import TOML, build_agent
from ainerd.agent import Agent
from ainerd.config import Settings
from sim_devices import SimulatedInstrument, hidden_sample, read_hardware

ENDING = ".instrument.toml"
HARDWARE = TOML.with_suffix(ENDING)  # a Lambda 750k


def simulated_instrument(
    directory: Path,
    hardware: Path = HARDWARE,
    *,
    sample: str = "inclusions",
    sample_seed: int = 3,
    geometry: Mapping[str, Any] | None = None,
    **options: Any,
) -> SimulatedInstrument:
    """Return the devices around a hidden sample.

    Parameters
    ----------
    directory : Path
        Folder of the detector's frames, which the agent may read.
    hardware : Path
        Description of the instrument, in the format of `sim_devices.read_hardware`.
    sample : str
        Its name in `sim_devices.SAMPLES`.
    sample_seed : int
        Seed of the hidden sample.
    geometry : mapping, optional
        Other values for attributes of `sim_devices.Geometry`.
    **options
        Options of `sim_devices.SimulatedInstrument`, which override those in the file.
    """
    described = read_hardware(hardware) | options
    described["geometry"] = replace(described["geometry"], **geometry or {})
    return SimulatedInstrument(directory=directory, sample=hidden_sample(sample, sample_seed), **described)


def agent_of(client: Container, settings: Settings, instrument: SimulatedInstrument) -> Agent:
    """Return an agent with the devices of an instrument."""
    return build_agent(
        client,
        detector=instrument.detector,
        actuators=[instrument.stage.x, instrument.stage.y],
        rheometer=instrument.rheometer,
        shutter=instrument.shutter,
        settings=settings,
    )


def hardware_beside(settings: Path | str | None, otherwise: Path = HARDWARE) -> Path:
    """Return the description of the instrument beside a TOML of the agent, ``small.instrument.toml`` to ``small.toml``.

    Parameters
    ----------
    settings : path-like or None
        Without it, or without a description beside it, return `otherwise`.
    otherwise : Path
    """
    beside = Path(os.fspath(settings)).with_suffix(ENDING) if settings else otherwise
    return beside if beside.exists() else otherwise
