"""The agent, attached."""
# ruff: noqa: F821  (the names come from the startup file before this one)

import sys

from agents.rheo_xpcs import build_agent
from agents.session import attach

try:
    agent = build_agent(
        client, settings=settings, detector=eiger, actuators=[stage.x, stage.y], rheometer=mcr, shutter=shutter
    )
except ValueError as err:  # settings, models and devices that do not fit each other
    sys.exit(f"ainerd: {err}")
attach(agent, client, RE, settings, "devices: eiger, stage, mcr, shutter")
