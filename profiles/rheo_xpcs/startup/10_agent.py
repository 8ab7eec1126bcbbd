"""The agent, attached: ``agent`` shows it, ``RE(agent.explore(3))`` lets it drive."""

import atexit

from agents.rheo_xpcs import build_agent

agent = build_agent(client, detector=lambda750k, actuators=[stage.x, stage.y], rheometer=rheometer, settings=settings)  # noqa: F821
agent.attach(RE)  # noqa: F821
atexit.register(agent.close)
