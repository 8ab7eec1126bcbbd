"""How a session ends: what has come is analysed before the interpreter goes."""

import sys
import threading
import weakref
from typing import Any


def close_at_exit(agent: Any) -> None:
    """Have an agent closed when the interpreter ends, in time.

    Functions of `atexit` come too late: by then `concurrent.futures` starts no thread, so that nothing can be read. The
    hook of `threading` that it uses itself calls the last one first.
    """
    threading._register_atexit(_close, weakref.ref(agent))  # type: ignore[attr-defined]  # noqa: SLF001


def _close(reference: "weakref.ref[Any]") -> None:
    agent = reference()
    if agent is None:
        return
    if agent.is_busy:
        print("ainerd: finishing what has come; Ctrl-C leaves it to the next start", file=sys.stderr, flush=True)
    agent.close()
