"""Demonstrations with the simulated instrument: the whole loop, the figures of the paper, pictures of a session."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich import get_console
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from ainerd.jobs import activity

if TYPE_CHECKING:
    from tiled.client.container import Container

    from ainerd.config import Settings

# In the folder of a demonstration.
WRITTEN = "campaign.png documents.jsonl frames largest.png ramp.png sweep.png tiled".split()


def empty(folder: Path) -> None:
    """Make a folder, or empty it; ValueError if it holds anything that no demonstration wrote."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give a new or an empty folder")
    if strange := sorted(path.name for path in folder.glob("*") if path.name not in WRITTEN):
        raise ValueError(f"{folder} holds {strange[0]}: give a new or an empty folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


class _Doing(ProgressColumn):
    """The step that takes long, such as a calibration."""

    def render(self, task: Task) -> Text:
        return Text(activity(), "dim")


def progress_bar() -> Progress:
    """Return a bar that also names the step that takes long; lines of an agent appear above it."""
    count = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*count, _Doing(Column(no_wrap=True, overflow="ellipsis")), console=get_console())


@contextmanager
def catalog_in(folder: Path, settings: "Settings") -> "Iterator[Container]":
    """Empty a folder for catalog and frames, and yield a client of a Tiled server on them; raises as `empty`."""
    from ainerd.agent import open_tiled

    empty(folder)
    settings.storage.directory, settings.storage.frames = folder / "tiled", [folder / "frames"]
    with Console().status("starting Tiled"):
        client, close = open_tiled(settings.storage)
    try:
        yield client
    finally:
        close()
