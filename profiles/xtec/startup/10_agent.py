"""The agent, attached: ``RE(bp.scan([detector], temperature, 30, 180, 30))``, or ``RE(agent.explore(12))``."""
# ruff: noqa: F821  (the names come from the startup file before this one)

import sys

from agents.session import attach
from agents.xtec import build_agent

try:
    agent = build_agent(client, detector=detector, temperature=temperature, settings=settings)
except ValueError as err:  # settings and devices that do not fit each other
    sys.exit(f"ainerd: {err}")
attach(agent, client, RE, settings, "devices: detector, temperature; plans bp, bps")
