"""Errors at the IPython prompt: one line for an error of usage, and for a plan that a person ends."""

import dis
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from traceback import format_exception, walk_tb
from types import FrameType, TracebackType
from typing import Any

import httpx
from bluesky import RunEngine
from bluesky.utils import RunEngineControlException, RunEngineInterrupted
from pydantic import ValidationError
from rich.text import Text

from ainerd.agent._display import say
from ainerd.words import first_problem, printable

SHORTENED = (
    ValueError, TypeError, LookupError, RuntimeError, OSError, httpx.HTTPError, RunEngineInterrupted, KeyboardInterrupt,
)  # fmt: skip
THROUGH = {"ainerd", "bluesky", "bluesky_adaptive", "asyncio", "concurrent", "threading", "contextlib"}
RAISE = dis.opmap["RAISE_VARARGS"]
PAUSED = "the plan is paused: RE.resume() goes on, RE.stop() or RE.abort() ends it and keeps the measured data"
ENDED = {
    "stopping": "stopped: the measured data are kept, and their frames are analysed",
    "aborting": "aborted: the measured data are kept, and their frames are analysed",
    "halting": "halted without cleaning up: check the shutter and the motors before you go on",
}
INTERRUPTED = "interrupted; background work goes on"


def short_errors(RE: RunEngine) -> None:
    """Shorten errors at the IPython prompt to one line, where a person needs no more; elsewhere do nothing.

    These are errors of usage that ainerd raises on purpose, Tiled or a file that cannot be reached, Ctrl-C during one
    of its calls, and a plan that is paused, stopped, aborted or halted. All other errors look as before, and ``%tb``
    shows the frames of the last one. Lines of ainerd's log are sentences above the prompt; handlers of the root logger
    that do not write to the terminal get them too. Call it once, in a startup file.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None:
        return
    log = logging.getLogger("ainerd")
    log.setLevel(logging.INFO)
    log.addHandler(_AtThePrompt())
    log.propagate = False
    RE.pause_msg = PAUSED
    RE.state_hook = _tell_end  # type: ignore[assignment]
    logging.getLogger("bluesky").addFilter(lambda record: not _is_known(record, shell.user_ns))

    def show(shell: Any, kind: Any, error: BaseException, trace: TracebackType, tb_offset: int | None = None) -> None:
        if (line := short_error(error, shell.user_ns)) is None:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
        else:
            sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace  # for %tb
            shell._showtraceback(kind, error, [f"ainerd: {printable(line)}"])  # noqa: SLF001  (in a notebook, too)

    shell.set_custom_exc(SHORTENED, show)


class _AtThePrompt(logging.Handler):
    """Says the lines of a log at the prompt, without level and name of the logger."""

    def emit(self, record: logging.LogRecord) -> None:
        line = printable(record.getMessage())
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + "".join(format_exception(*record.exc_info))
        say(Text(f"ainerd: {line.rstrip()}", "yellow" if record.levelno > logging.INFO else ""))
        for handler in logging.getLogger().handlers:
            if record.levelno >= handler.level and getattr(handler, "stream", None) not in (sys.stdout, sys.stderr):
                handler.handle(record)


def short_error(error: BaseException, namespace: Mapping[str, Any]) -> str | None:
    """Return one line for an error, or None if a person or a developer needs its traceback.

    Parameters
    ----------
    error : BaseException
    namespace : mapping
        Global names of what was typed: only an error that a typed line causes directly is shortened.
    """
    if isinstance(error, RunEngineInterrupted):
        return str(error)
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    typed = [i for i, frame in enumerate(frames) if frame.f_globals is namespace]
    inner = frames[typed[-1] + 1 :] if typed else frames
    if len(typed) > 1 or not inner:
        return None
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED if _package(inner[0]) == "ainerd" else None
    if isinstance(error, httpx.HTTPError):
        return f"Tiled does not answer, or refuses the request: {error}" if _is_ours(inner) else None
    if isinstance(error, OSError) and _package(inner[0]) == "ainerd":
        return f"{Path(error.filename)}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, ValidationError) and _package(inner[0]) == "ainerd":
        return first_problem(error)
    if {*map(_package, inner)} <= THROUGH and _package(inner[-1]) == "ainerd" and _is_raised(error):
        return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return None


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_ours(frames: list[FrameType]) -> bool:
    return any(_package(frame) == "ainerd" for frame in frames)


def _is_raised(error: BaseException) -> bool:
    """Return whether a ``raise`` raised the error, and not an operation that went wrong."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_code[trace.tb_lasti] == RAISE


def _is_known(record: logging.LogRecord, namespace: Mapping[str, Any]) -> bool:
    """Return whether a line of bluesky's log repeats an action of a person, or an error that is shown in one line."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, RunEngineControlException):
        return True
    if error is not None and isinstance(error, SHORTENED):
        return short_error(error, namespace) is not None
    return record.getMessage().startswith("No open traces")


def _tell_end(state: str, before: str) -> None:
    if before in ENDED and state == "idle":
        say(f"ainerd: {ENDED[before]}")
