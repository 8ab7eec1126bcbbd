"""bluesky-tiled-plugins: a Resource of a spec that TiledWriter does not know ends the run at its second event."""

import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from bluesky_tiled_plugins import TiledWriter
from event_model import compose_run
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

with tempfile.TemporaryDirectory() as folder, SimpleTiledServer(readable_storage=[folder]) as server:
    path = Path(folder, "frames.bin")
    np.zeros((2, 4, 4), np.uint16).tofile(path)
    write = TiledWriter(from_uri(server.uri))
    run = compose_run()
    try:
        write("start", run.start_doc)
        stream = run.compose_descriptor(
            name="primary",
            data_keys={"image": {"source": "", "dtype": "array", "shape": [4, 4], "external": "FILESTORE:"}},
        )
        write("descriptor", stream.descriptor_doc)
        resource = run.compose_resource(spec="RIGAKU_BIN", root=folder, resource_path=path.name, resource_kwargs={})
        write("resource", resource.resource_doc)
        for frame in range(2):
            datum = resource.compose_datum(datum_kwargs={"frame": frame})
            write("datum", datum)
            event = stream.compose_event(
                data={"image": datum["datum_id"]}, timestamps={"image": 0.0}, filled={"image": False}
            )
            write("event", event)
        write("stop", run.compose_stop())
        error = None
    except Exception as err:
        error = err
print(f"bluesky-tiled-plugins {version('bluesky-tiled-plugins')}: {error!r}"[:300])
print("shown" if error else "mended")
