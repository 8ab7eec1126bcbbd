"""The child process of an embedded server: serve a directory while anybody uses it."""

import argparse
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ainerd.server._home import settle
from ainerd.server._orphans import replace_orphans
from ainerd.server._users import wait_until_unused

STOP_TIMEOUT_S = 3.0
PAGE = "page.html"


def main() -> None:
    """Say the address in one line of JSON once it serves."""
    parser = argparse.ArgumentParser(description="Serve a directory with Tiled while anybody uses it.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("readable_storage", nargs="*")
    args = parser.parse_args()
    ready = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the log
    api_key = (args.directory / "api_key").read_text().strip()
    note = args.directory / "server.json"
    port = args.directory / "port"
    log = os.open(args.directory / "access.log", os.O_WRONLY | os.O_CREAT, 0o600)
    os.fchmod(log, 0o600)  # the first address of a page has the key
    os.close(log)
    options = {"port": _kept(port), "readable_storage": args.readable_storage}
    with serving(args.directory, api_key=api_key, **options) as server:
        try:
            port.write_text(str(server.port))
            write_page(args.directory, server.port, api_key)
            said: dict[str, Any] = {"uri": server.uri.partition("?")[0], "pid": os.getpid()}
            part = note.with_suffix(".part")
            part.write_text(json.dumps(said | {"readable_storage": args.readable_storage}))
            part.replace(note)
            with ready:
                print(json.dumps(said), file=ready)
            wait_until_unused(args.directory)
        finally:
            note.unlink(missing_ok=True)
            # A client in the middle of a request must not keep us.
            patience = threading.Timer(STOP_TIMEOUT_S, os._exit, (0,))
            patience.daemon = True
            patience.start()


def write_page(directory: Path, port: int, api_key: str) -> None:
    """A file that leads a browser to the page of the campaign: so the key is on no screen and in no command line."""
    address = f"http://127.0.0.1:{port}/ui/browse/ainerd?api_key={api_key}"
    part = directory / "page.part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(
            '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0; url={address}"><title>ainerd</title>'
            f'<a href="{address}">The campaign</a>\n'
        )
    part.replace(directory / PAGE)


def _kept(note: Path) -> int:
    """The port of last time, so that whoever knew it finds us again; 0, any other, if somebody has it now."""
    try:
        port = int(note.read_text())
        with socket.socket() as there:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            there.bind(("127.0.0.1", port))
    except (OSError, ValueError, OverflowError):
        return 0
    return port


@contextmanager
def serving(directory: Path, **options: Any) -> Iterator[Any]:
    """A server of `directory` in this process, which takes results as files; `options` are `SimpleTiledServer`'s."""
    from tiled.server import SimpleTiledServer  # not in an analyst's install

    from ainerd.server import pages
    from ainerd.server.downloads import offer_downloads
    from ainerd.server.pages import write_ui_settings
    from ainerd.server.result_files import HDF5, ResultFileAdapter, count_what_files_hold, router

    settle(directory)
    spare_repetition(directory / "catalog.db", adapters_by_mimetype={HDF5: ResultFileAdapter})
    replace_orphans(directory / "catalog.db")
    count_what_files_hold()
    offer_downloads()
    os.environ["TILED_UI_SETTINGS"] = str(write_ui_settings(directory / "ui.yml"))
    with SimpleTiledServer(directory, **options) as server:
        server.app.include_router(router, prefix="/custom")
        server.app.include_router(pages.router, prefix="/custom")
        yield server


def spare_repetition(catalog: Path, **more: Any) -> None:
    """Save half of each start, and a quarter of each request; the catalogue is opened with `more` options.

    Tiled starts another interpreter at each start to make the tables of the catalogue. As it overrides one dependency,
    FastAPI inspects all of them again at each request.
    """
    import tiled.catalog
    from fastapi.dependencies import utils
    from tiled.commandline._catalog import init

    init(f"sqlite:///{catalog}", if_not_exists=True)
    from_uri, inspect, known = tiled.catalog.from_uri, utils.get_dependant, {}

    def inspect_once(**of: Any) -> Any:
        key = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in of.items())
        if key not in known:
            known[key] = inspect(**of)
        return known[key]

    tiled.catalog.from_uri = lambda *at, **options: from_uri(*at, **options | more | {"init_if_not_exists": False})
    utils.get_dependant = inspect_once


if __name__ == "__main__":
    try:
        main()
    except ImportError as error:
        sys.exit(f"ImportError: {error}; a server needs more than a client: pip install 'ainerd[agent]'")
