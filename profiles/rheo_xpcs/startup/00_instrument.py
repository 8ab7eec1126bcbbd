"""RunEngine, devices and Tiled: here the simulated instrument; a beamline puts its own devices in this file.

Plain names at module level, so that the RE Manager finds devices and plans as IPython does.
"""

import atexit
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import bluesky.plan_stubs as bps  # noqa: F401
import bluesky.plans as bp  # noqa: F401
from bluesky import RunEngine

from agents.rheo_xpcs import TOML
from ainerd.config import Settings
from ainerd.instrument import open_tiled
from sim_devices import Geometry, HiddenSample, SimulatedInstrument

settings = Settings.load(os.environ.get("AINERD_CONFIG", TOML))
RE = RunEngine({})

instrument = SimulatedInstrument(
    directory=settings.storage.frames[0],
    geometry=Geometry(**settings.partition.model_dump(include=set(Geometry.__dataclass_fields__))),
    sample=HiddenSample(seed=3),
    contrast=settings.analysis.contrast,
)
lambda750k, stage, rheometer = instrument.detector, instrument.stage, instrument.rheometer

client, close_tiled = open_tiled(settings.storage)
atexit.register(close_tiled)
