"""A plan as the prompt shows it, and the report that is written after it."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bluesky.utils import MsgGenerator, Plan

from ainerd.results import ResultStore
from ainerd.server import running

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


def reported(plan: MsgGenerator[Any], write: Callable[[], object]) -> MsgGenerator[Any]:
    """Run a plan, and write the report after it unless the plan ends early."""
    result = yield from plan
    try:
        write()
    except Exception as error:  # must not fail the plan
        logger.warning("no report is written: %s: %s", type(error).__name__, error)
    return result


def write_report(results: ResultStore, directory: Path, bounds: Mapping[str, tuple[float, float]]) -> Path:
    """Start a process that writes the report, and return the path of the report, in the folder ``reports``.

    Another process is needed because only the main thread may draw in this one.

    Parameters
    ----------
    results : ResultStore
    directory : Path
        Directory of the embedded server, if there is one.
    bounds : mapping of str to (float, float)
        Limits of the maps.
    """
    name, context = results.agent or "agent", results.container.context
    now = datetime.now()
    path = directory / "reports" / f"{quote(name, safe='')}-{now:%Y%m%d-%H%M%S}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    embedded = running(directory)
    is_embedded = embedded is not None and str(context.api_uri).rstrip("/") == embedded[0].rstrip("/")
    base = results.container.uri.removesuffix("/").removesuffix("/ainerd")
    # Given the directory, the process keeps the embedded server running.
    tiled = str(directory) if is_embedded and base.endswith("/metadata") else base
    command = [sys.executable, "-m", "ainerd", "report", str(path), "--agent", name, "--tiled", tiled]
    command += ["--bounds", json.dumps(dict(bounds))]
    environment = dict(os.environ)
    if context.api_key:
        environment["AINERD_STORAGE__API_KEY"] = context.api_key
    with open(path.with_suffix(".log"), "wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    print(f"ainerd: explored; the report will be {path}", file=sys.stderr, flush=True)
    threading.Thread(target=_await, args=(process, path), name="ainerd-report", daemon=True).start()
    return path


def _await(process: "subprocess.Popen[bytes]", path: Path) -> None:
    log = path.with_suffix(".log")
    if process.wait() == 0:
        log.unlink(missing_ok=True)
    else:
        logger.warning("no report was written, see %s", log)
