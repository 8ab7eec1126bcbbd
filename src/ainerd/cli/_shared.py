"""Options, connections and output that commands share.

The API key comes from the environment only, so that it does not appear in process lists or in the shell history.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.words import plain_address

if TYPE_CHECKING:
    import threading

    from rich.progress import Progress, ProgressColumn
    from tiled.client.container import Container

    from ainerd.config import Settings, Storage
    from ainerd.results import ResultStore

KEY = "AINERD_STORAGE__API_KEY"

Tiled = Annotated[
    str | None,
    typer.Option(
        envvar="AINERD_STORAGE__URI",
        help=f"Address of a Tiled server (its key: {KEY}, TILED_API_KEY), or folder of an embedded one.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(envvar="AINERD_CONFIG", help="Settings of an instrument (.toml), with the address of its server."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")]


def place_of(tiled: str | None, config: Path | None) -> str | Path:
    """Return the address of a Tiled server, or the folder of an embedded one; raise ValueError if none is named."""
    from ainerd.config import Settings

    storage = None if config is None else Settings.load(config).storage
    address = tiled or (storage.uri if storage else "")
    if address:
        return Path(address) if Path(address).is_dir() else address
    if storage is None:
        raise ValueError("no server is named: give --tiled URL or FOLDER, or --config with a .toml")
    return storage.directory


def settings_at(tiled: str | None, config: Path) -> "Settings":
    """Load settings for a command that writes results; with `tiled` they are written there, files included.

    `tiled` is the address of a server, or the folder of an embedded one. The folder `storage.results` is for the server
    of the settings alone.
    """
    from ainerd.config import Settings

    settings = Settings.load(config)
    storage = settings.storage
    if tiled and Path(tiled).is_dir():
        check_folder(Path(tiled))
        storage.uri, storage.directory = "", Path(tiled)
    elif tiled and tiled != storage.uri:
        storage.uri, storage.results = tiled, None
    return settings


@contextmanager
def opened(tiled: str | None, config: Path | None, *, storage: "Storage | None" = None) -> Iterator["Container"]:
    """Open the root of a Tiled server: at an address, in the folder of an embedded server, or from the settings.

    `storage`, of `settings_at`, counts in place of both.

    Raises ValueError if neither `tiled` nor `config` is given, or if the server does not answer or refuses a request.

    Examples
    --------
    >>> with opened(address, None) as client:
    ...     print(sorted(client))
    ['ainerd', 'raw']
    >>> with opened(None, None) as client:
    ...     pass
    Traceback (most recent call last):
        ...
    ValueError: no server is named: give --tiled URL or FOLDER, or --config with a .toml
    """
    from ainerd.config import Settings

    if storage is None and config is not None and not tiled:
        storage = Settings.load(config).storage
    if storage is None and isinstance(place := place_of(tiled, None), Path):
        check_folder(place)
    from ainerd.results import Away, Refused, translated
    from ainerd.server import EmbeddedServer, ServerError, connect, open_tiled

    try:
        if storage is not None:
            client, close = open_tiled(storage)
        elif isinstance(place, Path):
            server = EmbeddedServer.start(place)
            client, close = server.client(), server.close
        else:
            client = connect(place, os.environ.get(KEY) or None)
            close = client.context.http_client.close
        try:
            with translated():
                yield client
        finally:
            close()
    except (ServerError, Away, Refused) as error:
        raise ValueError(str(error)) from None


def check_folder(folder: Path, *, may_be_empty: bool = False) -> None:
    """Raise ValueError unless a folder is that of an embedded server, or is empty and may be."""
    if not (folder / "catalog.db").exists() and not (may_be_empty and not any(folder.iterdir())):
        also = ", and is not empty" if may_be_empty else ""
        raise ValueError(f"{folder} is not the folder of an embedded server: it has no catalog.db{also}")


@contextmanager
def results_at(tiled: str | None, config: Path | None) -> Iterator["ResultStore"]:
    """Open the results on a Tiled server, as `opened` does; raise ValueError if no agent has written to it.

    Examples
    --------
    >>> with results_at(address, None) as store:
    ...     print(len(store), "results")
    6 results
    """
    with opened(tiled, config) as client:
        from ainerd.results import ResultStore

        if "ainerd" not in client:
            where = plain_address(str(place_of(tiled, config)))
            raise ValueError(f"there are no results in {where}: no agent has written there yet")
        yield ResultStore(client["ainerd"])


def key_of(store: "ResultStore", given: str) -> str:
    """Return the full key of a result, as `ResultStore.key` does; raise ValueError unless exactly one matches.

    Examples
    --------
    >>> key_of(store, "3") == store.key(3)  # scan 3
    True
    >>> key_of(store, "7")
    Traceback (most recent call last):
        ...
    ValueError: no result '7': scan 7 has none; see the table of results
    """
    try:
        key = store.key(given)
        store.record(key)  # raises KeyError if a full key has no result
    except KeyError as error:
        raise ValueError(error.args[0]) from None
    return key


def stopping() -> "threading.Event":
    """Return an event that Ctrl-C or SIGTERM sets, instead of ending the process; the next one ends it."""
    import signal
    import threading

    stop = threading.Event()
    signals = signal.SIGINT, signal.SIGTERM

    def set_it(*_: object) -> None:
        stop.set()
        for number in signals:
            signal.signal(number, signal.default_int_handler)

    for number in signals:
        signal.signal(number, set_it)
    return stop


def check_new(path: Path, force: bool) -> None:
    """Raise ValueError if a file exists that may not be replaced.

    Examples
    --------
    >>> path = folder / "result.h5"
    >>> _ = path.write_text("")
    >>> check_new(path, force=True)
    >>> check_new(path, force=False)
    Traceback (most recent call last):
        ...
    ValueError: ...result.h5 exists: give another name, or --force
    """
    if path.exists() and not force:
        raise ValueError(f"{path} exists: give another name, or --force")


def check_out(path: Path, force: bool) -> None:
    """Do `check_new`, print a line if a file is replaced, and make its folder before a long analysis begins.

    Examples
    --------
    >>> check_out(folder, force=True)
    Traceback (most recent call last):
        ...
    ValueError: ... is a folder: give the name of a file
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the name of a file")
    check_new(path, force)
    if path.exists():
        print(f"ainerd: {path} exists and is replaced", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path} cannot be written: you may not write to {path.parent.resolve()}")


def bars(*more: "ProgressColumn", disable: bool = False) -> "Progress":
    """Return progress bars with counts, remaining time and `more` columns, to be shown in a ``with`` statement.

    Examples
    --------
    >>> with bars(disable=True) as progress:
    ...     for _ in progress.track(range(5)):
    ...         pass
    >>> progress.tasks[0].finished
    True
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, *more, disable=disable)


def show_file(file: Path) -> None:
    """Print the name and the size of a file.

    Examples
    --------
    >>> path = folder / "result.h5"
    >>> _ = path.write_bytes(bytes(2_500_000))
    >>> show_file(path)
    /...result.h5  2.5 MB
    """
    print(f"{file}  {file.stat().st_size / 1e6:.3g} MB")
