"""The agent, attached: ``agent`` shows it, ``RE(agent.explore(3))`` lets it drive."""
# ruff: noqa: F821  (the names come from the startup file before this one)

import gc
import sys

from bluesky.suspenders import SuspendFloor

from agents.rheo_xpcs import build_agent
from ainerd.agent import ScanTable

try:
    agent = build_agent(
        client,
        detector=lambda750k,
        actuators=[stage.x, stage.y],
        rheometer=rheometer,
        shutter=shutter,
        attenuator=attenuator,
        settings=settings,
    )
except ValueError as err:  # settings, models and devices that do not fit each other
    sys.exit(f"ainerd: {err}")
for newest in client["raw"].sort(("start.time", -1)).values().head(1):
    RE.md["scan_id"] = newest.metadata["start"]["scan_id"]  # numbers go on where the last session ended
agent.attach(RE)
RE.install_suspender(SuspendFloor(source.i0, 0.5))  # plans wait while there is no beam
RE.subscribe(ScanTable())  # a person's scans as text
gc.freeze()  # imported objects stay: collections, also IPython's own at the end, skip them
agent.catch_up()
agent.warm_up()  # while you read the next lines
if sys.stdout.isatty():
    print("devices: lambda750k, stage, rheometer, shutter, attenuator, source, arm; plans bp, bps, expose, preshear")
    print("agent shows its state; agent? lists its commands")
