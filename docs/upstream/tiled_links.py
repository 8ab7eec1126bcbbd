"""Tiled: a server follows links out of the folders that it may read."""

import tempfile
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
from tiled.client import from_uri
from tiled.server import SimpleTiledServer
from tiled.structures.array import ArrayStructure
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Asset, DataSource, Management

with tempfile.TemporaryDirectory() as frames, tempfile.TemporaryDirectory() as elsewhere:
    with h5py.File(f"{elsewhere}/secret.h5", "w") as file:
        file["d"] = np.arange(3)
    link = Path(frames, "link.h5")
    link.symlink_to(f"{elsewhere}/secret.h5")
    source = DataSource(
        structure_family=StructureFamily.array,
        structure=ArrayStructure.from_array(np.arange(3)),
        mimetype="application/x-hdf5",
        parameters={"dataset": "d"},
        management=Management.external,
        assets=[Asset(data_uri=link.as_uri(), is_directory=False, parameter="data_uris", num=0)],
    )
    with SimpleTiledServer(readable_storage=[frames]) as server:
        try:
            read = from_uri(server.uri).new(StructureFamily.array, [source], key="a").read().tolist()
        except Exception as error:
            read = f"{type(error).__name__}: {error}"[:100]
print(f"tiled {version('tiled')}: {read}")
print("shown" if read == [0, 1, 2] else "mended")
