"""Tiled: requests that write tables at the same time fail, or end the process, because they share one connection."""

import tempfile
import threading
from importlib.metadata import version

import pyarrow
from tiled.client import from_uri
from tiled.server import SimpleTiledServer

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


print("if the output ends here, the server ended this process: shown", flush=True)
with tempfile.TemporaryDirectory() as folder, SimpleTiledServer(folder) as server:
    threads = [threading.Thread(target=write, args=(from_uri(server.uri), str(k))) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(f"tiled {version('tiled')}: {len(problems)} of 80 tables failed, {problems[:1]}")
print("shown" if problems else "mended")
