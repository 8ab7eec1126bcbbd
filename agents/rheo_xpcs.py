"""The agent of the rheo-XPCS instrument, with its TOML and its rheometer.

For another instrument copy this file and the TOML, and change the names in the TOML.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tiled.client.container import Container

import ainerd.agent
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
    """Build an agent for these devices, with its results in `client`; see `ainerd.agent.build_agent`.

    The rheometer, if there is one, is read once a run, its signals named in ``recorded.series`` are monitored, and it
    shears the sample before each exposure if ``rheo_xpcs.preshear`` is set.
    """
    settings = Settings.load(TOML) if settings is None else settings
    return ainerd.agent.build_agent(
        settings,
        client,
        detector=detector,
        actuators=actuators,
        beside=[] if rheometer is None else [rheometer],
        shutter=shutter,
    )
