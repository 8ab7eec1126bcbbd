"""Tiled for a session: an embedded server in a process of its own, and connections to any server."""

from ainerd.server._connect import SCOPES, ServerError, connect, open_catalog
from ainerd.server._embedded import EmbeddedServer, embedded_server, open_tiled, running, start_tiled

__all__ = [
    "SCOPES", "EmbeddedServer", "ServerError", "connect", "embedded_server",
    "open_catalog", "open_tiled", "running", "start_tiled",
]  # fmt: skip
