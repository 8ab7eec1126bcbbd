"""The agent, attached: ``agent`` shows it, ``RE(agent.explore(3))`` lets it drive."""
# ruff: noqa: F821  (the names come from the startup file before this one)

import sys

from bluesky.suspenders import SuspendFloor

from agents.session import attach
from ainerd.agent import build_agent

try:
    agent = build_agent(
        settings,
        client,
        detector=lambda750k,
        actuators=[stage.x, stage.y],
        beside=[rheometer],
        shutter=shutter,
        acquire=bp.count,
    )
except ValueError as err:  # settings, models and devices that do not fit each other
    sys.exit(f"ainerd: {err}")
RE.install_suspender(SuspendFloor(source.i0, 0.5))  # plans wait while there is no beam
attach(agent, client, RE, settings, "devices: lambda750k, stage, rheometer, shutter, attenuator, source; plans bp, bps")
