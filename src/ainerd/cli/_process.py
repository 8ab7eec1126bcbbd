"""A command that runs for days: how it ends, and what it logs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

    from tiled.client.container import Container

    from ainerd.agent import Observer
    from ainerd.config import Settings


def until_told() -> "threading.Event":
    """An event that Ctrl-C or a SIGTERM sets."""
    import signal
    import threading

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def observing(settings: "Settings", client: "Container") -> "Iterator[Observer]":
    """An agent without devices; in the end what has come is analysed, however long it takes."""
    from ainerd.agent import build_observer

    observer = build_observer(settings, client)
    try:
        yield observer
        while not observer.drain(1.0):
            pass
    finally:
        observer.close()


def log_to_stderr(*, as_json: bool) -> None:
    """Warnings and errors on stderr."""
    import json
    import logging
    import time

    class AsJson(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            line = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
                "level": record.levelname,
                "logger": record.name,
                "text": record.getMessage(),
            }
            if record.exc_info:
                line["traceback"] = self.formatException(record.exc_info)
            return json.dumps(line)

    handler = logging.StreamHandler()
    handler.setFormatter(AsJson() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
