"""RunEngine, devices and Tiled, as in the profile rheo_xpcs: other names, and the settings beside this folder."""

import atexit
import os
import sys
from pathlib import Path

if sys.stderr.isatty():
    print("ainerd: loading Bluesky, starting Tiled and the agent …", file=sys.stderr)
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
os.environ.setdefault("SILX_OPENCL", "0")  # pyFAI's helper warns where there is none

from ainerd.config import Settings, SettingsError  # noqa: E402
from ainerd.server import ServerError, start_tiled  # noqa: E402

TOML = Path(__file__).resolve().parents[1] / "agent.toml"
NAMES = {"lambda750k": "eiger", "sample_x": "stage_h", "sample_y": "stage_v", "rheometer": "mcr"}

try:
    settings = Settings.load(os.environ.get("AINERD_CONFIG", TOML))
except SettingsError as err:
    sys.exit(f"ainerd: {err}")
opened = start_tiled(settings.storage)  # it starts while the rest is imported

from bluesky import RunEngine, SupplementalData  # noqa: E402

from agents.demo.simulated import simulated_instrument  # noqa: E402
from ainerd.agent import WhileRunning  # noqa: E402

try:
    client, close_tiled = opened()
except ServerError as err:
    sys.exit(f"ainerd: {err}")
atexit.register(close_tiled)

RE = RunEngine({}, during_task=WhileRunning())
instrument = simulated_instrument(
    settings.storage.frames[0], TOML.with_suffix(".instrument.toml"), speed=60, names=NAMES
)
eiger, stage, mcr, shutter = instrument.detector, instrument.stage, instrument.rheometer, instrument.shutter
RE.preprocessors.append(SupplementalData(baseline=instrument.baseline))
