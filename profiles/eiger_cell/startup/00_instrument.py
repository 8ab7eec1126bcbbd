"""RunEngine, devices and Tiled, as in the profile rheo_xpcs: other names, and the settings beside this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from agents.session import begin  # noqa: E402

TOML = Path(__file__).resolve().parents[1] / "agent.toml"
NAMES = {"lambda750k": "eiger", "sample_x": "stage_h", "sample_y": "stage_v", "rheometer": "mcr"}

settings, opened = begin(TOML)  # Tiled starts while the rest is imported

from bluesky import RunEngine, SupplementalData  # noqa: E402

from agents.demo.simulated import simulated_instrument  # noqa: E402
from ainerd.agent import WhileRunning  # noqa: E402

client, close_tiled = opened()

RE = RunEngine({}, during_task=WhileRunning())
instrument = simulated_instrument(
    settings.storage.frames[0], TOML.with_suffix(".instrument.toml"), speed=60, names=NAMES
)
eiger, stage, mcr, shutter = instrument.detector, instrument.stage, instrument.rheometer, instrument.shutter
RE.preprocessors.append(SupplementalData(baseline=instrument.baseline))
