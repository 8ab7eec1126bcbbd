"""The agent, attached. The Eiger does not fly: `series` is its plan of an exposure."""
# ruff: noqa: F821  (the names come from the startup file before this one)

import sys

from agents.session import attach
from ainerd.agent import build_agent

try:
    agent = build_agent(
        settings,
        client,
        detector=eiger500k_single,
        actuators=[diff.x, diff.y],
        beside=[att],
        shutter=fast_sh,
        acquire=series,
    )
except ValueError as err:  # settings, models and devices that do not fit each other
    sys.exit(f"ainerd: {err}")
attach(agent, client, RE, settings, "devices: eiger500k_single, eiger500k_manual, diff, fast_sh, att; plan series")
