"""What is left for the morning: the report, when a sample is explored."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bluesky.utils import MsgGenerator

from ainerd.results import ResultStore
from ainerd.server import running

logger = logging.getLogger(__name__)


def reported(plan: MsgGenerator[Any], write: Callable[[], object]) -> MsgGenerator[Any]:
    """The plan, and at its end the report; not if it was ended before."""
    result = yield from plan
    try:
        write()
    except Exception as error:  # no reason to have the plan fail
        logger.warning("no report is written: %s: %s", type(error).__name__, error)
    return result


def write_report(results: ResultStore, directory: Path, bounds: Mapping[str, tuple[float, float]]) -> Path:
    """Have a process of its own write the report into ``reports`` of a directory: only the main thread draws here.

    `directory` is that of the embedded server, if there is one; `bounds` are what the maps reach to. Returns the path.
    """
    name, context = results.agent or "agent", results.container.context
    now = datetime.now()
    path = directory / "reports" / f"{quote(name, safe='')}-{now:%Y%m%d-%H%M%S}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    embedded = running(directory)
    is_here = embedded is not None and str(context.api_uri).rstrip("/") == embedded[0].rstrip("/")
    base = results.container.uri.removesuffix("/").removesuffix("/ainerd")
    where = str(directory) if is_here and base.endswith("/metadata") else base  # its folder keeps the server up
    command = [sys.executable, "-m", "ainerd", "report", str(path), "--agent", name, "--tiled", where]
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
