"""The child process of an embedded server: serve a directory while any process uses it."""

import gc
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from ainerd.server._embedded import serving, wait_until_unused

STOP_TIMEOUT_S = 3
MOST_FILES = 65_536  # open at once, connections included, if the system lets a process have so many


def main() -> None:
    """Serve, print the address as one line of JSON, and end when no process uses the server.

    The arguments of the process are the directory, and options of `serving` in JSON.
    """
    gc.set_threshold(50_000)  # a start creates millions of objects, which stay: fewer collections
    directory, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    os.umask(
        0o777 & ~(directory.stat().st_mode & 0o755)
    )  # only the owner writes; others read if they may read the folder
    ready = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the log
    api_key = (directory / "api_key").read_text().strip()
    status_file, port_file = directory / "server.json", directory / "port"
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, MOST_FILES) if most >= 0 else MOST_FILES, most))
    port = _last_port(port_file)
    with serving(directory, api_key=api_key, port=port, **options) as server:
        try:
            port_file.write_text(str(server.port))
            _write_page(directory, server.port, api_key)
            status = {"uri": server.uri, "pid": os.getpid()}
            part = status_file.with_suffix(".part")
            part.write_text(json.dumps({**status, "readable_storage": options["readable_storage"]}))
            part.replace(status_file)
            with ready:
                print(json.dumps(status), file=ready)
            wait_until_unused(directory)
        finally:
            status_file.unlink(missing_ok=True)
            signal.alarm(STOP_TIMEOUT_S)  # a client in the middle of a request must not keep the process
    gc.freeze()  # the memory goes with the process: a last collection of it takes most of a second


def _write_page(directory: Path, port: int, api_key: str) -> None:
    """Write a file that redirects a browser to the campaign, so that the key is on no screen and no command line.

    The route ``open`` puts the key into a cookie and redirects once more, so that the address bar does not show it.
    """
    address = f"http://127.0.0.1:{port}/custom/ainerd/open/ainerd?api_key={api_key}"
    part = directory / "page.part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(
            '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0; url={address}"><title>ainerd</title>'
            f'<a href="{address}">The campaign</a>\n'
        )
    part.replace(directory / "page.html")


def _last_port(file: Path) -> int:
    """Return the port of the last time, so that old addresses stay valid; 0 (any port) if it is in use or unknown."""
    try:
        port = int(file.read_text())
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            trial.bind(("127.0.0.1", port))
    except (OSError, ValueError, OverflowError):
        return 0
    return port


if __name__ == "__main__":
    try:
        main()
    except ImportError as error:
        sys.exit(f"ImportError: {error}; a server needs more packages than a client: pip install 'ainerd[agent]'")
