"""Listening of the embedded server: uvicorn, with limits for connections that have shown no key, and with its logs.

uvicorn waits for ever for the first request of a connection and for the end of its head, and reads a head of any size.
"""

import asyncio
import copy
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import uvicorn
from tiled.server.logging_config import LOGGING_CONFIG
from uvicorn.protocols.http.auto import AutoHTTPProtocol

KEYLESS_S = 10.0  # after which a connection that has shown no key is closed
MOST_KEYLESS = 500  # of these connections; one more closes the oldest
MOST_KEYLESS_BYTES = 2**20  # that such a connection sends
MOST_LOG_BYTES = 5_000_000  # of a log; as much of the older log is in a file with the ending .1
_CONNECTION = "ainerd.connection"  # in the state of a request


@contextmanager
def run(app: Any, directory: Path, port: int) -> Iterator[int]:
    """Serve an app on 127.0.0.1 in a thread, with its logs in `directory`, and yield the port."""
    logs = copy.deepcopy(LOGGING_CONFIG)
    logs["filters"]["without_query"] = {"()": _WithoutQuery}
    logs["formatters"]["access"]["()"] = "uvicorn.logging.AccessFormatter"  # Tiled's decodes %0A, which forges lines
    for name, file in {"access": "access.log", "default": "error.log"}.items():
        logs["formatters"][name]["use_colors"] = False
        logs["handlers"][name] = {
            "()": _Log,
            "filename": directory / file,
            "maxBytes": MOST_LOG_BYTES,
            "backupCount": 1,
            "formatter": name,
            "filters": logs["handlers"][name]["filters"],
        }
    logs["handlers"]["access"]["filters"].append("without_query")
    server = uvicorn.Server(uvicorn.Config(app, port=port, loop="asyncio", http=_Connection, log_config=logs))
    thread = threading.Thread(target=server.run, name="ainerd-tiled")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError(f"the server did not start: see {directory / 'error.log'}")
            time.sleep(0.02)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def admit(scope: Any) -> None:
    """Let the connection of a request with a valid key stay."""
    connection = scope.get("state", {}).get(_CONNECTION)
    if connection is not None:
        connection.admit()


class _Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """A connection that is closed if it does not show a key in time."""

    keyless: "dict[_Connection, None]" = {}  # oldest first
    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, _CONNECTION: self}
        self._n_bytes = 0
        self._end = self.loop.call_later(KEYLESS_S, self._close)
        self.keyless[self] = None
        if len(self.keyless) > MOST_KEYLESS:
            next(iter(self.keyless))._close()  # noqa: SLF001

    def data_received(self, data: bytes) -> None:
        self._n_bytes += len(data)
        if self in self.keyless and self._n_bytes > MOST_KEYLESS_BYTES:
            self._close()
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.admit()
        super().connection_lost(exc)

    def admit(self) -> None:
        self._end.cancel()
        self.keyless.pop(self, None)

    def _close(self) -> None:
        self.admit()
        self.transport.abort()


class _Log(RotatingFileHandler):
    """A log in two files that only their owner can read."""

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, opener=partial(os.open, mode=0o600))


class _WithoutQuery(logging.Filter):
    """Remove the query of each address: it may hold a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.args = tuple(x.partition("?")[0] if isinstance(x, str) else x for x in record.args or ())
        return True
