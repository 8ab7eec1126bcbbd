"""Tiled: a table in SQLite refuses a column of lists, such as TiledWriter makes of small arrays."""

import tempfile
from importlib.metadata import version

import pyarrow
import uvicorn
from tiled.client import from_uri
from tiled.server.app import build_app_from_config
from tiled.server.simple import ThreadedServer

problem = None
with tempfile.TemporaryDirectory() as folder:
    storage = [f"sqlite:///{folder}/tables.db"]
    catalog = {"uri": f"sqlite:///{folder}/catalog.db", "writable_storage": storage, "init_if_not_exists": True}
    app = build_app_from_config({"authentication": {"single_user_api_key": "key"}, "catalog": catalog})
    with ThreadedServer(uvicorn.Config(app, port=0, log_config=None)).run_in_thread() as uri:
        try:
            schema = pyarrow.schema([("x", pyarrow.list_(pyarrow.float64()))])
            from_uri(uri, api_key="key").create_appendable_table(schema, key="a")
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"[:100]
print(f"tiled {version('tiled')}: {problem}")
print("shown" if problem else "mended")
