"""A Tiled server in a process that a test may kill and start again."""

import subprocess
import sys
from pathlib import Path

KEY = "soak0soak"
_SERVE = """
import gc, pathlib, socket, sys
import uvicorn
from ainerd.server._app import app_of
gc.set_threshold(50_000)
directory, port, key, frames = sys.argv[1:]
app, listening = app_of(pathlib.Path(directory), key, [frames]), socket.create_server(("127.0.0.1", int(port)))
print("port", listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)).run([listening])
"""


def start_server(folder: Path, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    """Serve `folder`/tiled and `folder`/frames with the key `KEY`, and return the process and its port.

    Port 0 is any free port. The log is `folder`/tiled.log. Raises RuntimeError if the server does not start.
    """
    for path in (folder / "tiled", folder / "frames"):
        path.mkdir(exist_ok=True)
    command = [sys.executable, "-c", _SERVE, folder / "tiled", port, KEY, folder / "frames"]
    with open(folder / "tiled.log", "a") as log:
        server = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=log, text=True)
    assert server.stdout is not None
    with server.stdout as output:
        for line in iter(output.readline, ""):
            if line.startswith("port "):
                return server, int(line.removeprefix("port "))
    raise RuntimeError(f"Tiled did not start: see {folder / 'tiled.log'}")
