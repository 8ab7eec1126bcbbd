"""Tiled for a session: an embedded server in a process of its own, and connections to any server."""

from ainerd.server._connect import SCOPES, ServerError, connect, open_catalog
from ainerd.server._embedded import EmbeddedServer, embedded_server, open_tiled, running, serving, start_tiled
from ainerd.server._presence import is_locked, only_here, warn_of, where_it_may_run, whereabouts

__all__ = [
    "SCOPES", "EmbeddedServer", "ServerError", "connect", "embedded_server",
    "is_locked", "only_here", "open_catalog", "open_tiled", "running", "serving", "start_tiled",
    "warn_of", "where_it_may_run", "whereabouts",
]  # fmt: skip
