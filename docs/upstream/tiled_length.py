"""Tiled: a container whose children are in an HDF5 file has the length zero, and lists its children."""

import tempfile
from importlib.metadata import version
from pathlib import Path

import h5py
from tiled.client import from_uri
from tiled.server import SimpleTiledServer
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Asset, DataSource, Management

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "a.h5")
    with h5py.File(path, "w") as file:
        file["one"], file["two"] = [1, 2], [3, 4]
    asset = Asset(
        data_uri=path.as_uri().replace("file:///", "file://localhost/"),
        is_directory=False,
        parameter="data_uris",
        num=0,
    )
    source = DataSource(
        structure_family=StructureFamily.container,
        mimetype="application/x-hdf5",
        structure=None,
        parameters={},
        management=Management.external,
        assets=[asset],
    )
    with SimpleTiledServer(readable_storage=[folder]) as server:
        node = from_uri(server.uri).new(StructureFamily.container, [source], key="a")
        children, length = sorted(node), len(node)
print(f"tiled {version('tiled')}: children {children}, length {length}")
print("shown" if length != len(children) else "mended")
