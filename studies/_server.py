"""A Tiled server in a process of its own, which can be killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEY = "soak0soak"
_SERVE = """
import pathlib, sys, threading
from ainerd.server._child import serving
directory, port, key, frames = sys.argv[1:]
with serving(pathlib.Path(directory), port=int(port), api_key=key, readable_storage=[frames]) as server:
    print("port", server.port if int(port) == 0 else port, flush=True)
    threading.Event().wait()
"""


def start_server(folder: Path, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    """A server of `folder`/tiled and `folder`/frames, and its port; its key is `KEY`.

    Parameters
    ----------
    folder : Path
        What the server says goes to `folder`/tiled.log.
    port : int
        0 for one that is free.

    Raises
    ------
    RuntimeError
        If it does not start.
    """
    for path in (folder / "tiled", folder / "frames"):
        path.mkdir(exist_ok=True)
    command = [sys.executable, "-c", _SERVE, folder / "tiled", port, KEY, folder / "frames"]
    with open(folder / "tiled.log", "a") as log:
        server = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=log, text=True)
    assert server.stdout is not None
    with server.stdout as said:
        for line in iter(said.readline, ""):
            if line.startswith("port "):
                return server, int(line.removeprefix("port "))
    raise RuntimeError(f"Tiled did not start: see {folder / 'tiled.log'}")


@contextmanager
def server_of(folder: Path) -> Iterator[str]:
    """Address of such a server, which is killed in the end."""
    server, port = start_server(folder)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
