"""Tiled: downloads that fail, and a text that a spreadsheet runs as a formula."""

from importlib.metadata import version

import httpx
import numpy as np
import pandas as pd
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

with SimpleTiledServer() as server:
    client = from_uri(server.uri)
    client.create_container("nested", metadata={"a": {"b": [1, 2]}}).write_array(np.ones(3), key="x")
    client.write_table(pd.DataFrame({"x": ["=1+1"]}), key="table")
    client.write_array(np.ones((2, 2)), key="array")
    http = httpx.Client(headers={"Authorization": f"Apikey {server.api_key}"}, timeout=30)
    asked = {
        "container with nested metadata as HDF5": ("container/full/nested", "application/x-hdf5"),
        "table as HDF5": ("table/full/table", "application/x-hdf5"),
        "array as HTML": ("array/full/array", "text/html"),
        "table as CSV": ("table/full/table", "text/csv"),
    }
    root = str(client.context.api_uri)
    answers = {what: http.get(f"{root}{path}", params={"format": kind}) for what, (path, kind) in asked.items()}
print(f"tiled {version('tiled')}:")
wrong = 0
for what, answer in answers.items():
    is_formula = "=1+1" in answer.text and '"=' not in answer.text and "'=" not in answer.text
    wrong += answer.is_error or is_formula
    print(f"  {what}: {answer.status_code}{', a cell begins with =' if is_formula else ''}")
print("shown" if wrong else "mended")
