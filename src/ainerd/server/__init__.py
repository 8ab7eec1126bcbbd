"""Tiled for a session: an embedded server in a process of its own, and the way to any server."""

from ainerd.server._embedded import (
    SCOPES,
    EmbeddedServer,
    ServerError,
    connect,
    embedded_server,
    open_catalog,
    open_tiled,
)

__all__ = ["SCOPES", "EmbeddedServer", "ServerError", "connect", "embedded_server", "open_catalog", "open_tiled"]
