"""The agent of the diffraction instrument, with its TOML; it takes one frame a temperature.

For another instrument copy this file and the TOML, and change the names in the TOML.
"""

from pathlib import Path
from typing import Any

import bluesky.plans as bp
from tiled.client.container import Container

import ainerd.agent
from ainerd.agent import Agent
from ainerd.config import Settings

TOML = Path(__file__).with_name("xtec.toml")


def build_agent(client: Container, *, detector: Any, temperature: Any, settings: Settings | None = None) -> Agent:
    """Build an agent for these devices, with its results in `client`; see `ainerd.agent.build_agent`.

    It takes a run of one frame at each temperature. Runs are of one ramp if they have the same ``series_id``, which
    ``RE.md["series_id"] = "heating 1"`` gives to all.
    """
    settings = Settings.load(TOML) if settings is None else settings
    return ainerd.agent.build_agent(settings, client, detector=detector, actuators=[temperature], acquire=bp.count)
