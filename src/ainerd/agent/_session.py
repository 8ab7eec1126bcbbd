"""The session that steers an agent, as the agent's node in Tiled shows it."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from ainerd.processes import where_it_may_run

logger = logging.getLogger(__name__)

SILENT_S = 30.0  # without a sign of life, until a session counts as ended


def where_it_steers(state: Mapping[str, Any]) -> str | None:
    """Return where the session that steers an agent runs, and since when, in words; None if it has ended.

    Parameters
    ----------
    state : mapping
        State of the agent in Tiled; see `AgentNode.state`.

    Examples
    --------
    >>> from ainerd.processes import whereabouts
    >>> at, now = whereabouts(), time.time()
    >>> state = {"at": at, "health": {"closed": False, "heard": now}}
    >>> where_it_steers(state).startswith(f" on {at['host']} (process {at['pid']} of {at['user']}, since ")
    True
    >>> where_it_steers({}) is None
    True
    """
    try:
        health = state["health"]
        is_silent = time.time() - health["heard"] > SILENT_S
        return None if health["closed"] or is_silent else where_it_may_run(state["at"])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:  # any program writes it
        logger.debug("the agent's node names no session: %s: %s", type(error).__name__, error)
        return None
