"""RunEngine, devices and Tiled: here the simulated instrument; a beamline puts its own devices in this file.

Plain names at module level, so that the RE Manager finds devices and plans as IPython does.
"""

import atexit
import gc
import os
import sys
from pathlib import Path

if sys.stderr.isatty():
    print("ainerd: loading Bluesky, starting Tiled and the agent …", file=sys.stderr)
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
gc.set_threshold(50_000)  # imports create millions of objects, which stay: fewer collections
os.environ.setdefault("SILX_OPENCL", "0")  # pyFAI's helper warns where there is none

from ainerd.config import Settings, SettingsError  # noqa: E402
from ainerd.server import ServerError, start_tiled  # noqa: E402

TOML = Path(__file__).resolve().parents[1] / "agent.toml"
try:
    settings = Settings.load(os.environ.get("AINERD_CONFIG", TOML))
except SettingsError as err:
    sys.exit(f"ainerd: {err}")
opened = start_tiled(settings.storage)  # it starts while the rest is imported

import bluesky.plan_stubs as bps  # noqa: E402, F401
import bluesky.plans as bp  # noqa: E402, F401
from bluesky import RunEngine, SupplementalData  # noqa: E402

from agents.demo.simulated import hardware_beside, simulated_instrument  # noqa: E402
from ainerd.agent import WhileRunning  # noqa: E402
from ainerd.plans import expose  # noqa: E402, F401
from ainerd_xpcs.technique import preshear  # noqa: E402, F401

try:
    client, close_tiled = opened()
except ServerError as err:
    sys.exit(f"ainerd: {err}")
atexit.register(close_tiled)

RE = RunEngine({}, during_task=WhileRunning())  # counts frames while it is busy
hardware = hardware_beside(os.environ.get("AINERD_CONFIG"))  # parameters of the instrument, apart from the settings
instrument = simulated_instrument(settings.storage.frames[0], hardware, speed=60)  # a minute of its time in a second
lambda750k, stage, rheometer = instrument.detector, instrument.stage, instrument.rheometer
shutter, attenuator, source, arm = instrument.shutter, instrument.attenuator, instrument.source, instrument.arm
sd = SupplementalData(baseline=instrument.baseline)  # read as each run opens and closes
RE.preprocessors.append(sd)
