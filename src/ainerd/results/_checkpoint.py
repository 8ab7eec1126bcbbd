"""What an agent must not forget and no result says."""

import logging
from collections.abc import Mapping
from typing import Any

from tiled.client.container import Container

from ainerd.results._keys import digest
from ainerd.results._nodes import create_node

logger = logging.getLogger(__name__)


def save_checkpoint(ainerd: Container, agent: str, state: Mapping[str, Any]) -> None:
    """Keep the state of an agent (plain values), instead of the one before, in ``client["ainerd"]``."""
    metadata = {"agent": agent, "state": dict(state)}
    parent, _ = create_node(ainerd, "checkpoints", {}, None)
    node, is_new = create_node(parent, _key(agent), metadata, "AinerdCheckpoint")
    if not is_new:
        node.replace_metadata(metadata, drop_revision=True)


def read_checkpoint(ainerd: Container, agent: str) -> dict[str, Any]:
    """The state kept last; empty if there is none, or it is none."""
    try:
        return dict(ainerd["checkpoints", _key(agent)].metadata["state"])
    except KeyError:
        return {}
    except (TypeError, ValueError):
        logger.warning("the checkpoint of %s is left out: it is no state", agent)
        return {}


def _key(agent: str) -> str:
    return digest({"agent": agent})
