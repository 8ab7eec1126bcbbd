"""`ainerd serve`, `ainerd archive` and `ainerd mcp`: run or copy an embedded server, and answer a language model."""

from pathlib import Path
from typing import Annotated

import typer

from ainerd.cli._shared import Config, Tiled, bars, check_folder, place_of, results_at, stopping


def serve(
    directory: Annotated[Path | None, typer.Argument(help="Folder of the server, such as an archive.")] = None,
    frames: Annotated[list[Path] | None, typer.Option(help="Folder that it may read; can be repeated.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the campaign's page in a browser.")] = False,
    config: Config = None,
) -> None:
    """Run the embedded Tiled server of a folder, or of an instrument's settings, until Ctrl-C.

    Sessions with the same settings use this server. It keeps its port, and after Ctrl-C it runs until the last session
    closes.
    """
    import logging

    from ainerd.config import Settings
    from ainerd.server import EmbeddedServer, ServerError

    readable = frames or []
    if directory is not None:
        if not directory.is_dir():
            raise ValueError(f"{directory} is no folder: give that of an embedded server, or --config")
        check_folder(directory, may_be_empty=True)
    elif config is not None:
        storage = Settings.load(config).storage
        if storage.uri:
            raise ValueError(
                f"{config} names a server, {storage.uri.partition('?')[0]}, which others run: ainerd serve runs an "
                "embedded server only, for settings with an empty storage.uri"
            )
        directory, readable = storage.directory, [*storage.frames, *readable]
    else:
        raise ValueError("which server? give its FOLDER, or --config with an instrument's .toml")
    stop = stopping()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    try:
        with EmbeddedServer.start(directory, readable_storage=readable) as server:
            address = server.uri.removesuffix("/api/v1")
            begun = "Tiled serves" if server.owned else "Tiled keeps running, as long as this command, for"
            text = f"""{begun} {server.directory}
  at       {address}   (its key is in {server.directory / "api_key"})
  page     {server.page}   (open it in a browser)
  python   from ainerd.server import EmbeddedServer
           client = EmbeddedServer.start("{server.directory}").client()
  shell    ainerd status --tiled {server.directory}
Ctrl-C ends it, unless a session still uses it."""
            print(text, flush=True)
            if open_page:
                import webbrowser

                if not webbrowser.open(server.page.as_uri()):
                    print("no browser could be started here", flush=True)
            stop.wait()
    except ServerError as error:
        raise ValueError(str(error)) from None


def archive(
    dest: Annotated[Path, typer.Argument(help="Folder for the copy: empty, or not there yet.")],
    frames: Annotated[bool, typer.Option("--frames", help="Copy the files of the detectors, too.")] = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Copy a campaign from an embedded server, to open it elsewhere: catalog, results and raw runs.

    The server can stay in use during the copy. Open the copy with ``ainerd serve DEST``; you can move it first.
    """
    from ainerd.cli._status import waiting
    from ainerd.server import ServerError
    from ainerd.server import archive as copy

    directory = place_of(tiled, config)
    if isinstance(directory, str):
        raise ValueError(
            f"{directory.partition('?')[0]} is no embedded server: ask its administrator for copies of its database "
            "and files; for tables and single results: ainerd export"
        )
    try:
        with bars() as progress:
            task = progress.add_task("MB", total=None)

            def advance(n: int, total: int) -> None:
                progress.update(task, completed=n // 10**6, total=total // 10**6)

            done = copy(directory, dest, frames=frames, progress=advance)
    except ServerError as error:
        raise ValueError(str(error)) from None
    with_frames = f", {done.frames} of them frames" if done.frames else ""
    print(f"{dest}: {done.files} files{with_frames}, {done.size / 1e6:.3g} MB; to open it: ainerd serve {dest}")
    for exists, why in (
        (False, "they do not exist any more"),
        (True, "they are folders, or are reached only by links or virtual datasets"),
    ):
        if paths := [path for path in done.missing if path.exists() == exists]:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            print(f"not copied, because {why}: {paths[0]}{more}")
    unwritten = directory / "unwritten"
    waits = waiting(unwritten)
    if n := waits.pop("set_aside"):
        print(f"{n} damaged runs in {unwritten / 'results'} are not in the copy")
    if n := sum(waits.values()):
        print(f"{n} runs wait on disk and are not in the copy: start an agent with these settings, then copy again")


def mcp(
    propose: Annotated[bool, typer.Option("--propose", help="A tool proposes positions for a person to take.")] = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Answer questions of a language model by the Model Context Protocol, on stdin and stdout.

    Configure this command in the program that has the language model; the program starts it. The command only reads,
    unless --propose is given.
    """
    with results_at(tiled, config) as store:
        try:
            from ainerd.cli.answers import serving
        except ModuleNotFoundError as error:
            raise ValueError(f"this needs one package more: pip install 'ainerd[mcp]' ({error})") from None
        serving(store, propose=propose).run("stdio")
