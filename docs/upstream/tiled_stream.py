"""Tiled: `Subscription.start_in_thread` waits for ever if the server refuses the stream."""

import os
import threading
from importlib.metadata import version

from tiled.client import from_uri
from tiled.server import SimpleTiledServer

with SimpleTiledServer() as server:
    container = from_uri(server.uri).create_container("commands")
    threading.excepthook = lambda refused: print(f"the thread ended: {refused.exc_type.__name__}", flush=True)
    other = from_uri(server.uri)["commands"]
    other.context.api_key = "another"  # such as a key that was revoked
    started = threading.Event()

    def start() -> None:
        """Subscribe, as the documentation shows."""
        other.subscribe().start_in_thread()
        started.set()

    threading.Thread(target=start, daemon=True).start()
    is_back = started.wait(10)
    print(f"tiled {version('tiled')}: start_in_thread {'returns' if is_back else 'has not returned after 10 s'}")
    print("mended" if is_back else "shown", flush=True)
    os._exit(0)  # a thread of Tiled waits
