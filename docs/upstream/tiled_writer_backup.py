"""bluesky-tiled-plugins: an array in an event is lost from the backup, and the next document with it."""

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

with tempfile.TemporaryDirectory() as folder:
    with SimpleTiledServer() as server:
        write = TiledWriter(from_uri(server.uri), backup_directory=folder)
        run = compose_run()
        write("start", run.start_doc)
        key = {"source": "", "dtype": "array", "shape": [2]}
        stream = run.compose_descriptor(name="primary", data_keys={"x": key})
        write("descriptor", {**stream.descriptor_doc, "name": "a/b/c"})  # the server refuses it
    write("event", stream.compose_event(data={"x": np.zeros(2)}, timestamps={"x": 0.0}))
    write("stop", run.compose_stop())
    (path,) = Path(folder).iterdir()
    names = []
    for line in path.read_text().splitlines():
        try:
            names.append(json.loads(line)["name"])
        except ValueError as error:
            names.append(repr(error))
print(f"bluesky-tiled-plugins {version('bluesky-tiled-plugins')}: {names}"[:300])
print("mended" if names == ["start", "descriptor", "event", "stop"] else "shown")
