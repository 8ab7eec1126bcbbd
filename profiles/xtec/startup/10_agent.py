"""The agent, attached: ``RE(bp.scan([detector], temperature, 30, 180, 30))``, or ``RE(agent.explore(12))``."""
# ruff: noqa: F821  (the names come from the startup file before this one)

import atexit
import sys

from agents.xtec import build_agent
from ainerd.agent import ScanTable

try:
    agent = build_agent(client, detector=detector, temperature=temperature, settings=settings)
except ValueError as err:  # settings and devices that do not fit each other
    sys.exit(f"ainerd: {err}")
agent.attach(RE)
RE.subscribe(ScanTable())  # a person's scans as text
agent.catch_up()
agent.warm_up()  # while you read the next lines
atexit.register(agent.close)
if sys.stdout.isatty():
    print("devices: detector, temperature; plans bp, bps")
    print("agent shows its state; agent? lists its commands")
