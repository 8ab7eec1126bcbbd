"""Plans of an agent: repeat an exposure after a loss of beam, warn of an unused plan, and write a report at the end."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bluesky.preprocessors as bpp
from bluesky.suspenders import SuspendFloor
from bluesky.utils import Msg, MsgGenerator, Plan
from rich.text import Text

from ainerd.agent._display import say
from ainerd.results import ResultStore
from ainerd.runs import SPOILT
from ainerd.server import running

logger = logging.getLogger(__name__)

REASON = f"{SPOILT}: the beam was lost while frames came"
TRIES = 100


class AgentPlan(Plan):
    """A bluesky `Plan`, which warns if it is not used. At the prompt it shows how to run it."""

    def __init__(self, call: str, messages: Generator[Any, Any, Any]) -> None:
        def plan() -> Generator[Any, Any, Any]:
            return messages

        plan.__name__ = call
        super().__init__(plan)
        self.call = call

    def __repr__(self) -> str:
        return f"<a plan, nothing is measured yet: RE({self.call})>"


class Beam(SuspendFloor):
    """A bluesky suspender that counts losses of beam: ``RE.install_suspender(Beam(i0, 1e4))``.

    Parameters
    ----------
    monitor : signal
    threshold : float
        The beam is lost if the monitor is below this value.
    back_above : float, optional
        The beam is back if the monitor is at or above this value; default: `threshold`.
    settle_s : float
        Time to wait after the beam is back.
    """

    def __init__(
        self, monitor: Any, threshold: float, *, back_above: float | None = None, settle_s: float = 0.0
    ) -> None:
        super().__init__(monitor, threshold, resume_thresh=back_above, sleep=settle_s)
        self.losses = 0

    def __call__(self, value: Any, **kwargs: Any) -> None:
        """Take a value of the monitor."""
        if self._should_suspend(value) and not self.tripped:
            self.losses += 1
        for tries_left in reversed(range(TRIES)):
            try:
                return super().__call__(value, **kwargs)
            except RuntimeError:  # the event loop of a busy RunEngine did not answer within a tenth of a second
                if not tries_left:
                    raise

    def _get_justification(self) -> str:
        name, least = self._sig.name, self._suspend_thresh
        return f"ainerd: no beam, {name} is below {least:g}; the plan goes on when it is back" if self.tripped else ""


def retaking(
    measure: Callable[..., MsgGenerator[tuple[str, ...]]], beam: Callable[[], Beam | None]
) -> Callable[..., MsgGenerator[tuple[str, ...]]]:
    """Return an acquisition plan that repeats an exposure during which the beam was lost.

    Parameters
    ----------
    measure : callable
        Acquisition plan of bluesky-adaptive, such as `ainerd.steering.visit` makes.
    beam : callable
        Returns the suspender of the RunEngine, or None.
    """

    def repeating(
        suggestions: Sequence[Mapping[str, Any]],
        actuators: Sequence[Any],
        sensors: Sequence[Any] | None = None,
        md: Mapping[str, Any] | None = None,
    ) -> MsgGenerator[tuple[str, ...]]:
        suspender = beam()
        uids: list[str] = []
        for suggestion in suggestions:
            while True:
                mark = _Mark(suspender)
                measured = yield from bpp.msg_mutator(measure([suggestion], actuators, sensors, md), mark)
                if not mark.is_spoilt:
                    break
                say(Text("ainerd: the beam was lost while frames came: the exposure is taken again", "yellow"))
            uids += measured
        return tuple(uids)

    return repeating


class _Mark:
    """Marks the stop document of a fly run if the beam was lost. For other runs bluesky itself rewinds the plan."""

    def __init__(self, beam: Beam | None) -> None:
        self._beam, self.is_spoilt = beam, False
        self._losses: int | None = None  # number of losses when the detector was kicked off

    def __call__(self, message: Msg) -> Msg:
        if self._beam is None:
            return message
        if message.command == "kickoff":
            self._losses = self._beam.losses
        elif message.command == "close_run" and self._losses is not None and not message.kwargs.get("exit_status"):
            self.is_spoilt, self._losses = self._beam.losses > self._losses, None
            if self.is_spoilt:
                return message._replace(kwargs={**message.kwargs, "exit_status": "fail", "reason": REASON})
        return message


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
