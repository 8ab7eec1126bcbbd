"""`ainerd serve`: run the embedded server on its own, so that it does not depend on one session."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli._shared import Config

if TYPE_CHECKING:
    from ainerd.server import EmbeddedServer


def serve(
    directory: Annotated[
        Path | None, typer.Argument(help="Folder of the server, such as an archive.", show_default=False)
    ] = None,
    frames: Annotated[
        list[Path] | None, typer.Option(help="Folder whose files it may read; can be given several times.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the campaign's page in a browser.")] = False,
    config: Config = None,
) -> None:
    """Run the embedded Tiled server of a folder, or of an instrument's settings, until Ctrl-C.

    Sessions with the same settings use this server. It keeps its port, and after Ctrl-C it runs until the last session
    closes.
    """
    import logging
    import signal
    import threading

    from ainerd.server import EmbeddedServer, ServerError

    if directory is None:
        directory, frames = _from_settings(config, frames)
    elif not directory.is_dir():
        raise ValueError(f"{directory} is no folder: give that of an embedded server, or --config")
    elif any(directory.iterdir()) and not (directory / "catalog.db").exists():
        raise ValueError(f"{directory} is no folder of an embedded server: it has no catalog.db, and is not empty")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    try:
        with EmbeddedServer.start(directory, readable_storage=frames or []) as server:
            print(_instructions(server), flush=True)
            if open_page:
                import webbrowser

                if not webbrowser.open(server.page.as_uri()):
                    print("no browser could be started here", flush=True)
            stop.wait()
    except ServerError as error:
        raise ValueError(str(error)) from None


def _from_settings(config: Path | None, frames: list[Path] | None) -> tuple[Path, list[Path]]:
    from ainerd.config import Settings

    if config is None:
        raise ValueError("which server? give its FOLDER, or --config with an instrument's .toml")
    storage = Settings.load(config).storage
    if storage.uri:
        raise ValueError(
            f"{config} names a server, {storage.uri.partition('?')[0]}, which is not ours to start: only the embedded "
            "one is (an empty storage.uri)"
        )
    return storage.directory, [*storage.frames, *(frames or [])]


def _instructions(server: "EmbeddedServer") -> str:
    address = server.uri.removesuffix("/api/v1")
    begun = "Tiled serves" if server.owned else "Tiled served already, and this keeps it up:"
    return f"""{begun} {server.directory}
  at       {address}   (its key is in {server.directory / "api_key"})
  page     {server.page}   (open it in a browser)
  python   from ainerd.server import EmbeddedServer
           client = EmbeddedServer.start("{server.directory}").client()
  shell    ainerd status --tiled {server.directory}
Ctrl-C ends it, unless a session still uses it."""
