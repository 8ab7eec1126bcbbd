"""The agent, attached. The Eiger does not fly: `series` is its plan of an exposure."""
# ruff: noqa: F821  (the names come from the startup file before this one)

import sys

from ainerd.agent import ScanTable, build_agent

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
for newest in client["raw"].sort(("start.time", -1)).values().head(1):
    RE.md["scan_id"] = newest.metadata["start"]["scan_id"]  # numbers go on where the last session ended
agent.attach(RE)
RE.subscribe(ScanTable())  # a person's scans as text
agent.catch_up()
agent.warm_up()  # while you read the next lines
if sys.stdout.isatty():
    print("devices: eiger500k_single, eiger500k_manual, diff, fast_sh, att; plan series")
    print("agent shows its state; agent? lists its commands")
