"""bluesky-tiled-plugins: Resource documents of AD_EIGER2 become a file of single bytes, and the run fails."""

import tempfile
import time
import uuid
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
from bluesky_tiled_plugins import TiledWriter
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

with tempfile.TemporaryDirectory() as folder:
    with h5py.File(Path(folder, "series_1_master.h5"), "w") as file:
        file["entry/data/data_000001"] = np.zeros((2, 4, 4), np.uint16)
    run, descriptor, resource = (str(uuid.uuid4()) for _ in range(3))
    key = {
        "source": "x",
        "dtype": "array",
        "shape": [1, 4, 4],
        "dtype_numpy": "<u2",
        "external": "FILESTORE:",
        "object_name": "eiger",
    }
    now = time.time()
    documents = [
        ("start", {"uid": run, "time": now, "scan_id": 1}),
        ("descriptor", {
            "uid": descriptor, "run_start": run, "time": now, "name": "primary", "data_keys": {"eiger_image": key},
            "configuration": {}, "hints": {}, "object_keys": {"eiger": ["eiger_image"]},
        }),
        ("resource", {
            "uid": resource, "run_start": run, "spec": "AD_EIGER2", "root": folder, "resource_path": "series",
            "resource_kwargs": {"images_per_file": 1}, "path_semantics": "posix",
        }),
    ]  # fmt: skip
    for i in range(2):
        datum = f"{resource}/{i}"
        documents.append(("datum", {"datum_id": datum, "resource": resource, "datum_kwargs": {"seq_id": 1}}))
        documents.append(("event", {
            "uid": str(uuid.uuid4()), "descriptor": descriptor, "time": now, "seq_num": i + 1,
            "filled": {"eiger_image": False}, "data": {"eiger_image": datum}, "timestamps": {"eiger_image": now},
        }))  # fmt: skip
    stop = {
        "uid": str(uuid.uuid4()),
        "run_start": run,
        "time": now,
        "exit_status": "success",
        "num_events": {"primary": 2},
    }
    with SimpleTiledServer(readable_storage=[folder]) as server:
        writer = TiledWriter(from_uri(server.uri))
        try:
            for name, doc in [*documents, ("stop", stop)]:
                writer(name, doc)
            node = from_uri(server.uri)[run, "primary", "eiger_image"]
            outcome = f"written with shape {node.shape}, type {node.dtype}"
            shown = node.shape[-2:] != (4, 4)
        except Exception as error:
            outcome, shown = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}", True
print(f"bluesky-tiled-plugins {version('bluesky-tiled-plugins')}: {outcome}")
print("shown" if shown else "mended")
