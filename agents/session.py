"""The first and the last steps of the startup files of all profiles."""

import atexit
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bluesky import RunEngine
    from bluesky.callbacks.buffer import BufferingWrapper
    from tiled.client.container import Container

    from ainerd.agent import Agent
    from ainerd.config import Settings


def begin(toml: Path) -> "tuple[Settings, Callable[[], tuple[Container, Callable[[], None]]]]":
    """Load the settings, and start Tiled, while the startup file imports the rest.

    A failure ends the session with one line.

    Parameters
    ----------
    toml : Path
        Settings, if the environment variable ``AINERD_CONFIG`` names no others.

    Returns
    -------
    settings : Settings
    opened : callable
        Waits until the server answers. Returns its client, and a function that closes it, which is also called as the
        session ends.
    """
    print("ainerd: loading Bluesky, starting Tiled and the agent …", file=sys.stderr)
    gc.set_threshold(50_000)  # imports create millions of objects, which stay: fewer collections
    os.environ.setdefault("SILX_OPENCL", "0")  # pyFAI's helper warns where there is none
    from ainerd.config import Settings, SettingsError
    from ainerd.server import ServerError, start_tiled

    try:
        settings = Settings.load(os.environ.get("AINERD_CONFIG", toml))
    except SettingsError as err:
        sys.exit(f"ainerd: {err}")
    starting = start_tiled(settings.storage)

    def opened() -> "tuple[Container, Callable[[], None]]":
        try:
            client, close_tiled = starting()
        except ServerError as err:
            sys.exit(f"ainerd: {err}")
        atexit.register(close_tiled)
        return client, close_tiled

    return settings, opened


def raw_writer(client: "Container", settings: "Settings") -> "BufferingWrapper":
    """Return the writer of raw runs, to be subscribed to a RunEngine; shut it down before the server."""
    from bluesky.callbacks.buffer import BufferingWrapper
    from bluesky_tiled_plugins import TiledWriter

    from ainerd.documents import MIMETYPES

    backup = str(settings.storage.unwritten)
    return BufferingWrapper(
        TiledWriter(
            client["raw"],
            batch_size=20,
            max_array_size=0,  # the tables of the embedded server hold no arrays
            backup_directory=backup,
            spec_to_mimetype=MIMETYPES,
        )
    )


def attach(agent: "Agent", client: "Container", RE: "RunEngine", settings: "Settings", names: str) -> None:
    """Attach the writer of raw runs and an agent to the RunEngine of a session, and prepare all.

    Scans of a person are shown as text, and the agent analyses runs that have no result yet. As the session
    ends, the writer is shut down before the server.

    Parameters
    ----------
    agent : Agent
    client : Container
        Root of the server.
    RE : RunEngine
    settings : Settings
    names : str
        Devices and plans of the session, which are shown at a terminal.
    """
    RE.subscribe(raw_writer(client, settings))
    agent.attach(RE)
    gc.freeze()  # imported objects stay: collections, also IPython's own at the end, skip them
    agent.catch_up()
    agent.warm_up()  # in the background
    if sys.stdout.isatty():
        print(names)
        print("agent shows its state; agent? lists its commands")
