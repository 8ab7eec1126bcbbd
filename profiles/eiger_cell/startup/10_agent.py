"""The agent, attached."""
# ruff: noqa: F821  (the names come from the startup file before this one)

import sys

from agents.rheo_xpcs import build_agent
from ainerd.agent import ScanTable

try:
    agent = build_agent(
        client, settings=settings, detector=eiger, actuators=[stage.x, stage.y], rheometer=mcr, shutter=shutter
    )
except ValueError as err:  # settings, models and devices that do not fit each other
    sys.exit(f"ainerd: {err}")
for newest in client["raw"].sort(("start.time", -1)).values().head(1):
    RE.md["scan_id"] = newest.metadata["start"]["scan_id"]  # numbers go on where the last session ended
agent.attach(RE)
RE.subscribe(ScanTable())  # a person's scans as text
agent.catch_up()
agent.warm_up()  # while you read the next lines
if sys.stdout.isatty():
    print("devices: eiger, stage, mcr, shutter")
    print("agent shows its state; agent? lists its commands")
