"""A command that runs for days: how it starts, how it ends, and what it logs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli._catalog import opened

if TYPE_CHECKING:
    import threading

    from ainerd.agent import Observer

Instrument = Annotated[Path, typer.Option(envvar="AINERD_CONFIG", help="Settings of the instrument (.toml).")]
JsonLog = Annotated[bool, typer.Option("--json-log", help="Log lines as JSON.")]


@contextmanager
def observing(
    config: Path, tiled: str | None, what: str, *, json_log: bool
) -> "Iterator[tuple[Observer, threading.Event]]":
    """An agent without devices, and what Ctrl-C or SIGTERM sets; what has come is analysed in the end, however long."""
    import signal
    import threading

    from ainerd.agent import build_observer
    from ainerd.config import Settings

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    _log_to_stderr(as_json=json_log)
    settings = Settings.load(config)
    with opened(tiled, config) as client:
        observer = build_observer(settings, client)
        try:
            print(f"{settings.name} {what}: Ctrl-C ends it", file=sys.stderr, flush=True)
            yield observer, stop
            while not observer.drain(1.0):
                pass
        finally:
            observer.close()


def _log_to_stderr(*, as_json: bool) -> None:
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
