"""`ainerd archive`: copy a campaign."""

from pathlib import Path
from typing import Annotated

import typer

from ainerd.cli._shared import Config, Tiled


def archive(
    dest: Annotated[Path, typer.Argument(help="Folder for the copy: empty, or not there yet.")],
    frames: Annotated[bool, typer.Option("--frames", help="Copy the files of the detectors, too.")] = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Copy a campaign from an embedded server, to open it elsewhere: catalog, results and raw runs.

    The server can stay in use during the copy. Open the copy with ``ainerd serve DEST``; you can move it first.
    """
    from ainerd.cli._shared import bars
    from ainerd.cli._waiting import waiting
    from ainerd.server import ServerError
    from ainerd.server import archive as copy

    directory = _embedded(tiled, config)
    try:
        with bars() as progress:
            task = progress.add_task("MB", total=None)
            done = copy(
                directory,
                dest,
                frames=frames,
                progress=lambda n, of: progress.update(task, completed=n // 10**6, total=of // 10**6),
            )
    except ServerError as error:
        raise ValueError(str(error)) from None
    with_frames = f", {done.frames} of them frames" if done.frames else ""
    print(f"{dest}: {done.files} files{with_frames}, {done.size / 1e6:.3g} MB; to open it: ainerd serve {dest}")
    gone = [path for path in done.missing if not path.exists()]
    beside = [path for path in done.missing if path.exists()]
    for paths, why in (
        (gone, "they are not there any more"),
        (beside, "the catalogue names no such files (links and virtual datasets do, or they are folders)"),
    ):
        if paths:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            print(f"not copied, as {why}: {paths[0]}{more}")
    waits = waiting(directory / "unwritten")
    if n := waits.pop("set_aside"):
        print(
            f"{n} runs that cannot be read are set aside in {directory / 'unwritten' / 'results'} and not in the copy"
        )
    if n := sum(waits.values()):
        print(f"{n} runs wait on disk and are not in the copy: start an agent with these settings, then copy anew")


def _embedded(tiled: str | None, config: Path | None) -> Path:
    """Return the folder of the embedded server; raise ValueError, with advice, for any other server."""
    from ainerd.config import Settings

    uri = tiled or ""
    if not uri and config is not None:
        storage = Settings.load(config).storage
        if not storage.uri:
            return storage.directory
        uri = storage.uri
    if not uri:
        raise ValueError("name the source to copy: give --config with an instrument's .toml, or --tiled FOLDER")
    if Path(uri).is_dir():
        return Path(uri)
    raise ValueError(
        f"{uri.partition('?')[0]} is no embedded server: whoever keeps it makes its copies (database and files, as its "
        "configuration says); tables and single results: ainerd export"
    )
