"""The agent, attached: ``agent`` shows it, ``RE(agent.explore(3))`` lets it drive."""
# ruff: noqa: F821  (the names come from the startup file before this one)

import sys

from bluesky.suspenders import SuspendFloor

from agents.rheo_xpcs import build_agent
from agents.session import attach

try:
    agent = build_agent(
        client,
        detector=lambda750k,
        actuators=[stage.x, stage.y],
        rheometer=rheometer,
        shutter=shutter,
        settings=settings,
    )
except ValueError as err:  # settings, models and devices that do not fit each other
    sys.exit(f"ainerd: {err}")
RE.install_suspender(SuspendFloor(source.i0, 0.5))  # plans wait while there is no beam
attach(
    agent,
    client,
    RE,
    settings,
    "devices: lambda750k, stage, rheometer, shutter, attenuator, source, arm; plans bp, bps, expose, preshear",
)
