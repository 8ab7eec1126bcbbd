"""A Tiled server with a catalog of databroker for the raw runs, and one of its own for results."""

import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from tiled.client import from_uri
from tiled.commandline._catalog import init
from tiled.server.app import build_app_from_config


@contextmanager
def databroker_server(folder: Path) -> Iterator[tuple[Any, Any]]:
    """Yield a client of the server, whose files are in a folder, and the adapter of the catalog of databroker."""
    own = {
        "uri": f"sqlite:///{folder}/catalog.db",
        "writable_storage": [f"file://localhost{folder}/data", f"duckdb:///{folder}/tables.duckdb"],
    }
    config = {
        "authentication": {"single_user_api_key": "secret"},
        "trees": [
            {"path": "/raw", "tree": "databroker.mongo_normalized:MongoAdapter.from_mongomock"},
            {"path": "/ainerd", "tree": "catalog", "args": own},
        ],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mongomock and alembic
        init(own["uri"])  # Tiled would start another interpreter for it
        app = build_app_from_config(config)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))  # handlers of other tests stay open
    place = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.05)
    client = from_uri(f"http://127.0.0.1:{place.getsockname()[1]}", api_key="secret")
    try:
        yield client, app.state.root_tree["raw"]
    finally:
        client.context.http_client.close()
        server.should_exit = True
        thread.join(20)
        place.close()
