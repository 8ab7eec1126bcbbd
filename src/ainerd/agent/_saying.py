"""Lines that come while a person types."""

import sys
import threading
from contextlib import suppress
from typing import Any

from rich import get_console


def say(*lines: Any) -> None:
    """Print lines, from any thread, above the prompt if somebody types there.

    IPython sees to that itself; at Python's own prompt the line that is being typed is shown anew.
    """
    with suppress(OSError, ValueError):  # a closed terminal is no reason to lose the worker
        console, typed = get_console(), _typed()
        if typed is not None:
            console.file.write("\r\x1b[2K")
        for line in lines:
            console.print(line)
        if typed is not None:
            console.file.write(typed)
            console.file.flush()


def _typed() -> str | None:
    """Prompt and line at Python's own prompt; None where nobody types there."""
    if not hasattr(sys, "ps1") or not sys.stdout.isatty() or "readline" not in sys.modules:
        return None
    if threading.main_thread().ident in sys._current_frames():  # noqa: SLF001  (it executes something)
        return None
    import readline

    return f"{sys.ps1}{readline.get_line_buffer()}"
