"""Tiled: downloads that fail, or that a spreadsheet runs."""

from importlib.metadata import version

import httpx
import numpy as np
import pandas as pd
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

with SimpleTiledServer() as server:
    client = from_uri(server.uri)
    nested = client.create_container("nested", metadata={"start": {"motors": ["x"], "sample": None}})
    nested.write_array(np.arange(3), key="a")
    client.write_array(np.array([[1.0, np.nan], [3.0, 4.0]]), key="nan")
    client.write_table(pd.DataFrame({"text": ["=1+1"]}), key="table")
    key, api = {"Authorization": f"Apikey {server.api_key}"}, f"http://127.0.0.1:{server.port}/api/v1"

    def get(path: str, media_type: str) -> httpx.Response:
        """Return a download."""
        return httpx.get(api + path, headers=key, params={"format": media_type}, timeout=30)

    answers = {
        "HDF5 of nested metadata": get("/container/full/nested", "application/x-hdf5").status_code,
        "HDF5 of a table": get("/table/full/table", "application/x-hdf5").status_code,
        "HTML of an array": get("/array/full/nan", "text/html").status_code,
    }
    formula = "\n=1+1" in get("/table/full/table", "text/csv").text
print(f"tiled {version('tiled')}: {answers}, a formula in CSV: {formula}")
print("shown" if formula or set(answers.values()) != {200} else "mended")
