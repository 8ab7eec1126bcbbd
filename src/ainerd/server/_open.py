"""The server that settings name."""

from collections.abc import Callable

from tiled.client.container import Container

from ainerd.config import Storage
from ainerd.server._embedded import EmbeddedServer, connect


def open_tiled(storage: Storage) -> tuple[Container, Callable[[], None]]:
    """The catalogue that the settings name, and what closes it; ServerError if none can be started or reached."""
    if storage.uri:
        client = connect(storage.uri, storage.api_key.get_secret_value() or None)
        return client, client.context.http_client.close
    server = EmbeddedServer.start(storage.directory, readable_storage=storage.frames)
    return server.client(), server.close
