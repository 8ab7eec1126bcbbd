"""RunEngine, devices and Tiled: here a simulated crystal; a beamline puts its own devices in this file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from agents.session import begin  # noqa: E402

TOML = Path(__file__).resolve().parents[3] / "agents" / "xtec.toml"

settings, opened = begin(TOML)  # Tiled starts while the rest is imported

import bluesky.plan_stubs as bps  # noqa: E402, F401
import bluesky.plans as bp  # noqa: E402, F401
from bluesky import RunEngine  # noqa: E402

from agents.xtec_demo import devices  # noqa: E402
from ainerd.agent import WhileRunning  # noqa: E402
from sim_devices import Crystal  # noqa: E402

client, close_tiled = opened()

RE = RunEngine({}, during_task=WhileRunning())
detector, temperature = devices(settings, crystal=Crystal())
