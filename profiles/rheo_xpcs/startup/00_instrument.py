"""RunEngine, devices and Tiled: here the simulated instrument; a beamline puts its own devices in this file.

Plain names at module level, so that the RE Manager finds devices and plans as IPython does.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from agents.session import begin  # noqa: E402

TOML = Path(__file__).resolve().parents[1] / "agent.toml"

settings, opened = begin(TOML)  # Tiled starts while the rest is imported

import bluesky.plan_stubs as bps  # noqa: E402, F401
import bluesky.plans as bp  # noqa: E402, F401
from bluesky import RunEngine, SupplementalData  # noqa: E402

from agents.demo.simulated import hardware_beside, simulated_instrument  # noqa: E402
from ainerd.agent import WhileRunning  # noqa: E402
from ainerd.plans import expose  # noqa: E402, F401
from ainerd_xpcs.technique.plans import preshear  # noqa: E402, F401

client, close_tiled = opened()

RE = RunEngine({}, during_task=WhileRunning())  # counts frames while it is busy
hardware = hardware_beside(os.environ.get("AINERD_CONFIG"))  # parameters of the instrument, apart from the settings
instrument = simulated_instrument(settings.storage.frames[0], hardware, speed=60)  # a minute of its time in a second
lambda750k, stage, rheometer = instrument.detector, instrument.stage, instrument.rheometer
shutter, attenuator, source, arm = instrument.shutter, instrument.attenuator, instrument.source, instrument.arm
sd = SupplementalData(baseline=instrument.baseline)  # read as each run opens and closes
RE.preprocessors.append(sd)
