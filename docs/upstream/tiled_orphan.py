"""Tiled: an array that a killed server had begun to create cannot be created any more."""

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

with tempfile.TemporaryDirectory() as folder, SimpleTiledServer(folder) as server:
    client = from_uri(server.uri)
    (source,) = client.write_array(np.arange(3), key="a").data_sources()
    path = Path(urlparse(source.assets[0].data_uri).path)
    shutil.copytree(path, path.with_name("copy"))
    client.delete_contents("a", external_only=False)
    path.with_name("copy").rename(path)  # as if the server were killed between the folder and the catalog
    try:
        client.write_array(np.arange(3), key="a")
        problem = None
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"[:100]
print(f"tiled {version('tiled')}: {problem}")
print("shown" if problem else "mended")
