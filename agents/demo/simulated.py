"""The simulated instrument. Of the agent's settings it knows nothing: each may be wrong about the other."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.rheo_xpcs import TOML
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
    """Devices around a hidden sample.

    Parameters
    ----------
    directory : Path
        Where the detector writes its frames: one that the agent may read.
    hardware : Path
        What the instrument is, as `sim_devices.read_hardware` reads it.
    sample : str
        Its name in `sim_devices.SAMPLES`.
    sample_seed : int
        Of the hidden sample.
    geometry : mapping, optional
        Other values for attributes of `sim_devices.Geometry`.
    **options
        Of `sim_devices.SimulatedInstrument`, which come before those in the file.
    """
    described = read_hardware(hardware) | options
    described["geometry"] = replace(described["geometry"], **geometry or {})
    return SimulatedInstrument(directory=directory, sample=hidden_sample(sample, sample_seed), **described)


def hardware_beside(settings: Path | str | None, otherwise: Path = HARDWARE) -> Path:
    """The file on the simulated instrument beside a TOML of the agent, ``small.instrument.toml`` to ``small.toml``.

    Parameters
    ----------
    settings : path-like or None
        None or a file that has none beside it: `otherwise`.
    otherwise : Path
    """
    beside = Path(os.fspath(settings)).with_suffix(ENDING) if settings else otherwise
    return beside if beside.exists() else otherwise
