"""The agent of the rheo-XPCS instrument: its TOML and nothing else.

For another instrument copy this file and the TOML, and change the names in the TOML.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tiled.client.container import Container

import ainerd.instrument
from ainerd.agent import Agent
from ainerd.config import Settings

TOML = Path(__file__).resolve().parents[1] / "profiles" / "rheo_xpcs" / "agent.toml"


def build_agent(
    client: Container,
    *,
    detector: Any,
    actuators: Sequence[Any],
    rheometer: Any = None,
    shutter: Any = None,
    settings: Settings | None = None,
) -> Agent:
    """An agent for these devices, with its results in `client`; see `ainerd.instrument.build_agent`."""
    settings = Settings.load(TOML) if settings is None else settings
    return ainerd.instrument.build_agent(
        settings, client, detector=detector, actuators=actuators, rheometer=rheometer, shutter=shutter
    )
