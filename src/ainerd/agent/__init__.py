"""The agent: without devices (`Observer`) or with devices (`Agent`), built from the settings of one instrument."""

from ainerd.agent._agent import Agent
from ainerd.agent._analysis import catch_up, missing, recorded_keys, writer_of
from ainerd.agent._build import build_agent, build_observer, build_technique
from ainerd.agent._commands import CommandReader
from ainerd.agent._display import WhileRunning
from ainerd.agent._observer import Observer
from ainerd.server import open_tiled

__all__ = [
    "Agent", "CommandReader", "Observer", "WhileRunning", "build_agent", "build_observer",
    "build_technique", "catch_up", "missing", "open_tiled", "recorded_keys", "writer_of",
]  # fmt: skip
