"""Demonstrations with the simulated instrument: the whole loop, the figures of the paper, pictures of a session."""

import shutil
from pathlib import Path

# In the folder of a demonstration.
WRITTEN = (
    "campaign.png",
    "documents.jsonl",
    "frames",
    "largest.png",
    "sweep.png",
    "tiled",
)  # in the folder of a demonstration


def empty(folder: Path) -> None:
    """Make a folder, or empty it; ValueError if it holds anything that no demonstration wrote."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give a new or an empty folder")
    if strange := sorted(path.name for path in folder.glob("*") if path.name not in WRITTEN):
        raise ValueError(f"{folder} holds {strange[0]}: give a new or an empty folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
