"""RunEngine, devices and Tiled: here a simulated crystal; a beamline puts its own devices in this file."""

import atexit
import os
import sys
from pathlib import Path

if sys.stderr.isatty():
    print("ainerd: loading Bluesky, starting Tiled and the agent …", file=sys.stderr)
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from ainerd.config import Settings, SettingsError  # noqa: E402
from ainerd.server import ServerError, start_tiled  # noqa: E402

TOML = Path(__file__).resolve().parents[3] / "agents" / "xtec.toml"
try:
    settings = Settings.load(os.environ.get("AINERD_CONFIG", TOML))
except SettingsError as err:
    sys.exit(f"ainerd: {err}")
opened = start_tiled(settings.storage)  # it starts while the rest is imported

import bluesky.plan_stubs as bps  # noqa: E402, F401
import bluesky.plans as bp  # noqa: E402, F401
from bluesky import RunEngine  # noqa: E402

from agents.xtec_demo import devices  # noqa: E402
from ainerd.agent import WhileRunning  # noqa: E402
from sim_devices import Crystal  # noqa: E402

try:
    client, close_tiled = opened()
except ServerError as err:
    sys.exit(f"ainerd: {err}")
atexit.register(close_tiled)

RE = RunEngine({}, during_task=WhileRunning())
detector, temperature = devices(settings, crystal=Crystal())
