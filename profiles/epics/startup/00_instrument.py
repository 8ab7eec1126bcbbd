"""RunEngine, devices and Tiled: ophyd's own classes over EPICS, by default those of ``make ioc`` on this machine."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
os.environ.setdefault("BLUESKY_PREDECLARE", "1")  # plans describe exposures first: the agent prepares in the meantime
os.environ.setdefault("EPICS_CA_ADDR_LIST", "127.0.0.1")  # before EPICS is loaded
os.environ.setdefault("EPICS_CA_AUTO_ADDR_LIST", "NO")

from agents.session import begin  # noqa: E402

TOML = Path(__file__).resolve().parents[1] / "agent.toml"

settings, opened = begin(TOML)  # Tiled starts while the rest is imported

import bluesky.plan_stubs as bps  # noqa: E402, F401
import bluesky.plans as bp  # noqa: E402, F401
from bluesky import RunEngine, SupplementalData  # noqa: E402

from agents import epics  # noqa: E402
from ainerd.agent import WhileRunning  # noqa: E402

client, close_tiled = opened()

PREFIX = os.environ.get("AINERD_EPICS_PREFIX", "SIM:")
RE = RunEngine({}, during_task=WhileRunning())  # counts frames while it is busy
try:
    lambda750k = epics.lambda750k(PREFIX, settings.storage.frames[0])
    stage = epics.Stage(f"{PREFIX}stage:", name="sample")
    rheometer = epics.Rheometer(f"{PREFIX}rheo:", name="rheometer")
    shutter = epics.Shutter(f"{PREFIX}shutter:Position", name="shutter")
    attenuator = epics.Attenuator(f"{PREFIX}att:", name="attenuator")
    source = epics.Source(f"{PREFIX}source:", name="source")
    devices = [lambda750k, stage, rheometer, shutter, attenuator, source]
    for device in devices:
        device.wait_for_connection(timeout=epics.CONNECT_S)
except TimeoutError as err:
    first = str(err).split(";")[0]
    sys.exit(f"ainerd: no IOC serves {PREFIX} ({first}): start it with make ioc, and set the variables that it prints")
sd = SupplementalData(baseline=[source, attenuator])  # read as each run opens and closes
RE.preprocessors.append(sd)
RE.preprocessors.append(lambda plan: epics.connected(plan, devices))  # the IOC may have been started again
