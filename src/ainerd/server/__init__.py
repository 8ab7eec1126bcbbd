"""Tiled for a session: an embedded server in a process of its own, and the way to any server."""

from ainerd.server._archive import archive
from ainerd.server._connect import SCOPES, ServerError, connect, open_catalog
from ainerd.server._embedded import EmbeddedServer, embedded_server, open_tiled, running, start_tiled
from ainerd.server._presence import Presence, SharedPresence, at_work, told

__all__ = [
    "SCOPES",
    "EmbeddedServer",
    "Presence",
    "ServerError",
    "SharedPresence",
    "archive",
    "at_work",
    "connect",
    "embedded_server",
    "open_catalog",
    "open_tiled",
    "running",
    "start_tiled",
    "told",
]
