"""The agent: headless (`Observer`) or with devices (`Agent`), built from the settings of one instrument."""

from ainerd.agent._agent import Agent
from ainerd.agent._beam import Beam, retaking
from ainerd.agent._builder import build_agent, build_observer, build_technique, wanted_of
from ainerd.agent._observer import Observer
from ainerd.agent._progress import WhileRunning, show_progress_of
from ainerd.agent._remote import explore_remote
from ainerd.agent._scan_table import ScanTable
from ainerd.agent._welcome import welcome
from ainerd.server import open_tiled

__all__ = [
    "Agent",
    "Beam",
    "Observer",
    "ScanTable",
    "WhileRunning",
    "build_agent",
    "build_observer",
    "build_technique",
    "explore_remote",
    "open_tiled",
    "retaking",
    "show_progress_of",
    "wanted_of",
    "welcome",
]
