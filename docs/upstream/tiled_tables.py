"""Tiled: requests that write tables at the same time fail, or end the process. Argument: duckdb or sqlite."""

import sys
import tempfile
import threading
from importlib.metadata import version

import pyarrow
import uvicorn
from tiled.client import from_uri
from tiled.server.app import build_app_from_config
from tiled.server.simple import ThreadedServer

problems: list[str] = []


def write(client, name):
    """Write ten tables."""
    for i in range(10):
        try:
            table = client.create_appendable_table(pyarrow.schema([("x", pyarrow.float64())]), key=f"{name} {i}")
            for x in range(3):
                table.append_partition(0, pyarrow.table({"x": [float(x)]}))
            table.read()
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}"[:80])


kind = sys.argv[1] if len(sys.argv) > 1 else "duckdb"
print("if the output ends here, the server ended this process: shown", flush=True)
with tempfile.TemporaryDirectory() as folder:
    storage = [f"file://localhost{folder}/data", f"{kind}:///{folder}/tables"]
    catalog = {"uri": f"sqlite:///{folder}/catalog.db", "writable_storage": storage, "init_if_not_exists": True}
    app = build_app_from_config({"authentication": {"single_user_api_key": "key"}, "catalog": catalog})
    with ThreadedServer(uvicorn.Config(app, port=0, log_config=None)).run_in_thread() as uri:
        threads = [threading.Thread(target=write, args=(from_uri(uri, api_key="key"), str(k))) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
print(f"tiled {version('tiled')}, {kind}: {len(problems)} of 80 tables failed, {problems[:1]}")
print("shown" if problems else "mended")
