"""The agent, attached: ``agent`` shows it, ``RE(agent.explore(3))`` lets it drive."""
# ruff: noqa: F821  (the names come from the startup file before this one)

import atexit

from agents.rheo_xpcs import build_agent

agent = build_agent(
    client, detector=lambda750k, actuators=[stage.x, stage.y], rheometer=rheometer, settings=settings
)
agent.attach(RE)
atexit.register(agent.close)
