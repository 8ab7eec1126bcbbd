"""A plan as the prompt shows it, and the report that is written after it."""

import logging
from collections.abc import Generator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bluesky.utils import Plan
from rich.text import Text

from ainerd.agent._display import say
from ainerd.results import ResultStore

logger = logging.getLogger(__name__)


class AgentPlan(Plan):
    """A bluesky `Plan`, which warns if it is not used. At the prompt it shows how to run it, and then does not warn."""

    def __init__(self, call: str, messages: Generator[Any, Any, Any]) -> None:
        def plan() -> Generator[Any, Any, Any]:
            return messages

        plan.__name__ = call
        super().__init__(plan)
        self.call = call
        self._stack = [f"plan `{call}` was never iterated, nothing is measured: RE({call}) runs it"]

    def __repr__(self) -> str:
        self._stack.clear()
        return f"<a plan, nothing is measured yet: RE({self.call})>"


def write_report(results: ResultStore, directory: Path, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Write the report of a campaign into the folder ``reports``; an error is a line of the log.

    Parameters
    ----------
    results : ResultStore
    directory : Path
        The folder of the session.
    bounds : mapping of str to (float, float)
        Limits of the maps.
    """
    from ainerd import views  # its reports import matplotlib

    name = quote(results.agent or "agent", safe="")
    path = directory / "reports" / f"{name}-{datetime.now():%Y%m%d-%H%M%S}.html"
    try:
        path.parent.mkdir(0o755, parents=True, exist_ok=True)
        report = views.read_report(results, bounds)
        path.touch(0o644)  # nobody else may write it, whatever the umask
        views.write_report(report, path)
    except Exception as error:  # such as no result, or a full disk
        logger.warning("no report is written: %s: %s", type(error).__name__, error)
    else:
        say(Text(f"ainerd: explored; the report is {path}"))
