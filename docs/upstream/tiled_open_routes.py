"""Tiled: zarr, GraphQL and the files of the user interface answer without a key."""

from importlib.metadata import version

import httpx
import numpy as np
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

with SimpleTiledServer() as server:
    root = f"http://127.0.0.1:{server.port}"
    from_uri(server.uri).write_array(np.frombuffer(b"a secret", np.uint8), key="a")
    answers = {path: httpx.get(root + path) for path in ("/zarr/v3/a/c/0", "/zarr/v2/a/.zarray", "/ui//etc/hostname")}
    answers["/api/graphql"] = httpx.post(f"{root}/api/graphql", json={"query": "{__typename}"})
    statuses = {path: answer.status_code for path, answer in answers.items()}
print(f"tiled {version('tiled')}: without a key {statuses}")
print("mended" if set(statuses.values()) <= {401, 403, 404} else "shown")
