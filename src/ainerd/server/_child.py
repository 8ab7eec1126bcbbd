"""The child process of an embedded server: Tiled's own app for a directory, while any process uses it."""

import gc
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ainerd.server._embedded import private, wait_until_unused

if TYPE_CHECKING:
    import uvicorn

STOP_TIMEOUT_S = 3  # a client in the middle of a request must not keep the process


def main() -> None:
    """Serve, print one line once the server answers, and end when no process uses the server.

    The arguments of the process are the directory, and the folders that the server may read, in JSON.
    """
    gc.set_threshold(50_000)  # a start creates millions of objects, which stay: fewer collections
    directory, readable = Path(sys.argv[1]), json.loads(sys.argv[2])
    os.umask(0o777 & ~(directory.stat().st_mode & 0o755))  # only the owner writes; who may read the folder reads
    ready = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the log
    import uvicorn

    from ainerd.server._app import app_of, log_to

    key, listening = (directory / "api_key").read_text().strip(), _listen(directory / "port")
    log_to(directory / "server.log")
    app = app_of(directory, key, readable)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=STOP_TIMEOUT_S))
    threading.Thread(target=_attend, args=(server, listening, directory, readable, ready), daemon=True).start()
    server.run([listening])
    gc.freeze()  # the memory goes with the process: a last collection of it takes most of a second


def _attend(
    server: "uvicorn.Server", listening: socket.socket, directory: Path, readable: list[str], ready: IO[str]
) -> None:
    """Write the address once the server serves, and end it when it has no user."""
    while not server.started:
        time.sleep(0.02)
    port = listening.getsockname()[1]
    _write_page(directory, port)
    status = {"uri": f"http://127.0.0.1:{port}/api/v1", "pid": os.getpid(), "readable_storage": readable}
    part = directory / "server.part"
    part.write_text(json.dumps(status))
    part.replace(directory / "server.json")
    with ready:
        print("ready", file=ready)
    wait_until_unused(directory)
    (directory / "server.json").unlink(missing_ok=True)
    server.should_exit = True


def _write_page(directory: Path, port: int) -> None:
    """Write a file that redirects a browser to the campaign, so that the key is on no screen and no command line.

    The key is in the fragment of the address, which no server sees; ``open.html`` takes it out of the address.
    """
    key = (directory / "api_key").read_text().strip()
    address = f"http://127.0.0.1:{port}/ainerd/open.html#key={key}"
    with open(directory / "page.html", "w", opener=private) as file:
        file.write(
            '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>ainerd</title>'
            f'<meta http-equiv="refresh" content="0; url={address}"><a href="{address}">The campaign</a>\n'
        )


def _listen(file: Path) -> socket.socket:
    """Listen at the port of the last time, so that old addresses stay valid, or at any free port."""
    try:
        listening = socket.create_server(("127.0.0.1", int(file.read_text())))
    except (OSError, ValueError, OverflowError):
        listening = socket.create_server(("127.0.0.1", 0))
    file.write_text(str(listening.getsockname()[1]))
    return listening


if __name__ == "__main__":
    main()
